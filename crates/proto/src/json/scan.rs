//! JSON text passed over without anything being made of it: where a value ends, whether it is one, how deep it goes.
//!
//! One pass, no recursion; what it holds is a byte for each container that is open. What is JSON here is what
//! `serde_json` takes for it when it reads a `Value`, with one exception that each caller names: how deep it may go.

/// Why a text is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is no JSON.
    Syntax,
    /// It goes deeper than it may.
    Depth,
    /// A list or an object whose places are looked at has more of them than it may.
    Width,
}

/// Where the reader is in a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scan<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scan<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that is not white space.
    pub(super) fn next(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| is_space(**byte)).count();
        self.byte()
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes a byte if it comes next, after white space.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let is = self.next() == Some(byte);
        self.at += usize::from(is);
        is
    }

    /// Nothing but white space may follow.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        self.next().map_or(Ok(()), |_| Err(Fault::Syntax))
    }

    /// Passes a value that goes at most `deep` levels down, and returns its text. A number is a level of none, `[]` one.
    pub(super) fn value(&mut self, deep: usize) -> Result<&'t str, Fault> {
        let first = self.next();
        let begin = self.at;
        if !matches!(first, Some(b'{' | b'[')) {
            return self.scalar();
        }
        // What closes each container that is open.
        let mut open: Vec<u8> = Vec::new();
        loop {
            let closer = match self.next() {
                Some(b'{') => b'}',
                Some(b'[') => b']',
                _ => 0,
            };
            if closer == 0 {
                self.scalar()?;
            } else {
                if open.len() >= deep {
                    return Err(Fault::Depth);
                }
                self.at += 1;
                if !self.eat(closer) {
                    open.push(closer);
                    if closer == b'}' {
                        self.key()?;
                    }
                    continue;
                }
            }
            // A value has ended, and with it perhaps those around it.
            loop {
                let Some(&closer) = open.last() else { return Ok(&self.text[begin..self.at]) };
                if self.eat(b',') {
                    if closer == b'}' {
                        self.key()?;
                    }
                    break;
                }
                if !self.eat(closer) {
                    return Err(Fault::Syntax);
                }
                open.pop();
            }
        }
    }

    /// Passes a name and its colon; returns the name as it stands, with its quotes.
    pub(super) fn key(&mut self) -> Result<&'t str, Fault> {
        self.next();
        let key = self.string()?;
        if self.eat(b':') { Ok(key) } else { Err(Fault::Syntax) }
    }

    fn scalar(&mut self) -> Result<&'t str, Fault> {
        match self.byte() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(Fault::Syntax),
        }
    }

    fn word(&mut self, word: &str) -> Result<&'t str, Fault> {
        let begin = self.at;
        if !self.text.as_bytes()[begin..].starts_with(word.as_bytes()) {
            return Err(Fault::Syntax);
        }
        self.at += word.len();
        Ok(&self.text[begin..self.at])
    }

    fn digits(&mut self) -> usize {
        let rest = &self.text.as_bytes()[self.at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        digits
    }

    fn number(&mut self) -> Result<&'t str, Fault> {
        let begin = self.at;
        self.at += usize::from(self.byte() == Some(b'-'));
        let zero = self.byte() == Some(b'0');
        let whole = self.digits();
        if whole == 0 || zero && whole > 1 {
            return Err(Fault::Syntax);
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(Fault::Syntax);
            }
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            if self.digits() == 0 {
                return Err(Fault::Syntax);
            }
        }
        Ok(&self.text[begin..self.at])
    }

    fn string(&mut self) -> Result<&'t str, Fault> {
        let begin = self.at;
        if self.byte() != Some(b'"') {
            return Err(Fault::Syntax);
        }
        self.at += 1;
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let plain = rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)).count();
            self.at += plain + 1;
            match rest.get(plain) {
                Some(b'"') => return Ok(&self.text[begin..self.at]),
                Some(b'\\') => self.escape()?,
                _ => return Err(Fault::Syntax),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        let kind = self.byte().ok_or(Fault::Syntax)?;
        self.at += 1;
        match kind {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => match self.hex()? {
                // Half of a character is none.
                0xd800..=0xdbff => {
                    let follows = self.text.as_bytes()[self.at..].starts_with(b"\\u");
                    self.at += 2;
                    if follows && matches!(self.hex()?, 0xdc00..=0xdfff) { Ok(()) } else { Err(Fault::Syntax) }
                }
                0xdc00..=0xdfff => Err(Fault::Syntax),
                _ => Ok(()),
            },
            _ => Err(Fault::Syntax),
        }
    }

    fn hex(&mut self) -> Result<u32, Fault> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).ok_or(Fault::Syntax)?;
        self.at += 4;
        digits.iter().try_fold(0, |number, digit| {
            let digit = char::from(*digit).to_digit(16).ok_or(Fault::Syntax)?;
            Ok(number * 16 + digit)
        })
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// JSON without the white space between its words, so that it fits on a line of an export or of an event. The text must
/// be JSON.
pub(super) fn compact(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let words = rest.find(|c: char| c == '"' || c.is_ascii_whitespace()).unwrap_or(rest.len());
        kept.push_str(&rest[..words]);
        rest = rest[words..].trim_ascii_start();
        if rest.starts_with('"') {
            let mut scan = Scan::new(rest);
            let string = scan.string().unwrap_or(rest);
            kept.push_str(string);
            rest = &rest[string.len()..];
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str, deep: usize) -> Result<&str, Fault> {
        let mut scan = Scan::new(text);
        let value = scan.value(deep)?;
        scan.end().map(|()| value)
    }

    #[test]
    fn depth_is_counted_and_nothing_recurses() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(whole(&nested(100), 100).is_ok());
        assert_eq!(whole(&nested(101), 100), Err(Fault::Depth));
        assert_eq!(whole(&"[".repeat(1 << 20), usize::MAX), Err(Fault::Syntax));
        assert_eq!(whole("[{}]", 1), Err(Fault::Depth));
        assert!(whole("[{},{\"a\":[]},1]", 3).is_ok() && whole("7", 0).is_ok());
    }

    #[test]
    fn white_space_goes_and_nothing_else_does() {
        let check = |text: &str, want: &str| {
            let text = whole(text, 9).expect("JSON");
            assert_eq!(compact(text), want);
        };
        check(" { \"a b\" :\n[ 1E5 ,\t-0 , \"\\\" x\" ] } ", "{\"a b\":[1E5,-0,\"\\\" x\"]}");
        check("[ true , null ]", "[true,null]");
        check("\" \"", "\" \"");
    }
}
