//! A small server: a thread, its one branch and log, and connections that can be cut anywhere. Each may have several
//! subscriptions, which share what is sent about the thread. Several threads share the connections.

use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::rc::Rc;
use threadmill_core::fold::Fold;
use threadmill_core::window::PageRequest;
use threadmill_proto::change::{Commitment, MessageRef};
use threadmill_proto::frame::Mode;
use threadmill_proto::message::Body;
use threadmill_proto::{
    Anchor, BranchId, ChainHash, Change, Chunk, ClientFrame, Cursor, Event, JsonText, Message, MessageId,
    MessageStatus, Outcome, Part, Position, Record, Role, RunId, RunInfo, RunStatus, Segment, ServerFrame,
    StreamOffset, ThreadId, Window, from_cbor, to_cbor,
};

/// The thread of a server that has but one.
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

/// What a subscription shows.
#[derive(Clone)]
struct Sub {
    id: u32,
    thread: ThreadId,
    from: u64,
    to: Option<u64>,
}

/// A connection.
#[derive(Default)]
pub(crate) struct Connection {
    subs: Vec<Sub>,
    /// What is on its way to the client.
    pub(crate) wire: VecDeque<Vec<u8>>,
    /// The last frame is of live chunks: those that continue it are joined to it. What is replayed for one
    /// subscription is not, or it would overlap what the others have.
    joinable: bool,
}

impl Connection {
    pub(crate) fn subscriptions(&self) -> usize {
        self.subs.len()
    }

    fn shown<'s>(&'s self, thread: &'s ThreadId) -> impl Iterator<Item = &'s Sub> {
        self.subs.iter().filter(move |sub| sub.thread == *thread)
    }

    fn send(&mut self, frame: &ServerFrame) {
        self.joinable = false;
        self.wire.push_back(to_cbor(frame));
    }

    fn send_chunks(&mut self, frame: ServerFrame) {
        match self.wire.back().filter(|_| self.joinable).map(|last| from_cbor::<ServerFrame>(last)) {
            Some(Ok(last)) if continues(&last, &frame) => {
                self.wire.pop_back();
                self.send(&joined(last, frame));
            }
            Some(_) | None => self.send(&frame),
        }
        self.joinable = true;
    }
}

pub(crate) struct Server {
    pub(crate) thread: ThreadId,
    pub(crate) slots: Vec<Message>,
    events: Vec<Event>,
    run: Option<Run>,
    runs: usize,
    pub(crate) mode: Mode,
    epoch: u64,
    connections: Connections,
}

/// Shared by the threads of a server.
type Connections = Rc<RefCell<Vec<Connection>>>;

impl Server {
    /// A thread, and one connection.
    pub(crate) fn with_messages(count: usize) -> Self {
        Self::of(thread(), count, Rc::new(RefCell::new(vec![Connection::default()])))
    }

    /// Threads that share this many connections.
    pub(crate) fn threads(names: &[&str], count: usize, connections: usize) -> Vec<Self> {
        let mut all = Vec::new();
        all.resize_with(connections, Connection::default);
        let all = Rc::new(RefCell::new(all));
        let thread = |name: &&str| ThreadId::parse(name).expect("a valid id");
        names.iter().map(|name| Self::of(thread(name), count, Rc::clone(&all))).collect()
    }

    fn of(thread: ThreadId, count: usize, connections: Connections) -> Self {
        let (slots, events, mode) = (Vec::new(), Vec::new(), Mode::Full);
        let mut server = Self { thread, slots, events, run: None, runs: 0, mode, epoch: 1, connections };
        (0..count).for_each(|_| server.append());
        server
    }

    /// The server is started anew: an epoch begins, and the history is the same.
    pub(crate) fn begin_epoch(&mut self) {
        self.epoch += 1;
    }

    fn position(&self) -> Position {
        let seq = self.events.len() as u64;
        Position { epoch: self.epoch, seq, hash: hash(seq) }
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
        run.chunks.extend((run.chunks.len()..).take(count).map(chunk));
        let (to, run) = (run.chunks.len() as u64, run.clone());
        let frame = self.chunks_of(&run, from, to);
        for connection in self.connections.borrow_mut().iter_mut() {
            if connection.shown(&self.thread).any(|sub| sub.to.is_none()) {
                connection.send_chunks(frame.clone());
            }
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
        let event = Event { epoch: self.epoch, hash: hash(seq), record: Record { seq, at: 0, change }, body };
        self.events.push(event.clone());
        for connection in self.connections.borrow_mut().iter_mut() {
            let subs: Vec<Sub> = connection.shown(&self.thread).cloned().collect();
            if subs.is_empty() {
                continue;
            }
            let at_tip = subs.iter().all(|sub| sub.to.is_none());
            let bodiless = matches!(event.record.change, Change::RunEnded { .. }) && at_tip;
            let event = if bodiless { Event { body: None, ..event.clone() } } else { event.clone() };
            connection.send(&shown(&self.thread, &subs, &event));
        }
    }

    /// A connection.
    pub(crate) fn connection(&self, at: usize) -> RefMut<'_, Connection> {
        RefMut::map(self.connections.borrow_mut(), |all| &mut all[at])
    }

