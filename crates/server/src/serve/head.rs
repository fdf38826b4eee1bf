//! A request's head as it comes, looked through for what the HTTP library mends in silence: where a request gives the
//! length of its body twice, as `Content-Length` and as `Transfer-Encoding`, it drops the first. A proxy that believes the
//! first sees other requests on the connection than this server does (RFC 9112, 6.1), so such a request is refused.
//!
//! Only a head that begins a read is seen: of requests that were sent without waiting for an answer, the first. The others are
//! read by their `Transfer-Encoding`, and nothing follows on a connection after such a body.

/// The longest of the two names.
const LONGEST: usize = "transfer-encoding".len();

/// What was seen of a head so far.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// The beginning of the line that is coming, in small letters.
    line: [u8; LONGEST],
    /// How much of it came, its end included.
    came: usize,
    sized: bool,
    coded: bool,
    /// The empty line came: what follows is the body.
    over: bool,
}

impl Head {
    /// Takes what came.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.over {
                return;
            }
            if *byte == b'\n' {
                // The return before it is not kept.
                self.over = self.came == 0;
                self.came = 0;
                continue;
            }
            if *byte == b'\r' {
                continue;
            }
            if *byte == b':' {
                let name = self.line.get(..self.came).unwrap_or_default();
                self.sized |= name == b"content-length";
                self.coded |= name == b"transfer-encoding";
                self.came = LONGEST;
            }
            if let Some(place) = self.line.get_mut(self.came) {
                *place = byte.to_ascii_lowercase();
            }
            self.came += 1;
        }
    }

    /// Whether the body's length is given twice.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.sized && self.coded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &str, ambiguous: bool) {
        for piece in [1, 3, 7, head.len()] {
            let mut seen = Head::default();
            head.as_bytes().chunks(piece).for_each(|piece| seen.take(piece));
            assert_eq!(seen.is_ambiguous(), ambiguous, "{head:?} in pieces of {piece}");
        }
    }

    #[test]
    fn two_lengths_are_seen_and_what_is_no_head_is_not() {
        let post = "POST / HTTP/1.1\r\nHost: a\r\n";
        check(&format!("{post}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"), true);
        check(&format!("{post}TRANSFER-ENCODING:chunked\nX: y\ncontent-length:3\n\n"), true);
        check(&format!("{post}Content-Length: 3\r\n\r\nTransfer-Encoding: chunked\r\n\r\n"), false);
        check(&format!("{post}Transfer-Encoding: chunked\r\nX: Content-Length: 3\r\n\r\n"), false);
        check(&format!("{post}Transfer-Encoding: chunked\r\nX-Content-Length: 3\r\nContent-Lengths: 3\r\n\r\n"), false);
        check(&format!("{post}Transfer-Encoding: chunked\r\nTE: x\r\nA:: content-length: 1\r\n\r\n"), false);
        check("\r\n\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", false);
    }
}
