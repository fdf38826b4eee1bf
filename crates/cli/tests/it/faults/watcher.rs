//! Clients that watch a thread that is written to and one with runs, over one connection, and go on from their cursors
//! at another node when it breaks. They check nothing: they write down what they are sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use threadmill_mock_provider::text::Random;
use threadmill_proto::{Anchor, Change, Chunk, ClientFrame, Cursor, Event, ServerFrame, StreamOffset, ThreadId};
use tokio::sync::watch;

use super::history::{Body, Entry, Frame, Micros, Record, Said};
use super::load::shown;
use super::recorder::Recorder;
use super::world::Thread;
use crate::api::Api;
use crate::socket::{Came, Socket};

/// How long a node may take to welcome.
const WELCOME: Duration = Duration::from_secs(1);
/// Before another node is tried.
const PAUSE: Duration = Duration::from_millis(50);
/// Between two looks at whether it is over.
const LOOK: Duration = Duration::from_millis(200);

/// Where every watcher is with every thread of its own, and with how many runs of it.
pub(super) type Progress = Mutex<BTreeMap<(usize, String), (u64, usize)>>;

/// Whether a watcher changes nodes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Habit {
    Stays,
    Wanders,
}

pub(super) struct Watcher {
    pub(super) number: usize,
    pub(super) apis: Vec<Api>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) threads: [Thread; 2],
    pub(super) habit: Habit,
    pub(super) progress: Arc<Progress>,
    pub(super) over: watch::Receiver<bool>,
}

/// A connection, as long as it lasts.
struct Visit {
    node: usize,
    asked: Micros,
    /// Frames after which it leaves.
    patience: usize,
}

impl Watcher {
    /// Watches until told to stop.
    pub(super) async fn watch(self) {
        let mut random = Random::new(self.number as u64, "wander");
        let mut cursors: [Option<Cursor>; 2] = [None, None];
        let mut node = self.number % self.apis.len();
        while !*self.over.borrow() {
            if let Some(mut socket) = Socket::try_open(&self.apis[node], WELCOME).await {
                let patience = if self.habit == Habit::Wanders { 20 + random.below(60) } else { usize::MAX };
                let visit = Visit { node, asked: self.recorder.now(), patience };
                self.follow(&mut socket, &visit, &mut cursors).await;
                for thread in &self.threads {
                    self.note(&visit, &thread.id, Said::Left);
                }
                if self.habit == Habit::Stays {
                    tokio::time::sleep(PAUSE).await;
                }
            } else {
                tokio::time::sleep(PAUSE).await;
            }
            node = (node + 1) % self.apis.len();
        }
    }

    async fn follow(&self, socket: &mut Socket, visit: &Visit, cursors: &mut [Option<Cursor>; 2]) {
        for (sub, (thread, cursor)) in (0..).zip(self.threads.iter().zip(&*cursors)) {
            if socket.try_say(&subscribe(sub, thread, cursor.clone())).await.is_none() {
                return;
            }
        }
        for _ in 0..visit.patience {
            let frame = loop {
                match socket.next(LOOK).await {
                    Came::Frame(frame) => break *frame,
                    Came::Nothing if !*self.over.borrow() => {}
                    Came::Nothing | Came::Closed(..) | Came::Broke => return,
                }
            };
            if *self.over.borrow() || !self.take(visit, &frame, cursors) {
                return;
            }
        }
    }

    /// Writes down a frame; false if the connection is of no more use.
    fn take(&self, visit: &Visit, frame: &ServerFrame, cursors: &mut [Option<Cursor>; 2]) -> bool {
        let Some(which) = self.thread_of(frame) else {
            // It moves, or a subscription failed: it is asked for again elsewhere.
            return !matches!(frame, ServerFrame::Closing { .. } | ServerFrame::Failed { .. });
        };
        let thread = &self.threads[which].id;
        let Some(said) = said(frame) else { return true };
        advance(&mut cursors[which], frame);
        self.note(visit, thread, said);
        if let Some(cursor) = &cursors[which] {
            let place = (cursor.position.seq, cursor.runs.len());
            self.progress.lock().expect("no panic").insert((self.number, thread.clone()), place);
        }
        true
    }

