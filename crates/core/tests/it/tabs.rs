//! Several tabs of one browser against the model: whatever the channel loses, doubles or reorders, whoever crashes,
//! hides, is put aside or hangs, once it is quiet every tab shows what the server has, over one connection.

mod hanging;
mod scenarios;

use crate::copy::Copy;
use crate::model::Server;
use proptest::prelude::*;
use std::collections::VecDeque;
use threadmill_core::engine::{Company, Engine, Fetch, Input, Output, unanswered};
use threadmill_core::session::{Status, Transport};
use threadmill_core::tabs::Role;
use threadmill_core::window::{PageRequest, Side};
use threadmill_proto::frame::Mode;
use threadmill_proto::{Anchor, ClientFrame, ServerFrame, ThreadId, Window, from_cbor, to_cbor};

const VIEW: u32 = 1;
/// Tabs at most.
const TABS: usize = 4;
const NAMES: [&str; 2] = ["t0", "t1"];
const HEARTBEAT: u64 = 15_000;

/// When a tab that goes on hears that it was robbed of its lock: at once, or after all else that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Robbed {
    First,
    Last,
}

#[derive(Debug, Clone, Copy)]
enum Op {
    /// What happens to a thread.
    Append(usize),
    Edit(usize, usize),
    Remove(usize, usize),
    Start(usize),
    Say(usize, usize),
    End(usize),
    Mode(Mode),
    Load(usize, Side),
    Jump(usize, usize),
    /// Frames reach a tab from the server, or the server from a tab.
    Down(usize, usize),
    Up(usize, usize),
    /// Pages.
    Read(usize),
    Page(usize),
    LosePage(usize),
    /// Messages from one tab reach another.
    Hear(usize, usize, usize),
    Lose(usize, usize),
    Double(usize, usize),
    Swap(usize, usize),
    /// What happens to a tab.
    Open(usize),
    Crash(usize),
    Hide(usize),
    Show(usize),
    Aside(usize),
    Back(usize),
    /// The tab does nothing, and all that comes waits; it goes on, and hears first or last that it was robbed.
    Hang(usize),
    GoOn(usize, Robbed),
    /// A follower takes the lock, rightly or not.
    Steal(usize),
    Cut(usize),
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let (tab, of) = (|| 0..TABS, || 0..NAMES.len());
    let side = prop_oneof![Just(Side::Older), Just(Side::Newer)];
    prop_oneof![
        4 => of().prop_map(Op::Append),
        2 => (of(), any::<usize>()).prop_map(|(of, pick)| Op::Edit(of, pick)),
        1 => (of(), any::<usize>()).prop_map(|(of, pick)| Op::Remove(of, pick)),
        2 => of().prop_map(Op::Start),
        8 => (of(), 1_usize..4).prop_map(|(of, count)| Op::Say(of, count)),
        2 => of().prop_map(Op::End),
        1 => prop_oneof![Just(Mode::Full), Just(Mode::Degraded), Just(Mode::ReadOnly)].prop_map(Op::Mode),
        2 => (tab(), side).prop_map(|(tab, side)| Op::Load(tab, side)),
        1 => (tab(), any::<usize>()).prop_map(|(tab, to)| Op::Jump(tab, to)),
        10 => (tab(), 1_usize..8).prop_map(|(tab, count)| Op::Down(tab, count)),
        10 => (tab(), 1_usize..5).prop_map(|(tab, count)| Op::Up(tab, count)),
        6 => tab().prop_map(Op::Read),
        6 => tab().prop_map(Op::Page),
        1 => tab().prop_map(Op::LosePage),
        20 => (tab(), tab(), 1_usize..6).prop_map(|(from, to, count)| Op::Hear(from, to, count)),
        1 => (tab(), tab()).prop_map(|(from, to)| Op::Lose(from, to)),
        1 => (tab(), tab()).prop_map(|(from, to)| Op::Double(from, to)),
        1 => (tab(), tab()).prop_map(|(from, to)| Op::Swap(from, to)),
        4 => tab().prop_map(Op::Open),
        1 => tab().prop_map(Op::Crash),
        1 => tab().prop_map(Op::Hide),
        1 => tab().prop_map(Op::Show),
        1 => tab().prop_map(Op::Aside),
        1 => tab().prop_map(Op::Back),
        1 => tab().prop_map(Op::Steal),
        1 => tab().prop_map(Op::Hang),
        1 => (tab(), prop_oneof![Just(Robbed::First), Just(Robbed::Last)]).prop_map(|(tab, when)| Op::GoOn(tab, when)),
        1 => tab().prop_map(Op::Cut),
        4 => (1_u64..5_000).prop_map(Op::Pass),
    ]
}

