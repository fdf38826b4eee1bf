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
        let (close, missing) = match source.as_bytes().get(start + 1)? {
            b'(' => (b')', &mut self.no_round),
            b'[' => (b']', &mut self.no_square),
            _ => return None,
        };
        if *missing {
            return None;
        }
        let end = source.as_bytes().get(start + 2..self.limit).and_then(|inside| escaped(inside, close));
        *missing = end.is_none();
        end.map(|length| start..start + 2 + length)
    }
}

/// Where the first escaped `close` ends. A backslash that is escaped itself, a new line in a formula, escapes nothing.
fn escaped(inside: &[u8], close: u8) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = inside.get(at..)?.iter().position(|byte| *byte == b'\\') {
        at += found + 2;
        if inside.get(at - 1) == Some(&close) {
            return Some(at);
        }
    }
    None
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
        assert_eq!(Formulas::new(10).at(r"\(a \\) \)", 0), Some(0..10), "a new line and a bracket are no end");
    }

    #[test]
    fn an_end_beyond_the_paragraph_is_none() {
        assert_eq!(Formulas::new(3).at(r"\(a\)", 0), None);
    }
}
