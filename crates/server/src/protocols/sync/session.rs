//! A conversation with a client in frames, whatever carries them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use threadmill_proto::frame::{Mode, VERSION};
use threadmill_proto::{ClientFrame, ErrorCode, Problem, Scope, ServerFrame};
use tokio::sync::watch;
use tokio::time::Interval;

use crate::app::App;
use crate::identity::auth::{self, Identity};
use crate::serve::peers::Peer;
use threadmill_engine::flags::Flags;
use threadmill_engine::{Delivered, Leaving, Modes, OpenRequest, Outgoing, RECONNECT_WITHIN, Shared, Watcher};

/// The server says something at least this often.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A conversation with one client.
pub(super) struct Session {
    app: App,
    identity: Identity,
    pub(super) watcher: Watcher,
    flags: watch::Receiver<Arc<Flags>>,
    leaving: watch::Receiver<Leaving>,
    modes: Modes,
    /// What the client knows the mode to be.
    mode: Mode,
    heartbeat: Interval,
}

/// What a session does next.
pub(super) enum Due {
    Outgoing(Outgoing),
    Flags,
    Leaving,
    Mode,
    Heartbeat,
    Expired,
}

/// Why a session ends.
pub(super) enum Over {
    /// The client reads too slowly.
    TooSlow,
    /// It may not listen any more.
    Refused(Problem),
}

impl Session {
    /// Begins with the client's first frame, which decides whether the two sides can talk.
    pub(super) fn begin(
        app: &App,
        caller: Option<Identity>,
        first: ClientFrame,
        peer: Option<&Arc<Peer>>,
    ) -> Result<Self, Problem> {
        let ClientFrame::Hello { oldest, newest, token, .. } = first else {
            return Err(Problem::new(ErrorCode::HelloExpected, "The first frame was not Hello."));
        };
        if !(oldest..=newest).contains(&VERSION) {
            let detail = format!("The client speaks {oldest} to {newest}, the server {VERSION}.");
            return Err(Problem::new(ErrorCode::VersionUnsupported, detail));
        }
        app.engine.node().may_connect()?;
        let identity = app.guard().auth.greeted(token.as_deref(), caller, app.engine.node().now())?;
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.reset();
        let account = peer.map(|peer| Arc::clone(&peer.account));
        let watcher = app.engine.delivery().connect(identity.scope.clone(), account);
        let (flags, leaving, modes) = (app.engine.flags().watch(), app.engine.node().leaving(), app.engine.mode());
        let mode = Mode::Full;
        let mut session = Self { app: app.clone(), identity, watcher, flags, leaving, modes, mode, heartbeat };
        session.watcher.say_own(ServerFrame::Welcome {
            version: VERSION,
            node: app.engine.node().name().into(),
            heartbeat: u32::try_from(HEARTBEAT.as_millis()).unwrap_or(u32::MAX),
            user: session.identity.scope.user.as_str().into(),
        });
        let rev = session.flags.borrow_and_update().rev();
        session.watcher.say_own(ServerFrame::Flags { rev });
        if let Some(frame) = session.news_of_mode() {
            session.watcher.say_own(frame);
        }
        Ok(session)
    }

    /// On whose behalf it is.
    pub(super) fn scope(&self) -> &Scope {
        &self.identity.scope
    }

    /// Whether the client should be asked for nothing more before what waits is sent.
    pub(super) fn has_enough(&self) -> bool {
        self.watcher.has_enough()
    }

    /// Waits for what comes next. Nothing is lost if the waiting is given up.
    pub(super) async fn due(&mut self) -> Due {
        tokio::select! {
            outgoing = self.watcher.next() => Due::Outgoing(outgoing),
            Ok(()) = self.flags.changed() => Due::Flags,
            Ok(()) = self.leaving.changed() => Due::Leaving,
            () = self.modes.changed() => Due::Mode,
            _ = self.heartbeat.tick() => Due::Heartbeat,
            () = auth::expiry(&self.app.engine, self.identity.until) => Due::Expired,
        }
    }

    /// What waits already, if something does.
    pub(super) fn due_now(&self) -> Option<Due> {
        self.watcher.try_next().map(Due::Outgoing)
    }

