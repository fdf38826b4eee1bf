//! Server-sent events out of bytes, leniently and within bounds.
//!
//! Line ends are LF, CR or CRLF; a byte order mark, comments and unknown fields are passed over; fields may have blanks
//! before them and capitals; bytes that are no UTF-8 are replaced; the last event may lack its blank line. A body that
//! does not begin like an event stream is JSON, or something else, and comes as one frame at its end. A line among
//! events that is no field comes as a frame of its own if it may be a part of the answer: if it has a brace, or is
//! `[DONE]`.
//!
//! Own code, since the crates for this (`sse-stream`, `eventsource-stream`) collect lines and events without a bound and
//! drop what is incomplete at the end.

/// One event, or what came instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The event's name.
    pub(crate) name: Option<String>,
    /// Its data.
    pub(crate) data: String,
}

/// A line or an event is longer than the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    /// Nothing but blanks and comments so far.
    Unknown,
    Events,
    /// No event stream; collected whole.
    Other,
}

/// What came of a stream and is not a whole event yet.
#[derive(Debug)]
pub(crate) struct Frames {
    longest: usize,
    body: Body,
    begun: bool,
    after_cr: bool,
    line: Vec<u8>,
    name: Option<String>,
    data: Option<String>,
    /// Lines that are no field.
    pub(crate) odd: u64,
}

const FIELDS: [&str; 4] = ["data", "event", "id", "retry"];

impl Frames {
    /// No line and no event may have more bytes than `longest`.
    pub(crate) fn new(longest: usize) -> Self {
        let (line, name, data) = (Vec::new(), None, None);
        Self { longest, body: Body::Unknown, begun: false, after_cr: false, line, name, data, odd: 0 }
    }

    /// Takes bytes, however they are cut.
    pub(crate) fn push(&mut self, mut bytes: &[u8], out: &mut Vec<Frame>) -> Result<(), TooLong> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (piece, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            if self.line.len() + piece.len() > self.longest {
                return Err(TooLong);
            }
            self.line.extend_from_slice(piece);
            bytes = rest;
            if end.is_some() {
                self.after_cr = bytes[0] == b'\r';
                bytes = &bytes[1..];
                self.end_of_line(out)?;
            }
        }
        Ok(())
    }

    /// The body has ended.
    pub(crate) fn end(&mut self, out: &mut Vec<Frame>) -> Result<(), TooLong> {
        if !self.line.is_empty() {
            self.end_of_line(out)?;
        }
        self.dispatch(out);
        Ok(())
    }

    fn end_of_line(&mut self, out: &mut Vec<Frame>) -> Result<(), TooLong> {
        let line = std::mem::take(&mut self.line);
        let mut line = String::from_utf8_lossy(&line);
        if !std::mem::replace(&mut self.begun, true)
            && let Some(rest) = line.strip_prefix('\u{feff}')
        {
            line = rest.to_owned().into();
        }
        let (field, value) = line.split_once(':').unwrap_or((&*line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        let field = field.trim().to_ascii_lowercase();
        if self.body == Body::Unknown && !line.trim().is_empty() && !line.starts_with(':') {
            self.body = if FIELDS.contains(&field.as_str()) { Body::Events } else { Body::Other };
        }
        match (self.body, field.as_str()) {
            (Body::Other, _) => self.collect(&line),
            (Body::Unknown | Body::Events, _) if line.is_empty() => {
                self.dispatch(out);
                Ok(())
            }
            (_, "data") => self.collect(value),
            (_, "event") => {
                self.name = Some(value.to_owned());
                Ok(())
            }
            (_, "" | "id" | "retry") => Ok(()),
            _ if line.contains(['{', '}']) || line.trim() == "[DONE]" => {
                self.dispatch(out);
                out.push(Frame { name: None, data: line.to_string() });
                Ok(())
            }
            _ => {
                self.odd += 1;
                Ok(())
            }
        }
    }

    fn collect(&mut self, line: &str) -> Result<(), TooLong> {
        let Some(data) = &mut self.data else {
            self.data = Some(line.to_owned());
            return Ok(());
        };
        if data.len() + line.len() >= self.longest {
            return Err(TooLong);
        }
        data.push('\n');
        data.push_str(line);
        Ok(())
    }

    fn dispatch(&mut self, out: &mut Vec<Frame>) {
        let name = self.name.take();
        if let Some(data) = self.data.take() {
            out.push(Frame { name, data });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], cut: usize) -> Vec<String> {
        let (mut frames, mut out) = (Frames::new(1 << 10), Vec::new());
        for piece in bytes.chunks(cut) {
            frames.push(piece, &mut out).expect("within bounds");
        }
        frames.end(&mut out).expect("within bounds");
        out.into_iter().map(|frame| frame.data).collect()
    }

    fn check(bytes: &[u8], want: &[&str]) {
        for cut in [1, 2, 3, 7, bytes.len().max(1)] {
            assert_eq!(read(bytes, cut), want, "in pieces of {cut}");
        }
    }

    #[test]
    fn events_are_read_however_they_are_written() {
        check(b"data: a\n\ndata:b\n\n", &["a", "b"]);
        check(b"\xef\xbb\xbfdata: a\r\n\r\ndata: b\r\rdata: c", &["a", "b", "c"]);
        check(b": hi\n\nid: 7\nevent: x\ndata: a\ndata: b\nretry: 1\n\n", &["a\nb"]);
        check("data: é\n\n".as_bytes(), &["é"]);
        check(b"data: a\xffb\n\n", &["a\u{fffd}b"]);
        check(b"data: a\n\n{\"error\":1}\ndata: b\n\n", &["a", "{\"error\":1}", "b"]);
        check(b"event: x\n\ndata\n\n", &[""]);
        check(b"data: a\n\n data: b\n\nDATA: c\n\n", &["a", "b", "c"]);
    }

    #[test]
    fn what_may_be_a_part_of_the_answer_is_passed_over_by_nobody() {
        check(b"data: a\n\ndaat: {\"b\":1}\n\n[DONE]\n", &["a", "daat: {\"b\":1}", "[DONE]"]);
        check(b"data: a\n\nx-request: 1\nunknown\n\n", &["a"]);
    }

    #[test]
    fn what_is_no_event_stream_comes_whole() {
        check(b"{\n \"a\": 1\n}\n", &["{\n \"a\": 1\n}"]);
        check(b"<html>data: x</html>", &["<html>data: x</html>"]);
        check(b"", &[]);
    }

    #[test]
    fn neither_a_line_nor_an_event_is_endless() {
        let (mut frames, mut out) = (Frames::new(1 << 10), Vec::new());
        assert_eq!(frames.push(&[b'x'; 2000], &mut out), Err(TooLong));
        let mut frames = Frames::new(1 << 10);
        let lines = b"data: 0123456789\n".repeat(200);
        assert_eq!(frames.push(&lines, &mut out), Err(TooLong));
        let mut frames = Frames::new(1 << 10);
        assert_eq!(frames.push(&b": comment\n".repeat(2000), &mut out), Ok(()));
    }
}