struct Tab {
    engine: Engine,
    copy: Copy,
    deadline: Option<u64>,
    asked: Vec<(u32, PageRequest)>,
    read: Vec<(u32, Window)>,
    /// On its way to the server; none without a connection.
    up: Option<VecDeque<Vec<u8>>>,
    transport: Transport,
    role: Role,
    /// Put aside by the browser: it hears nothing and does nothing.
    aside: bool,
    /// It does nothing, and what comes waits.
    hangs: bool,
    /// Its lock was taken, and it has not heard of that yet.
    robbed: bool,
}

struct World {
    /// The threads: tabs show one after the other in turn.
    threads: Vec<Server>,
    tabs: Vec<Option<Tab>>,
    /// From one tab to another.
    channel: Vec<Vec<VecDeque<Vec<u8>>>>,
    lock: Option<usize>,
    queue: VecDeque<usize>,
    /// Who takes the lock next, whoever holds it.
    thieves: VecDeque<usize>,
    epoch: u64,
    seed: u64,
    now: u64,
    beat: u64,
}

impl World {
    fn new(messages: usize) -> Self {
        Self {
            threads: Server::threads(&NAMES, messages, TABS),
            tabs: (0..TABS).map(|_| None).collect(),
            channel: vec![vec![VecDeque::new(); TABS]; TABS],
            lock: None,
            queue: VecDeque::new(),
            thieves: VecDeque::new(),
            epoch: 0,
            seed: 0,
            now: 0,
            beat: HEARTBEAT,
        }
    }

    /// What a tab shows.
    fn thread_of(&self, at: usize) -> &Server {
        &self.threads[at % NAMES.len()]
    }

    fn is_up(&self, at: usize) -> bool {
        self.tabs[at].as_ref().is_some_and(|tab| !tab.aside)
    }

    /// It is there, and does something.
    fn runs(&self, at: usize) -> bool {
        self.is_up(at) && self.tabs[at].as_ref().is_some_and(|tab| !tab.hangs)
    }

    fn input(&mut self, at: usize, input: Input) {
        if !self.runs(at) {
            return;
        }
        let now = self.now;
        let tab = self.tabs[at].as_mut().expect("a tab that is up");
        tab.engine.handle(now, input);
        self.drain(at);
    }

    /// Does what a host does.
    fn drain(&mut self, at: usize) {
        loop {
            let tab = self.tabs[at].as_mut().expect("a tab");
            match tab.engine.poll_output() {
                Output::Connect(transport) => {
                    self.threads[0].cut(at);
                    (tab.up, tab.transport) = (Some(VecDeque::new()), transport);
                    tab.engine.handle(self.now, Input::Opened);
                }
                Output::Disconnect => self.cut(at),
                Output::Send(bytes) => {
                    if let Some(up) = &mut tab.up {
                        up.push_back(bytes);
                    }
                }
                Output::Post(bytes) => {
                    let others: Vec<usize> = (0..TABS).filter(|to| *to != at && self.is_up(*to)).collect();
                    for to in others {
                        self.channel[at][to].push_back(bytes.clone());
                    }
                }
                Output::Steal => self.thieves.push_back(at),
                Output::Role(role, epoch) => self.become_(at, role, epoch),
                Output::Fetch(request, Fetch::Window(page)) => tab.asked.push((request, page)),
                Output::View(_, patch) => tab.copy.apply(patch),
                Output::Fetch(_, Fetch::List(_)) | Output::List(..) | Output::Status(_) | Output::Flags => {}
                Output::Wait(until) => {
                    tab.deadline = until;
                    return;
                }
                other @ (Output::Renew | Output::Dropped(_) | Output::Write(_) | Output::Writing(..)) => {
                    panic!("{other:?} was not asked for");
                }
            }
        }
    }

    fn become_(&mut self, at: usize, role: Role, epoch: u64) {
        let tab = self.tabs[at].as_mut().expect("a tab");
        let led = tab.role == Role::Leader && role == Role::Follower;
        tab.role = role;
        if role == Role::Leader {
            self.epoch = epoch;
        } else if led && !tab.aside {
            self.release(at);
            self.queue.push_back(at);
        }
    }

    fn release(&mut self, at: usize) {
        self.queue.retain(|waiting| *waiting != at);
        if self.lock == Some(at) {
            self.lock = None;
        }
    }

