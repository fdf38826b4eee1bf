//! Decoders, one line a type, for the form that derived encoders write: an array of the fields by number.
//!
//! Derived decoders accept more forms and carry a message for every field: in the browser they were 130 KB
//! of WebAssembly, half of all there is. These read arrays of stated length only, leave out what a newer
//! release has added at the end, and give what an older one has left out its empty value. What is malformed
//! is reported as a place, not in words.

use minicbor::{Decode, Decoder, decode::Error};

use crate::change::{Commitment, MessageRef};
use crate::frame::{Mode, ResetReason};
use crate::id::is_valid;
use crate::reader::{ARRAY, Reader, UINT, Wire};
use crate::{
    BranchId, ChainHash, Change, Chunk, Cursor, ErrorCode, Event, Fork, ForkOption, JsonText, Message, MessageId,
    MessageStatus, Outcome, Part, Position, Preview, Problem, Raw, Record, Relayed, Role, RunId, RunInfo, RunStatus,
    Segment, ServerFrame, StreamOffset, Summary, TabFrame, ThreadId, ToolPart, Window,
};

impl Wire for JsonText {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self(Wire::read(reader))
    }
}

impl Wire for ErrorCode {
    /// A code this release does not know is some defect to it.
    fn read(reader: &mut Reader<'_>) -> Self {
        let index = usize::try_from(reader.expect(UINT)).unwrap_or(usize::MAX);
        Self::ALL.get(index).copied().unwrap_or(Self::Internal)
    }
}

impl Wire for Raw {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self(reader.bytes().into())
    }
}

impl Relayed {
    /// What a frame does; none if it is no client's, or one that a connection carries for its owner alone.
    #[must_use]
    pub fn of(frame: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(frame, 0);
        if reader.expect(ARRAY) != 2 {
            return None;
        }
        let kind = reader.expect(UINT);
        let mut fields = reader.fields();
        let relayed = match kind {
            1 => Self::Opens(fields.next(&mut reader)),
            3 => Self::Closes(fields.next(&mut reader)),
            2 | 4 | 5 => Self::Other,
            _ => return None,
        };
        reader.outcome().1.then_some(relayed)
    }
}

/// Reads one value that must fill `bytes` exactly; nothing if it is malformed. What a browser calls: of
/// minicbor it would load the errors alone.
pub fn read<T: Wire>(bytes: &[u8]) -> Option<T> {
    let mut reader = Reader::new(bytes, 0);
    let value = T::read(&mut reader);
    (reader.outcome() == (bytes.len(), true)).then_some(value)
}

/// Lets minicbor read it too: that is what the rest of the workspace asks.
fn decode<'b, T: Wire>(d: &mut Decoder<'b>) -> Result<T, Error> {
    let mut reader = Reader::new(d.input(), d.position());
    let value = T::read(&mut reader);
    let (at, well) = reader.outcome();
    d.set_position(at);
    if well { Ok(value) } else { Err(Error::message("malformed").at(at)) }
}

macro_rules! decoders {
    ($($kind:ident $name:ident { $($body:tt)* })*) => {
        $(decoders!(@$kind $name { $($body)* });)*
    };
    (@index $name:ident { $($index:literal $variant:ident),* }) => {
        impl Wire for $name {
            fn read(reader: &mut Reader<'_>) -> Self {
                match reader.expect(UINT) {
                    $($index => Self::$variant,)*
                    _ => reader.refuse(),
                }
            }
        }
    };
    (@struct $name:ident { $($field:tt),* }) => {
        impl Wire for $name {
            fn read(reader: &mut Reader<'_>) -> Self {
                let mut fields = reader.fields();
                let value = Self { $($field: fields.next(reader)),* };
                fields.close(reader);
                value
            }
        }
        decoders!(@minicbor $name);
    };
    (@enum $name:ident { $($index:literal $variant:ident { $($field:tt),* },)* }) => {
        impl Wire for $name {
            fn read(reader: &mut Reader<'_>) -> Self {
                if reader.expect(ARRAY) != 2 {
                    reader.fail();
                }
                let index = reader.expect(UINT);
                let mut fields = reader.fields();
                let value = match index {
                    $($index => Self::$variant { $($field: fields.next(reader)),* },)*
                    _ => return reader.refuse(),
                };
                fields.close(reader);
                value
            }
        }
        decoders!(@minicbor $name);
    };
    (@minicbor $name:ident) => {
        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, Error> {
                decode(d)
            }
        }
    };
    (@id $($name:ident)*) => {
        $(impl Wire for $name {
            fn read(reader: &mut Reader<'_>) -> Self {
                let text = reader.text();
                if !is_valid(text) {
                    reader.fail();
                }
                Self(text.into())
            }
        })*
    };
    (@hash $($name:ident)*) => {
        $(impl Wire for $name {
            fn read(reader: &mut Reader<'_>) -> Self {
                Self(Wire::read(reader))
            }
        })*
    };
}

