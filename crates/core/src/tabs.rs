//! The tabs of one browser: one of them leads and owns the connection, the others follow.
//!
//! Every tab runs the whole engine; here is only who leads, and how frames get from the followers to the
//! leader's connection and back. The host decides the lead by an exclusive lock held for the whole term.
//! A follower's session is connected when the leader has taken the tab up: its frames go up, numbered so
//! that no two tabs' subscriptions meet, and every frame of the server comes down to all as it is.
//!
//! Each leader, and each connection of one, has a higher epoch than those before it, and every message carries
//! one: what was said late is left out, and a leader that hears of a higher one resigns. What is passed on is
//! counted: at anything missing, doubled or out of order the follower joins anew, and its views resume. Followers
//! leave while they are hidden. A leader that is hidden for [`HAND_OVER`] hands over if a visible tab follows it.
//! Followers that do not answer [`SILENT`] heartbeats of the server are dropped; no timer of a throttled page
//! decides that. A visible follower watches its leader (see `watch.rs`) and takes the lock of one that does nothing;
//! who was robbed of it is a follower from then on, and what it still says is of an epoch that is over.
//!
//! | role \ input | lock | robbed | up, down | heard `Lead` | `Join` | `Joined` | `Leave` | `Up` | `Down` | `Ask` | hidden |
//! |---|---|---|---|---|---|---|---|---|---|---|---|
//! | `Solo` | – | – | – | – | – | – | – | – | – | – | – |
//! | `Follower` | → `Leader` | – | – | higher: theirs; up: join, else lost | – | mine: connected | mine: lost | – | received | – | leave |
//! | `Leader` | – | resign | says so | higher: resign | taken up | – | dropped | to the server | – | says so | hand over later |

use alloc::vec::Vec;

use crate::Now;
use crate::queue::Queue;
use crate::session::Transport;
use crate::watch::{Due, Watch};
use threadmill_proto::{ClientFrame, Raw, Relayed, TabFrame, write};

/// Milliseconds a leader stays hidden before it hands over.
pub const HAND_OVER: u64 = 3_000;
/// Heartbeats a follower may miss.
pub const SILENT: u8 = 3;
/// Bits of a subscription's number that the tab chooses; the others are the tab's own number.
const BITS: u32 = 16;

/// What a tab is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It has a connection of its own and knows of no other tab.
    Solo,
    /// It uses the leader's connection.
    Follower,
    /// It owns the browser's connection.
    Leader,
}

/// What follows for the engine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Say this to the other tabs.
    Post(TabFrame),
    /// A follower's frame for the server.
    Send(Vec<u8>),
    /// The leader has taken this tab up; the server's `Welcome`.
    Connected(Vec<u8>),
    /// The leader's connection is not there for this tab any more.
    Lost,
    /// The leader's connection stands: join if that is not done.
    Join,
    /// The leader's connection cannot be shared; this is how it is made.
    Apart(Transport),
    /// A frame of the server's.
    Received(Vec<u8>),
    /// Lead no more.
    Resign,
    /// Take the lock of a leader that does nothing.
    Steal,
}

#[derive(Debug)]
struct Member {
    tab: u64,
    subs: Vec<u32>,
    /// Frames it has sent.
    count: u64,
    missed: u8,
}

/// One tab among the others.
#[derive(Debug)]
pub(crate) struct Tabs {
    /// A random name, and another one for each time it joins: what is said about an earlier one is too late.
    me: u64,
    role: Role,
    epoch: u64,
    number: u32,
    counter: u32,
    /// Frames that came down in this epoch, and frames that this follower sent up.
    came: u64,
    sent: u64,
    /// Of the connection that stands and is shared.
    welcome: Option<Vec<u8>>,
    /// What the server has said of its mode since.
    mode: Option<Vec<u8>>,
    /// The connection stands and cannot be shared; how it is made.
    apart: Option<Transport>,
    /// Somebody who is seen has asked to join and could not be taken up.
    asked: bool,
    members: Vec<Member>,
    numbers: u32,
    hidden: Option<Now>,
    /// Of a follower that is seen: whether its leader does anything.
    watch: Watch,
    acts: Queue<Act>,
}