    /// The browser gives the lock to whoever waits longest.
    fn grant(&mut self) {
        while let Some(thief) = self.thieves.pop_front() {
            self.steal(thief);
        }
        while self.lock.is_none() {
            let Some(at) = self.queue.iter().position(|waiting| self.runs(*waiting)) else { return };
            let next = self.queue.remove(at).expect("who waits");
            self.lock = Some(next);
            self.input(next, Input::Lead(self.epoch));
        }
    }

    /// A tab takes the lock; who had it hears of it as soon as it does anything.
    fn steal(&mut self, thief: usize) {
        let follows = self.tabs[thief].as_ref().is_some_and(|tab| tab.role == Role::Follower);
        if !self.runs(thief) || !follows || self.lock == Some(thief) {
            return;
        }
        self.queue.retain(|waiting| *waiting != thief);
        if let Some(victim) = self.lock.replace(thief) {
            self.tabs[victim].as_mut().expect("who had the lock").robbed = true;
            self.learn(victim);
        }
        self.input(thief, Input::Lead(self.epoch));
    }

    /// A tab that was robbed hears of it.
    fn learn(&mut self, at: usize) {
        let runs = self.runs(at);
        let robbed = self.tabs[at].as_mut().filter(|tab| runs && tab.robbed);
        if let Some(tab) = robbed {
            tab.robbed = false;
            self.input(at, Input::Robbed);
        }
    }

    fn cut(&mut self, at: usize) {
        self.threads[0].cut(at);
        if let Some(tab) = &mut self.tabs[at] {
            tab.up = None;
        }
    }

    fn open(&mut self, at: usize) {
        if self.tabs[at].is_some() {
            return;
        }
        self.seed += 1;
        self.tabs[at] = Some(Tab {
            engine: Engine::new(self.seed << 20, "test"),
            copy: Copy::default(),
            deadline: None,
            asked: Vec::new(),
            read: Vec::new(),
            up: None,
            transport: Transport::Socket,
            role: Role::Solo,
            aside: false,
            hangs: false,
            robbed: false,
        });
        self.enter(at);
        let thread = self.thread_of(at).thread.clone();
        self.input(at, Input::Open { view: VIEW, thread, branch: None, anchor: Anchor::Tip });
    }

    fn enter(&mut self, at: usize) {
        self.queue.push_back(at);
        self.input(at, Input::Start(Company::Others));
    }

