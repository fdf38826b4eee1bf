//! What is delivered, in the frames of the sync protocol: each event is encoded once and shared by all connections that
//! send it. What the protocol says itself (`Welcome`, `Pong` …) is a frame already.

use bytes::Bytes;
use minicbor::Encode;
use threadmill_engine::{Delivered, Encoding, Shared};
use threadmill_proto::frame::ResetReason;
use threadmill_proto::{
    BranchId, Chunk, Event, MessageId, Position, Problem, RunId, ServerFrame, Summary, ThreadId, Window, to_cbor,
};

/// [`ServerFrame`]s that borrow what they hold. Their numbers are those of the protocol; a test compares the two.
#[derive(Encode)]
enum Borrowed<'d> {
    #[n(2)]
    Window {
        #[n(0)]
        sub: u32,
        #[n(1)]
        window: &'d Window,
    },
    #[n(3)]
    Resumed {
        #[n(0)]
        sub: u32,
    },
    #[n(4)]
    Reset {
        #[n(0)]
        sub: u32,
        #[n(1)]
        reason: ResetReason,
    },
    #[n(5)]
    Event {
        #[n(0)]
        thread: &'d ThreadId,
        #[n(1)]
        event: &'d Event,
    },
    #[n(6)]
    Chunks {
        #[n(0)]
        thread: &'d ThreadId,
        #[n(1)]
        run: &'d RunId,
        #[n(2)]
        message: &'d MessageId,
        #[n(3)]
        from: u64,
        #[n(4)]
        to: u64,
        #[n(5)]
        chunks: &'d [Chunk],
    },
    #[n(7)]
    Summaries {
        #[n(0)]
        pos: u64,
        #[n(1)]
        items: &'d [Summary],
    },
    #[n(8)]
    Failed {
        #[n(0)]
        sub: Option<u32>,
        #[n(1)]
        problem: &'d Problem,
    },
    #[n(11)]
    Advance {
        #[n(0)]
        thread: &'d ThreadId,
        #[n(1)]
        position: Position,
        #[n(2)]
        total: Option<u64>,
        #[n(3)]
        branch: Option<&'d BranchId>,
    },
}

/// The frame of an event.
pub(super) fn encoded(shared: &Shared) -> Bytes {
    shared.encoded(Encoding::SYNC, |event| frame(event).into())
}

/// The frame that the protocol itself put into the queue, if this is one.
pub(super) fn own(event: &Delivered) -> Option<&ServerFrame> {
    match event {
        Delivered::Own(said) => said.downcast_ref(),
        Delivered::Window { .. }
        | Delivered::Resumed { .. }
        | Delivered::Change { .. }
        | Delivered::Chunks { .. }
        | Delivered::Advance { .. }
        | Delivered::Reset { .. }
        | Delivered::Summary { .. }
        | Delivered::Failed { .. } => None,
    }
}

fn frame(event: &Delivered) -> Vec<u8> {
    let frame = match event {
        Delivered::Window { sub, window } => Borrowed::Window { sub: *sub, window },
        Delivered::Resumed { sub } => Borrowed::Resumed { sub: *sub },
        Delivered::Reset { sub, reason } => Borrowed::Reset { sub: *sub, reason: *reason },
        Delivered::Change { thread, event } => Borrowed::Event { thread, event },
        Delivered::Chunks { thread, run, message, from, to, chunks } => {
            Borrowed::Chunks { thread, run, message, from: *from, to: *to, chunks }
        }
        Delivered::Summary { pos, items } => Borrowed::Summaries { pos: *pos, items },
        Delivered::Failed { sub, problem } => Borrowed::Failed { sub: Some(*sub), problem },
        Delivered::Advance { thread, position, total, branch } => {
            Borrowed::Advance { thread, position: *position, total: *total, branch: branch.as_ref() }
        }
        Delivered::Own(_) => return own(event).map(to_cbor).unwrap_or_default(),
    };
    to_cbor(&frame)
}

#[cfg(test)]
mod tests {
    use threadmill_proto::{ChainHash, Change, Cursor, ErrorCode, Record};

    use super::*;

    #[test]
    fn a_borrowed_frame_is_the_frame() {
        let (thread, branch) = (ThreadId::parse("t").expect("an id"), BranchId::parse("b").expect("an id"));
        let (run, message) = (RunId::parse("r").expect("an id"), MessageId::parse("m").expect("an id"));
        let position = Position { epoch: 3, seq: 7, hash: ChainHash([9; 16]) };
        let window = Window {
            thread: thread.clone(),
            branch: branch.clone(),
            cursor: Cursor { position, runs: Vec::new() },
            total: 1,
            from: 0,
            to: 1,
            messages: Vec::new(),
            runs: Vec::new(),
            forks: Vec::new(),
            lineage: Vec::new(),
        };
        let record = Record { seq: 7, at: 5, change: Change::RunStopping { run: run.clone() } };
        let event = Event { epoch: 3, hash: ChainHash([9; 16]), record, body: None };
        let chunks = vec![Chunk::TextDelta { id: "0".into(), delta: "hé".into() }, Chunk::StartStep];
        let summary = Summary {
            thread: thread.clone(),
            pos: 4,
            title: "a".into(),
            snippet: "b".into(),
            running: true,
            archived: false,
            deleted: false,
            updated_at: 6,
        };
        let problem = Problem { retry_after: Some(9), ..Problem::new(ErrorCode::Unavailable, "x") };
        let advance = |total: Option<u64>, branch: Option<BranchId>| {
            let frame = ServerFrame::Advance { thread: thread.clone(), position, total, branch: branch.clone() };
            (Delivered::Advance { thread: thread.clone(), position, total, branch }, frame)
        };
        let own = ServerFrame::Pong { token: 1, now: 2 };
        for (delivered, whole) in [
            (Delivered::Window { sub: 1, window: window.clone() }, ServerFrame::Window { sub: 1, window }),
            (Delivered::Resumed { sub: 300 }, ServerFrame::Resumed { sub: 300 }),
            (
                Delivered::Reset { sub: 2, reason: ResetReason::TooFar },
                ServerFrame::Reset { sub: 2, reason: ResetReason::TooFar },
            ),
            (
                Delivered::Change { thread: thread.clone(), event: event.clone() },
                ServerFrame::Event { thread: thread.clone(), event },
            ),
            (
                Delivered::Chunks {
                    thread: thread.clone(),
                    run: run.clone(),
                    message: message.clone(),
                    from: 1,
                    to: 3,
                    chunks: chunks.clone(),
                },
                ServerFrame::Chunks { thread: thread.clone(), run, message, from: 1, to: 3, chunks },
            ),
            (
                Delivered::Summary { pos: 4, items: vec![summary.clone()] },
                ServerFrame::Summaries { pos: 4, items: vec![summary] },
            ),
            (Delivered::Failed { sub: 7, problem: problem.clone() }, ServerFrame::Failed { sub: Some(7), problem }),
            advance(None, None),
            advance(Some(4), Some(branch)),
            (Delivered::Own(Box::new(own.clone())), own),
        ] {
            assert_eq!(frame(&delivered), to_cbor(&whole), "{whole:?}");
        }
    }
}