    fn thread_of(&self, frame: &ServerFrame) -> Option<usize> {
        let named = |id: &ThreadId| self.threads.iter().position(|thread| thread.id == id.as_str());
        match frame {
            ServerFrame::Window { sub, .. } | ServerFrame::Resumed { sub } | ServerFrame::Reset { sub, .. } => {
                usize::try_from(*sub).ok()
            }
            ServerFrame::Event { thread, .. }
            | ServerFrame::Chunks { thread, .. }
            | ServerFrame::Advance { thread, .. } => named(thread),
            ServerFrame::Welcome { .. }
            | ServerFrame::Refused(_)
            | ServerFrame::Summaries { .. }
            | ServerFrame::Failed { .. }
            | ServerFrame::Pong { .. }
            | ServerFrame::Closing { .. }
            | ServerFrame::Flags { .. }
            | ServerFrame::Mode { .. } => None,
        }
    }

    fn note(&self, visit: &Visit, thread: &str, said: Said) {
        let (watcher, node, at, asked) = (self.number, visit.node, self.recorder.now(), visit.asked);
        self.recorder.add(Entry::Frame(Frame { watcher, node, at, asked, thread: thread.into(), said }));
    }
}

fn subscribe(sub: u32, thread: &Thread, cursor: Option<Cursor>) -> ClientFrame {
    ClientFrame::Subscribe {
        sub,
        thread: ThreadId::parse(&thread.id).expect("an id"),
        branch: Some(thread.branch.clone()),
        anchor: Anchor::Tip,
        before: 200,
        after: 0,
        cursor,
        from: 0,
        to: None,
    }
}

/// A frame as the history has it.
fn said(frame: &ServerFrame) -> Option<Said> {
    Some(match frame {
        ServerFrame::Window { window, .. } => Said::Window(shown(window)),
        ServerFrame::Resumed { .. } => Said::Resumed,
        ServerFrame::Reset { reason, .. } => Said::Reset { reason: format!("{reason:?}") },
        ServerFrame::Event { event, .. } => Said::Change {
            epoch: event.epoch,
            seq: event.record.seq,
            record: Record::of(&event.record.change),
            body: event.body.as_ref().map(Body::of),
        },
        ServerFrame::Advance { position, .. } => Said::Advance { epoch: position.epoch, seq: position.seq },
        ServerFrame::Chunks { run, message, from, to, chunks, .. } => {
            let words = chunks.iter().filter_map(|chunk| match chunk {
                Chunk::TextDelta { delta, .. } => Some(delta.as_str()),
                _ => None,
            });
            let (run, message, text) = (run.to_string(), message.to_string(), words.collect());
            Said::Chunks { run, message, from: *from, to: *to, text }
        }
        ServerFrame::Welcome { .. }
        | ServerFrame::Refused(_)
        | ServerFrame::Summaries { .. }
        | ServerFrame::Failed { .. }
        | ServerFrame::Pong { .. }
        | ServerFrame::Closing { .. }
        | ServerFrame::Flags { .. }
        | ServerFrame::Mode { .. } => return None,
    })
}

/// Where the watcher goes on after a frame.
fn advance(cursor: &mut Option<Cursor>, frame: &ServerFrame) {
    match (frame, cursor) {
        (ServerFrame::Window { window, .. }, cursor) => *cursor = Some(window.cursor.clone()),
        (ServerFrame::Reset { .. }, cursor) => *cursor = None,
        (ServerFrame::Event { event, .. }, Some(cursor)) => step(cursor, event),
        (ServerFrame::Advance { position, .. }, Some(cursor)) => cursor.position = *position,
        (ServerFrame::Chunks { run, to, .. }, Some(cursor)) => {
            if let Some(known) = cursor.runs.iter_mut().find(|known| known.run == *run) {
                known.offset = *to;
            }
        }
        _ => {}
    }
}

fn step(cursor: &mut Cursor, event: &Event) {
    cursor.position = event.position();
    match &event.record.change {
        Change::RunStarted { run, .. } => cursor.runs.push(StreamOffset { run: run.clone(), offset: 0 }),
        Change::RunEnded { run, .. } => cursor.runs.retain(|known| known.run != *run),
        _ => {}
    }
}
