//! The connection: greeting, heartbeats, and coming back after a drop.
//!
//! | state \ input | start | opened | welcome | refused | other frame | closed | due | wake | closing |
//! |---|---|---|---|---|---|---|---|---|---|
//! | `Idle` | connect → `Connecting` | – | – | – | – | – | – | – | – |
//! | `Connecting` | – | hello → `Greeting` | – | – | – | → `Waiting` | give up → `Waiting` | – | – |
//! | `Greeting` | – | – | → `Live`, up | → `Refused` or `Waiting` | – | → `Waiting` | give up → `Waiting` | – | – |
//! | `Live` | – | – | – | as above, down | heard | down → `Waiting` | move or stalled: down | ping | move later |
//! | `Waiting` | – | – | – | – | – | – | connect → `Connecting` | connect | – |
//! | `Refused` | – | – | – | – | – | – | – | connect → `Connecting` | – |
//!
//! `stop` leads from everywhere to `Idle`. The host closes the socket it has when it is told to
//! `Disconnect` or to `Connect`; whatever a socket says after that is the host's to drop.

use crate::Now;
use crate::backoff::Backoff;
use crate::queue::Queue;
use alloc::string::String;
use threadmill_proto::frame::VERSION;
use threadmill_proto::{ClientFrame, ErrorCode, Problem, ServerFrame};

/// Milliseconds a connection may take to stand.
const GREETING: u64 = 10_000;
/// Milliseconds an answer may take after the reader comes back to a sleeping page.
const PROOF: u64 = 4_000;

/// Where the connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Idle,
    Connecting { until: Now },
    Greeting { until: Now },
    Live { heartbeat: u64, until: Now, migrate: Option<Now> },
    Waiting { until: Now },
    Refused,
}

/// What the host shows of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// The first connection is being made.
    Connecting,
    /// It stands.
    Live,
    /// It was lost and is being made again.
    Reconnecting,
    /// The host says there is no network, or nothing was started.
    Offline,
    /// The server does not want this client.
    Refused(Problem),
}

/// What the session asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Open a socket, closing the one there is.
    Connect,
    /// Close the socket.
    Disconnect,
    /// Send.
    Send(ClientFrame),
    /// The connection stands: subscribe.
    Up,
    /// The connection is gone: no subscription is left.
    Down,
}

/// One connection after another.
#[derive(Debug)]
pub struct Session {
    state: State,
    backoff: Backoff,
    status: Status,
    client: String,
    greeted: bool,
    actions: Queue<Action>,
}

impl Session {
    /// A session that has not started. `client` is a name and version for the server's log.
    #[must_use]
    pub fn new(seed: u64, client: &str) -> Self {
        Self {
            state: State::Idle,
            backoff: Backoff::new(seed),
            status: Status::Offline,
            client: client.into(),
            greeted: false,
            actions: Queue::default(),
        }
    }

