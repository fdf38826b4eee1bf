//! The engine against the model: whatever happens, once it is quiet the view is a true window, and the
//! patches have built the same rows on the other side.

use crate::copy::Copy;
use crate::model::{Server, thread};
use proptest::prelude::*;
use std::collections::VecDeque;
use threadmill_core::engine::{Company, Engine, Fetch, Input, Output, unanswered};
use threadmill_core::window::{Edge, Need, PageRequest, Patch, Side, View};
use threadmill_proto::{
    Anchor, Chunk, ErrorCode, JsonText, MessageId, Part, Problem, RunId, ServerFrame, Window, to_cbor,
};

const VIEW: u32 = 1;

#[derive(Debug, Clone, Copy)]
enum Op {
    Append,
    Edit(usize),
    /// An edit just beyond an end of the window, where pages and events meet.
    EditNear(Side, usize),
    Remove(usize),
    RemoveMany(usize),
    Elsewhere,
    Start,
    Say(usize),
    End,
    Load(Side),
    Jump(Option<usize>),
    Edge(Edge),
    /// Frames reach the client.
    Deliver(usize),
    /// Frames reach the server.
    Up(usize),
    /// The server reads a page that was asked for.
    Read,
    /// A page that was read reaches the client.
    Page,
    /// A page request fails.
    Lose,
    Drop,
    /// The server is started anew.
    Restart,
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let side = prop_oneof![Just(Side::Older), Just(Side::Newer)];
    let near = prop_oneof![Just(Side::Older), Just(Side::Newer)];
    let edge = prop_oneof![Just(Edge::Live), Just(Edge::Away)];
    prop_oneof![
        6 => Just(Op::Append),
        4 => any::<usize>().prop_map(Op::Edit),
        10 => (near, 0_usize..4).prop_map(|(side, away)| Op::EditNear(side, away)),
        2 => any::<usize>().prop_map(Op::Remove),
        1 => any::<usize>().prop_map(Op::RemoveMany),
        1 => Just(Op::Elsewhere),
        3 => Just(Op::Start),
        8 => (1_usize..4).prop_map(Op::Say),
        3 => Just(Op::End),
        6 => side.prop_map(Op::Load),
        2 => prop::option::of(any::<usize>()).prop_map(Op::Jump),
        2 => edge.prop_map(Op::Edge),
        12 => (1_usize..12).prop_map(Op::Deliver),
        10 => (1_usize..5).prop_map(Op::Up),
        8 => Just(Op::Read),
        8 => Just(Op::Page),
        1 => Just(Op::Lose),
        2 => Just(Op::Drop),
        1 => Just(Op::Restart),
        3 => (1_u64..20_000).prop_map(Op::Pass),
    ]
}

struct World {
    server: Server,
    engine: Engine,
    copy: Copy,
    now: u64,
    deadline: Option<u64>,
    asked: Vec<(u32, PageRequest)>,
    read: Vec<(u32, Window)>,
    fetches: usize,
    sent: usize,
    /// What is on its way to the server.
    up: VecDeque<Vec<u8>>,
}

impl World {
    fn new(messages: usize, anchor: Anchor) -> Self {
        let mut world = Self {
            server: Server::with_messages(messages),
            engine: Engine::new(7, "test"),
            copy: Copy::default(),
            now: 0,
            deadline: None,
            asked: Vec::new(),
            read: Vec::new(),
            fetches: 0,
            sent: 0,
            up: VecDeque::new(),
        };
        world.input(Input::Start(Company::Alone));
        world.input(Input::Open { view: VIEW, thread: thread(), branch: None, anchor });
        world
    }

