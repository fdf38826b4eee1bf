//! The whole client: one session, the tab's place among others, the views and lists, and the outbox.
//!
//! A host feeds it with [`Engine::handle`] and then drains [`Engine::poll_output`] until it says `Wait`.
//! Views, lists and writes are named by numbers of the host's choosing. A view opens with a window read over
//! HTTP and then subscribes from its cursor, whoever owns the connection. Frames about a thread name no
//! subscription: every view of the thread reads all of them, and leaves out what it has.

mod io;
mod link;
mod lists;
mod views;

pub use io::{Company, Fetch, Follows, Input, Output};

use crate::Now;
use crate::backoff::Backoff;
use crate::list::List;
use crate::numbered::Numbered;
use crate::outbox::{Outbox, Step};
use crate::queue::Queue;
use crate::session::{Session, Status};
use crate::tabs::{Role, Tabs};
use crate::window::{Side, View};
use lists::{Feed, ListSlot};
use threadmill_proto::{ErrorCode, Problem};
use views::Slot;

/// Bytes of views held unless the host says otherwise.
const ROOM: usize = 16 << 20;

#[derive(Debug, Clone, Copy)]
enum Asked {
    Open(u32, u32),
    Page(u32, Side),
    List(u32),
}

/// A client without I/O.
#[derive(Debug)]
pub struct Engine {
    session: Session,
    tabs: Tabs,
    outbox: Outbox,
    /// More writes are on their way into the outbox: nothing is sent before the next input of another kind.
    feeding: bool,
    backoff: Backoff,
    slots: Numbered<Slot>,
    room: usize,
    lists: Numbered<ListSlot>,
    feed: Feed,
    asked: Numbered<Asked>,
    shown: Option<Status>,
    /// What it is among the tabs is not known before it has started.
    started: bool,
    announced: Option<(Role, u64)>,
    counter: u32,
    outputs: Queue<Output>,
}

impl Engine {
    /// An engine that has not started. The seed spreads reconnects and names the tab; `client` is for the server's
    /// log.
    #[must_use]
    pub fn new(seed: u64, client: &str) -> Self {
        Self {
            session: Session::new(seed, client),
            tabs: Tabs::new(seed),
            outbox: Outbox::new(seed.rotate_left(32)),
            feeding: false,
            backoff: Backoff::new(!seed),
            slots: Numbered::default(),
            room: ROOM,
            lists: Numbered::default(),
            feed: Feed::default(),
            asked: Numbered::default(),
            shown: None,
            started: false,
            announced: None,
            counter: 0,
            outputs: Queue::default(),
        }
    }

    /// Holds at most so many bytes of views; those that are shown are held in any case.
    pub fn set_room(&mut self, bytes: usize) {
        self.room = bytes;
    }

    /// A view, as it is now.
    #[must_use]
    pub fn view(&self, view: u32) -> Option<&View> {
        self.slots.get(view).map(|slot| &slot.view)
    }

    /// Views held, shown or not, and their bytes.
    #[must_use]
    pub fn held(&self) -> (usize, usize) {
        let bytes = self.slots.values().map(|slot| slot.view.bytes());
        (self.slots.numbers().len(), bytes.sum())
    }

    /// A list, as it is now.
    #[must_use]
    pub fn list(&self, list: u32) -> Option<&List> {
        self.lists.get(list).map(|slot| &slot.list)
    }

    /// What the connection is like.
    #[must_use]
    pub fn status(&self) -> &Status {
        self.session.status()
    }

    /// What this tab is among the others.
    #[must_use]
    pub fn role(&self) -> Role {
        self.tabs.role()
    }

    /// Takes one input; what follows from it is in the outputs.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.feeding = false;
        match input {
            Input::Start(company) => self.start(now, company),
            Input::Lead(epoch) => self.lead(now, epoch),
            Input::Robbed => self.tabs.robbed(),
            Input::Heard(bytes) => self.heard(now, &bytes),
            Input::Hidden => self.hide(now),
            Input::Shown => self.reveal(now),
            Input::Token(token) => self.session.authenticate(now, token),
            Input::Stop => self.stop(now),
            Input::Wake => self.wake(now),
            Input::Opened => self.session.opened(now),
            Input::Closed => self.session.closed(now),
            Input::Received(bytes) => self.receive(now, &bytes),
            Input::Tick => self.tick(now),
            Input::Open { view, thread, branch, anchor } => self.open(view, thread, branch, anchor),
            Input::Rest(view) => self.rest(view),
            Input::Resume(view) => self.resume(view),
            Input::Release(view) => self.release(view),
            Input::Load(view, side) => self.with(view, |view| view.want(side)),
            Input::Jump(view, anchor) => self.with(view, |view| view.jump(anchor)),
            Input::Switch(view, branch) => self.with(view, |view| view.switch(branch)),
            Input::Edge(view, edge) => self.with(view, |view| view.set_edge(edge)),
            Input::OpenList { list, title } => {
                self.lists.insert(list, ListSlot::new(title.as_deref()));
            }
            Input::ReleaseList(list) => {
                self.lists.remove(list);
            }
            Input::LoadList(list) => {
                if let Some(slot) = self.lists.get_mut(list) {
                    slot.want();
                }
            }
            Input::Page(request, answer) => self.page(now, request, answer),
            Input::ListPage(request, answer) => self.list_page(now, request, answer),
            Input::Write { number, thread, purpose, tried, follows } => {
                self.outbox.add(number, thread, purpose, tried);
                self.feeding = follows == Follows::Another;
            }
            Input::Written(number, answer) => self.outbox.answer(now, number, answer),
            Input::Retry(number) => self.outbox.retry(number),
            Input::Discard(number) => self.outbox.discard(number),
        }
        self.settle(now);
    }

    /// The next thing for the host to do.
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop().unwrap_or_else(|| Output::Wait(self.deadline()))
    }

    fn deadline(&self) -> Option<Now> {
        let views = self.slots.values().flat_map(|slot| [slot.retry, slot.view.deadline()]);
        let lists = self.lists.values().map(|slot| slot.retry);
        let others = [self.session.deadline(), self.tabs.deadline(), self.outbox.deadline()];
        views.chain(lists).chain(others).flatten().min()
    }

    fn number(&mut self) -> u32 {
        self.counter = self.counter.wrapping_add(1).max(1);
        self.counter
    }

    fn tick(&mut self, now: Now) {
        self.session.tick(now);
        self.tabs.tick(now);
        self.tick_views(now);
        self.tick_lists(now);
    }

    fn settle(&mut self, now: Now) {
        // What the link brings may be for the views, and what they say may have to go through the tabs.
        self.settle_link(now);
        self.settle_views();
        self.settle_lists();
        self.settle_link(now);
        while let Some(step) = (!self.feeding).then(|| self.outbox.poll(now)).flatten() {
            self.outputs.push(match step {
                Step::Send(number) => Output::Write(number),
                Step::Now(number, stage) => Output::Writing(number, stage),
            });
        }
        let place = (self.tabs.role(), self.tabs.epoch());
        if self.started && self.announced != Some(place) {
            self.announced = Some(place);
            self.outputs.push(Output::Role(place.0, place.1));
        }
        if self.shown.as_ref() != Some(self.session.status()) {
            self.shown = Some(self.session.status().clone());
            self.outputs.push(Output::Status(self.session.status().clone()));
        }
    }
}

/// The problem of a request that got no answer.
#[must_use]
pub fn unanswered(why: &str) -> Problem {
    Problem::new(ErrorCode::Unavailable, why)
}
