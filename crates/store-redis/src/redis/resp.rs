//! What a server's replies may cost. They are walked through as they come in, before the `redis` crate sees them: its
//! parser has no limits, so an endless text, an endless line or ten million empty values would take all memory.

/// The longest text: a window or a piece of a tail is far below.
const TEXT: u64 = 8 << 20;
/// The bytes of one reply, with all that is in it.
const REPLY: u64 = 16 << 20;
/// The values in one reply. The crate keeps each in 56 bytes at least.
const VALUES: u64 = 1 << 16;
/// The longest line: a number, a short text or an error. The crate looks through an unfinished one again whenever some of
/// it comes, so a long one would also cost time.
const LINE: u64 = 4 << 10;
/// How deep values are in each other; `CLUSTER SLOTS` and `XREAD` have five levels.
const DEPTH: usize = 8;
/// What a value costs besides its bytes.
pub(super) const VALUE: u64 = 64;

/// A reply that is not taken; the text says why and quotes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused(pub(super) &'static str);

#[derive(Debug)]
enum At {
    /// Before a value's first byte.
    Start,
    /// In the line of a value of this kind.
    Line { kind: u8, length: u64, number: Number },
    /// In a text, with so many bytes to come, its line's end among them.
    Text { left: u64 },
}

/// The number that a line begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Unread,
    Negative,
    Of(u64),
    /// The line is no number, or a larger one than can be meant.
    None,
}

/// Walks through replies. It is told every byte, in order.
#[derive(Debug)]
pub(super) struct Replies {
    at: At,
    /// The values to come at each level that is open.
    open: Vec<u64>,
    bytes: u64,
    values: u64,
}

impl Default for Replies {
    fn default() -> Self {
        Self { at: At::Start, open: Vec::new(), bytes: 0, values: 0 }
    }
}

impl Replies {
    /// Takes note of what came in; says how many values it began.
    ///
    /// # Errors
    /// A reply is larger than any that is asked for here, or none at all.
    pub(super) fn walk(&mut self, mut bytes: &[u8]) -> Result<u64, Refused> {
        let mut begun = 0;
        while let Some(first) = bytes.first() {
            let taken = match &mut self.at {
                At::Start => {
                    self.begin(*first)?;
                    begun += 1;
                    1
                }
                At::Line { .. } => self.line(bytes)?,
                At::Text { left } => {
                    let taken = (bytes.len() as u64).min(*left);
                    *left -= taken;
                    if *left == 0 {
                        self.ended();
                    }
                    taken
                }
            };
            self.bytes += taken;
            if self.bytes > REPLY {
                return Err(Refused("a reply is too large"));
            }
            if matches!(self.at, At::Start) && self.open.is_empty() {
                (self.bytes, self.values) = (0, 0);
            }
            bytes = &bytes[usize::try_from(taken).unwrap_or(bytes.len())..];
        }
        Ok(begun)
    }

    fn begin(&mut self, kind: u8) -> Result<(), Refused> {
        if !b"+-:$*%|~>_,#!=(".contains(&kind) {
            return Err(Refused("a reply is of no known kind"));
        }
        self.values += 1;
        if self.values > VALUES {
            return Err(Refused("a reply has too many values"));
        }
        self.at = At::Line { kind, length: 0, number: Number::Unread };
        Ok(())
    }

    /// Goes on in a line, to its end if that is there.
    fn line(&mut self, bytes: &[u8]) -> Result<u64, Refused> {
        let At::Line { kind, length, number } = &mut self.at else { return Ok(0) };
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = &bytes[..end.map_or(bytes.len(), |end| end + 1)];
        *length += part.len() as u64;
        if *length > LINE {
            return Err(Refused("a line of a reply is too long"));
        }
        part.iter().for_each(|byte| *number = number.and(*byte));
        if end.is_some() {
            let (kind, number) = (*kind, *number);
            self.line_ended(kind, number)?;
        }
        Ok(part.len() as u64)
    }

    fn line_ended(&mut self, kind: u8, number: Number) -> Result<(), Refused> {
        let each = match kind {
            b'$' | b'!' | b'=' => {
                match number {
                    Number::Negative => self.ended(),
                    Number::Of(length) if length <= TEXT => self.at = At::Text { left: length + 2 },
                    Number::Of(_) | Number::None | Number::Unread => {
                        return Err(Refused("a text in a reply is too long"));
                    }
                }
                return Ok(());
            }
            b'*' | b'~' | b'>' => 1,
            b'%' | b'|' => 2,
            _ => {
                self.ended();
                return Ok(());
            }
        };
        let count = match number {
            Number::Negative => 0,
            Number::Of(count) if count <= VALUES => count * each,
            Number::Of(_) | Number::None | Number::Unread => return Err(Refused("a reply has too many values")),
        };
        // An attribute is followed by the value that it is of.
        let count = if kind == b'|' { count + 1 } else { count };
        if self.values + count > VALUES {
            return Err(Refused("a reply has too many values"));
        }
        if count == 0 {
            self.ended();
        } else if self.open.len() >= DEPTH {
            return Err(Refused("the values of a reply are too deep in each other"));
        } else {
            self.open.push(count);
            self.at = At::Start;
        }
        Ok(())
    }

