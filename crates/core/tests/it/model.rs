//! A server in a hundred lines: one thread, one branch, a log, and connections that can be cut anywhere.

use std::collections::VecDeque;
use threadmill_core::fold::Fold;
use threadmill_core::window::PageRequest;
use threadmill_proto::change::{Commitment, MessageRef};
use threadmill_proto::message::Body;
use threadmill_proto::{
    Anchor, BranchId, ChainHash, Change, Chunk, ClientFrame, Cursor, Event, Message, MessageId, MessageStatus, Outcome,
    Part, Position, Record, Role, RunId, RunInfo, RunStatus, Segment, ServerFrame, StreamOffset, ThreadId, Window,
    from_cbor, to_cbor,
};

pub(crate) fn thread() -> ThreadId {
    ThreadId::parse("t").expect("a valid id")
}

fn branch() -> BranchId {
    BranchId::parse("b").expect("a valid id")
}

fn message_id(depth: usize) -> MessageId {
    MessageId::parse(&format!("m{depth}")).expect("a valid id")
}

/// A run under way.
#[derive(Clone)]
struct Run {
    id: RunId,
    depth: usize,
    chunks: Vec<Chunk>,
}

/// The subscription of the one client.
#[derive(Clone, Copy)]
struct Sub {
    from: u64,
    to: Option<u64>,
}

pub(crate) struct Server {
    pub(crate) slots: Vec<Message>,
    events: Vec<Event>,
    run: Option<Run>,
    runs: usize,
    sub: Option<Sub>,
    /// What is on its way to the client.
    pub(crate) wire: VecDeque<Vec<u8>>,
}

impl Server {
    pub(crate) fn with_messages(count: usize) -> Self {
        let mut server =
            Self { slots: Vec::new(), events: Vec::new(), run: None, runs: 0, sub: None, wire: VecDeque::new() };
        for _ in 0..count {
            server.append();
        }
        server
    }

    fn position(&self) -> Position {
        let seq = self.events.len() as u64;
        Position { epoch: 1, seq, hash: hash(seq) }
    }

    fn new_message(&self, role: Role, status: MessageStatus, parts: Vec<Part>) -> Message {
        let depth = self.slots.len();
        Message {
            id: message_id(depth),
            role,
            parts,
            metadata: None,
            status,
            branch: branch(),
            depth: depth as u64,
            rev: 1,
            created_at: 0,
            previews: Vec::new(),
        }
    }

    pub(crate) fn append(&mut self) {
        if self.run.is_some() {
            return;
        }
        let text = format!("message {}", self.slots.len());
        let message = self.new_message(Role::User, MessageStatus::Complete, vec![Part::text(text)]);
        self.slots.push(message.clone());
        self.commit(Change::MessageAppended(at(&message)), Some(message));
    }

    fn settled(&self, pick: usize) -> Option<usize> {
        let depth = pick.checked_rem(self.slots.len())?;
        let fixed = self.run.as_ref().is_none_or(|run| run.depth != depth);
        (fixed && self.slots[depth].status != MessageStatus::Removed).then_some(depth)
    }

    pub(crate) fn edit(&mut self, pick: usize) {
        let Some(depth) = self.settled(pick) else { return };
        let message = &mut self.slots[depth];
        message.rev += 1;
        message.parts = vec![Part::text(format!("message {depth} rev {}", message.rev))];
        let message = message.clone();
        self.commit(Change::MessageEdited(at(&message)), Some(message));
    }

    pub(crate) fn remove(&mut self, pick: usize) {
        let Some(depth) = self.settled(pick) else { return };
        let message = &mut self.slots[depth];
        message.rev += 1;
        message.status = MessageStatus::Removed;
        message.parts.clear();
        let message = message.clone();
        self.commit(Change::MessageRemoved(at(&message)), Some(message));
    }

    /// Something on a branch nobody here shows.
    pub(crate) fn elsewhere(&mut self) {
        let away = MessageRef {
            id: MessageId::parse("away").expect("a valid id"),
            branch: BranchId::parse("other").expect("a valid id"),
            depth: 3,
            rev: 1,
            commitment: Commitment::default(),
        };
        self.commit(Change::MessageAppended(away), None);
    }

    pub(crate) fn start_run(&mut self) {
        if self.run.is_some() {
            return;
        }
        self.runs += 1;
        let id = RunId::parse(&format!("r{}", self.runs)).expect("a valid id");
        let message = self.new_message(Role::Assistant, MessageStatus::Streaming, Vec::new());
        self.run = Some(Run { id: id.clone(), depth: self.slots.len(), chunks: Vec::new() });
        self.slots.push(message.clone());
        self.commit(Change::RunStarted { run: id, message: at(&message), provider: "p".into() }, Some(message));
    }