    /// Where the one client's frames wait.
    pub(crate) fn wire(&self) -> RefMut<'_, VecDeque<Vec<u8>>> {
        RefMut::map(self.connection(0), |connection| &mut connection.wire)
    }

    /// The connection is gone, with everything on its way.
    pub(crate) fn cut(&self, connection: usize) {
        *self.connection(connection) = Connection::default();
    }

    /// A frame of a client's. Which thread of a server takes it makes a difference to `Subscribe` alone.
    pub(crate) fn receive(&self, connection: usize, bytes: &[u8]) {
        let frame = from_cbor::<ClientFrame>(bytes).expect("a frame of the client's");
        let mut to = self.connection(connection);
        match frame {
            ClientFrame::Hello { .. } => {
                to.send(&ServerFrame::Welcome { version: 1, node: "n".into(), heartbeat: 15_000, user: "u".into() });
                if self.mode != Mode::Full {
                    to.send(&ServerFrame::Mode { mode: self.mode });
                }
            }
            ClientFrame::Subscribe { sub: id, thread, cursor, from, to: end, .. } => {
                self.resume(&mut to, &Sub { id, thread, from, to: end }, &cursor.expect("views resume"));
            }
            ClientFrame::Range { sub, from, to: end } => {
                if let Some(known) = to.subs.iter_mut().find(|known| known.id == sub) {
                    (known.from, known.to) = (from, end);
                }
            }
            ClientFrame::Unsubscribe { sub } => to.subs.retain(|known| known.id != sub),
            ClientFrame::FollowList { .. } | ClientFrame::Authenticate { .. } => {}
            ClientFrame::Ping { token } => to.send(&ServerFrame::Pong { token, now: 0 }),
        }
    }

    fn resume(&self, to: &mut Connection, sub: &Sub, cursor: &Cursor) {
        to.subs.retain(|known| known.id != sub.id);
        to.subs.push(sub.clone());
        to.send(&ServerFrame::Resumed { sub: sub.id });
        for event in &self.events[cursor.position.seq as usize..] {
            let event = Event { epoch: self.epoch, ..event.clone() };
            to.send(&shown(&self.thread, core::slice::from_ref(sub), &event));
        }
        let Some(run) = &self.run else { return };
        let had = cursor.runs.iter().find(|had| had.run == run.id).map_or(0, |had| had.offset);
        let end = run.chunks.len() as u64;
        if end > had {
            to.send(&self.chunks_of(run, had, end));
        }
    }

    fn chunks_of(&self, run: &Run, from: u64, to: u64) -> ServerFrame {
        let mut chunks = Vec::new();
        for chunk in &run.chunks[from as usize..to as usize] {
            threadmill_core::coalesce::push(&mut chunks, chunk.clone());
        }
        let (thread, message) = (self.thread.clone(), message_id(run.depth));
        ServerFrame::Chunks { thread, run: run.id.clone(), message, from, to, chunks }
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
            let Body { parts, .. } = fold(&run.chunks).body();
            message.parts = parts;
            cursor.runs.push(StreamOffset { run: run.id.clone(), offset: run.chunks.len() as u64 });
            runs.push(info(run));
        }
        let lineage = vec![Segment { branch: branch(), from: 0 }];
        Window {
            thread: self.thread.clone(),
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
            Some(run) if run.depth as u64 == depth => threadmill_core::window::text_of(fold(&run.chunks).parts()),
            Some(_) | None => self.slots[depth as usize].text(),
        }
    }
}

fn continues(last: &ServerFrame, next: &ServerFrame) -> bool {
    match (last, next) {
        (ServerFrame::Chunks { to, run, .. }, ServerFrame::Chunks { from, run: other, .. }) => {
            to == from && run == other
        }
        _ => false,
    }
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

/// The frame of an event for subscriptions: whole if it is about what one of them shows.
fn shown(thread: &ThreadId, subs: &[Sub], event: &Event) -> ServerFrame {
    let within = |sub: &Sub, at: &MessageRef| at.depth >= sub.from && sub.to.is_none_or(|to| at.depth < to);
    let covers = |at: &MessageRef| subs.iter().any(|sub| within(sub, at));
    let here = event.record.change.message().is_some_and(|at| at.branch == branch());
    if here && event.record.change.message().is_some_and(covers) {
        return ServerFrame::Event { thread: thread.clone(), event: event.clone() };
    }
    let longer = match &event.record.change {
        Change::MessageAppended(at) | Change::RunStarted { message: at, .. } if here => Some(at.depth + 1),
        _ => None,
    };
    ServerFrame::Advance {
        thread: thread.clone(),
        position: event.position(),
        total: longer,
        branch: longer.map(|_| branch()),
    }
}

/// The `n`th chunk of every run: thoughts, text, a tool that is called and answers, and more text, again and again.
fn chunk(n: usize) -> Chunk {
    let (id, delta) = ((n / 12).to_string(), format!("w{n} "));
    let json = || JsonText(n.to_string());
    match n % 12 {
        0 => Chunk::ReasoningStart { id },
        1 | 2 => Chunk::ReasoningDelta { id, delta },
        3 => Chunk::ReasoningEnd { id },
        4..6 => Chunk::TextDelta { id, delta },
        6 => Chunk::ToolInputStart { call_id: id, name: "t".into(), dynamic: false },
        7 => Chunk::ToolInputAvailable { call_id: id, name: "t".into(), input: json(), dynamic: false },
        // What was open before the tool goes on after it, as some models do.
        8 => Chunk::TextDelta { id, delta },
        9 => Chunk::ToolOutputAvailable { call_id: id, output: json() },
        10 => Chunk::Data { name: "d".into(), id: Some("one".into()), data: json() },
        _ => Chunk::FinishStep,
    }
}
