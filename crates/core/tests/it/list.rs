//! The thread list of an engine whose server refuses it for now.

use threadmill_core::engine::{Company, Engine, Fetch, Input, Output, unanswered};
use threadmill_core::list::{ListPage, PAGE};
use threadmill_proto::{ErrorCode, Problem, Summary, ThreadId};

const LIST: u32 = 1;

struct World {
    engine: Engine,
    now: u64,
    deadline: Option<u64>,
    asked: Vec<u32>,
}

impl World {
    fn new() -> Self {
        let mut world = Self { engine: Engine::new(7, "test"), now: 0, deadline: None, asked: Vec::new() };
        world.input(Input::Start(Company::Alone));
        world.input(Input::OpenList { list: LIST, title: None });
        world
    }

    fn input(&mut self, input: Input) {
        self.engine.handle(self.now, input);
        loop {
            match self.engine.poll_output() {
                Output::Fetch(request, Fetch::List(_)) => self.asked.push(request),
                Output::Wait(until) => {
                    self.deadline = until;
                    return;
                }
                _ => {}
            }
        }
    }

    fn answer(&mut self, answer: Result<ListPage, Problem>) {
        let request = self.asked.pop().expect("a page is asked for");
        self.input(Input::ListPage(request, answer));
    }

    /// How long it is until a page is asked for again, if one is within a minute.
    fn until_asked(&mut self) -> Option<u64> {
        let begun = self.now;
        while self.asked.is_empty() {
            self.now = self.deadline.filter(|due| *due < begun + 60_000)?.max(self.now);
            self.input(Input::Tick);
        }
        Some(self.now - begun)
    }
}

fn refused(code: ErrorCode, retry_after: Option<u32>) -> Problem {
    Problem { retry_after, ..Problem::new(code, "not now") }
}

fn page(next: Option<&str>) -> ListPage {
    let entry = |n: u32| Summary {
        thread: ThreadId::parse(&format!("t{n}")).expect("a valid id"),
        pos: n.into(),
        title: String::new(),
        snippet: String::new(),
        running: false,
        archived: false,
        deleted: false,
        updated_at: 0,
    };
    ListPage { threads: (1..=PAGE).map(entry).collect(), next: next.map(Into::into), pos: PAGE.into() }
}

/// No connection comes about meanwhile that would bring the list back.
#[test]
fn a_list_that_is_refused_for_now_comes_back_by_itself() {
    for problem in
        [refused(ErrorCode::RateLimited, Some(700)), refused(ErrorCode::Unavailable, None), unanswered("lost")]
    {
        let least = u64::from(problem.retry_after.unwrap_or(0));
        let mut world = World::new();
        world.answer(Err(problem.clone()));
        let head = world.engine.list(LIST).expect("a list").head().clone();
        assert_eq!((head.ready, head.problem), (false, Some(problem)));
        let waited = world.until_asked().expect("it is asked for again");
        assert!((least + 1..least + 2_000).contains(&waited), "after {waited} ms");
        world.answer(Ok(page(None)));
        let list = world.engine.list(LIST).expect("a list");
        assert_eq!((list.entries().len(), list.head().ready, &list.head().problem), (PAGE as usize, true, &None));
        assert_eq!(world.until_asked(), None);
    }
}

#[test]
fn so_does_a_later_page() {
    let mut world = World::new();
    world.answer(Ok(page(Some("50"))));
    world.input(Input::LoadList(LIST));
    world.answer(Err(refused(ErrorCode::Overloaded, None)));
    assert!(world.until_asked().is_some());
}

#[test]
fn a_refusal_for_good_is_not_asked_again() {
    let mut world = World::new();
    world.answer(Err(refused(ErrorCode::Unauthorized, None)));
    assert_eq!(world.until_asked(), None);
}
