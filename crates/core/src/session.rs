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
//!
//! A socket that is silent before `Welcome`, or cut twice in a row, gives way to [`Transport::Events`]; that, if it is silent or
//! cut twice in a row, to [`Transport::Poll`]. These carry all of the client's frames at once, when they are opened: there `opened` means
//! "say everything", so it brings the connection up before `Welcome`, and again whenever the host opens another
//! request. From time to time a socket is tried again.

use crate::Now;
use crate::backoff::Backoff;
use crate::queue::Queue;
use alloc::string::String;
use threadmill_proto::frame::{Mode, VERSION};
use threadmill_proto::{ClientFrame, ErrorCode, Problem, ServerFrame};

/// Milliseconds a connection may take to stand.
const GREETING: u64 = 10_000;
/// Milliseconds a socket may take to open, and then to be welcomed: three and one round trips, which are 0.7 s each over a
/// satellite. Whoever reads waits for this where something swallows sockets, and a request does as well meanwhile.
const SOCKET: u64 = 4_500;
/// Milliseconds the server may keep a poll that has nothing to say, and the greeting.
const POLL: u64 = 40_000;
/// Milliseconds an answer may take after the reader comes back to a sleeping page.
const PROOF: u64 = 4_000;
/// Connections in a row that fail before another transport is tried.
const MISSES: u8 = 2;
/// Milliseconds after which a socket is tried again, at first and at most.
const PROBE: (u64, u64) = (60_000, 30 * 60_000);

/// How the connection is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A WebSocket.
    Socket,
    /// One request whose answer is a stream of events.
    Events,
    /// One request after another, each answered when there is something to say.
    Poll,
}

/// Whose connection it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The tab's own.
    Own,
    /// Another tab's, which passes the frames on: there is but one way to make it.
    Relayed,
    /// The tab's own beside another tab's, which cannot be shared: no second socket.
    Apart,
}

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
    /// It stands, with what the server can rely on.
    Live(Mode),
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
    /// Open a connection, closing the one there is.
    Connect(Transport),
    /// Close the socket.
    Disconnect,
    /// Send.
    Send(ClientFrame),
    /// The connection stands: subscribe.
    Up,
    /// The connection is gone: no subscription is left.
    Down,
    /// The server wants another credential.
    Renew,
}

