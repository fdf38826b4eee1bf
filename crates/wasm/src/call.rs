//! What a host calls: numbers for kinds, numbers and texts for arguments. `packages/client/src/core/core.ts` has the same
//! numbers.

use crate::tab::Tab;
use core::str::from_utf8;
use threadmill_core::engine::{Company, Follows, Input, unanswered};
use threadmill_core::outbox::{Answer, Purpose};
use threadmill_core::window::{Edge, Side};
use threadmill_proto::{Anchor, BranchId, MessageId, Problem, RunId, Summary, ThreadId, Window, read};

/// Bits of an entry's flags.
const RUNNING: u32 = 1;
const ARCHIVED: u32 = 2;
const DELETED: u32 = 4;

/// The texts of a call; one that is not UTF-8 is empty.
struct Texts<'t>([&'t [u8]; 3]);

impl<'t> Texts<'t> {
    fn split(all: &'t [u8], first: usize, second: usize) -> Self {
        let (one, rest) = all.split_at_checked(first).unwrap_or_default();
        let (two, three) = rest.split_at_checked(second).unwrap_or_default();
        Self([one, two, three])
    }

    fn get(&self, at: usize) -> &'t str {
        from_utf8(self.0[at]).unwrap_or_default()
    }

    /// A text that may be missing.
    fn maybe(&self, at: usize) -> Option<&'t str> {
        Some(self.get(at)).filter(|text| !text.is_empty())
    }
}

impl Tab {
    /// Does it, and answers what was asked, or whether the arguments are any: 1, or 0 if an id is none.
    pub(crate) fn call(&mut self, kind: u32, now: f64, numbers: [f64; 3], first: usize, second: usize) -> u32 {
        let bytes = self.take_input();
        let [a, b, c] = numbers;
        let number = a as u32;
        let texts = Texts::split(&bytes, first, second);
        let input = match kind {
            0..=8 => Some(signal(kind)),
            9..=19 => Some(wish(number, kind)),
            20 => Some(Input::Lead(a as u64)),
            21 => Some(Input::Heard(bytes)),
            22 => Some(Input::Received(bytes)),
            23 => Some(Input::Token(texts.get(0).into())),
            24 => open(number, &texts, b),
            25 => anchor(texts.get(0), b).map(|anchor| Input::Jump(number, anchor)),
            26 => BranchId::parse(texts.get(0)).ok().map(|branch| Input::Switch(number, branch)),
            27 => Some(Input::OpenList { list: number, title: texts.maybe(0).map(Into::into) }),
            28 => {
                let window = read::<Window>(&bytes).ok_or_else(|| unanswered("the server's window could not be read"));
                Some(Input::Page(number, window))
            }
            29 => Some(Input::Page(number, Err(problem(&bytes)))),
            30 => return self.entry(&texts, numbers),
            31 => Some(self.list_page(number, &texts, b)),
            32 => Some(Input::ListPage(number, Err(problem(&bytes)))),
            33 => write(number, &texts, b as u32),
            34 => {
                let retry_after = (c >= 0.0).then_some(c as u64);
                Some(Input::Written(number, Answer::of(b as u16, texts.get(0), retry_after)))
            }
            35 => {
                self.engine.set_room(a as usize);
                return 1;
            }
            36 => return self.engine.held().0 as u32,
            37 => return self.engine.held().1 as u32,
            38 => Some(Input::Robbed),
            _ => None,
        };
        let known = input.is_some();
        if let Some(input) = input {
            self.handle(now, input);
        }
        u32::from(known)
    }

    /// One entry of the list page under way.
    fn entry(&mut self, texts: &Texts<'_>, [pos, flags, updated_at]: [f64; 3]) -> u32 {
        let flags = flags as u32;
        let Ok(thread) = ThreadId::parse(texts.get(0)) else { return 0 };
        self.page.threads.push(Summary {
            thread,
            pos: pos as u64,
            title: texts.get(1).into(),
            snippet: texts.get(2).into(),
            running: flags & RUNNING != 0,
            archived: flags & ARCHIVED != 0,
            deleted: flags & DELETED != 0,
            updated_at: updated_at as u64,
        });
        1
    }

    /// The entries given so far are the answer to a list fetch.
    fn list_page(&mut self, request: u32, texts: &Texts<'_>, pos: f64) -> Input {
        let mut page = core::mem::take(&mut self.page);
        (page.next, page.pos) = (texts.maybe(0).map(Into::into), pos as u64);
        Input::ListPage(request, Ok(page))
    }
}

fn signal(kind: u32) -> Input {
    match kind {
        0 => Input::Start(Company::Alone),
        1 => Input::Start(Company::Others),
        2 => Input::Stop,
        3 => Input::Wake,
        4 => Input::Hidden,
        5 => Input::Shown,
        6 => Input::Opened,
        7 => Input::Closed,
        _ => Input::Tick,
    }
}

fn wish(number: u32, kind: u32) -> Input {
    match kind {
        9 => Input::Load(number, Side::Older),
        10 => Input::Load(number, Side::Newer),
        11 => Input::Edge(number, Edge::Live),
        12 => Input::Edge(number, Edge::Away),
        13 => Input::Rest(number),
        14 => Input::Resume(number),
        15 => Input::Release(number),
        16 => Input::LoadList(number),
        17 => Input::ReleaseList(number),
        18 => Input::Retry(number),
        _ => Input::Discard(number),
    }
}

fn open(view: u32, texts: &Texts<'_>, at: f64) -> Option<Input> {
    let thread = ThreadId::parse(texts.get(0)).ok()?;
    let branch = texts.maybe(1).map(BranchId::parse).transpose().ok()?;
    let anchor = anchor(texts.get(2), at)?;
    Some(Input::Open { view, thread, branch, anchor })
}

/// Flags: 1 it stops the run named, else it starts it; 2 it may have reached the server already; 4 another follows.
fn write(number: u32, texts: &Texts<'_>, flags: u32) -> Option<Input> {
    let thread = ThreadId::parse(texts.get(0)).ok()?;
    let purpose = match (RunId::parse(texts.get(1)), flags & 1 != 0) {
        (Ok(run), true) => Purpose::Stops(run),
        (Ok(run), false) => Purpose::Starts(run),
        (Err(_), _) => Purpose::Plain,
    };
    let follows = if flags & 4 == 0 { Follows::Nothing } else { Follows::Another };
    Some(Input::Write { number, thread, purpose, tried: flags & 2 != 0, follows })
}

fn anchor(anchor: &str, at: f64) -> Option<Anchor> {
    match anchor {
        "tip" => Some(Anchor::Tip),
        "depth" => Some(Anchor::Depth(at as u64)),
        "time" => Some(Anchor::Time(at as u64)),
        id => MessageId::parse(id.strip_prefix("message:")?).ok().map(Anchor::Message),
    }
}

/// What a refusal says; nothing was answered if it says nothing.
fn problem(body: &[u8]) -> Problem {
    read(body).unwrap_or_else(|| unanswered("the server did not answer"))
}
