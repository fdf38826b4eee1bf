//! The browser's bindings: inputs as method calls, outputs as one CBOR array of patches.
//!
//! Nothing of a window crosses the boundary twice: a poll returns what changed since the last one, in the
//! shapes the TypeScript host hands on. Opaque JSON crosses as its text and is parsed there.

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

mod encode;
#[cfg(target_arch = "wasm32")]
mod runtime;

use alloc::string::String;
use alloc::vec::Vec;
use threadmill_core::engine::{Company, Engine, Input, Output, unanswered};
use threadmill_core::list::ListPage;
use threadmill_core::outbox::{Answer, Purpose};
use threadmill_core::window::{Edge, Side};
use threadmill_proto::{Anchor, BranchId, MessageId, Problem, RunId, Summary, ThreadId, Window, Writer, read};
use wasm_bindgen::prelude::wasm_bindgen;

/// Bits of `entry`'s flags.
const RUNNING: u32 = 1;
const ARCHIVED: u32 = 2;
const DELETED: u32 = 4;

/// What happened to the connection, the page or the clock.
#[wasm_bindgen]
#[derive(Debug, Clone, Copy)]
pub enum Signal {
    /// Connect; this tab is on its own.
    Start,
    /// Connect; there may be other tabs.
    Join,
    /// Close everything.
    Stop,
    /// The network or the reader is back.
    Wake,
    /// Nobody can see the page.
    Hidden,
    /// The page can be seen again.
    Shown,
    /// The connection is open, or a request is about to be made.
    Opened,
    /// The connection is closed or could not be opened.
    Closed,
    /// Time has passed.
    Tick,
}

/// What is wanted of a view, a list or a write.
#[wasm_bindgen]
#[derive(Debug, Clone, Copy)]
pub enum Wish {
    /// A view's next page towards depth 0.
    Older,
    /// A view's next page towards the tip.
    Newer,
    /// The view's reader is at the live edge.
    Follow,
    /// The view's reader is elsewhere.
    Unfollow,
    /// Nobody looks at the view for now.
    Rest,
    /// Somebody looks at the view again.
    Resume,
    /// The view is over.
    Release,
    /// A list's next page.
    More,
    /// The list is shown no more.
    ReleaseList,
    /// A write is tried again.
    Retry,
    /// A write is given up.
    Discard,
}

/// The engine of one tab. Times are milliseconds of any clock that never goes back.
#[wasm_bindgen]
pub struct Core {
    engine: Engine,
    /// The list page under construction.
    page: ListPage,
}

#[wasm_bindgen]
impl Core {
    /// An engine that has not started. The seed spreads reconnects.
    #[wasm_bindgen(constructor)]
    pub fn new(seed: f64, client: &str) -> Self {
        Self { engine: Engine::new(seed.to_bits(), client), page: ListPage::default() }
    }

    /// Everything to do now, as a CBOR array; its last item is the wait.
    pub fn poll(&mut self) -> Vec<u8> {
        let mut out = Writer::default();
        out.list();
        loop {
            let output = self.engine.poll_output();
            encode::output(&mut out, &output);
            if let Output::Wait(_) = output {
                out.end();
                return out.done();
            }
        }
    }

    /// Something happened to the connection or the clock.
    pub fn signal(&mut self, now: f64, signal: Signal) {
        let input = match signal {
            Signal::Start => Input::Start(Company::Alone),
            Signal::Join => Input::Start(Company::Others),
            Signal::Stop => Input::Stop,
            Signal::Wake => Input::Wake,
            Signal::Hidden => Input::Hidden,
            Signal::Shown => Input::Shown,
            Signal::Opened => Input::Opened,
            Signal::Closed => Input::Closed,
            Signal::Tick => Input::Tick,
        };
        self.handle(now, input);
    }

    /// Something is wanted of a view, a list or a write.
    pub fn ask(&mut self, now: f64, number: u32, wish: Wish) {
        let input = match wish {
            Wish::Older => Input::Load(number, Side::Older),
            Wish::Newer => Input::Load(number, Side::Newer),
            Wish::Follow => Input::Edge(number, Edge::Live),
            Wish::Unfollow => Input::Edge(number, Edge::Away),
            Wish::Rest => Input::Rest(number),
            Wish::Resume => Input::Resume(number),
            Wish::Release => Input::Release(number),
            Wish::More => Input::LoadList(number),
            Wish::ReleaseList => Input::ReleaseList(number),
            Wish::Retry => Input::Retry(number),
            Wish::Discard => Input::Discard(number),
        };
        self.handle(now, input);
    }

    /// This tab holds the lock; the last epoch that the browser remembers.
    pub fn lead(&mut self, now: f64, epoch: f64) {
        self.handle(now, Input::Lead(epoch as u64));
    }

    /// Another tab said something.
    pub fn heard(&mut self, now: f64, message: Vec<u8>) {
        self.handle(now, Input::Heard(message));
    }

    /// The credential from now on.
    pub fn token(&mut self, now: f64, token: String) {
        self.handle(now, Input::Token(token));
    }

