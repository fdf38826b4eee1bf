//! Named streams: what is appended is read from any offset, once, until it is deleted or its time is over; forks share what
//! came before, and hold it.

use threadmill_proto::Millis;

use super::Rig;
use super::kit::scope;
use crate::streams::{
    Appended, Created, ForkOf, NewStream, Producer, ReadFrom, ReadStream, StreamAppend, StreamKey, StreamLife,
    StreamPath, StreamRefusal, StreamSlice,
};

const NOW: Millis = 1_000_000;

/// A stream of Ann's.
#[must_use]
pub fn named(path: &str) -> StreamKey {
    StreamKey { scope: scope("acme", "ann"), path: StreamPath::parse(path).expect("checks use valid paths") }
}

fn new(content_type: &str, body: &str) -> NewStream {
    NewStream {
        content_type: Some(content_type.into()),
        life: None,
        closed: false,
        body: body.into(),
        fork: None,
        at: NOW,
    }
}

fn fork(path: &str, offset: Option<u64>, sub: u64) -> NewStream {
    let fork = ForkOf { path: StreamPath::parse(path).expect("a path"), offset, sub };
    NewStream { content_type: None, fork: Some(fork), ..new("", "") }
}

fn append(body: &str) -> StreamAppend {
    StreamAppend {
        content_type: Some("text/plain".into()),
        body: body.into(),
        close: false,
        seq: None,
        producer: None,
        at: NOW,
    }
}

fn by(id: &str, epoch: u64, seq: u64, body: &str) -> StreamAppend {
    StreamAppend { producer: Some(Producer { id: id.into(), epoch, seq }), ..append(body) }
}

async fn make(rig: &dyn Rig, path: &str, new: NewStream) -> Result<Created, StreamRefusal> {
    rig.store().streams().create_stream(&named(path), new).await.expect("it is decided")
}

async fn add(rig: &dyn Rig, path: &str, append: StreamAppend) -> Result<Appended, StreamRefusal> {
    rig.store().streams().append_stream(&named(path), append).await.expect("it is decided")
}

async fn read_at(rig: &dyn Rig, path: &str, from: ReadFrom, at: Millis) -> Result<StreamSlice, StreamRefusal> {
    let read = ReadStream { from, bytes: 1 << 20, at };
    rig.store().streams().read_stream(&named(path), read).await.expect("it is decided")
}

async fn read(rig: &dyn Rig, path: &str, from: ReadFrom) -> Result<StreamSlice, StreamRefusal> {
    read_at(rig, path, from, NOW).await
}

async fn text(rig: &dyn Rig, path: &str) -> String {
    let slice = read(rig, path, ReadFrom::Start).await.expect("it is there");
    String::from_utf8(slice.body).expect("a text")
}

async fn delete(rig: &dyn Rig, path: &str) -> Result<(), StreamRefusal> {
    rig.store().streams().delete_stream(&named(path), NOW).await.expect("it is decided")
}

/// What is appended is there, in its order, from every offset, after a restart too.
pub async fn bytes_are_read_from_any_offset(rig: &mut dyn Rig) {
    let made = make(rig, "a", new("text/plain", "one ")).await.expect("made");
    assert!(made.fresh && made.head.end == 4);
    assert_eq!(add(rig, "a", append("two ")).await.map(|done| (done.from, done.end)), Ok((4, 8)));
    assert_eq!(add(rig, "a", append("three")).await.map(|done| (done.from, done.end)), Ok((8, 13)));
    rig.restart().await;
    for from in 0..=13 {
        let slice = read(rig, "a", ReadFrom::At(from)).await.expect("it is there");
        let want = "one two three".get(usize::try_from(from).expect("small")..).expect("ASCII");
        assert_eq!((slice.from, slice.to, slice.body.as_slice()), (from, 13, want.as_bytes()));
    }
    assert_eq!(read(rig, "a", ReadFrom::At(14)).await, Err(StreamRefusal::BadOffset));
    assert_eq!(read(rig, "a", ReadFrom::Tail).await.map(|slice| (slice.from, slice.body)), Ok((13, vec![])));
    // A short read stops behind a whole append.
    let few = ReadStream { from: ReadFrom::At(1), bytes: 4, at: NOW };
    let slice = rig.store().streams().read_stream(&named("a"), few).await.expect("decides").expect("it is there");
    assert_eq!((slice.to, slice.body.as_slice()), (8, &b"ne two "[..]));
    assert_eq!(add(rig, "b", append("x")).await, Err(StreamRefusal::NotFound));
    let other = StreamAppend { content_type: Some("text/html".into()), ..append("x") };
    assert_eq!(add(rig, "a", other).await, Err(StreamRefusal::ContentType));
}