    /// The tab is gone, or put aside: what it was about to hear is lost.
    fn silence(&mut self, at: usize) {
        self.release(at);
        self.cut(at);
        for from in 0..TABS {
            self.channel[from][at].clear();
        }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Append(of) => self.threads[of].append(),
            Op::Edit(of, pick) => self.threads[of].edit(pick),
            Op::Remove(of, pick) => self.threads[of].remove(pick),
            Op::Start(of) => self.threads[of].start_run(),
            Op::Say(of, count) => self.threads[of].say(count),
            Op::End(of) => self.threads[of].end_run(),
            Op::Mode(mode) => {
                self.threads[0].mode = mode;
                self.tell_all(&ServerFrame::Mode { mode });
            }
            Op::Load(at, side) => self.input(at, Input::Load(VIEW, side)),
            Op::Jump(at, to) => {
                let depth = (to % (self.thread_of(at).slots.len() + 1)) as u64;
                self.input(at, Input::Jump(VIEW, Anchor::Depth(depth)));
            }
            Op::Down(at, count) => self.down(at, count),
            Op::Up(at, count) => self.up(at, count),
            Op::Read(at) => self.read(at),
            // A page that is put aside or hangs hears of its requests when it is back.
            Op::Page(at) if self.runs(at) => self.page(at),
            Op::Page(_) => {}
            Op::LosePage(at) if !self.runs(at) => {}
            Op::LosePage(at) => {
                if let Some((request, _)) = self.tabs[at].as_mut().and_then(|tab| tab.asked.pop()) {
                    self.input(at, Input::Page(request, Err(unanswered("lost"))));
                }
            }
            Op::Hear(from, to, count) => self.hear(from, to, count),
            Op::Lose(from, to) => drop(self.channel[from][to].pop_front()),
            Op::Double(from, to) => {
                if let Some(first) = self.channel[from][to].front().cloned() {
                    self.channel[from][to].push_front(first);
                }
            }
            Op::Swap(from, to) => {
                if self.channel[from][to].len() > 1 {
                    self.channel[from][to].swap(0, 1);
                }
            }
            Op::Open(at) => self.open(at),
            Op::Crash(at) => {
                self.silence(at);
                self.tabs[at] = None;
            }
            Op::Hide(at) => self.input(at, Input::Hidden),
            Op::Show(at) => self.input(at, Input::Shown),
            Op::Aside(at) => self.aside(at),
            Op::Back(at) => self.back(at),
            Op::Steal(at) => self.thieves.push_back(at),
            Op::Hang(at) => self.hang(at),
            Op::GoOn(at, robbed) => self.go_on(at, robbed),
            Op::Cut(at) if !self.runs(at) => {}
            Op::Cut(at) => {
                if self.tabs[at].as_ref().is_some_and(|tab| tab.up.is_some()) {
                    self.cut(at);
                    self.input(at, Input::Closed);
                }
            }
            Op::Pass(time) => self.pass(time),
        }
        self.grant();
    }

    fn hang(&mut self, at: usize) {
        if let Some(tab) = self.tabs[at].as_mut().filter(|tab| !tab.aside) {
            tab.hangs = true;
        }
    }

    fn go_on(&mut self, at: usize, robbed: Robbed) {
        let Some(tab) = self.tabs[at].as_mut().filter(|tab| tab.hangs) else { return };
        tab.hangs = false;
        if robbed == Robbed::First {
            self.learn(at);
        }
        // What waited on the channel, from everybody in turn.
        while let Some(from) = (0..TABS).find(|from| !self.channel[*from][at].is_empty()) {
            self.hear(from, at, 1);
        }
        self.learn(at);
    }

    fn aside(&mut self, at: usize) {
        if self.runs(at) {
            self.input(at, Input::Stop);
            self.tabs[at].as_mut().expect("a tab").aside = true;
            self.silence(at);
        }
    }

    fn back(&mut self, at: usize) {
        if let Some(tab) = self.tabs[at].as_mut().filter(|tab| tab.aside) {
            tab.aside = false;
            self.enter(at);
        }
    }

    fn down(&mut self, at: usize, count: usize) {
        for _ in 0..count {
            let frame = self.runs(at).then(|| self.threads[0].connection(at).wire.pop_front()).flatten();
            let Some(frame) = frame else { return };
            self.input(at, Input::Received(frame));
        }
    }

    fn up(&mut self, at: usize, count: usize) {
        for _ in 0..count {
            let up = self.tabs[at].as_mut().and_then(|tab| tab.up.as_mut());
            let Some(frame) = up.and_then(VecDeque::pop_front) else { return };
            // Whoever holds the thread named takes it; one that names none goes to the first.
            let of = self.threads.iter().position(|thread| names(&frame, &thread.thread));
            self.threads[of.unwrap_or(0)].receive(at, &frame);
        }
    }

    fn read(&mut self, at: usize) {
        let asked = self.tabs[at].as_mut().and_then(|tab| tab.asked.pop());
        if let Some((request, page)) = asked {
            let window = self.thread_of(at).window(&page);
            self.tabs[at].as_mut().expect("a tab that asked").read.push((request, window));
        }
    }

    fn page(&mut self, at: usize) {
        let Some(tab) = self.tabs[at].as_mut().filter(|tab| !tab.hangs) else { return };
        if let Some((request, window)) = tab.read.pop() {
            self.input(at, Input::Page(request, Ok(window)));
        }
    }

    fn hear(&mut self, from: usize, to: usize, count: usize) {
        for _ in 0..count {
            if !self.runs(to) {
                return;
            }
            let Some(message) = self.channel[from][to].pop_front() else { return };
            self.input(to, Input::Heard(message));
        }
    }

    /// The server says something to everybody who is connected.
    fn tell_all(&mut self, frame: &ServerFrame) {
        for at in 0..TABS {
            if self.tabs[at].as_ref().is_some_and(|tab| tab.up.is_some()) {
                self.threads[0].connection(at).wire.push_back(to_cbor(frame));
            }
        }
    }

    fn pass(&mut self, time: u64) {
        self.now += time;
        if self.now >= self.beat {
            self.beat = self.now + HEARTBEAT;
            self.tell_all(&ServerFrame::Pong { token: 0, now: 0 });
        }
        for at in 0..TABS {
            let due = |tab: &Tab| !tab.hangs && tab.deadline.is_some_and(|due| due <= self.now);
            if self.tabs[at].as_ref().is_some_and(due) {
                self.input(at, Input::Tick);
            }
        }
    }

    /// One thing that is on its way arrives. False if nothing is.
    fn step(&mut self) -> bool {
        for at in 0..TABS {
            let Some(tab) = self.tabs[at].as_ref().filter(|tab| !tab.hangs) else { continue };
            let (ups, asked, read) = (tab.up.as_ref().is_some_and(|up| !up.is_empty()), &tab.asked, &tab.read);
            if ups {
                self.up(at, 1);
            } else if !self.threads[0].connection(at).wire.is_empty() {
                self.down(at, 1);
            } else if !asked.is_empty() {
                self.read(at);
            } else if !read.is_empty() {
                self.page(at);
            } else {
                continue;
            }
            return true;
        }
        let waiting = |from: &usize, to: &usize| self.runs(*to) && !self.channel[*from][*to].is_empty();
        let pair = (0..TABS).find_map(|from| (0..TABS).find(|to| waiting(&from, to)).map(|to| (from, to)));
        if let Some((from, to)) = pair {
            self.hear(from, to, 1);
        }
        pair.is_some()
    }

    /// Everything arrives, everybody is there and looks, and time goes on until nothing happens but heartbeats and
    /// followers that ask whether their leader is there.
    fn quiet(&mut self) {
        for at in 0..TABS {
            self.go_on(at, Robbed::Last);
            self.back(at);
            self.input(at, Input::Shown);
            self.grant();
        }
        let mut calm_since = None;
        for _ in 0..100_000 {
            self.grant();
            if self.step() {
                continue;
            }
            let mut alive = self.tabs.iter().flatten();
            let live = alive.all(|tab| matches!(tab.engine.status(), Status::Live(_)));
            if !live {
                calm_since = None;
            } else if self.now - *calm_since.get_or_insert(self.now) > 5 * HEARTBEAT {
                return;
            }
            let due = self.tabs.iter().flatten().filter_map(|tab| tab.deadline).min();
            let next = due.map_or(self.beat, |due| due.min(self.beat));
            self.pass(next.saturating_sub(self.now).max(1));
        }
        panic!("it does not come to rest");
    }

    /// Those of tabs that do something: one that hangs cannot close its own, nor one that has not heard yet that it
    /// was robbed.
    fn connections(&self) -> usize {
        self.tabs.iter().flatten().filter(|tab| tab.up.is_some() && !tab.hangs && !tab.robbed).count()
    }

    /// Sockets are what is shared; without them every visible tab makes a connection of its own.
    fn has_sockets_only(&self) -> bool {
        self.tabs.iter().flatten().all(|tab| tab.transport == Transport::Socket)
    }

    fn check(&mut self) {
        assert!(!self.has_sockets_only() || self.connections() <= 1, "two connections");
        for tab in self.tabs.iter_mut().flatten() {
            tab.copy.bounded(tab.engine.view(VIEW).expect("an open view"));
        }
    }

    fn converged(&mut self) {
        self.check();
        let leaders = self.tabs.iter().flatten().filter(|tab| tab.engine.role() == Role::Leader).count();
        let alive = self.tabs.iter().flatten().count();
        assert_eq!(leaders, alive.min(1), "one leads");
        self.converged_apart();
    }

    /// Every tab shows what the server has, and knows how it fares.
    fn converged_apart(&mut self) {
        for (at, tab) in self.tabs.iter().enumerate() {
            let Some(tab) = tab else { continue };
            assert_eq!(*tab.engine.status(), Status::Live(self.threads[0].mode));
            tab.copy.true_window(tab.engine.view(VIEW).expect("an open view"), self.thread_of(at));
        }
    }
}

