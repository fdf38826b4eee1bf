//! Where the formulas of a paragraph are: `\(…\)` and `\[…\]`, which Markdown reads as escaped brackets.

use std::ops::Range;

/// Finds the ends of formulas in one paragraph. All searches together look at each byte a constant number of times:
/// where one kind of end was not found, it is not looked for again.
pub(crate) struct Formulas {
    limit: usize,
    no_round: bool,
    no_square: bool,
}

impl Formulas {
    /// Formulas end before `limit`.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, no_round: false, no_square: false }
    }

    /// The formula that begins with the backslash at `start`, both its ends included.
    pub(crate) fn at(&mut self, source: &str, start: usize) -> Option<Range<usize>> {
        let (end, missing) = match source.as_bytes().get(start + 1)? {
            b'(' => ("\\)", &mut self.no_round),
            b'[' => ("\\]", &mut self.no_square),
            _ => return None,
        };
        if *missing {
            return None;
        }
        let found = source.get(start + 2..self.limit).and_then(|inside| inside.find(end));
        *missing = found.is_none();
        found.map(|length| start..start + 2 + length + 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_ends_at_its_own_kind_of_bracket() {
        let source = r"\(a \] b\) \[c";
        let mut formulas = Formulas::new(source.len());
        assert_eq!(formulas.at(source, 0), Some(0..10));
        assert_eq!(formulas.at(source, 11), None);
        assert_eq!(formulas.at(source, 4), None, "an end is no start");
    }

    #[test]
    fn an_end_beyond_the_paragraph_is_none() {
        assert_eq!(Formulas::new(3).at(r"\(a\)", 0), None);
    }
}