/// Who makes it again finds it, and whoever wants another one is told.
pub async fn a_stream_is_made_once(rig: &mut dyn Rig) {
    let lives = |seconds| NewStream { life: Some(StreamLife::Idle(seconds)), ..new("text/plain", "") };
    assert!(make(rig, "a", lives(60)).await.expect("made").fresh);
    let again = NewStream { content_type: Some("TEXT/plain; charset=utf-8".into()), ..lives(60) };
    assert!(!make(rig, "a", again).await.expect("it is the same").fresh);
    assert_eq!(make(rig, "a", lives(61)).await, Err(StreamRefusal::Taken));
    assert_eq!(make(rig, "a", new("text/plain", "")).await, Err(StreamRefusal::Taken));
    assert_eq!(make(rig, "a", NewStream { closed: true, ..lives(60) }).await, Err(StreamRefusal::Taken));
    let first = make(rig, "a", lives(60)).await.expect("it is the same").head.num;
    delete(rig, "a").await.expect("deleted");
    assert_eq!(delete(rig, "a").await, Err(StreamRefusal::NotFound));
    let second = make(rig, "a", new("text/html", "new")).await.expect("the path is free");
    assert!(second.fresh && second.head.num != first, "another stream has another number");
    assert_eq!(text(rig, "a").await, "new");
}

/// A repetition has no second effect, what is missing is waited for, and an epoch ends the ones before. After a restart too.
pub async fn a_producer_appends_once(rig: &mut dyn Rig) {
    make(rig, "a", new("text/plain", "")).await.expect("made");
    assert_eq!(add(rig, "a", by("p", 0, 1, "x")).await, Err(StreamRefusal::Gap { expected: 0, received: 1 }));
    assert_eq!(
        add(rig, "a", by("p", 0, 0, "a")).await.map(|done| (done.repeated, done.producer)),
        Ok((false, Some((0, 0))))
    );
    assert_eq!(add(rig, "a", by("p", 0, 1, "b")).await.map(|done| done.producer), Ok(Some((0, 1))));
    rig.restart().await;
    assert_eq!(
        add(rig, "a", by("p", 0, 0, "a")).await.map(|done| (done.repeated, done.producer)),
        Ok((true, Some((0, 1))))
    );
    assert_eq!(add(rig, "a", by("p", 0, 3, "x")).await, Err(StreamRefusal::Gap { expected: 2, received: 3 }));
    assert_eq!(add(rig, "a", by("p", 1, 2, "x")).await, Err(StreamRefusal::EpochStart));
    assert_eq!(add(rig, "a", by("p", 2, 0, "c")).await.map(|done| done.producer), Ok(Some((2, 0))));
    assert_eq!(add(rig, "a", by("p", 1, 0, "x")).await, Err(StreamRefusal::StaleEpoch { epoch: 2 }));
    assert_eq!(add(rig, "a", by("q", 0, 0, "d")).await.map(|done| done.producer), Ok(Some((0, 0))));
    assert_eq!(text(rig, "a").await, "abcd");
}

/// The writer's own order is strict, byte by byte.
pub async fn a_writers_order_is_kept(rig: &mut dyn Rig) {
    make(rig, "a", new("text/plain", "")).await.expect("made");
    let at = |seq: &str| StreamAppend { seq: Some(seq.into()), ..append("x") };
    for (seq, taken) in
        [("09", true), ("10", true), ("10", false), ("1", false), ("2", true), ("B", true), ("a", true), ("C", false)]
    {
        let want = if taken { Ok(()) } else { Err(StreamRefusal::OutOfOrder) };
        assert_eq!(add(rig, "a", at(seq)).await.map(|_| ()), want, "{seq}");
    }
}

/// Closed once, for good; whoever closed it may say so again.
pub async fn a_closed_stream_takes_nothing(rig: &mut dyn Rig) {
    make(rig, "a", new("text/plain", "one")).await.expect("made");
    let last = StreamAppend { close: true, ..by("p", 0, 0, "two") };
    assert_eq!(add(rig, "a", last.clone()).await.map(|done| (done.end, done.closed)), Ok((6, true)));
    rig.restart().await;
    let again = add(rig, "a", last).await.expect("it is answered again");
    assert!(again.repeated && again.closed && again.end == 6);
    let only = StreamAppend { close: true, content_type: None, ..append("") };
    assert!(add(rig, "a", only.clone()).await.expect("it is closed").closed);
    for refused in [append("x"), StreamAppend { close: true, ..append("x") }, by("p", 0, 1, "x"), by("q", 0, 0, "x")] {
        assert_eq!(add(rig, "a", refused).await, Err(StreamRefusal::Closed { end: 6 }));
    }
    assert_eq!(text(rig, "a").await, "onetwo");
    assert!(read(rig, "a", ReadFrom::Tail).await.expect("it is there").head.closed);
    make(rig, "b", new("text/plain", "")).await.expect("made");
    assert!(add(rig, "b", only).await.expect("closed").closed);
}