    /// A write to be sent for a thread, that starts this run, or stops it. `tried`: it may have reached the server.
    /// False if an id is none.
    pub fn write(&mut self, now: f64, number: u32, thread: &str, run: &str, stops: bool, tried: bool) -> bool {
        let purpose = match (RunId::parse(run), stops) {
            (Ok(run), true) => Purpose::Stops(run),
            (Ok(run), false) => Purpose::Starts(run),
            (Err(_), _) => Purpose::Plain,
        };
        let thread = ThreadId::parse(thread);
        let known = thread.is_ok();
        if let Ok(thread) = thread {
            self.handle(now, Input::Write { number, thread, purpose, tried });
        }
        known
    }

    /// The answer to a write: its HTTP status (0: none came), its code, and when to try again (negative: not said).
    pub fn written(&mut self, now: f64, number: u32, status: u16, code: &str, retry_after: f64) {
        let retry_after = (retry_after >= 0.0).then_some(retry_after as u64);
        self.handle(now, Input::Written(number, Answer::of(status, code, retry_after)));
    }

    /// Holds at most so many bytes of views.
    pub fn room(&mut self, bytes: u32) {
        self.engine.set_room(bytes as usize);
    }

    /// Views held.
    pub fn views(&self) -> u32 {
        self.engine.held().0 as u32
    }

    /// Bytes of the views held.
    pub fn bytes(&self) -> u32 {
        self.engine.held().1 as u32
    }

    /// A binary message came.
    pub fn received(&mut self, now: f64, bytes: Vec<u8>) {
        self.handle(now, Input::Received(bytes));
    }

    /// Shows a thread as view number `view`. False if an id is none.
    pub fn open(&mut self, now: f64, view: u32, thread: &str, branch: Option<String>, anchor: &str, at: f64) -> bool {
        let branch = branch.map(|branch| BranchId::parse(&branch)).transpose();
        match (ThreadId::parse(thread), branch, anchor_of(anchor, at)) {
            (Ok(thread), Ok(branch), Some(anchor)) => {
                self.handle(now, Input::Open { view, thread, branch, anchor });
                true
            }
            _ => false,
        }
    }

    /// Elsewhere on the same branch. False if the anchor is none.
    pub fn jump(&mut self, now: f64, view: u32, anchor: &str, at: f64) -> bool {
        let anchor = anchor_of(anchor, at);
        let known = anchor.is_some();
        if let Some(anchor) = anchor {
            self.handle(now, Input::Jump(view, anchor));
        }
        known
    }

    /// Another branch. False if the id is none.
    pub fn switch(&mut self, now: f64, view: u32, branch: &str) -> bool {
        let branch = BranchId::parse(branch);
        let known = branch.is_ok();
        if let Ok(branch) = branch {
            self.handle(now, Input::Switch(view, branch));
        }
        known
    }

    /// Shows the thread list as list number `list`.
    #[wasm_bindgen(js_name = openList)]
    pub fn open_list(&mut self, now: f64, list: u32, title: Option<String>) {
        self.handle(now, Input::OpenList { list, title });
    }

    /// The body of a successful answer to a window fetch.
    pub fn page(&mut self, now: f64, request: u32, body: &[u8]) {
        let answer = read::<Window>(body).ok_or_else(|| unanswered("the server's window could not be read"));
        self.handle(now, Input::Page(request, answer));
    }

    /// The body of a refusal of a window fetch; empty if there was no answer.
    #[wasm_bindgen(js_name = pageFailed)]
    pub fn page_failed(&mut self, now: f64, request: u32, body: &[u8]) {
        self.handle(now, Input::Page(request, Err(problem_of(body))));
    }

    /// One entry of the list page under way. Flags: 1 running, 2 archived, 4 deleted.
    pub fn entry(&mut self, id: &str, pos: f64, title: &str, snippet: &str, flags: u32, updated_at: f64) {
        let Ok(thread) = ThreadId::parse(id) else { return };
        self.page.threads.push(Summary {
            thread,
            pos: pos as u64,
            title: title.into(),
            snippet: snippet.into(),
            running: flags & RUNNING != 0,
            archived: flags & ARCHIVED != 0,
            deleted: flags & DELETED != 0,
            updated_at: updated_at as u64,
        });
    }

    /// The entries given so far are the answer to a list fetch.
    #[wasm_bindgen(js_name = listPage)]
    pub fn list_page(&mut self, now: f64, request: u32, next: Option<String>, pos: f64) {
        let threads = core::mem::take(&mut self.page.threads);
        self.handle(now, Input::ListPage(request, Ok(ListPage { threads, next, pos: pos as u64 })));
    }

    /// A list fetch failed.
    #[wasm_bindgen(js_name = listFailed)]
    pub fn list_failed(&mut self, now: f64, request: u32, body: &[u8]) {
        self.handle(now, Input::ListPage(request, Err(problem_of(body))));
    }

    /// The text of a message of a view so far.
    pub fn text(&self, view: u32, message: &str) -> Option<String> {
        let message = MessageId::parse(message).ok()?;
        self.engine.view(view)?.text(&message)
    }

    fn handle(&mut self, now: f64, input: Input) {
        self.engine.handle(now as u64, input);
    }
}

fn anchor_of(anchor: &str, at: f64) -> Option<Anchor> {
    match anchor {
        "tip" => Some(Anchor::Tip),
        "depth" => Some(Anchor::Depth(at as u64)),
        "time" => Some(Anchor::Time(at as u64)),
        id => MessageId::parse(id.strip_prefix("message:")?).ok().map(Anchor::Message),
    }
}

fn problem_of(body: &[u8]) -> Problem {
    read(body).unwrap_or_else(|| unanswered("the server did not answer"))
}