/// Whether a frame subscribes to a thread.
fn names(frame: &[u8], of: &ThreadId) -> bool {
    matches!(from_cbor(frame), Ok(ClientFrame::Subscribe { thread, .. }) if thread == *of)
}

/// Two thousand cases, unless PROPTEST_CASES says how many.
fn config() -> ProptestConfig {
    let chosen = std::env::var_os("PROPTEST_CASES").is_some();
    let default = ProptestConfig::default();
    ProptestConfig { cases: if chosen { default.cases } else { 2_000 }, ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_tabs_show_what_the_server_has(
        messages in prop_oneof![0_usize..20, 150_usize..250],
        ops in prop::collection::vec(op(), 0..250),
    ) {
        let mut world = World::new(messages);
        world.run(Op::Open(0));
        world.run(Op::Open(1));
        for op in ops {
            world.run(op);
            world.check();
        }
        world.quiet();
        world.converged();
    }
}

fn opened(tabs: usize) -> World {
    let mut world = World::new(10);
    (0..tabs).for_each(|at| world.run(Op::Open(at)));
    world.quiet();
    world.converged();
    world
}

fn leader(world: &World) -> usize {
    let leads = |tab: &Tab| tab.engine.role() == Role::Leader;
    world.tabs.iter().position(|tab| tab.as_ref().is_some_and(leads)).expect("a leader")
}

fn settle(world: &mut World) {
    while world.step() {}
}