    /// Does what is due: a frame to send, or nothing.
    pub(super) fn take(&mut self, due: Due) -> Result<Option<Arc<Shared>>, Over> {
        match due {
            Due::Outgoing(Outgoing::Event(event)) => return Ok(Some(event)),
            // Neither is waited for: what they read goes through the queue, and the client is answered meanwhile.
            Due::Outgoing(Outgoing::Resync(sub)) => self.watcher.begin_resync(sub),
            Due::Outgoing(Outgoing::List) => self.watcher.begin_read_list(),
            Due::Outgoing(Outgoing::TooSlow) => return Err(Over::TooSlow),
            Due::Expired => return Err(Over::Refused(auth::expired())),
            Due::Flags => {
                let rev = self.flags.borrow_and_update().rev();
                return Ok(Some(said(ServerFrame::Flags { rev })));
            }
            Due::Leaving => {
                let within = u32::try_from(RECONNECT_WITHIN.as_millis()).unwrap_or(u32::MAX);
                return Ok(match *self.leaving.borrow_and_update() {
                    Leaving::Moving => Some(said(ServerFrame::Closing { reconnect_within: within })),
                    Leaving::No | Leaving::Finishing => None,
                });
            }
            Due::Mode => return Ok(self.news_of_mode().map(said)),
            Due::Heartbeat => {
                let now = self.app.engine.node().now();
                return Ok(Some(said(ServerFrame::Pong { token: 0, now })));
            }
        }
        Ok(None)
    }

    /// What the client does not know yet of the mode.
    pub(super) fn news_of_mode(&mut self) -> Option<ServerFrame> {
        let mode = self.modes.now();
        (std::mem::replace(&mut self.mode, mode) != mode).then_some(ServerFrame::Mode { mode })
    }

    /// Does what a frame asks. What it answers is queued with the rest.
    ///
    /// # Errors
    /// The client may not go on.
    pub(super) fn answer(&mut self, frame: ClientFrame) -> Result<(), Problem> {
        let watcher = &self.watcher;
        match frame {
            ClientFrame::Hello { .. } => {
                let problem = Problem::new(ErrorCode::InvalidFrame, "Hello is said once, at the beginning.");
                watcher.say_own(ServerFrame::Failed { sub: None, problem });
            }
            ClientFrame::Subscribe { sub, thread, branch, anchor, before, after, cursor, from, to } => {
                let resume = cursor.map(|cursor| (cursor, from, to));
                let request = OpenRequest { sub, thread, branch, anchor, before, after, resume };
                watcher.begin_open(request);
            }
            ClientFrame::Range { sub, from, to } => {
                watcher.range(sub, from, to);
            }
            ClientFrame::Unsubscribe { sub } => {
                watcher.close(sub);
            }
            ClientFrame::Authenticate { token } => {
                self.identity = self.app.guard().auth.renewed(&self.identity, &token, self.app.engine.node().now())?;
            }
            ClientFrame::FollowList { since } => watcher.begin_follow_list(since),
            ClientFrame::Ping { token } => {
                watcher.catch_up();
                watcher.say_own(ServerFrame::Pong { token, now: self.app.engine.node().now() });
            }
        }
        Ok(())
    }
}

/// A session whose client said all it has to say at once.
pub(super) struct Feed {
    pub(super) session: Session,
    pub(super) asked: VecDeque<ClientFrame>,
    pub(super) over: bool,
}

impl Feed {
    /// Answers what was asked, as far as there is room for it.
    pub(super) fn settle(&mut self) -> Result<(), Problem> {
        while !self.session.has_enough()
            && let Some(frame) = self.asked.pop_front()
        {
            self.session.answer(frame)?;
        }
        Ok(())
    }

    /// The next frame to send, waiting for it. Nothing if there will be none.
    pub(super) async fn next(&mut self) -> Option<Arc<Shared>> {
        while !self.over {
            if let Err(problem) = self.settle() {
                return self.refuse(problem);
            }
            let due = self.session.due().await;
            match self.session.take(due) {
                Ok(Some(frame)) => return Some(frame),
                Ok(None) => {}
                Err(Over::TooSlow) => self.over = true,
                Err(Over::Refused(problem)) => return self.refuse(problem),
            }
        }
        None
    }

    /// Whether a subscription is open, or will be.
    pub(super) fn has_subscriptions(&self) -> bool {
        self.session.watcher.has_subscriptions()
            || self.asked.iter().any(|frame| matches!(frame, ClientFrame::Subscribe { .. }))
    }

    pub(super) fn refuse(&mut self, problem: Problem) -> Option<Arc<Shared>> {
        self.over = true;
        Some(said(ServerFrame::Refused(problem)))
    }
}

/// A frame of the protocol's own.
fn said(frame: ServerFrame) -> Arc<Shared> {
    Shared::new(Delivered::Own(Box::new(frame)))
}

pub(super) fn malformed(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(ErrorCode::InvalidFrame, format!("The frame is malformed: {error}."))
}