    fn input(&mut self, input: Input) {
        self.engine.handle(self.now, input);
        loop {
            match self.engine.poll_output() {
                Output::Connect(_) => {
                    self.cut();
                    self.engine.handle(self.now, Input::Opened);
                }
                Output::Disconnect => self.cut(),
                Output::Send(bytes) => {
                    self.sent += 1;
                    self.up.push_back(bytes);
                }
                Output::Fetch(request, Fetch::Window(page)) => {
                    self.fetches += 1;
                    self.asked.push((request, page));
                }
                Output::Fetch(_, Fetch::List(_))
                | Output::List(..)
                | Output::Status(_)
                | Output::Role(..)
                | Output::Flags => {}
                other @ (Output::Post(_)
                | Output::Steal
                | Output::Renew
                | Output::Dropped(_)
                | Output::Write(_)
                | Output::Writing(..)) => panic!("{other:?} was not asked for"),
                Output::View(_, patch) => self.copy.apply(patch),
                Output::Wait(until) => {
                    self.deadline = until;
                    return;
                }
            }
        }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Append => self.server.append(),
            Op::Edit(pick) => self.server.edit(pick),
            Op::EditNear(side, away) => {
                let head = self.engine.view(VIEW).expect("an open view").head();
                let depth = match side {
                    Side::Older => (head.from as usize).saturating_sub(1 + away),
                    Side::Newer => head.to as usize + away,
                };
                self.server.edit(depth.min(self.server.slots.len().saturating_sub(1)));
            }
            Op::Remove(pick) => self.server.remove(pick),
            Op::RemoveMany(pick) => (0..40).for_each(|more| self.server.remove(pick.wrapping_add(more))),
            Op::Elsewhere => self.server.elsewhere(),
            Op::Start => self.server.start_run(),
            Op::Say(count) => self.server.say(count),
            Op::End => self.server.end_run(),
            Op::Load(side) => self.input(Input::Load(VIEW, side)),
            Op::Jump(to) => {
                let depth = to.map(|to| Anchor::Depth((to % (self.server.slots.len() + 1)) as u64));
                self.input(Input::Jump(VIEW, depth.unwrap_or(Anchor::Tip)));
            }
            Op::Edge(edge) => self.input(Input::Edge(VIEW, edge)),
            Op::Deliver(count) => self.deliver(count),
            Op::Up(count) => self.up(count),
            Op::Read => self.read_page(),
            Op::Page => self.answer_page(),
            Op::Lose => {
                if let Some((request, _)) = self.asked.pop() {
                    self.input(Input::Page(request, Err(unanswered("lost"))));
                }
            }
            Op::Drop => {
                self.cut();
                self.input(Input::Closed);
            }
            Op::Restart => {
                self.server.begin_epoch();
                self.run(Op::Drop);
            }
            Op::Pass(time) => self.pass(time),
        }
    }

    fn cut(&mut self) {
        self.server.cut(0);
        self.up.clear();
    }

    fn up(&mut self, count: usize) {
        for _ in 0..count {
            let Some(frame) = self.up.pop_front() else { return };
            self.server.receive(0, &frame);
        }
    }

    fn deliver(&mut self, count: usize) {
        for _ in 0..count {
            let frame = self.server.wire().pop_front();
            let Some(frame) = frame else { return };
            self.input(Input::Received(frame));
        }
    }

    fn read_page(&mut self) {
        if let Some((request, page)) = self.asked.pop() {
            let window = self.server.window(&page);
            self.read.push((request, window));
        }
    }

    fn answer_page(&mut self) {
        if let Some((request, window)) = self.read.pop() {
            self.input(Input::Page(request, Ok(window)));
        }
    }

    fn pass(&mut self, time: u64) {
        self.now += time;
        if self.deadline.is_some_and(|due| due <= self.now) {
            self.input(Input::Tick);
        }
    }

    /// Lets everything on its way arrive, and reconnects if need be.
    fn quiet(&mut self) {
        for _ in 0..10_000 {
            if !self.up.is_empty() {
                self.up(1);
            } else if !self.server.wire().is_empty() {
                self.deliver(1);
            } else if !self.asked.is_empty() {
                self.read_page();
            } else if !self.read.is_empty() {
                self.answer_page();
            } else if self.is_settled() {
                return;
            } else {
                let wait = self.deadline.map_or(0, |due| due.saturating_sub(self.now));
                self.pass(wait);
            }
        }
        panic!("it does not come to rest");
    }

    /// Live, and nothing will be tried again soon.
    fn is_settled(&self) -> bool {
        let soon = self.deadline.is_some_and(|due| due < self.now + 5_000);
        *self.engine.status() == threadmill_core::session::Status::Live(threadmill_proto::frame::Mode::Full) && !soon
    }

    fn bounded(&mut self) {
        let view = self.engine.view(VIEW).expect("an open view");
        self.copy.bounded(view);
    }

    /// The view holds exactly what the server has in its range.
    fn true_window(&mut self) {
        let view = self.engine.view(VIEW).expect("an open view");
        self.copy.bounded(view);
        self.copy.true_window(view, &self.server);
    }
}