/// A fork shares what came before and nothing of what comes after, through as many as there are.
pub async fn a_fork_shares_what_came_before(rig: &mut dyn Rig) {
    make(rig, "a", new("text/plain", "first")).await.expect("made");
    add(rig, "a", append("second")).await.expect("appends");
    let made = make(rig, "b", fork("a", Some(5), 3)).await.expect("forked");
    assert_eq!((made.head.end, made.head.content_type.as_str()), (8, "text/plain"));
    assert!(!make(rig, "b", fork("a", Some(5), 3)).await.expect("the same").fresh);
    assert_eq!(make(rig, "b", fork("a", Some(5), 2)).await, Err(StreamRefusal::Taken));
    add(rig, "a", append("unseen")).await.expect("appends");
    add(rig, "b", append("!")).await.expect("appends");
    assert_eq!(text(rig, "b").await, "firstsec!");
    // A fork of the fork, within what that has from its source; and one at its end.
    make(rig, "c", fork("b", Some(0), 2)).await.expect("forked");
    make(rig, "d", fork("b", None, 0)).await.expect("forked");
    add(rig, "c", append("-c")).await.expect("appends");
    add(rig, "d", append("-d")).await.expect("appends");
    rig.restart().await;
    assert_eq!((text(rig, "c").await.as_str(), text(rig, "d").await.as_str()), ("fi-c", "firstsec!-d"));
    for from in 0..=11 {
        let slice = read(rig, "d", ReadFrom::At(from)).await.expect("it is there");
        let want = "firstsec!-d".get(usize::try_from(from).expect("small")..).expect("ASCII");
        assert_eq!(slice.body, want.as_bytes(), "from {from}");
    }
    for (refused, why) in
        [(fork("a", Some(99), 0), "beyond"), (fork("a", Some(5), 7), "sub"), (fork("a", None, 1), "end")]
    {
        assert!(matches!(make(rig, "e", refused).await, Err(StreamRefusal::BadFork(_))), "{why}");
    }
    assert_eq!(make(rig, "e", fork("nowhere", None, 0)).await, Err(StreamRefusal::NoSource));
    let other = NewStream { content_type: Some("text/html".into()), ..fork("a", None, 0) };
    assert_eq!(make(rig, "e", other).await, Err(StreamRefusal::ContentType));
}