    /// `count` deltas in one frame, joined.
    pub(crate) fn say(&mut self, count: usize) {
        let Some(run) = &mut self.run else { return };
        let from = run.chunks.len() as u64;
        let delta = |n: usize| Chunk::TextDelta { id: "0".into(), delta: format!("w{n} ") };
        run.chunks.extend((run.chunks.len()..).take(count).map(delta));
        let (to, run) = (run.chunks.len() as u64, run.clone());
        if self.sub.is_some_and(|sub| sub.to.is_none()) {
            self.send_chunks(&run, from, to);
        }
    }

    fn send_chunks(&mut self, run: &Run, from: u64, to: u64) {
        let mut chunks = Vec::new();
        for chunk in &run.chunks[from as usize..to as usize] {
            threadmill_core::coalesce::push(&mut chunks, chunk.clone());
        }
        let message = message_id(run.depth);
        let frame = ServerFrame::Chunks { thread: thread(), run: run.id.clone(), message, from, to, chunks };
        match self.wire.back().map(|last| from_cbor::<ServerFrame>(last)) {
            Some(Ok(last)) if continues(&last, from) => {
                self.wire.pop_back();
                self.send(&joined(last, frame));
            }
            Some(_) | None => self.send(&frame),
        }
    }

    pub(crate) fn end_run(&mut self) {
        let Some(run) = self.run.take() else { return };
        let message = &mut self.slots[run.depth];
        message.parts = fold(&run.chunks).finish().parts;
        message.rev += 1;
        message.status = MessageStatus::Complete;
        let message = message.clone();
        let offset = run.chunks.len() as u64;
        let (outcome, at) = (Outcome::Complete, at(&message));
        self.commit(Change::RunEnded { run: run.id, outcome, message: at, offset, error: None }, Some(message));
    }

    fn commit(&mut self, change: Change, body: Option<Message>) {
        let seq = self.events.len() as u64 + 1;
        let event = Event { epoch: 1, hash: hash(seq), record: Record { seq, at: 0, change }, body };
        self.events.push(event.clone());
        if let Some(sub) = self.sub {
            let bodiless = matches!(event.record.change, Change::RunEnded { .. }) && sub.to.is_none();
            let event = if bodiless { Event { body: None, ..event } } else { event };
            let frame = shown(sub, &event);
            self.send(&frame);
        }
    }

    fn send(&mut self, frame: &ServerFrame) {
        self.wire.push_back(to_cbor(frame));
    }

