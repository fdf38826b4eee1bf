//! The whole client: one session, the views and lists on it, and the pages they read.
//!
//! A host feeds it with [`Engine::handle`] and then drains [`Engine::poll_output`] until it says `Wait`.
//! Views and lists are named by numbers of the host's choosing. Frames name threads and not
//! subscriptions, so a thread has one subscription a connection: the view opened last has it, and an
//! earlier one of the same thread keeps what it holds and resumes when the later one is gone.

use crate::Now;
use crate::backoff::Backoff;
use crate::list::{List, ListPage, ListPatch, ListRequest};
use crate::numbered::Numbered;
use crate::queue::Queue;
use crate::session::{Action, Heard, Session, Status, passes};
use crate::window::{Edge, Need, PageRequest, Patch, Side, View};
use alloc::string::String;
use alloc::vec::Vec;
use threadmill_proto::{
    Anchor, BranchId, ClientFrame, ErrorCode, Problem, ServerFrame, Summary, ThreadId, Window, read, write,
};

/// What can happen to a client.
#[derive(Debug, Clone)]
pub enum Input {
    /// Connect.
    Start,
    /// Close everything.
    Stop,
    /// The network or the reader is back.
    Wake,
    /// The socket is open.
    Opened,
    /// The socket is closed or could not be opened.
    Closed,
    /// A binary message came.
    Received(Vec<u8>),
    /// Time has passed.
    Tick,
    /// Show a thread.
    Open {
        /// The host's name for the view.
        view: u32,
        /// The thread.
        thread: ThreadId,
        /// The branch; the default one if none is named.
        branch: Option<BranchId>,
        /// Where.
        anchor: Anchor,
    },
    /// The view is shown no more.
    Release(u32),
    /// The next page of a side.
    Load(u32, Side),
    /// Elsewhere on the same branch.
    Jump(u32, Anchor),
    /// Another branch.
    Switch(u32, BranchId),
    /// Where the reader is.
    Edge(u32, Edge),
    /// Show the thread list.
    OpenList {
        /// The host's name for the list.
        list: u32,
        /// Part of the title.
        title: Option<String>,
    },
    /// The list is shown no more.
    ReleaseList(u32),
    /// The next page of the list.
    LoadList(u32),
    /// The answer to a `Fetch` of a window.
    Page(u32, Result<Window, Problem>),
    /// The answer to a `Fetch` of a list page.
    ListPage(u32, Result<ListPage, Problem>),
}

/// What to read over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetch {
    /// A window.
    Window(PageRequest),
    /// A page of the thread list.
    List(ListRequest),
}

impl Fetch {
    /// The path and query under `/v1` that answers it. A window is asked for as CBOR.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Window(page) => page.path(),
            Self::List(list) => list.path(),
        }
    }
}

/// What the host does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Open a socket, closing the one there is.
    Connect,
    /// Close the socket.
    Disconnect,
    /// Send a binary message.
    Send(Vec<u8>),
    /// Read over HTTP and answer with this number.
    Fetch(u32, Fetch),
    /// A view changed.
    View(u32, Patch),
    /// A list changed.
    List(u32, ListPatch),
    /// The connection changed.
    Status(Status),
    /// Nothing more now; `Tick` at this moment if nothing else happens.
    Wait(Option<Now>),
}

#[derive(Debug)]
struct Slot {
    view: View,
    /// Its subscription on this connection.
    sub: Option<u32>,
    /// Higher was opened later.
    order: u32,
    /// When to ask again after a refusal that passes.
    retry: Option<Now>,
}

#[derive(Debug, Clone, Copy)]
enum Asked {
    Page(u32, Side),
    List(u32),
}

/// The summary log as this connection follows it.
#[derive(Debug, Default)]
struct Feed {
    /// The last place seen; none before a list was read.
    pos: Option<u64>,
    following: bool,
}

/// A client without I/O.
#[derive(Debug)]
pub struct Engine {
    session: Session,
    backoff: Backoff,
    slots: Numbered<Slot>,
    lists: Numbered<List>,
    feed: Feed,
    asked: Numbered<Asked>,
    shown: Option<Status>,
    counter: u32,
    outputs: Queue<Output>,
}