    /// A value ended, and with it all whose last one it was.
    fn ended(&mut self) {
        self.at = At::Start;
        while let Some(left) = self.open.last_mut() {
            *left -= 1;
            if *left > 0 {
                return;
            }
            self.open.pop();
        }
    }
}

impl Number {
    fn and(self, byte: u8) -> Self {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
        match (self, byte, digit) {
            (read, b'\r' | b'\n', _) => read,
            (Self::Unread, b'-', _) => Self::Negative,
            (Self::Unread, _, Some(digit)) => Self::Of(digit),
            (Self::Of(number), _, Some(digit)) => {
                number.checked_mul(10).and_then(|number| number.checked_add(digit)).map_or(Self::None, Self::Of)
            }
            (Self::Negative, _, Some(_)) => Self::Negative,
            (Self::Unread | Self::Of(_) | Self::Negative | Self::None, _, _) => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn walk(text: &[u8]) -> Result<u64, &'static str> {
        Replies::default().walk(text).map_err(|Refused(why)| why)
    }

    #[test]
    fn replies_as_they_are_pass() {
        for reply in [
            "+OK\r\n",
            ":12\r\n:-3\r\n",
            "$5\r\nhe\r\no\r\n$-1\r\n$0\r\n\r\n",
            "*2\r\n$1\r\na\r\n*0\r\n*-1\r\n",
            "%1\r\n+a\r\n_\r\n~1\r\n#t\r\n,1.5\r\n(99999999999999999999999999\r\n",
            "|1\r\n+ttl\r\n:3\r\n$1\r\nx\r\n",
            ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n",
            "!4\r\nERR \r\n=5\r\ntxt:a\r\n-LOADING Redis is loading\r\n",
        ] {
            let mut replies = Replies::default();
            replies.walk(reply.as_bytes()).unwrap_or_else(|why| panic!("{reply:?}: {why:?}"));
            assert!(replies.open.is_empty() && matches!(replies.at, At::Start), "{reply:?} ends where it ends");
        }
    }

    #[test]
    fn what_costs_too_much_is_refused_as_soon_as_it_says_so() {
        let lists = |depth: usize| "*1\r\n".repeat(depth);
        for (reply, why) in [
            (format!("${}\r\n", TEXT + 1), "a text in a reply is too long"),
            ("$4611686018427387904\r\n".to_owned(), "a text in a reply is too long"),
            ("$99999999999999999999999\r\n".to_owned(), "a text in a reply is too long"),
            ("$?\r\n".to_owned(), "a text in a reply is too long"),
            ("*10000000\r\n".to_owned(), "a reply has too many values"),
            ("%40000\r\n".to_owned(), "a reply has too many values"),
            (lists(DEPTH + 1), "the values of a reply are too deep in each other"),
            (format!("+{}", "x".repeat(5000)), "a line of a reply is too long"),
            (format!("-{}", "x".repeat(5000)), "a line of a reply is too long"),
            ("HTTP/1.1 400 Bad Request\r\n".to_owned(), "a reply is of no known kind"),
            (format!("*3\r\n{}", format!("${TEXT}\r\n{}\r\n", "x".repeat(8 << 20)).repeat(3)), "a reply is too large"),
            (format!("*2\r\n{0}{0}", format!("*40000\r\n{}", "_\r\n".repeat(40000))), "a reply has too many values"),
        ] {
            assert_eq!(walk(reply.as_bytes()), Err(why), "{reply:.40}");
        }
    }

    proptest! {
        /// However a reply is cut into pieces, it costs the same.
        #[test]
        fn pieces_change_nothing(cuts in prop::collection::vec(1_usize..9, 1..40)) {
            let reply: &[u8] = b"*3\r\n$5\r\nhello\r\n*2\r\n:1\r\n$-1\r\n%1\r\n+a\r\n$2\r\nhi\r\n:7\r\n";
            let (mut replies, mut rest, mut values) = (Replies::default(), reply, 0);
            for cut in cuts.iter().cycle() {
                let (piece, left) = rest.split_at((*cut).min(rest.len()));
                values += replies.walk(piece).expect("it is fine");
                rest = left;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(values, 9);
            prop_assert!(replies.open.is_empty());
        }

        #[test]
        fn garbage_never_panics(garbage: Vec<u8>) {
            let _ = walk(&garbage);
        }
    }
}