impl Tabs {
    /// A tab that knows of no other. `me` is a random name.
    pub(crate) fn new(me: u64) -> Self {
        Self {
            me,
            role: Role::Solo,
            epoch: 0,
            number: 0,
            counter: 0,
            came: 0,
            sent: 0,
            welcome: None,
            mode: None,
            apart: None,
            asked: false,
            members: Vec::new(),
            numbers: 0,
            hidden: None,
            watch: Watch::new(me),
            acts: Queue::default(),
        }
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn poll(&mut self) -> Option<Act> {
        self.acts.pop()
    }

    /// A number for a subscription that no other tab uses.
    pub(crate) fn next_sub(&mut self) -> u32 {
        self.counter = (self.counter + 1) % (1 << BITS);
        self.number << BITS | self.counter
    }

    /// The same for a ping.
    pub(crate) fn token(&self, number: u32) -> u64 {
        u64::from(self.number) << 32 | u64::from(number)
    }

    /// There may be other tabs: listen to who leads.
    pub(crate) fn follow(&mut self, now: Now) {
        self.role = Role::Follower;
        self.observe(now);
    }

    /// Watches over the leader, where there can be one that this tab needs.
    fn observe(&mut self, now: Now) {
        match (self.role, self.hidden) {
            (Role::Follower, None) => self.watch.start(now),
            (Role::Follower, Some(_)) | (Role::Solo | Role::Leader, _) => self.watch.stop(),
        }
    }

    /// The page is put aside: it needs no leader.
    pub(crate) fn put_aside(&mut self) {
        self.watch.stop();
    }

    /// This tab has the lock. `stored` is the last epoch this browser knows of.
    pub(crate) fn lead(&mut self, stored: u64) {
        self.role = Role::Leader;
        self.watch.stop();
        self.epoch = self.epoch.max(stored);
        (self.number, self.welcome) = (0, None);
        self.new_epoch();
    }

    fn new_epoch(&mut self) {
        self.epoch += 1;
        (self.came, self.apart, self.asked) = (0, None, false);
        self.members.clear();
        self.say_lead();
    }

    /// This tab leads no more.
    pub(crate) fn resign(&mut self, now: Now) {
        self.down();
        self.follow(now);
    }

    /// The connection stands.
    pub(crate) fn up(&mut self, welcome: Vec<u8>) {
        if self.role == Role::Leader {
            (self.welcome, self.mode) = (Some(welcome), None);
            self.new_epoch();
        }
    }

    /// The connection is gone.
    pub(crate) fn down(&mut self) {
        self.apart = None;
        if self.role == Role::Leader && self.welcome.take().is_some() {
            self.members.clear();
            self.say_lead();
        }
    }

    /// The connection stands but carries this tab's frames alone.
    pub(crate) fn apart(&mut self, transport: Transport) {
        if self.role == Role::Leader {
            self.apart = Some(transport);
            self.say_lead();
        }
    }

    /// A frame of the server's that the others may need.
    pub(crate) fn forward(&mut self, frame: &[u8]) {
        if !self.members.is_empty() {
            self.post(TabFrame::Down { epoch: self.epoch, frame: Raw(frame.into()), count: self.came });
            self.came += 1;
        }
    }

    /// The server's mode is no longer what its welcome meant: whoever is taken up later has to hear it too.
    pub(crate) fn keep_mode(&mut self, frame: &[u8]) {
        self.mode = Some(frame.into());
    }

    /// The server's heartbeat came.
    pub(crate) fn heartbeat(&mut self) {
        match self.role {
            Role::Solo => {}
            Role::Follower => self.post(TabFrame::Here { epoch: self.epoch, tab: self.me, count: self.sent }),
            Role::Leader => {
                self.members.iter_mut().for_each(|member| member.missed += 1);
                while let Some(at) = self.members.iter().position(|member| member.missed > SILENT) {
                    self.drop_member(at);
                }
            }
        }
    }

    /// Asks the leader to be taken up, as somebody new.
    pub(crate) fn join(&mut self) {
        self.leave();
        self.me = self.me.wrapping_add(1);
        self.post(TabFrame::Join { tab: self.me, epoch: self.epoch });
    }

    /// Needs the leader's connection no more, or not as it was.
    pub(crate) fn leave(&mut self) {
        self.post(TabFrame::Leave { tab: self.me });
    }

    /// A frame of this tab's for the server.
    pub(crate) fn send(&mut self, frame: Vec<u8>) {
        self.post(TabFrame::Up { epoch: self.epoch, tab: self.me, frame: Raw(frame), count: self.sent });
        self.sent += 1;
    }

    /// Nobody can see the page from now on.
    pub(crate) fn hide(&mut self, now: Now) {
        self.hidden = Some(now);
        self.observe(now);
    }

    /// The page can be seen again.
    pub(crate) fn reveal(&mut self, now: Now) {
        self.hidden = None;
        self.observe(now);
    }

    pub(crate) fn is_hidden(&self) -> bool {
        self.hidden.is_some()
    }

    /// When something is due.
    pub(crate) fn deadline(&self) -> Option<Now> {
        self.hand_over().into_iter().chain(self.watch.deadline()).min()
    }

    /// When a hidden leader hands over.
    fn hand_over(&self) -> Option<Now> {
        let followed = self.role == Role::Leader && (self.asked || !self.members.is_empty());
        self.hidden.filter(|_| followed).map(|since| since + HAND_OVER)
    }

    pub(crate) fn tick(&mut self, now: Now) {
        if self.hand_over().is_some_and(|due| due <= now) {
            self.acts.push(Act::Resign);
        }
        match self.watch.tick(now) {
            Due::Nothing => {}
            Due::Ask => self.post(TabFrame::Ask),
            Due::Steal => self.acts.push(Act::Steal),
        }
    }

    /// Another tab has taken the lock.
    pub(crate) fn robbed(&mut self) {
        if self.role == Role::Leader {
            self.acts.push(Act::Resign);
        }
    }

    /// Another tab said something.
    pub(crate) fn heard(&mut self, now: Now, frame: TabFrame) {
        match self.role {
            Role::Solo => {}
            Role::Follower => {
                if self.is_leaders(&frame) {
                    self.watch.heard(now);
                }
                self.as_follower(frame);
            }
            Role::Leader => self.as_leader(now, frame),
        }
    }

    /// Whether a leader says it that is not known to be over.
    fn is_leaders(&self, frame: &TabFrame) -> bool {
        match frame {
            TabFrame::Lead { epoch, .. }
            | TabFrame::Apart { epoch, .. }
            | TabFrame::Joined { epoch, .. }
            | TabFrame::Down { epoch, .. } => *epoch >= self.epoch,
            TabFrame::Join { .. }
            | TabFrame::Leave { .. }
            | TabFrame::Up { .. }
            | TabFrame::Here { .. }
            | TabFrame::Ask => false,
        }
    }

    fn as_follower(&mut self, frame: TabFrame) {
        match frame {
            TabFrame::Lead { epoch, up } if epoch >= self.epoch => {
                if epoch > self.epoch || !up {
                    self.acts.push(Act::Lost);
                }
                self.epoch = epoch;
                if up {
                    self.acts.push(Act::Join);
                }
            }
            TabFrame::Apart { epoch, streams } if epoch >= self.epoch => {
                self.epoch = epoch;
                self.acts.push(Act::Apart(if streams { Transport::Events } else { Transport::Poll }));
            }
            TabFrame::Joined { epoch, tab, number, welcome, count } if tab == self.me && epoch >= self.epoch => {
                (self.epoch, self.number, self.came, self.sent) = (epoch, number, count, 0);
                self.acts.push(Act::Connected(welcome.0));
            }
            TabFrame::Leave { tab } if tab == self.me => self.acts.push(Act::Lost),
            TabFrame::Down { epoch, frame, count } if epoch == self.epoch && count == self.came => {
                self.came += 1;
                self.acts.push(Act::Received(frame.0));
            }
            TabFrame::Down { epoch, count, .. } if epoch > self.epoch || epoch == self.epoch && count > self.came => {
                self.epoch = epoch;
                self.acts.push(Act::Lost);
            }
            TabFrame::Lead { .. }
            | TabFrame::Apart { .. }
            | TabFrame::Join { .. }
            | TabFrame::Joined { .. }
            | TabFrame::Leave { .. }
            | TabFrame::Up { .. }
            | TabFrame::Down { .. }
            | TabFrame::Here { .. }
            | TabFrame::Ask => {}
        }
    }

    fn as_leader(&mut self, now: Now, frame: TabFrame) {
        match frame {
            TabFrame::Lead { epoch, .. } | TabFrame::Apart { epoch, .. } if epoch > self.epoch => {
                self.acts.push(Act::Resign);
            }
            // A former leader, or one who asks: it shall know.
            TabFrame::Lead { .. } | TabFrame::Apart { .. } | TabFrame::Ask => self.say_lead(),
            TabFrame::Join { tab, epoch } => self.take_up(now, tab, epoch),
            TabFrame::Leave { tab } => {
                if let Some(at) = self.member(tab) {
                    self.drop_member(at);
                }
            }
            TabFrame::Up { epoch, tab, frame, count } => {
                if let Some(at) = self.in_step(epoch, tab, count) {
                    self.members[at].count += 1;
                    self.pass_on(at, frame.0);
                }
            }
            TabFrame::Here { epoch, tab, count } => {
                if let Some(at) = self.in_step(epoch, tab, count) {
                    self.members[at].missed = 0;
                }
            }
            TabFrame::Joined { .. } | TabFrame::Down { .. } => {}
        }
    }

    fn member(&self, tab: u64) -> Option<usize> {
        self.members.iter().position(|member| member.tab == tab)
    }

    /// The member that says something, if nothing it said before is missing. If something is, or it is unknown, it
    /// has to join anew.
    fn in_step(&mut self, epoch: u64, tab: u64, count: u64) -> Option<usize> {
        let at = self.member(tab);
        let expected = at.map(|at| self.members[at].count);
        if epoch == self.epoch && expected == Some(count) {
            return at;
        }
        if epoch != self.epoch || expected.is_none_or(|expected| expected < count) {
            if let Some(at) = at {
                self.drop_member(at);
            }
            self.post(TabFrame::Leave { tab });
        }
        None
    }

    fn take_up(&mut self, now: Now, tab: u64, epoch: u64) {
        if epoch > self.epoch {
            // The browser forgot its last epoch: this leader is the later one all the same, since it has the lock.
            self.epoch = epoch;
            self.new_epoch();
            return;
        }
        if let Some(at) = self.member(tab) {
            self.drop_member(at);
        }
        self.asked = true;
        if self.hand_over().is_some_and(|due| due <= now) {
            self.acts.push(Act::Resign);
            return;
        }
        let Some(welcome) = self.welcome.clone() else {
            self.say_lead();
            return;
        };
        self.asked = false;
        self.numbers = self.numbers % ((1 << BITS) - 1) + 1;
        let number = self.numbers;
        self.members.push(Member { tab, subs: Vec::new(), count: 0, missed: 0 });
        let (epoch, welcome, count) = (self.epoch, Raw(welcome), self.came);
        self.post(TabFrame::Joined { epoch, tab, number, welcome, count });
        if let Some(mode) = self.mode.clone() {
            self.forward(&mode);
        }
    }

    /// Remembers what a follower has open, to close it when the follower is gone.
    fn pass_on(&mut self, at: usize, frame: Vec<u8>) {
        let subs = &mut self.members[at].subs;
        match Relayed::of(&frame) {
            Some(Relayed::Opens(sub)) => subs.push(sub),
            Some(Relayed::Closes(sub)) => subs.retain(|open| *open != sub),
            Some(Relayed::Other) => {}
            None => return,
        }
        self.acts.push(Act::Send(frame));
    }

    fn drop_member(&mut self, at: usize) {
        for sub in self.members.remove(at).subs {
            self.acts.push(Act::Send(write(&ClientFrame::Unsubscribe { sub })));
        }
    }

    fn say_lead(&mut self) {
        let (epoch, up) = (self.epoch, self.welcome.is_some());
        self.post(match self.apart {
            Some(transport) => TabFrame::Apart { epoch, streams: transport == Transport::Events },
            None => TabFrame::Lead { epoch, up },
        });
    }

    fn post(&mut self, frame: TabFrame) {
        if self.role != Role::Solo {
            self.acts.push(Act::Post(frame));
        }
    }
}