impl Engine {
    /// An engine that has not started. The seed spreads reconnects; `client` is for the server's log.
    #[must_use]
    pub fn new(seed: u64, client: &str) -> Self {
        Self {
            session: Session::new(seed, client),
            backoff: Backoff::new(!seed),
            slots: Numbered::default(),
            lists: Numbered::default(),
            feed: Feed::default(),
            asked: Numbered::default(),
            shown: None,
            counter: 0,
            outputs: Queue::default(),
        }
    }

    /// A view, as it is now.
    #[must_use]
    pub fn view(&self, view: u32) -> Option<&View> {
        self.slots.get(view).map(|slot| &slot.view)
    }

    /// A list, as it is now.
    #[must_use]
    pub fn list(&self, list: u32) -> Option<&List> {
        self.lists.get(list)
    }

    /// What the connection is like.
    #[must_use]
    pub fn status(&self) -> &Status {
        self.session.status()
    }

    /// Takes one input; what follows from it is in the outputs.
    pub fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Start => self.session.start(now),
            Input::Stop => self.session.stop(),
            Input::Wake => self.session.wake(now),
            Input::Opened => self.session.opened(now),
            Input::Closed => self.session.closed(now),
            Input::Received(bytes) => self.receive(now, &bytes),
            Input::Tick => self.tick(now),
            Input::Open { view, thread, branch, anchor } => self.open(view, thread, branch, anchor),
            Input::Release(view) => self.release(view),
            Input::Load(view, side) => self.with(view, |view| view.want(side)),
            Input::Jump(view, anchor) => self.ask(view, |view| view.jump(anchor)),
            Input::Switch(view, branch) => self.ask(view, |view| view.switch(branch)),
            Input::Edge(view, edge) => self.with(view, |view| view.set_edge(edge)),
            Input::OpenList { list, title } => {
                self.lists.insert(list, List::new(title.as_deref()));
            }
            Input::ReleaseList(list) => {
                self.lists.remove(list);
            }
            Input::LoadList(list) => {
                if let Some(list) = self.lists.get_mut(list) {
                    list.want();
                }
            }
            Input::Page(request, answer) => self.page(request, answer),
            Input::ListPage(request, answer) => self.list_page(request, answer),
        }
        self.settle();
    }

    /// The next thing for the host to do.
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop().unwrap_or_else(|| Output::Wait(self.deadline()))
    }

    fn deadline(&self) -> Option<Now> {
        let retries = self.slots.values().filter_map(|slot| slot.retry);
        retries.chain(self.session.deadline()).min()
    }

    fn number(&mut self) -> u32 {
        self.counter = self.counter.wrapping_add(1).max(1);
        self.counter
    }

    fn send(&mut self, frame: &ClientFrame) {
        self.outputs.push(Output::Send(write(frame)));
    }

    fn with(&mut self, view: u32, act: impl FnOnce(&mut View)) {
        if let Some(slot) = self.slots.get_mut(view) {
            act(&mut slot.view);
        }
    }

    fn ask(&mut self, view: u32, act: impl FnOnce(&mut View) -> Need) {
        let need = self.slots.get_mut(view).map(|slot| act(&mut slot.view));
        if need == Some(Need::Subscribe) {
            self.subscribe(view);
        }
    }

    fn open(&mut self, view: u32, thread: ThreadId, branch: Option<BranchId>, anchor: Anchor) {
        let earlier = self.holder(&thread);
        if let Some(earlier) = earlier {
            self.unsubscribe(earlier);
        }
        let order = self.number();
        self.slots.insert(view, Slot { view: View::new(thread, branch, anchor), sub: None, order, retry: None });
        self.subscribe(view);
    }

    fn release(&mut self, view: u32) {
        self.unsubscribe(view);
        let Some(slot) = self.slots.remove(view) else { return };
        self.asked.retain(|asked| !matches!(asked, Asked::Page(of, _) if *of == view));
        if let Some(next) = self.holder(slot.view.thread()) {
            self.subscribe(next);
        }
    }

    /// The view that has, or should have, the subscription of a thread.
    fn holder(&self, thread: &ThreadId) -> Option<u32> {
        let of_thread = self.slots.iter().filter(|(_, slot)| slot.view.thread() == thread);
        of_thread.max_by_key(|(_, slot)| slot.order).map(|(view, _)| view)
    }

    fn unsubscribe(&mut self, view: u32) {
        let Some(slot) = self.slots.get_mut(view) else { return };
        slot.view.disconnect();
        slot.retry = None;
        if let Some(sub) = slot.sub.take() {
            self.send(&ClientFrame::Unsubscribe { sub });
        }
    }

    /// Subscribes a view from where it is, if it is its turn and the connection stands.
    fn subscribe(&mut self, view: u32) {
        let Some(thread) = self.slots.get(view).map(|slot| slot.view.thread().clone()) else { return };
        if !self.session.is_live() || self.holder(&thread) != Some(view) {
            return;
        }
        self.unsubscribe(view);
        let sub = self.number();
        if let Some(slot) = self.slots.get_mut(view) {
            slot.sub = Some(sub);
            let frame = slot.view.subscribe(sub);
            self.send(&frame);
        }
    }

    fn tick(&mut self, now: Now) {
        self.session.tick(now);
        let due = |slot: &Slot| slot.retry.is_some_and(|at| at <= now);
        let due: Vec<u32> = self.slots.iter().filter(|(_, slot)| due(slot)).map(|(view, _)| view).collect();
        for view in due {
            if let Some(slot) = self.slots.get_mut(view) {
                slot.retry = None;
            }
            self.subscribe(view);
        }
    }

    fn receive(&mut self, now: Now, bytes: &[u8]) {
        match read::<ServerFrame>(bytes) {
            Some(frame) => {
                if self.session.frame(now, &frame) == Heard::ForSubscriptions {
                    self.frame(now, frame);
                }
            }
            None => self.session.unreadable(now),
        }
    }

    fn frame(&mut self, now: Now, frame: ServerFrame) {
        match frame {
            ServerFrame::Window { sub, window } => self.on_sub(sub, |view| view.on_window(sub, window)),
            ServerFrame::Resumed { sub } => self.on_sub(sub, |view| view.on_resumed(sub)),
            ServerFrame::Reset { sub, reason: _ } => self.on_sub(sub, |view| view.on_reset(sub)),
            ServerFrame::Event { thread, event } => self.on_thread(&thread, |view| view.on_event(event)),
            ServerFrame::Advance { thread, position, total, branch: _ } => {
                self.on_thread(&thread, |view| view.on_advance(position, total));
            }
            ServerFrame::Chunks { thread, run, message: _, from, to, chunks } => {
                self.on_thread(&thread, |view| view.on_chunks(&run, from, to, &chunks));
            }
            ServerFrame::Summaries { pos, items } => self.summaries(pos, &items),
            ServerFrame::Failed { sub, problem } => self.failed(now, sub, problem),
            ServerFrame::Pong { token, now: _ } => {
                self.slots.values_mut().for_each(|slot| slot.view.on_pong(token));
            }
            ServerFrame::Welcome { .. }
            | ServerFrame::Refused(_)
            | ServerFrame::Closing { .. }
            | ServerFrame::Flags { .. } => {}
        }
    }

    fn on_sub(&mut self, sub: u32, act: impl FnOnce(&mut View)) {
        if let Some(slot) = self.slots.values_mut().find(|slot| slot.sub == Some(sub)) {
            act(&mut slot.view);
        }
    }

    fn on_thread(&mut self, thread: &ThreadId, act: impl FnOnce(&mut View) -> Need) {
        if let Some(view) = self.holder(thread) {
            self.ask(view, act);
        }
    }

    fn failed(&mut self, now: Now, sub: Option<u32>, problem: Problem) {
        let slot = self.slots.iter_mut().find(|(_, slot)| sub.is_some() && slot.sub == sub);
        let (Some((view, slot)), Some(sub)) = (slot, sub) else { return };
        slot.sub = None;
        if passes(problem.code) {
            slot.view.disconnect();
            let wait = u64::from(problem.retry_after.unwrap_or(500)) + self.backoff.within(500);
            slot.retry = Some(now + wait);
        } else {
            self.ask(view, |view| view.on_failed(sub, problem));
        }
    }

    fn summaries(&mut self, pos: u64, items: &[Summary]) {
        self.feed.pos = self.feed.pos.map(|seen| seen.max(pos));
        self.lists.values_mut().for_each(|list| list.on_summaries(items));
    }

    fn page(&mut self, request: u32, answer: Result<Window, Problem>) {
        if let Some(Asked::Page(view, side)) = self.asked.remove(request) {
            self.ask(view, |view| view.on_page(side, answer));
        }
    }

    fn list_page(&mut self, request: u32, answer: Result<ListPage, Problem>) {
        let Some(Asked::List(list)) = self.asked.remove(request) else { return };
        let Some(list) = self.lists.get_mut(list) else { return };
        if let Ok(page) = &answer {
            self.feed.pos.get_or_insert(page.pos);
        }
        list.on_page(answer);
        self.follow();
    }

    fn follow(&mut self) {
        if let (true, false, Some(since)) = (self.session.is_live(), self.feed.following, self.feed.pos) {
            self.feed.following = true;
            self.send(&ClientFrame::FollowList { since });
        }
    }

    fn settle(&mut self) {
        while let Some(action) = self.session.poll() {
            match action {
                Action::Connect => self.outputs.push(Output::Connect),
                Action::Disconnect => self.outputs.push(Output::Disconnect),
                Action::Send(frame) => self.send(&frame),
                Action::Up => self.up(),
                Action::Down => self.down(),
            }
        }
        self.settle_views();
        self.settle_lists();
        if self.shown.as_ref() != Some(self.session.status()) {
            self.shown = Some(self.session.status().clone());
            self.outputs.push(Output::Status(self.session.status().clone()));
        }
    }

    fn up(&mut self) {
        let views: Vec<u32> = self.slots.iter().filter(|(_, slot)| !slot.view.is_over()).map(|(id, _)| id).collect();
        views.into_iter().for_each(|view| self.subscribe(view));
        self.follow();
        self.lists.values_mut().filter(|list| !list.head().ready).for_each(List::want);
    }

    fn down(&mut self) {
        self.feed.following = false;
        for slot in self.slots.values_mut() {
            slot.view.disconnect();
            slot.sub = None;
            slot.retry = None;
        }
    }

    fn settle_views(&mut self) {
        let views: Vec<u32> = self.slots.numbers();
        for id in views {
            let token = u64::from(self.number());
            let Some(slot) = self.slots.get_mut(id) else { continue };
            let range = slot.view.announce(token);
            let pages: Vec<_> = core::iter::from_fn(|| slot.view.poll_page()).collect();
            while let Some(patch) = slot.view.poll_patch() {
                self.outputs.push(Output::View(id, patch));
            }
            if let Some(range) = range {
                self.send(&range);
                self.send(&ClientFrame::Ping { token });
            }
            for (side, page) in pages {
                let request = self.number();
                self.asked.insert(request, Asked::Page(id, side));
                self.outputs.push(Output::Fetch(request, Fetch::Window(page)));
            }
        }
    }

    fn settle_lists(&mut self) {
        let lists: Vec<u32> = self.lists.numbers();
        for id in lists {
            let request = self.number();
            let Some(list) = self.lists.get_mut(id) else { continue };
            let page = list.poll_page();
            while let Some(patch) = list.poll_patch() {
                self.outputs.push(Output::List(id, patch));
            }
            if let Some(page) = page {
                self.asked.insert(request, Asked::List(id));
                self.outputs.push(Output::Fetch(request, Fetch::List(page)));
            }
        }
    }
}

/// The problem of a request that got no answer.
#[must_use]
pub fn unanswered(why: &str) -> Problem {
    Problem::new(ErrorCode::Unavailable, why)
}