/// Messages of JSON are counted, not bytes, and an offset is never in the middle of one.
pub async fn a_fork_of_json_counts_messages(rig: &mut dyn Rig) {
    make(rig, "a", new("application/json", r#"{"a":[1,2]},"x,y",3,"#)).await.expect("made");
    make(rig, "b", fork("a", Some(0), 2)).await.expect("forked");
    assert_eq!(text(rig, "b").await, r#"{"a":[1,2]},"x,y","#);
    assert!(matches!(make(rig, "c", fork("a", Some(0), 4)).await, Err(StreamRefusal::BadFork(_))));
    assert!(matches!(make(rig, "c", fork("a", Some(3), 0)).await, Err(StreamRefusal::BadFork(_))));
    assert_eq!(read(rig, "a", ReadFrom::At(3)).await, Err(StreamRefusal::BadOffset));
    let slice = read(rig, "a", ReadFrom::At(12)).await.expect("a message begins there");
    assert_eq!(slice.body, br#""x,y",3,"#);
}

/// A source that is deleted is nobody's but its forks', and goes with the last of them.
pub async fn a_deleted_source_stays_for_its_forks(rig: &mut dyn Rig) {
    make(rig, "a", new("text/plain", "a")).await.expect("made");
    make(rig, "b", fork("a", None, 0)).await.expect("forked");
    make(rig, "c", fork("b", None, 0)).await.expect("forked");
    delete(rig, "a").await.expect("deleted");
    delete(rig, "b").await.expect("deleted");
    rig.restart().await;
    for gone in ["a", "b"] {
        assert_eq!(read(rig, gone, ReadFrom::Start).await, Err(StreamRefusal::Gone));
        assert_eq!(add(rig, gone, append("x")).await, Err(StreamRefusal::Gone));
        assert_eq!(delete(rig, gone).await, Err(StreamRefusal::Gone));
        assert_eq!(make(rig, gone, new("text/plain", "a")).await, Err(StreamRefusal::Taken));
        assert_eq!(make(rig, "d", fork(gone, None, 0)).await, Err(StreamRefusal::SourceGone));
    }
    assert_eq!(text(rig, "c").await, "a");
    delete(rig, "c").await.expect("deleted");
    for free in ["a", "b", "c"] {
        assert!(make(rig, free, new("text/plain", free)).await.expect("the path is free").fresh);
        assert_eq!(text(rig, free).await, free);
    }
    // A source that nobody deleted stays when its forks go.
    make(rig, "d", fork("a", None, 0)).await.expect("forked");
    delete(rig, "d").await.expect("deleted");
    assert_eq!(text(rig, "a").await, "a");
}

/// A stream that nobody uses is gone after its time, never before; each use begins it anew.
pub async fn a_stream_that_is_not_used_expires(rig: &mut dyn Rig) {
    let store = rig.store();
    let lives = |seconds| NewStream { life: Some(StreamLife::Idle(seconds)), ..new("text/plain", "x") };
    make(rig, "short", lives(2)).await.expect("made");
    make(rig, "long", lives(80)).await.expect("made");
    let until = StreamLife::Until { at: NOW + 5_000, written: "then".into() };
    make(rig, "until", NewStream { life: Some(until), ..new("text/plain", "x") }).await.expect("made");
    let seen = async |path: &str, after: Millis| read_at(rig, path, ReadFrom::Start, NOW + after).await;
    assert!(seen("short", 1_999).await.expect("it is there").head.touch);
    assert!(!seen("long", 9_000).await.expect("it is there").head.touch, "an eighth has not passed");
    assert!(seen("long", 11_000).await.expect("it is there").head.touch);
    store.streams().touch_stream(&named("short"), NOW + 1_500).await.expect("touched");
    assert!(seen("short", 3_499).await.is_ok());
    assert_eq!(seen("short", 3_500).await, Err(StreamRefusal::NotFound));
    assert!(seen("until", 4_999).await.is_ok_and(|slice| !slice.head.touch));
    assert_eq!(seen("until", 5_000).await, Err(StreamRefusal::NotFound));
    assert!(seen("long", 80_000).await.is_ok());
    assert_eq!(seen("long", 90_000).await, Err(StreamRefusal::NotFound));
    // An append is a use, too, and is written no more often than a read's.
    make(rig, "used", lives(80)).await.expect("made");
    for (after, ends) in [(5_000, 90_000), (11_000, 101_000)] {
        add(rig, "used", StreamAppend { at: NOW + after, ..append("x") }).await.expect("appends");
        assert!(seen("used", ends - 1).await.is_ok(), "after {after}");
        assert_eq!(seen("used", ends).await, Err(StreamRefusal::NotFound), "after {after}");
    }
    // The path of one that is gone is free before it is swept; a fork keeps what its source had.
    assert!(make(rig, "until", NewStream { at: NOW + 6_000, ..new("text/plain", "y") }).await.expect("free").fresh);
    make(rig, "fork", NewStream { life: Some(StreamLife::Idle(500)), ..fork("long", None, 0) }).await.expect("forked");
    assert_eq!(seen("long", 90_000).await, Err(StreamRefusal::Gone));
    while store.streams().sweep_streams(NOW + 90_000, 8).await.expect("sweeps") != Default::default() {}
    assert_eq!(seen("long", 90_000).await, Err(StreamRefusal::Gone));
    assert_eq!(seen("fork", 90_000).await.map(|slice| slice.body), Ok(b"x".to_vec()));
    assert!(make(rig, "short", lives(2)).await.expect("free").fresh);
}

/// What is left of streams that are gone is removed some megabytes at a time: of many small ones at once, of a large one in
/// steps.
pub async fn what_is_gone_is_removed_in_steps(rig: &mut dyn Rig) {
    let store = rig.store();
    let sweep = async || store.streams().sweep_streams(NOW, 16).await.expect("sweeps");
    for n in 0..40 {
        let path = format!("small-{n}");
        make(rig, &path, new("text/plain", "x")).await.expect("made");
        add(rig, &path, by("p", 0, 0, "y")).await.expect("appends");
        delete(rig, &path).await.expect("deleted");
    }
    let swept = sweep().await;
    assert!(swept.rows >= 40 * 3, "{swept:?}");
    assert_eq!(sweep().await, Default::default());
    make(rig, "large", new("text/plain", "")).await.expect("made");
    let piece = "x".repeat(1 << 20);
    for _ in 0..9 {
        add(rig, "large", append(&piece)).await.expect("appends");
    }
    make(rig, "beside", new("text/plain", "stays")).await.expect("made");
    delete(rig, "large").await.expect("deleted");
    let mut steps = Vec::new();
    while steps.last() != Some(&0) && steps.len() < 20 {
        steps.push(sweep().await.rows);
    }
    assert_eq!(steps, [4, 4, 2, 0], "nine appends and the stream itself");
    assert_eq!(text(rig, "beside").await, "stays");
}

/// What others have is not there, and cannot be forked.
pub async fn streams_of_others_are_not_found(rig: &mut dyn Rig) {
    let store = rig.store();
    make(rig, "a", new("text/plain", "secret")).await.expect("made");
    for (tenant, user) in [("acme", "bob"), ("umbrella", "ann")] {
        let theirs = StreamKey { scope: scope(tenant, user), ..named("a") };
        let streams = store.streams();
        let whole = ReadStream { from: ReadFrom::Start, bytes: 9, at: NOW };
        assert_eq!(streams.read_stream(&theirs, whole).await.expect("decides"), Err(StreamRefusal::NotFound));
        assert_eq!(streams.head_stream(&theirs, NOW).await.expect("decides"), Err(StreamRefusal::NotFound));
        assert_eq!(streams.append_stream(&theirs, append("x")).await.expect("decides"), Err(StreamRefusal::NotFound));
        assert_eq!(streams.delete_stream(&theirs, NOW).await.expect("decides"), Err(StreamRefusal::NotFound));
        let copy = StreamKey { scope: scope(tenant, user), ..named("copy") };
        let made = streams.create_stream(&copy, fork("a", None, 0)).await.expect("decides");
        assert_eq!(made, Err(StreamRefusal::NoSource));
        assert_eq!(streams.stream_tails(&[theirs], NOW).await.expect("reads"), [None]);
        assert!(streams.list_streams(&scope(tenant, user), 0, 9, NOW).await.expect("lists").is_empty());
    }
    assert_eq!(text(rig, "a").await, "secret");
}

/// Streams are listed in the order of their making, and their ends are told.
pub async fn streams_are_listed(rig: &mut dyn Rig) {
    let store = rig.store();
    for path in ["b", "a", "c"] {
        make(rig, path, new("text/plain", path)).await.expect("made");
    }
    delete(rig, "a").await.expect("deleted");
    make(rig, "d", fork("b", None, 0)).await.expect("forked");
    let all = store.streams().list_streams(&scope("acme", "ann"), 0, 9, NOW).await.expect("lists");
    let shown: Vec<_> = all.iter().map(|listed| (listed.path.as_str(), listed.start, listed.end)).collect();
    assert_eq!(shown, [("b", 0, 1), ("c", 0, 1), ("d", 1, 1)]);
    let rest = store.streams().list_streams(&scope("acme", "ann"), all[0].num, 1, NOW).await.expect("lists");
    assert_eq!(rest, all[1..2]);
    let tails = store.streams().stream_tails(&[named("a"), named("c")], NOW).await.expect("reads");
    assert!(tails[0].is_none() && tails[1].is_some_and(|tail| tail.end == 1 && !tail.closed));
}

/// Many who append, fork and delete at once have one order, and the count of forks is right at the end.
pub async fn many_write_at_once(rig: &mut dyn Rig) {
    make(rig, "a", new("text/plain", "")).await.expect("made");
    let tasks: Vec<_> = (0..12)
        .map(|n| {
            let store = rig.store();
            tokio::spawn(async move {
                let streams = store.streams();
                let own = named(&format!("fork-{n}"));
                let done = streams.append_stream(&named("a"), by(&format!("p{n}"), 0, 0, "xy")).await;
                let from = done.expect("decides").expect("appends").from;
                let made = streams.create_stream(&own, fork("a", Some(from), 0)).await.expect("decides");
                assert_eq!(made.expect("forks").head.end, from);
                if n % 2 == 0 {
                    streams.delete_stream(&own, NOW).await.expect("decides").expect("deletes");
                }
                from
            })
        })
        .collect();
    let mut places = Vec::new();
    for task in tasks {
        places.push(task.await.expect("no panic"));
    }
    places.sort_unstable();
    assert_eq!(places, (0..12).map(|n| n * 2).collect::<Vec<_>>());
    delete(rig, "a").await.expect("deleted");
    for n in [1, 3, 5, 7, 9, 11] {
        assert_eq!(read(rig, "a", ReadFrom::Start).await, Err(StreamRefusal::Gone), "before {n}");
        delete(rig, &format!("fork-{n}")).await.expect("deleted");
    }
    assert_eq!(read(rig, "a", ReadFrom::Start).await, Err(StreamRefusal::NotFound));
}