    /// What the host shows.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Frames can be sent.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.state, State::Live { .. })
    }

    /// Connects, if nothing is under way.
    pub fn start(&mut self, now: Now) {
        match self.state {
            State::Idle => self.connect(now),
            State::Connecting { .. }
            | State::Greeting { .. }
            | State::Live { .. }
            | State::Waiting { .. }
            | State::Refused => {}
        }
    }

    /// Closes for good, or until the next start.
    pub fn stop(&mut self) {
        self.leave();
        self.actions.push(Action::Disconnect);
        self.state = State::Idle;
        self.status = Status::Offline;
    }

    /// The network or the reader is back: try now, or prove that the connection still stands.
    pub fn wake(&mut self, now: Now) {
        match &mut self.state {
            State::Waiting { .. } | State::Refused => {
                self.backoff.reset();
                self.connect(now);
            }
            State::Live { until, .. } => {
                *until = (*until).min(now + PROOF);
                self.actions.push(Action::Send(ClientFrame::Ping { token: 0 }));
            }
            State::Idle | State::Connecting { .. } | State::Greeting { .. } => {}
        }
    }

    /// The socket is open.
    pub fn opened(&mut self, now: Now) {
        match self.state {
            State::Connecting { .. } => {
                self.state = State::Greeting { until: now + GREETING };
                let client = self.client.clone();
                self.actions.push(Action::Send(ClientFrame::Hello {
                    oldest: VERSION,
                    newest: VERSION,
                    client,
                    token: None,
                }));
            }
            State::Idle | State::Greeting { .. } | State::Live { .. } | State::Waiting { .. } | State::Refused => {}
        }
    }

    /// The socket is closed or could not be opened.
    pub fn closed(&mut self, now: Now) {
        match self.state {
            State::Connecting { .. } | State::Greeting { .. } => self.wait(now, None),
            State::Live { migrate, .. } => self.wait(now, migrate),
            State::Idle | State::Waiting { .. } | State::Refused => {}
        }
    }

    /// A frame of the server's. Says whether it is for the subscriptions.
    pub fn frame(&mut self, now: Now, frame: &ServerFrame) -> Heard {
        match (&self.state, frame) {
            (State::Greeting { .. }, ServerFrame::Welcome { heartbeat, .. }) => {
                self.welcome(now, u64::from(*heartbeat));
                Heard::Done
            }
            (State::Greeting { .. } | State::Live { .. }, ServerFrame::Refused(problem)) => {
                self.refused(now, problem);
                Heard::Done
            }
            (State::Live { .. }, ServerFrame::Closing { reconnect_within }) => {
                self.closing(now, u64::from(*reconnect_within));
                Heard::Done
            }
            (State::Live { .. }, _) => {
                self.heard(now);
                Heard::ForSubscriptions
            }
            (
                State::Idle
                | State::Connecting { .. }
                | State::Greeting { .. }
                | State::Waiting { .. }
                | State::Refused,
                _,
            ) => Heard::Done,
        }
    }

    /// What the server sent cannot be read: the connection is worth nothing.
    pub fn unreadable(&mut self, now: Now) {
        self.actions.push(Action::Disconnect);
        self.closed(now);
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Now) {
        if self.deadline().is_none_or(|due| now < due) {
            return;
        }
        match self.state {
            State::Connecting { .. } | State::Greeting { .. } => {
                self.actions.push(Action::Disconnect);
                self.wait(now, None);
            }
            State::Live { migrate, .. } => {
                self.actions.push(Action::Disconnect);
                self.wait(now, migrate);
            }
            State::Waiting { .. } => self.connect(now),
            State::Idle | State::Refused => {}
        }
    }

    /// When something is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Now> {
        match self.state {
            State::Connecting { until } | State::Greeting { until } | State::Waiting { until } => Some(until),
            State::Live { until, migrate, .. } => Some(migrate.map_or(until, |at| at.min(until))),
            State::Idle | State::Refused => None,
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop()
    }

    fn connect(&mut self, now: Now) {
        self.state = State::Connecting { until: now + GREETING };
        self.status = if self.greeted { Status::Reconnecting } else { Status::Connecting };
        self.actions.push(Action::Connect);
    }

    fn welcome(&mut self, now: Now, heartbeat: u64) {
        self.state = State::Live { heartbeat, until: silence(now, heartbeat), migrate: None };
        self.status = Status::Live;
        self.greeted = true;
        self.backoff.reset();
        self.actions.push(Action::Up);
    }

    fn heard(&mut self, now: Now) {
        if let State::Live { heartbeat, until, .. } = &mut self.state {
            *until = silence(now, *heartbeat);
        }
    }

    /// The server is about to go: leave at a random moment of its window, so that a crowd is spread.
    fn closing(&mut self, now: Now, within: u64) {
        let at = now + self.backoff.within(within);
        if let State::Live { migrate, .. } = &mut self.state {
            *migrate = Some(at);
        }
    }

    fn refused(&mut self, now: Now, problem: &Problem) {
        self.actions.push(Action::Disconnect);
        if passes(problem.code) {
            let after = problem.retry_after.map(|after| now + u64::from(after));
            let jitter = self.backoff.next();
            self.wait(now, after.map(|after| after + jitter));
        } else {
            self.leave();
            self.state = State::Refused;
            self.status = Status::Refused(problem.clone());
        }
    }

    /// Waits until a given moment, or for a drawn time.
    fn wait(&mut self, now: Now, until: Option<Now>) {
        self.leave();
        let drawn = now + self.backoff.next();
        self.state = State::Waiting { until: until.unwrap_or(drawn) };
        self.status = if self.greeted { Status::Reconnecting } else { Status::Connecting };
    }

    fn leave(&mut self) {
        if self.is_live() {
            self.actions.push(Action::Down);
        }
    }
}

/// Who a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The session has dealt with it.
    Done,
    /// The subscriptions.
    ForSubscriptions,
}

/// When the silence after `now` means that the socket is dead: after two and a half heartbeats.
fn silence(now: Now, heartbeat: u64) -> Now {
    now + heartbeat.max(1_000) * 5 / 2
}

/// The refusal passes by itself.
pub(crate) fn passes(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::Overloaded | ErrorCode::Unavailable | ErrorCode::Internal | ErrorCode::TooSlow)
}
