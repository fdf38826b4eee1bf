//! The tier in memory passes the suite, bare and in every decorator; and what decorators do themselves.

use std::sync::Arc;
use std::time::Duration;

use threadmill_store::hot::conformance::{HotRig, kit};
use threadmill_store::hot::{
    Breaker, BreakerPolicy, BreakerState, Cause, Faults, Faulty, HintEvent, HotError, HotStore, Lifetimes, MemoryHot,
    Metered, Op, TailKey,
};

/// The same memory, seen with two lifetimes: each is a tier of its own, which no check can tell.
struct InMemory {
    store: Arc<dyn HotStore>,
    brief: Arc<dyn HotStore>,
}

impl HotRig for InMemory {
    fn store(&self) -> Arc<dyn HotStore> {
        self.store.clone()
    }

    fn other(&self) -> Arc<dyn HotStore> {
        self.store.clone()
    }

    fn brief(&self) -> Arc<dyn HotStore> {
        self.brief.clone()
    }
}

fn memory() -> Arc<dyn HotStore> {
    Arc::new(MemoryHot::new(64 << 20, Lifetimes::default()))
}

fn within(decorate: impl Fn(Arc<dyn HotStore>) -> Arc<dyn HotStore>) -> InMemory {
    let brief = Arc::new(MemoryHot::new(64 << 20, kit::brief_lifetimes()));
    InMemory { store: decorate(memory()), brief: decorate(brief) }
}

mod bare {
    use super::*;
    threadmill_store::hot_conformance!(within(|store| store));
}

mod metered {
    use super::*;
    threadmill_store::hot_conformance!(within(|store| Arc::new(Metered::new(store))));
}

mod breaker {
    use super::*;
    threadmill_store::hot_conformance!(within(|store| Arc::new(Breaker::new(store, BreakerPolicy::default(), 1))));
}

mod faulty {
    use super::*;
    threadmill_store::hot_conformance!(within(|store| Arc::new(Faulty::new(store, Faults::default(), 1))));
}

fn hanging() -> Faults {
    Faults { hang: 1000, deadline: Duration::from_millis(250), ..Faults::default() }
}

/// A tier that hangs is given up within 2 s by callers that come one after the other, and asked again later.
#[tokio::test(start_paused = true)]
async fn a_hung_tier_is_given_up_and_taken_back() {
    let faulty = Arc::new(Faulty::new(memory(), hanging(), 1));
    let breaker = Breaker::new(faulty.clone(), BreakerPolicy::default(), 2);
    let mut state = breaker.state();
    let began = tokio::time::Instant::now();
    while *state.borrow_and_update() == BreakerState::Closed {
        breaker.ping().await.expect_err("it hangs");
    }
    assert!(began.elapsed() <= Duration::from_secs(2), "{:?}", began.elapsed());
    let asked = tokio::time::Instant::now();
    assert!(matches!(breaker.ping().await, Err(HotError::Open { .. })));
    assert!(asked.elapsed().is_zero());

    faulty.change(Faults::default());
    while *state.borrow_and_update() != BreakerState::Closed {
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(breaker.ping().await);
    }
    assert!(began.elapsed() <= Duration::from_secs(10), "{:?}", began.elapsed());
    breaker.ping().await.expect("it answers");
}

/// A caller's mistakes open no breaker.
#[tokio::test]
async fn mistakes_do_not_open_the_breaker() {
    let breaker = Breaker::new(memory(), BreakerPolicy::default(), 1);
    let tail = TailKey::Log(kit::some_thread());
    for _ in 0..50 {
        let answer = breaker.extend(vec![kit::append(&tail, kit::at(1, 0), &[])]).await;
        assert!(matches!(answer, Err(HotError::Invalid(_))));
    }
    assert_eq!(*breaker.state().borrow(), BreakerState::Closed);
}