decoders!(@id ThreadId BranchId MessageId RunId);
decoders!(@hash ChainHash Commitment);

decoders! {
    index Role { 0 System, 1 User, 2 Assistant }
    index MessageStatus { 0 Complete, 1 Streaming, 2 Stopped, 3 Interrupted, 4 Failed, 5 Removed }
    index Outcome { 0 Complete, 1 Stopped, 2 Interrupted, 3 Failed }
    index RunStatus { 0 Live, 1 Stopping, 2 Ended }
    index ResetReason { 0 Epoch, 1 Expired, 2 TooFar, 3 Slow }
    index Mode { 0 Full, 1 Degraded, 2 ReadOnly }
    struct MessageRef { id, branch, depth, rev, commitment }
    enum Change {
        0 ThreadCreated { branch, title },
        1 ThreadUpdated { title, archived },
        2 ThreadDeleted {},
        3 ThreadImported { branch, branches, messages },
        4 BranchForked { branch, parent, depth, after, message, sibling, sibling_branch, index },
        5 DefaultBranchMoved { branch },
        6 MessageAppended { 0 },
        7 MessageEdited { 0 },
        8 MessageRemoved { 0 },
        9 RunStarted { run, message, provider },
        10 RunStopping { run },
        11 RunEnded { run, outcome, message, offset, error },
    }
    struct Record { seq, at, change }
    struct Event { epoch, hash, record, body }
    enum Chunk {
        0 TextStart { id },
        1 TextDelta { id, delta },
        2 TextEnd { id },
        3 ReasoningStart { id },
        4 ReasoningDelta { id, delta },
        5 ReasoningEnd { id },
        6 ToolInputStart { call_id, name, dynamic },
        7 ToolInputDelta { call_id, delta },
        8 ToolInputAvailable { call_id, name, input, dynamic },
        9 ToolInputError { call_id, name, input, error },
        10 ToolOutputAvailable { call_id, output },
        11 ToolOutputError { call_id, error },
        12 SourceUrl { source_id, url, title },
        13 File { media_type, url },
        14 Data { name, id, data },
        15 Metadata { metadata },
        16 StartStep {},
        17 FinishStep {},
        18 Other { kind, json },
    }
    struct Position { epoch, seq, hash }
    struct StreamOffset { run, offset }
    struct Cursor { position, runs }
    struct Problem { code, detail, retry_after, hint }
    enum ServerFrame {
        0 Welcome { version, node, heartbeat, user },
        1 Refused { 0 },
        2 Window { sub, window },
        3 Resumed { sub },
        4 Reset { sub, reason },
        5 Event { thread, event },
        6 Chunks { thread, run, message, from, to, chunks },
        7 Summaries { pos, items },
        8 Failed { sub, problem },
        9 Pong { token, now },
        10 Closing { reconnect_within },
        11 Advance { thread, position, total, branch },
        12 Flags { rev },
        13 Mode { mode },
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
    struct Message { id, role, parts, metadata, status, branch, depth, rev, created_at, previews }
    struct Preview { part, bytes }
    enum Part {
        0 Text { text, extra },
        1 Reasoning { text, extra },
        2 Tool { 0 },
        3 File { media_type, url, filename },
        4 SourceUrl { source_id, url, title },
        5 Data { name, id, data },
        6 StepStart {},
        7 Other { kind, json },
    }
    struct ToolPart { call_id, name, dynamic, state, input, output, error, extra }
    struct RunInfo { id, branch, message, depth, status, outcome, offset, provider, started_at, error }
    struct Summary { thread, pos, title, snippet, running, archived, deleted, updated_at }
    struct Segment { branch, from }
    struct ForkOption { branch, message }
    struct Fork { depth, message, index, total, previous, next }
    struct Window { thread, branch, cursor, total, from, to, messages, runs, forks, lineage }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InvalidId, from_cbor, to_cbor, write};
    use core::fmt::Debug;
    use minicbor::Encode;

    fn same<T: Encode<()> + for<'b> Decode<'b, ()> + PartialEq + Debug>(value: &T) {
        assert_eq!(from_cbor::<T>(&to_cbor(value)).as_ref().ok(), Some(value));
    }

    fn json(text: &str) -> JsonText {
        JsonText(text.into())
    }

    fn parts() -> Vec<Part> {
        let tool = ToolPart {
            call_id: "c".into(),
            name: "n".into(),
            dynamic: true,
            state: "output-error".into(),
            input: Some(json("{}")),
            output: None,
            error: Some("e".into()),
            extra: None,
        };
        vec![
            Part::Text { text: "t".into(), extra: None },
            Part::Reasoning { text: "r".into(), extra: Some(json("{}")) },
            Part::Tool(Box::new(tool)),
            Part::File { media_type: "m".into(), url: "u".into(), filename: Some("f".into()) },
            Part::SourceUrl { source_id: "s".into(), url: "u".into(), title: None },
            Part::Data { name: "d".into(), id: None, data: json("1") },
            Part::StepStart,
            Part::Other { kind: "k".into(), json: json("{}") },
        ]
    }

    fn chunks() -> Vec<Chunk> {
        let s = String::from;
        vec![
            Chunk::TextStart { id: s("i") },
            Chunk::TextDelta { id: s("i"), delta: s("d") },
            Chunk::TextEnd { id: s("i") },
            Chunk::ReasoningStart { id: s("i") },
            Chunk::ReasoningDelta { id: s("i"), delta: s("d") },
            Chunk::ReasoningEnd { id: s("i") },
            Chunk::ToolInputStart { call_id: s("c"), name: s("n"), dynamic: true },
            Chunk::ToolInputDelta { call_id: s("c"), delta: s("d") },
            Chunk::ToolInputAvailable { call_id: s("c"), name: s("n"), input: json("{}"), dynamic: false },
            Chunk::ToolInputError { call_id: s("c"), name: s("n"), input: json("{}"), error: s("e") },
            Chunk::ToolOutputAvailable { call_id: s("c"), output: json("1") },
            Chunk::ToolOutputError { call_id: s("c"), error: s("e") },
            Chunk::SourceUrl { source_id: s("s"), url: s("u"), title: Some(s("t")) },
            Chunk::File { media_type: s("m"), url: s("u") },
            Chunk::Data { name: s("n"), id: Some(s("i")), data: json("1") },
            Chunk::Metadata { metadata: json("{}") },
            Chunk::StartStep,
            Chunk::FinishStep,
            Chunk::Other { kind: s("k"), json: json("{}") },
        ]
    }

    fn message() -> Result<Message, InvalidId> {
        Ok(Message {
            id: MessageId::parse("m")?,
            role: Role::Assistant,
            parts: parts(),
            metadata: None,
            status: MessageStatus::Streaming,
            branch: BranchId::parse("b")?,
            depth: 7,
            rev: 300,
            created_at: 70_000,
            previews: vec![Preview { part: 1, bytes: 1 << 33 }],
        })
    }

    fn changes() -> Result<Vec<Change>, InvalidId> {
        let (branch, message, run) = (BranchId::parse("b")?, MessageId::parse("m")?, RunId::parse("r")?);
        let at = MessageRef {
            id: message.clone(),
            branch: branch.clone(),
            depth: 1,
            rev: 2,
            commitment: Commitment([3; 16]),
        };
        let (error, outcome) = (Some("e".into()), Outcome::Failed);
        Ok(vec![
            Change::ThreadCreated { branch: branch.clone(), title: "t".into() },
            Change::ThreadUpdated { title: "t".into(), archived: true },
            Change::ThreadDeleted,
            Change::ThreadImported { branch: branch.clone(), branches: 1, messages: 2 },
            Change::BranchForked {
                branch: branch.clone(),
                parent: None,
                depth: 0,
                after: None,
                message: message.clone(),
                sibling: message,
                sibling_branch: branch.clone(),
                index: 1,
            },
            Change::DefaultBranchMoved { branch },
            Change::MessageAppended(at.clone()),
            Change::MessageEdited(at.clone()),
            Change::MessageRemoved(at.clone()),
            Change::RunStarted { run: run.clone(), message: at.clone(), provider: "p".into() },
            Change::RunStopping { run: run.clone() },
            Change::RunEnded { run, outcome, message: at, offset: 9, error },
        ])
    }

    fn window() -> Result<Window, InvalidId> {
        let (branch, message, run) = (BranchId::parse("b")?, MessageId::parse("m")?, RunId::parse("r")?);
        let option = ForkOption { branch: branch.clone(), message: message.clone() };
        Ok(Window {
            thread: ThreadId::parse("t")?,
            branch: branch.clone(),
            cursor: Cursor { position: Position::default(), runs: vec![StreamOffset { run: run.clone(), offset: 1 }] },
            total: 10,
            from: 1,
            to: 2,
            messages: vec![self::message()?],
            runs: vec![RunInfo {
                id: run,
                branch: branch.clone(),
                message: message.clone(),
                depth: 1,
                status: RunStatus::Stopping,
                outcome: None,
                offset: 1,
                provider: "p".into(),
                started_at: 1,
                error: None,
            }],
            forks: vec![Fork { depth: 1, message, index: 1, total: 2, previous: Some(option), next: None }],
            lineage: vec![Segment { branch, from: 0 }],
        })
    }

    fn frames() -> Result<Vec<ServerFrame>, InvalidId> {
        let (thread, run, message) = (ThreadId::parse("t")?, RunId::parse("r")?, MessageId::parse("m")?);
        let entry = Summary {
            thread: thread.clone(),
            pos: 1,
            title: "t".into(),
            snippet: "s".into(),
            running: true,
            archived: false,
            deleted: true,
            updated_at: 2,
        };
        let problem =
            Problem { code: ErrorCode::Overloaded, detail: "d".into(), retry_after: Some(1), hint: Some("h".into()) };
        let mut frames = vec![
            ServerFrame::Welcome { version: 1, node: "n".into(), heartbeat: 2, user: "u".into() },
            ServerFrame::Refused(problem.clone()),
            ServerFrame::Window { sub: 1, window: window()? },
            ServerFrame::Resumed { sub: 1 },
            ServerFrame::Reset { sub: 1, reason: ResetReason::TooFar },
            ServerFrame::Chunks { thread: thread.clone(), run, message, from: 0, to: 19, chunks: chunks() },
            ServerFrame::Summaries { pos: 1, items: vec![entry] },
            ServerFrame::Failed { sub: None, problem },
            ServerFrame::Pong { token: 1, now: 2 },
            ServerFrame::Closing { reconnect_within: 1 },
            ServerFrame::Advance { thread: thread.clone(), position: Position::default(), total: None, branch: None },
            ServerFrame::Flags { rev: 7 },
            ServerFrame::Mode { mode: Mode::ReadOnly },
        ];
        for (seq, change) in (1..).zip(changes()?) {
            let record = Record { seq, at: 5, change };
            let event = Event { epoch: 1, hash: ChainHash([seq as u8; 16]), record, body: Some(message_of(seq)?) };
            frames.push(ServerFrame::Event { thread: thread.clone(), event });
        }
        Ok(frames)
    }

    fn message_of(rev: u64) -> Result<Message, InvalidId> {
        Ok(Message { rev, ..message()? })
    }

    #[test]
    fn everything_comes_back_as_it_was() -> Result<(), InvalidId> {
        frames()?.iter().for_each(same);
        Ok(())
    }

    #[test]
    fn what_tabs_say_comes_back_as_it_was() {
        let (epoch, tab, raw) = (1, u64::MAX, || Raw(vec![0, 255]));
        let said = [
            TabFrame::Lead { epoch, up: true },
            TabFrame::Join { tab, epoch },
            TabFrame::Joined { epoch, tab, number: 2, welcome: raw(), count: 3 },
            TabFrame::Leave { tab },
            TabFrame::Up { epoch, tab, frame: raw(), count: 4 },
            TabFrame::Down { epoch, frame: raw(), count: 5 },
            TabFrame::Here { epoch, tab, count: 6 },
            TabFrame::Apart { epoch, streams: true },
        ];
        for frame in said {
            assert_eq!(read(&write(&frame)).as_ref(), Some(&frame));
        }
    }

    #[test]
    fn what_a_clients_frame_does_is_read_from_its_first_bytes() -> Result<(), InvalidId> {
        use crate::{Anchor, ClientFrame};
        let subscribe = ClientFrame::Subscribe {
            sub: 70_000,
            thread: ThreadId::parse("t")?,
            branch: None,
            anchor: Anchor::Tip,
            before: 1,
            after: 0,
            cursor: None,
            from: 0,
            to: None,
        };
        let hello = ClientFrame::Hello { oldest: 1, newest: 1, client: String::new(), token: None };
        let cases = [
            (subscribe, Some(Relayed::Opens(70_000))),
            (ClientFrame::Unsubscribe { sub: 3 }, Some(Relayed::Closes(3))),
            (ClientFrame::Range { sub: 3, from: 0, to: None }, Some(Relayed::Other)),
            (ClientFrame::FollowList { since: 3 }, Some(Relayed::Other)),
            (ClientFrame::Ping { token: 3 }, Some(Relayed::Other)),
            (ClientFrame::Authenticate { token: "t".into() }, None),
            (hello, None),
        ];
        for (frame, expected) in cases {
            assert_eq!(Relayed::of(&to_cbor(&frame)), expected, "{frame:?}");
        }
        assert_eq!(Relayed::of(b"no frame"), None);
        Ok(())
    }

    #[test]
    fn a_frame_of_a_later_release_is_known_as_one() -> Result<(), InvalidId> {
        for frame in frames()? {
            assert!(!ServerFrame::is_newer(&to_cbor(&frame)), "{frame:?}");
        }
        assert!(ServerFrame::is_newer(&to_cbor(&(14_u32, (1_u32, "new")))));
        Ok(())
    }

    #[test]
    fn an_older_releases_value_is_completed_and_a_newer_ones_cut() -> Result<(), Error> {
        let older: Problem = from_cbor(&to_cbor(&(ErrorCode::Internal, "d")))?;
        assert_eq!(older, Problem::new(ErrorCode::Internal, "d"));
        let newer: Preview = from_cbor(&to_cbor(&(1_u32, 2_u64, vec!["new", "things"])))?;
        assert_eq!(newer, Preview { part: 1, bytes: 2 });
        assert!(from_cbor::<Preview>(&to_cbor(&(1_u32,))).is_err(), "a field that may not be left out");
        Ok(())
    }

    #[test]
    fn every_code_comes_back() {
        for code in ErrorCode::ALL {
            let said: Option<Problem> = from_cbor(&to_cbor(&Problem::new(*code, ""))).ok();
            let hint = Some(code.hint().into());
            assert_eq!(said, Some(Problem { hint, ..Problem::new(*code, "") }), "and its hint with it");
        }
        let newer: Option<Problem> = from_cbor(&to_cbor(&(60_000_u32, "d"))).ok();
        assert_eq!(newer, Some(Problem::new(ErrorCode::Internal, "d")));
    }

    #[test]
    fn no_cut_and_no_flipped_bit_is_a_panic() -> Result<(), InvalidId> {
        for frame in frames()? {
            let bytes = to_cbor(&frame);
            for at in 0..bytes.len() {
                assert!(from_cbor::<ServerFrame>(&bytes[..at]).is_err(), "cut at {at}");
                for bit in 0..8 {
                    let mut flipped = bytes.clone();
                    flipped[at] ^= 1 << bit;
                    // What is taken all the same is a value like any other: nothing of a failed read is in it.
                    if let Ok(taken) = from_cbor::<ServerFrame>(&flipped) {
                        same(&taken);
                    }
                }
            }
        }
        Ok(())
    }
}