    /// The connection is gone, with everything on its way.
    pub(crate) fn cut(&mut self) {
        self.sub = None;
        self.wire.clear();
    }

    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        let frame = from_cbor::<ClientFrame>(bytes).expect("a frame of the client's");
        match frame {
            ClientFrame::Hello { .. } => {
                self.send(&ServerFrame::Welcome { version: 1, node: "n".into(), heartbeat: 15_000, user: "u".into() });
            }
            ClientFrame::Subscribe { sub, anchor, before, after, cursor, from, to, .. } => {
                let request = PageRequest { thread: thread(), branch: None, anchor, before, after };
                match cursor {
                    Some(cursor) => self.resume(sub, &cursor, from, to),
                    None => self.open(sub, &request),
                }
            }
            ClientFrame::Range { from, to, .. } => {
                if let Some(sub) = &mut self.sub {
                    *sub = Sub { from, to };
                }
            }
            ClientFrame::Unsubscribe { .. } => self.sub = None,
            ClientFrame::FollowList { .. } | ClientFrame::Authenticate { .. } => {}
            ClientFrame::Ping { token } => self.send(&ServerFrame::Pong { token, now: 0 }),
        }
    }

    fn open(&mut self, sub: u32, request: &PageRequest) {
        let window = self.window(request);
        let to = (window.to < window.total).then_some(window.to);
        self.sub = Some(Sub { from: window.from, to });
        self.send(&ServerFrame::Window { sub, window });
    }

    fn resume(&mut self, id: u32, cursor: &Cursor, from: u64, to: Option<u64>) {
        let sub = Sub { from, to };
        self.sub = Some(sub);
        self.send(&ServerFrame::Resumed { sub: id });
        let missed = self.events[cursor.position.seq as usize..].to_vec();
        for event in missed {
            let frame = shown(sub, &event);
            self.send(&frame);
        }
        if let Some(run) = self.run.clone() {
            let had = cursor.runs.iter().find(|had| had.run == run.id).map_or(0, |had| had.offset);
            let to = run.chunks.len() as u64;
            if to > had {
                self.send_chunks(&run, had, to);
            }
        }
    }

    /// A window, as the store reads it: live messages counted, four times as many slots scanned at most.
    pub(crate) fn window(&self, request: &PageRequest) -> Window {
        let total = self.slots.len() as u64;
        let at = match request.anchor {
            Anchor::Depth(depth) => depth.min(total),
            Anchor::Tip | Anchor::Message(_) | Anchor::Time(_) => total,
        };
        let live = |depth: u64| self.slots[depth as usize].status != MessageStatus::Removed;
        let (mut from, mut left) = (at, u64::from(request.before));
        while from > 0 && left > 0 && at - from < 4 * u64::from(request.before) {
            from -= 1;
            left -= u64::from(live(from));
        }
        let (mut to, mut left) = (at, u64::from(request.after));
        while to < total && left > 0 && to - at < 4 * u64::from(request.after) {
            left -= u64::from(live(to));
            to += 1;
        }
        let mut messages: Vec<Message> =
            (from..to).filter(|d| live(*d)).map(|d| self.slots[d as usize].clone()).collect();
        let mut runs = Vec::new();
        let mut cursor = Cursor { position: self.position(), runs: Vec::new() };
        if let Some(run) = &self.run
            && let Some(message) = messages.iter_mut().find(|message| message.depth == run.depth as u64)
        {
            let Body { parts, .. } = fold(&run.chunks).body().clone();
            message.parts = parts;
            cursor.runs.push(StreamOffset { run: run.id.clone(), offset: run.chunks.len() as u64 });
            runs.push(info(run));
        }
        let lineage = vec![Segment { branch: branch(), from: 0 }];
        Window {
            thread: thread(),
            branch: branch(),
            cursor,
            total,
            from,
            to,
            messages,
            runs,
            forks: Vec::new(),
            lineage,
        }
    }

    /// The text of a message as it stands.
    pub(crate) fn text(&self, depth: u64) -> String {
        match &self.run {
            Some(run) if run.depth as u64 == depth => threadmill_core::window::text_of(&fold(&run.chunks).body().parts),
            Some(_) | None => self.slots[depth as usize].text(),
        }
    }
}

fn continues(last: &ServerFrame, at: u64) -> bool {
    matches!(last, ServerFrame::Chunks { to, .. } if *to == at)
}

/// What waits side by side is sent as one frame.
fn joined(last: ServerFrame, next: ServerFrame) -> ServerFrame {
    let (
        ServerFrame::Chunks { thread, run, message, from, mut chunks, .. },
        ServerFrame::Chunks { to, chunks: more, .. },
    ) = (last, next)
    else {
        panic!("chunks alone are joined");
    };
    for chunk in more {
        threadmill_core::coalesce::push(&mut chunks, chunk);
    }
    ServerFrame::Chunks { thread, run, message, from, to, chunks }
}

fn info(run: &Run) -> RunInfo {
    RunInfo {
        id: run.id.clone(),
        branch: branch(),
        message: message_id(run.depth),
        depth: run.depth as u64,
        status: RunStatus::Live,
        outcome: None,
        offset: run.chunks.len() as u64,
        provider: "p".into(),
        started_at: 0,
        error: None,
    }
}

fn hash(seq: u64) -> ChainHash {
    ChainHash([seq as u8; 16])
}

fn at(message: &Message) -> MessageRef {
    MessageRef {
        id: message.id.clone(),
        branch: message.branch.clone(),
        depth: message.depth,
        rev: message.rev,
        commitment: Commitment::default(),
    }
}

fn fold(chunks: &[Chunk]) -> Fold {
    let mut fold = Fold::new();
    fold.extend(chunks, chunks.len() as u64);
    fold
}

/// The frame of an event for a subscription: whole if it is about what is shown.
fn shown(sub: Sub, event: &Event) -> ServerFrame {
    let covers = |at: &MessageRef| at.depth >= sub.from && sub.to.is_none_or(|to| at.depth < to);
    let here = event.record.change.message().is_some_and(|at| at.branch == branch());
    if here && event.record.change.message().is_some_and(covers) {
        return ServerFrame::Event { thread: thread(), event: event.clone() };
    }
    let longer = match &event.record.change {
        Change::MessageAppended(at) | Change::RunStarted { message: at, .. } if here => Some(at.depth + 1),
        _ => None,
    };
    ServerFrame::Advance {
        thread: thread(),
        position: event.position(),
        total: longer,
        branch: longer.map(|_| branch()),
    }
}