/// A thousand cases, unless PROPTEST_CASES says how many.
fn config() -> ProptestConfig {
    let chosen = std::env::var_os("PROPTEST_CASES").is_some();
    let default = ProptestConfig::default();
    ProptestConfig { cases: if chosen { default.cases } else { 1_000 }, ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_view_is_a_true_window(
        messages in prop_oneof![0_usize..60, 150_usize..400],
        anchor in prop_oneof![Just(Anchor::Tip), (0_u64..300).prop_map(Anchor::Depth)],
        ops in prop::collection::vec(op(), 0..120),
    ) {
        let mut world = World::new(messages, anchor);
        for op in ops {
            world.run(op);
            world.bounded();
        }
        world.quiet();
        world.true_window();
    }
}

fn opened(messages: usize) -> World {
    let mut world = World::new(messages, Anchor::Tip);
    world.quiet();
    world
}

fn range(world: &World) -> (u64, u64, u64) {
    let head = world.engine.view(VIEW).expect("an open view").head();
    (head.from, head.to, head.total)
}

#[test]
fn fifty_first_and_pages_of_twenty_five_both_ways() {
    let mut world = opened(1_000);
    assert_eq!(range(&world), (950, 1_000, 1_000));
    for first in [925, 900] {
        world.run(Op::Load(Side::Older));
        world.quiet();
        assert_eq!(range(&world), (first, 1_000, 1_000));
    }
    world.run(Op::Load(Side::Older));
    world.quiet();
    assert_eq!(range(&world), (875, 975, 1_000), "the far end became a gap");
    world.run(Op::Load(Side::Newer));
    world.quiet();
    assert_eq!(range(&world), (900, 1_000, 1_000));
    world.true_window();
}

#[test]
fn asking_twice_reads_once() {
    let mut world = opened(1_000);
    let before = world.fetches;
    world.run(Op::Load(Side::Older));
    world.run(Op::Load(Side::Older));
    assert_eq!(world.fetches - before, 1);
}

#[test]
fn the_window_follows_the_tip_only_at_the_live_edge() {
    let mut world = opened(200);
    (0..60).for_each(|_| world.server.append());
    world.quiet();
    assert_eq!(range(&world), (160, 260, 260), "a hundred rows, the newest");
    world.run(Op::Edge(Edge::Away));
    world.server.append();
    world.quiet();
    assert_eq!(range(&world), (160, 260, 261), "what is read stays, and there is something newer");
}

#[test]
fn a_drop_in_mid_stream_loses_and_doubles_nothing() {
    let mut world = opened(10);
    world.server.start_run();
    world.server.say(3);
    world.quiet();
    world.server.say(2);
    world.run(Op::Drop);
    world.server.say(4);
    world.quiet();
    world.true_window();
    world.server.end_run();
    world.quiet();
    world.true_window();
}

#[test]
fn a_page_of_tombstones_is_followed_by_the_next() {
    let mut world = opened(400);
    (200..350).for_each(|depth| world.server.remove(depth));
    world.quiet();
    world.run(Op::Load(Side::Older));
    world.quiet();
    let (from, ..) = range(&world);
    assert!(from < 200, "the reader's edge moved on to {from}");
    world.true_window();
}

#[test]
fn scrolling_does_not_resubscribe() {
    let mut world = opened(2_000);
    let sent = world.sent;
    for _ in 0..20 {
        world.run(Op::Load(Side::Older));
        world.quiet();
    }
    assert!(world.sent - sent <= 2 * 20, "a range and a ping a page at most");
    world.true_window();
}

/// Frames that no server would send, or that were lost between: the view asks again instead of guessing.
#[test]
fn a_hole_in_the_log_is_answered_by_a_resume() {
    let mut world = opened(10);
    world.server.append();
    world.server.append();
    world.server.wire().pop_front();
    world.quiet();
    world.true_window();
    assert_eq!(range(&world), (0, 12, 12));
}

#[test]
fn a_hole_in_a_stream_is_answered_by_a_resume() {
    let mut world = opened(10);
    world.server.start_run();
    world.quiet();
    world.server.say(2);
    world.server.wire().clear();
    world.server.say(2);
    world.quiet();
    world.true_window();
    world.server.say(1);
    world.server.wire().clear();
    world.server.end_run();
    world.quiet();
    world.true_window();
}

#[test]
fn what_comes_twice_counts_once() {
    let mut world = opened(10);
    world.server.start_run();
    world.server.say(3);
    let again = world.server.wire().clone();
    world.quiet();
    world.server.wire().extend(again);
    world.quiet();
    world.true_window();
}

/// A jump that could not be read is tried again with the next subscription, whatever brings that about.
#[test]
fn a_jump_that_failed_for_now_is_not_forgotten() {
    let mut world = opened(1_000);
    world.run(Op::Jump(Some(500)));
    world.run(Op::Lose);
    // A hole in the log leads to another subscription.
    world.server.append();
    world.server.append();
    world.server.wire().pop_front();
    world.quiet();
    let (from, to, _) = range(&world);
    assert!((from..to).contains(&500), "{from}..{to}");
    world.true_window();
}

/// Whoever asks too often is asked to wait, which is no reason to give the thread up.
#[test]
fn an_opening_that_is_refused_for_now_is_tried_again() {
    for code in [ErrorCode::RateLimited, ErrorCode::Overloaded] {
        let mut world = World::new(10, Anchor::Tip);
        let (request, _) = world.asked.pop().expect("a window is asked for");
        let later = Problem { retry_after: Some(700), ..Problem::new(code, "not now") };
        world.input(Input::Page(request, Err(later)));
        world.quiet();
        assert_eq!(range(&world), (0, 10, 10), "{code:?}");
        world.true_window();
    }
}

/// A view of a thread where a run has begun, and what the host was told of its message since it was last asked.
struct Growing {
    world: World,
    run: RunId,
    message: MessageId,
    to: u64,
}

impl Growing {
    fn new() -> Self {
        let mut world = opened(2);
        world.server.start_run();
        world.quiet();
        let view = world.engine.view(VIEW).expect("an open view");
        let run = view.cursor().runs.first().expect("a run that is followed").run.clone();
        let message = view.rows().last().expect("its row").message.id.clone();
        Self { world, run, message, to: 0 }
    }

    fn say(&mut self, chunks: Vec<Chunk>) -> Vec<Patch> {
        let from = self.to;
        self.to += chunks.len() as u64;
        let (run, message) = (self.run.clone(), self.message.clone());
        let frame = ServerFrame::Chunks { thread: thread(), run, message, from, to: self.to, chunks };
        self.told(Input::Received(to_cbor(&frame)))
    }

    fn wait(&mut self, time: u64) -> Vec<Patch> {
        self.world.now += time;
        self.told(Input::Tick)
    }

    fn told(&mut self, input: Input) -> Vec<Patch> {
        self.world.engine.handle(self.world.now, input);
        let mut told = Vec::new();
        loop {
            match self.world.engine.poll_output() {
                Output::View(_, patch @ (Patch::Part { .. } | Patch::Update(_))) => told.push(patch),
                Output::Wait(until) => {
                    self.world.deadline = until;
                    return told;
                }
                _ => {}
            }
        }
    }
}

fn input_start(call_id: &str) -> Chunk {
    Chunk::ToolInputStart { call_id: call_id.into(), name: "t".into(), dynamic: true }
}

fn input_delta(call_id: &str) -> Chunk {
    Chunk::ToolInputDelta { call_id: call_id.into(), delta: "x".into() }
}

fn metadata(json: &str) -> Chunk {
    Chunk::Metadata { metadata: JsonText(json.into()) }
}

/// A row shows the whole input of a tool each time: who joined in late, or calls two tools by turns, would otherwise
/// pay for it with each delta.
#[test]
fn inputs_that_grow_by_turns_are_shown_once_a_batch() {
    let mut growing = Growing::new();
    let calls = ["a", "b"];
    let deltas = (0..1_000).map(|n| input_delta(calls[n % 2]));
    let told = growing.say(calls.into_iter().map(input_start).chain(deltas).collect());
    assert_eq!(told.len(), 4, "two calls that begin, and the input of each");
}

/// Nor with each batch: a megabyte that comes in a thousand of them would cost the square of it.
#[test]
fn an_input_that_grows_is_shown_once_a_second_and_when_it_is_whole() {
    let mut growing = Growing::new();
    growing.say(vec![input_start("a")]);
    let mut shown = 0;
    for _ in 0..1_000 {
        shown += growing.say(vec![input_delta("a")]).len();
        shown += growing.wait(10).len();
    }
    assert!((9..=11).contains(&shown), "{shown} times in ten seconds");
    growing.say(vec![input_delta("a")]);
    let rest = growing.world.deadline.expect("what was not shown is due").saturating_sub(growing.world.now);
    assert!(rest <= 1_000, "in {rest} ms");
    let told = growing.wait(rest);
    let [Patch::Part { part: 0, value, .. }] = &told[..] else { panic!("{told:?}") };
    let Part::Tool(tool) = &**value else { panic!("{value:?}") };
    assert_eq!(tool.input.as_ref().map(|input| input.0.len()), Some(1_001 + 2), "to the last delta");
    let whole = Chunk::ToolInputAvailable {
        call_id: "a".into(),
        name: "t".into(),
        input: JsonText("{}".into()),
        dynamic: true,
    };
    growing.say(vec![input_delta("a")]);
    assert_eq!(growing.say(vec![whole]).len(), 1, "at once");
    assert_eq!(growing.wait(1_000), [], "and not again");
}

/// What a run says of itself is there while it runs, as it is after a reload.
#[test]
fn metadata_is_live() {
    let mut growing = Growing::new();
    let told = growing.say(vec![metadata("{\"warnings\":[\"w\"]}"), metadata("{\"n\":1}")]);
    let [Patch::Update(row)] = &told[..] else { panic!("{told:?}") };
    let kept = row.message.metadata.as_ref().expect("metadata").0.clone();
    assert!(kept.contains("warnings") && kept.contains("\"n\":1"), "{kept}");
    assert!(row.run.is_some());
    let view = growing.world.engine.view(VIEW).expect("an open view");
    assert_eq!(view.rows().last().map(|row| row.message.metadata.clone()), Some(row.message.metadata.clone()));
    // A provider that counts with each token does not have the whole message told with each.
    let told: usize = (0..100).map(|n| growing.say(vec![metadata(&format!("{{\"n\":{n}}}"))]).len()).sum();
    assert_eq!(told, 0);
    let told = growing.wait(1_000);
    assert!(
        matches!(&told[..], [Patch::Update(row)] if row.message.metadata.as_ref().is_some_and(|m| m.0.contains("99")))
    );
}

/// The server was started anew, and a page is there before the connection: it is neither refused for good nor asked for
/// again and again, but asked for once the log has gone on from here.
#[test]
fn a_page_of_a_restarted_server_waits_for_the_connection() {
    let mut world = World::new(200, Anchor::Tip);
    world.quiet();
    let before = world.fetches;
    world.run(Op::Restart);
    world.run(Op::Load(Side::Older));
    for _ in 0..5 {
        world.run(Op::Read);
        world.run(Op::Page);
    }
    assert_eq!(world.fetches, before + 1, "it is not asked for over and over");
    assert!(world.engine.view(VIEW).expect("an open view").head().loading_older);
    world.quiet();
    assert_eq!(world.fetches, before + 2, "and then once");
    assert_eq!(range(&world), (125, 200, 200));
    world.true_window();
}

#[test]
fn a_page_of_a_restarted_server_is_asked_for_after_a_reset_too() {
    let mut server = Server::with_messages(200);
    let mut view = View::new(thread(), None, Anchor::Tip);
    let (opening, request) = view.poll_open().expect("a window is asked for");
    assert_eq!(view.on_open(opening, Ok(server.window(&request))), Need::Subscribe);
    assert!(view.subscribe(1).is_some());
    view.want(Side::Older);
    let (side, page) = view.poll_page().expect("a page is asked for");
    server.begin_epoch();
    assert_eq!(view.on_page(side, Ok(server.window(&page))), Need::Nothing);
    assert_eq!(view.poll_page(), None);
    view.on_window(1, server.window(&request));
    let (side, page) = view.poll_page().expect("it is asked for again");
    let _ = view.on_page(side, Ok(server.window(&page)));
    assert_eq!(view.head().from, 125);
}

/// Coming back again and again to a thread where nothing happens costs no window.
#[test]
fn a_quiet_thread_is_resumed_at_every_connection() {
    let mut world = opened(100);
    let before = world.fetches;
    for _ in 0..6 {
        world.run(Op::Drop);
        world.quiet();
    }
    assert_eq!(world.fetches, before);
    world.true_window();
}

/// An epoch begins with each start of the server: who goes on from a cursor of before reads no window again, neither at
/// once nor at the next change or page.
#[test]
fn a_restart_costs_no_window() {
    let mut world = World::new(200, Anchor::Tip);
    world.quiet();
    let before = world.fetches;
    for _ in 0..6 {
        world.run(Op::Restart);
        world.quiet();
        world.run(Op::Append);
        world.quiet();
    }
    assert_eq!(world.fetches, before);
    world.run(Op::Restart);
    world.quiet();
    world.run(Op::Load(Side::Older));
    world.quiet();
    assert_eq!(world.fetches, before + 1, "one page, which fits");
    world.true_window();
}

/// A page overtakes the log, its rows are given up, and the log then names them: only another page brings them back,
/// since what was seen of them may be newer than what the log says first.
#[test]
fn the_log_brings_back_no_row_that_a_page_has_overtaken() {
    use Op::{Deliver, Edit, Load, Page, Read, Say, Start, Up};
    let mut world = World::new(150, Anchor::Tip);
    let (older, newer) = (Load(Side::Older), Load(Side::Newer));
    let ops =
        [Read, Start, Page, older, Edit(0), Read, Op::Drop, Edit(7), Page, Say(1), newer, Read, Op::Pass(300), Page];
    for op in ops.into_iter().chain([Up(1), older, Read, Deliver(1), Deliver(1), Page, Deliver(1)]) {
        world.run(op);
        world.bounded();
    }
    world.quiet();
    world.true_window();
}

/// A replica answers a jump from before what a page has shown already.
#[test]
fn a_window_from_before_what_was_seen_is_read_again() {
    let mut world = opened(300);
    let request =
        |depth| PageRequest { thread: thread(), branch: None, anchor: Anchor::Depth(depth), before: 25, after: 50 };
    let early = world.server.window(&request(240));
    world.server.edit(240);
    // The page has the edit; the log has not brought it.
    world.run(Op::Load(Side::Older));
    world.run(Op::Read);
    world.run(Op::Page);
    world.run(Op::Jump(Some(240)));
    let (asked, _) = world.asked.pop().expect("a window is asked for");
    world.input(Input::Page(asked, Ok(early)));
    world.bounded();
    assert_eq!(world.asked.len(), 1, "it is asked for again");
    world.quiet();
    world.true_window();
}