/// One connection after another.
#[derive(Debug)]
pub struct Session {
    state: State,
    backoff: Backoff,
    status: Status,
    client: String,
    token: Option<String>,
    greeted: bool,
    way: Way,
    transport: Transport,
    /// Connections in a row that did not come to stand.
    misses: u8,
    /// When a socket is tried again, and how long was waited for that; only with another transport.
    probe: Option<(Now, u64)>,
    /// A socket was tried again and nothing has stood since.
    probed: bool,
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
            token: None,
            greeted: false,
            way: Way::Own,
            transport: Transport::Socket,
            misses: 0,
            probe: None,
            probed: false,
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
        match self.state {
            State::Live { .. } => true,
            State::Greeting { .. } => self.transport != Transport::Socket,
            State::Idle | State::Connecting { .. } | State::Waiting { .. } | State::Refused => false,
        }
    }

    /// The credential from now on.
    pub fn authenticate(&mut self, now: Now, token: String) {
        let new = self.token.replace(token.clone()).is_none_or(|known| known != token);
        match self.state {
            State::Live { .. } if self.transport == Transport::Socket => {
                self.actions.push(Action::Send(ClientFrame::Authenticate { token }));
            }
            State::Refused if new => self.connect(now),
            // It was refused before: not at once again.
            State::Refused => self.wait(now, None),
            State::Idle
            | State::Connecting { .. }
            | State::Greeting { .. }
            | State::Live { .. }
            | State::Waiting { .. } => {}
        }
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

    /// The connection is open. Without a socket: a request is about to carry everything there is to say.
    pub fn opened(&mut self, now: Now) {
        match (&self.state, self.transport) {
            (State::Connecting { .. }, Transport::Socket) => {}
            (
                State::Connecting { .. } | State::Greeting { .. } | State::Live { .. },
                Transport::Events | Transport::Poll,
            ) => {
                self.leave();
            }
            (State::Greeting { .. } | State::Live { .. }, Transport::Socket)
            | (State::Idle | State::Waiting { .. } | State::Refused, _) => return,
        }
        let patience = if self.transport == Transport::Poll { POLL } else { self.patience() };
        self.state = State::Greeting { until: now + patience };
        let (client, token) = (self.client.clone(), self.token.clone());
        self.actions.push(Action::Send(ClientFrame::Hello { oldest: VERSION, newest: VERSION, client, token }));
        if self.transport != Transport::Socket {
            self.actions.push(Action::Up);
        }
    }

    /// The connection is closed or could not be opened.
    pub fn closed(&mut self, now: Now) {
        match self.state {
            State::Connecting { .. } | State::Greeting { .. } => self.missed(now),
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
            (State::Live { .. }, frame) => {
                if let ServerFrame::Mode { mode } = frame {
                    self.status = Status::Live(*mode);
                }
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
                if self.transport == Transport::Socket {
                    // Something swallows it, and would swallow the next one, too.
                    self.misses = MISSES - 1;
                }
                self.missed(now);
            }
            State::Live { migrate, .. } => {
                self.actions.push(Action::Disconnect);
                // It is time to go elsewhere, or nothing was heard for too long.
                let moves = migrate.is_some_and(|at| at <= now) || self.probe_due().is_some_and(|at| at <= now);
                self.wait(now, moves.then_some(now));
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
            State::Live { until, migrate, .. } => migrate.into_iter().chain(self.probe_due()).chain([until]).min(),
            State::Idle | State::Refused => None,
        }
    }

    /// When a connection without a socket makes way for another try of one.
    fn probe_due(&self) -> Option<Now> {
        self.probe.filter(|_| self.transport != Transport::Socket).map(|(at, _)| at)
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop()
    }

    /// How the connection is made, or will be.
    pub(crate) fn transport(&self) -> Transport {
        self.transport
    }

    /// Whose connection it is.
    pub(crate) fn way(&self) -> Way {
        self.way
    }

    /// Another tab's connection stands now: ask for it, unless it is had.
    pub(crate) fn rejoin(&mut self, now: Now) {
        match self.state {
            State::Connecting { .. } | State::Waiting { .. } => {
                self.backoff.reset();
                self.connect(now);
            }
            State::Idle | State::Greeting { .. } | State::Live { .. } | State::Refused => {}
        }
    }

    /// Whose connection it is from the next one on.
    pub(crate) fn set_way(&mut self, way: Way, transport: Transport) {
        (self.way, self.transport, self.misses) = (way, transport, 0);
        (self.probe, self.probed) = (None, false);
    }

    /// The way to the server has changed: connects anew, whatever there is.
    pub(crate) fn relink(&mut self, now: Now, way: Way, transport: Transport) {
        self.leave();
        self.set_way(way, transport);
        self.connect(now);
    }

    fn connect(&mut self, now: Now) {
        if let Some((_, wait)) = self.probe.filter(|(at, _)| *at <= now) {
            // One try: a miss leads back.
            self.probe = Some((now + wait, wait));
            self.probed = true;
            self.misses = MISSES - 1;
            self.transport = Transport::Socket;
        }
        self.state = State::Connecting { until: now + self.patience() };
        self.status = if self.greeted { Status::Reconnecting } else { Status::Connecting };
        self.actions.push(Action::Connect(self.transport));
    }

    /// Milliseconds for each step until the connection stands.
    fn patience(&self) -> u64 {
        match (self.way, self.transport) {
            (Way::Own | Way::Apart, Transport::Socket) => SOCKET,
            (Way::Relayed, _) | (_, Transport::Events | Transport::Poll) => GREETING,
        }
    }

    /// The connection did not come to stand.
    fn missed(&mut self, now: Now) {
        self.misses += 1;
        if self.misses >= MISSES {
            self.misses = 0;
            self.give_way(now);
        }
        self.wait(now, None);
    }

    /// Tries another transport.
    fn give_way(&mut self, now: Now) {
        match (self.way, self.transport) {
            (Way::Relayed, _) => {}
            (Way::Own | Way::Apart, Transport::Events) => self.transport = Transport::Poll,
            (Way::Apart, Transport::Poll) => self.transport = Transport::Events,
            (Way::Own, Transport::Socket) => {
                self.transport = Transport::Events;
                self.probe.get_or_insert((now + PROBE.0, PROBE.0));
            }
            // Nothing gets through: it is not the transport.
            (Way::Own, Transport::Poll) | (Way::Apart, Transport::Socket) => {
                self.transport = Transport::Socket;
                (self.probe, self.probed) = (None, false);
            }
        }
    }

    fn welcome(&mut self, now: Now, heartbeat: u64) {
        self.state = State::Live { heartbeat, until: silence(now, heartbeat), migrate: None };
        self.status = Status::Live(Mode::Full);
        self.greeted = true;
        self.misses = 0;
        self.backoff.reset();
        if self.transport == Transport::Socket {
            (self.probe, self.probed) = (None, false);
            self.actions.push(Action::Up);
        } else if let Some((at, wait)) = self.probe {
            // Each socket that fails while this works makes the next one wait longer; an outage does not.
            let next = if core::mem::take(&mut self.probed) { (wait * 2).min(PROBE.1) } else { wait };
            let at = if next == wait { at.min(now + wait) } else { now + next };
            self.probe = Some((at, next));
        }
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
            if problem.code == ErrorCode::Unauthorized {
                self.actions.push(Action::Renew);
            }
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
    matches!(
        code,
        ErrorCode::Overloaded
            | ErrorCode::RateLimited
            | ErrorCode::Unavailable
            | ErrorCode::Internal
            | ErrorCode::TooSlow
    )
}