/// A probe whose caller goes away does not lock the breaker half-open.
#[tokio::test(start_paused = true)]
async fn a_dropped_probe_is_not_waited_for() {
    let faulty = Arc::new(Faulty::new(memory(), Faults { fail_before: 1000, ..Faults::default() }, 1));
    let breaker = Breaker::new(faulty.clone(), BreakerPolicy::default(), 2);
    for _ in 0..4 {
        breaker.ping().await.expect_err("it fails");
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    faulty.change(hanging());
    drop(tokio::time::timeout(Duration::from_millis(10), breaker.ping()).await);
    assert_eq!(*breaker.state().borrow(), BreakerState::HalfOpen);
    faulty.change(Faults::default());
    breaker.ping().await.expect("the next probe goes through");
}

#[tokio::test]
async fn use_is_counted() {
    let faulty = Arc::new(Faulty::new(memory(), Faults::default(), 1));
    let metered = Metered::new(faulty.clone());
    let thread = kit::some_thread();
    assert_eq!(metered.reading().page_hit_ratio(), None);
    kit::put(&metered, &kit::page(&thread, 0, 1), "page").await;
    for n in [0, 0, 0, 1] {
        kit::get(&metered, &kit::page(&thread, n, 1)).await;
    }
    faulty.change(Faults { fail_before: 1000, ..Faults::default() });
    metered.ping().await.expect_err("it fails");
    let reading = metered.reading();
    assert_eq!(reading.page_hit_ratio(), Some(0.75));
    let of = |op| reading.ops.iter().find(|found| found.op == op).expect("every call is there");
    assert_eq!((of(Op::Pages).calls, of(Op::Pages).seen.hits), (4, 3));
    assert_eq!((of(Op::Ping).calls, of(Op::Ping).outages), (1, 1));
    assert_eq!(of(Op::Pages).latencies.iter().map(|(_, calls)| calls).sum::<u64>(), 4);
}

/// The same seed gives the same faults; a failure says nothing about the effect.
#[tokio::test]
async fn faults_follow_their_seed() {
    let outcomes = |seed| async move {
        let faulty = Faulty::new(memory(), Faults { fail_before: 300, fail_after: 300, ..Faults::default() }, seed);
        let mut outcomes = Vec::new();
        for _ in 0..64 {
            let answer = faulty.ping().await;
            assert!(answer.as_ref().is_ok_and(|()| true) || answer.as_ref().is_err_and(HotError::is_outage));
            outcomes.push(answer.map_err(|error| error.cause()));
        }
        outcomes
    };
    assert_eq!(outcomes(3).await, outcomes(3).await);
    assert_ne!(outcomes(3).await, outcomes(4).await);
    assert!(outcomes(3).await.contains(&Err(Some(Cause::Connection))));
}

/// A listener that is cut off is told.
#[tokio::test]
async fn a_cut_listener_is_told() {
    let faulty = Faulty::new(memory(), Faults { cut_listener: 1000, ..Faults::default() }, 1);
    let hint = threadmill_store::hot::Hint::Thread { thread: kit::some_thread(), head: kit::at(1, 1) };
    let here = vec![hint.partition()];
    let mut stream = faulty.subscribe(here.clone());
    assert_eq!(kit::next(&mut stream).await, HintEvent::Ready(here.clone()));
    faulty.publish(vec![hint]).await.expect("the tier answers");
    assert_eq!(kit::next(&mut stream).await, HintEvent::Lost(here.clone()));
    assert_eq!(kit::next(&mut stream).await, HintEvent::Ready(here));
}

/// The tier in memory stays within its bytes whatever is put into it.
#[tokio::test]
async fn memory_is_bounded() {
    let store = MemoryHot::new(1 << 20, Lifetimes::default());
    let thread = kit::some_thread();
    let text = "x".repeat(10_000);
    for n in 0..500 {
        kit::put(&store, &kit::page(&thread, n, 1), &text).await;
        kit::extend(
            &store,
            kit::append(&TailKey::Run(thread.clone(), kit::run(&format!("r{n}"))), kit::at(1, 0), &[&text]),
        )
        .await;
    }
    let info = store.info().await.expect("it answers");
    assert!(info.used_bytes <= info.max_bytes && info.used_bytes > Some(900_000), "{info:?}");
    assert_eq!(kit::get(&store, &kit::page(&thread, 0, 1)).await, None);
    assert!(kit::get(&store, &kit::page(&thread, 499, 1)).await.is_some());
}
