//! Encoders of what a client and its tabs send, one line a type: the bytes that the derived ones write.
//!
//! Derived encoders are written out for every field: in the browser they were a twentieth of what is
//! loaded. Here a value is a list of fields and one function writes them all. The derived ones stay for
//! the rest of the workspace, and a test compares the two.

use crate::writer::Writer;
use crate::{
    Anchor, BranchId, ChainHash, ClientFrame, Cursor, MessageId, Position, Raw, RunId, StreamOffset, TabFrame, ThreadId,
};
use alloc::string::String;
use alloc::vec::Vec;

/// Encodes a frame into a fresh buffer.
#[must_use]
pub fn write<T: Put>(frame: &T) -> Vec<u8> {
    let mut out = Writer::default();
    frame.put(&mut out);
    out.done()
}

/// What can be written.
pub trait Put {
    /// Appends it.
    fn put(&self, out: &mut Writer);

    /// Left out at the end of a list of fields.
    fn is_none(&self) -> bool {
        false
    }
}

impl Put for u64 {
    fn put(&self, out: &mut Writer) {
        out.uint(*self);
    }
}

impl Put for u32 {
    fn put(&self, out: &mut Writer) {
        out.uint(u64::from(*self));
    }
}

impl Put for u16 {
    fn put(&self, out: &mut Writer) {
        out.uint(u64::from(*self));
    }
}

impl Put for bool {
    fn put(&self, out: &mut Writer) {
        out.flag(*self);
    }
}

impl Put for Raw {
    fn put(&self, out: &mut Writer) {
        out.bytes(&self.0);
    }
}

impl Put for String {
    fn put(&self, out: &mut Writer) {
        out.text(self);
    }
}

impl Put for ChainHash {
    fn put(&self, out: &mut Writer) {
        out.bytes(&self.0);
    }
}

impl<T: Put> Put for Option<T> {
    fn put(&self, out: &mut Writer) {
        match self {
            Some(value) => value.put(out),
            None => out.null(),
        }
    }

    fn is_none(&self) -> bool {
        Self::is_none(self)
    }
}

impl<T: Put> Put for Vec<T> {
    fn put(&self, out: &mut Writer) {
        out.array(self.len());
        self.iter().for_each(|item| item.put(out));
    }
}

#[inline(never)]
fn fields(out: &mut Writer, fields: &[&dyn Put]) {
    let last = fields.iter().rposition(|field| !field.is_none());
    let sent = fields.get(..last.map_or(0, |last| last + 1)).unwrap_or_default();
    out.array(sent.len());
    sent.iter().for_each(|field| field.put(out));
}

macro_rules! encoders {
    ($($kind:ident $name:ident { $($body:tt)* })*) => {
        $(encoders!(@$kind $name { $($body)* });)*
    };
    (@struct $name:ident { $($field:ident),* }) => {
        impl Put for $name {
            fn put(&self, out: &mut Writer) {
                fields(out, &[$(&self.$field),*]);
            }
        }
    };
    (@enum $name:ident { $($index:literal $variant:ident $(($one:ident))? $({ $($field:ident),* })?,)* }) => {
        impl Put for $name {
            fn put(&self, out: &mut Writer) {
                out.array(2);
                match self {
                    $(Self::$variant $(($one))? $({ $($field),* })? => {
                        out.uint($index);
                        fields(out, &[$($one)? $($($field),*)?]);
                    })*
                }
            }
        }
    };
    (@id $($name:ident)*) => {
        $(impl Put for $name {
            fn put(&self, out: &mut Writer) {
                out.text(self.as_str());
            }
        })*
    };
}

encoders!(@id ThreadId BranchId MessageId RunId);

encoders! {
    struct Position { epoch, seq, hash }
    struct StreamOffset { run, offset }
    struct Cursor { position, runs }
    enum Anchor {
        0 Tip,
        1 Depth(at),
        2 Message(id),
        3 Time(at),
    }
    enum ClientFrame {
        0 Hello { oldest, newest, client, token },
        1 Subscribe { sub, thread, branch, anchor, before, after, cursor, from, to },
        2 Range { sub, from, to },
        3 Unsubscribe { sub },
        4 FollowList { since },
        5 Ping { token },
        6 Authenticate { token },
    }
    enum TabFrame {
        0 Lead { epoch, up },
        1 Join { tab, epoch },
        2 Joined { epoch, tab, number, welcome, count },
        3 Leave { tab },
        4 Up { epoch, tab, frame, count },
        5 Down { epoch, frame, count },
        6 Here { epoch, tab, count },
        7 Apart { epoch, streams },
        8 Ask {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InvalidId, to_cbor};

    fn frames() -> Result<Vec<ClientFrame>, InvalidId> {
        let position = Position { epoch: 300, seq: 1 << 40, hash: ChainHash([7; 16]) };
        let runs = vec![StreamOffset { run: RunId::parse("r")?, offset: 24 }];
        let (none, some) = (None, Some(Cursor { position, runs }));
        let message = Anchor::Message(MessageId::parse("m")?);
        let mut frames = vec![
            ClientFrame::Hello { oldest: 1, newest: 256, client: "é".repeat(200), token: None },
            ClientFrame::Hello { oldest: 0, newest: 1, client: String::new(), token: Some("t".into()) },
            ClientFrame::Range { sub: 23, from: 255, to: None },
            ClientFrame::Range { sub: 24, from: 256, to: Some(u64::MAX) },
            ClientFrame::Unsubscribe { sub: u32::MAX },
            ClientFrame::FollowList { since: 1 << 32 },
            ClientFrame::Ping { token: 65_535 },
            ClientFrame::Authenticate { token: "t".into() },
        ];
        for (anchor, cursor) in [Anchor::Tip, Anchor::Depth(65_536), message, Anchor::Time(0)].into_iter().zip([
            none.clone(),
            some,
            Some(Cursor::default()),
            none,
        ]) {
            for (branch, to) in [(None, None), (Some(BranchId::parse("b")?), Some(2))] {
                frames.push(ClientFrame::Subscribe {
                    sub: 1,
                    thread: ThreadId::parse("t")?,
                    branch,
                    anchor: anchor.clone(),
                    before: 25,
                    after: 0,
                    cursor: cursor.clone(),
                    from: 9,
                    to,
                });
            }
        }
        Ok(frames)
    }

    #[test]
    fn the_bytes_are_those_of_the_derived_encoders() -> Result<(), InvalidId> {
        for frame in frames()? {
            assert_eq!(write(&frame), to_cbor(&frame), "{frame:?}");
        }
        Ok(())
    }
}
