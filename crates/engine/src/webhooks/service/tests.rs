//! Webhooks against receivers that answer as they are told: over real sockets, with a clock that the test moves.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use standardwebhooks::Webhook;
use threadmill_store::MemoryStore;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::*;
use crate::tests::planted::{Deed, Planted};
use crate::webhooks::endpoint::Wish;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const HOUR: Millis = 3_600_000;

/// What a receiver answers.
#[derive(Clone)]
enum Say {
    Status(u16),
    /// A status and a header.
    With(u16, String),
    /// Nothing, for ever.
    Hang,
    /// A body without an end.
    Endless,
}

/// What it got.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Got {
    id: String,
    timestamp: i64,
    signature: String,
    body: String,
}

impl Got {
    /// Verifies it as the official library does for receivers; the clock of these tests is not theirs.
    fn is_signed_by(&self, secret: &str) -> bool {
        let signed = Webhook::new(secret).expect("a secret").sign(&self.id, self.timestamp, self.body.as_bytes());
        self.signature.split(' ').any(|one| one == signed.as_deref().expect("it is signed"))
    }
}

struct Receiver {
    port: u16,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Receiver {
    /// Answers what is planned, then 200.
    async fn start(plan: impl IntoIterator<Item = Say>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (plan, got) = (Arc::new(Mutex::new(plan.into_iter().collect())), Arc::<Mutex<Vec<Got>>>::default());
        let gets = Arc::clone(&got);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&plan), Arc::clone(&gets)));
            }
        });
        Self { port, got }
    }

    fn wish(&self, name: &str) -> Wish {
        Wish {
            name: name.into(),
            url: format!("http://127.0.0.1:{}/hook?key=canary", self.port),
            secrets: vec![SECRET.into()],
            events: Vec::new(),
            allow_http: true,
            allow_private: true,
        }
    }

    fn got(&self) -> Vec<Got> {
        lock(&self.got).clone()
    }
}

async fn serve(mut socket: TcpStream, plan: Arc<Mutex<VecDeque<Say>>>, got: Arc<Mutex<Vec<Got>>>) {
    let mut bytes = Vec::new();
    loop {
        let request = loop {
            if let Some(request) = request(&mut bytes) {
                break request;
            }
            if socket.read_buf(&mut bytes).await.unwrap_or_default() == 0 {
                return;
            }
        };
        lock(&got).push(request);
        let say = lock(&plan).pop_front().unwrap_or(Say::Status(200));
        let answer = match say {
            Say::Status(status) => format!("HTTP/1.1 {status} x\r\ncontent-length: 2\r\n\r\nok"),
            Say::With(status, header) => format!("HTTP/1.1 {status} x\r\n{header}\r\ncontent-length: 0\r\n\r\n"),
            Say::Hang => return std::future::pending().await,
            Say::Endless => {
                let _ = socket.write_all(b"HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n").await;
                while socket.write_all(format!("400\r\n{}\r\n", "y".repeat(0x400)).as_bytes()).await.is_ok() {}
                return;
            }
        };
        if socket.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Takes a whole request off the front.
fn request(bytes: &mut Vec<u8>) -> Option<Got> {
    let text = String::from_utf8(bytes.clone()).expect("text");
    let (head, rest) = text.split_once("\r\n\r\n")?;
    let header = |name: &str| {
        let line =
            head.lines().find_map(|line| line.split_once(": ").filter(|(known, _)| known.eq_ignore_ascii_case(name)));
        line.map(|(_, value)| value.to_owned()).unwrap_or_else(|| panic!("{name} is missing in {head}"))
    };
    let length: usize = header("content-length").parse().expect("a number");
    let body = rest.get(..length)?.to_owned();
    assert!(head.starts_with("POST /hook?key=canary ") && header("content-type") == "application/json");
    let got = Got {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp").parse().expect("seconds"),
        signature: header("webhook-signature"),
        body,
    };
    bytes.drain(..head.len() + 4 + length);
    Some(got)
}

/// A node with a clock of its own.
struct Bench {
    webhooks: Arc<Webhooks>,
    now: Arc<AtomicU64>,
}

fn bench(store: Arc<dyn DurableStore>, wishes: &[Wish]) -> Bench {
    let (node, now) = (Node::new(None), Arc::new(AtomicU64::new(1_700_000_000_000)));
    let clock = Arc::clone(&now);
    let webhooks = Webhooks::by(store, node, Arc::default(), Box::new(move || clock.load(SeqCst)));
    let post = |wish: &Wish| {
        let endpoint = Endpoint::new(wish).expect("an endpoint");
        Arc::new(Post::new(endpoint, Duration::from_millis(500)).expect("a client"))
    };
    lock(&webhooks.known).posts = wishes.iter().map(post).collect();
    Bench { webhooks, now }
}

fn store() -> Arc<dyn DurableStore> {
    Arc::new(MemoryStore::new())
}

impl Bench {
    async fn enqueue(&self, kind: EventKind, data: serde_json::Value) -> usize {
        let puts = self.webhooks.enqueue(&Event { kind, data });
        let count = puts.len();
        if count > 0 {
            assert!(self.webhooks.queue.0.put_settings(puts).await.expect("it is put"));
        }
        count
    }

    async fn moved(&self) -> usize {
        self.enqueue(EventKind::RolloutMoved, json!({"flag": "new-list", "why": "ü"})).await
    }

    /// Sends what is due at every endpoint.
    async fn round(&self) {
        assert!(self.webhooks.lead.hold().await.expect("it is asked"));
        let posts = lock(&self.webhooks.known).posts.clone();
        for post in posts {
            self.webhooks.round(&post).await.expect("a round");
        }
    }

    fn pass(&self, time: Millis) {
        self.now.fetch_add(time, SeqCst);
    }

    async fn all(&self) -> Vec<Delivery> {
        self.webhooks.overview().await.expect("it is shown").deliveries
    }

    async fn only(&self) -> Delivery {
        let mut all = self.all().await;
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }
}

#[tokio::test]
async fn what_fails_comes_again_under_its_id_until_it_is_taken() {
    let receiver = Receiver::start((0..9).map(|_| Say::Status(500))).await;
    let wish = Wish { secrets: vec![SECRET.into(), OLD.into()], ..receiver.wish("a") };
    let bench = bench(store(), &[wish]);
    assert_eq!(bench.moved().await, 1);
    for attempt in 1..=9 {
        bench.round().await;
        bench.round().await;
        let at = bench.only().await;
        assert_eq!((at.state, at.attempts, receiver.got().len()), (State::Waiting, attempt, attempt as usize));
        let last = at.last.expect("an attempt");
        assert_eq!((last.status, last.said.as_str()), (Some(500), "ok"));
        bench.pass(at.due.saturating_sub(bench.now.load(SeqCst)));
    }
    bench.round().await;
    assert_eq!(bench.only().await.state, State::Delivered);
    let got = receiver.got();
    assert!(got.iter().all(|one| one.id == got[0].id && one.body == got[0].body));
    assert!(got.windows(2).all(|two| two[0].timestamp < two[1].timestamp), "each attempt says when it is made");
    for one in &got {
        assert!(one.is_signed_by(SECRET) && one.is_signed_by(OLD), "a receiver with either secret believes it");
        assert!(!one.is_signed_by("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    }
    assert!(got[0].body.starts_with(r#"{"type":"rollout.moved","timestamp":"2023-11-14T22:13:20"#), "{}", got[0].body);
    assert!(bench.webhooks.find(&got[0].id).await.expect("it is found")[0].body.contains("new-list"));
}

#[tokio::test]
async fn after_the_last_attempt_it_is_dead_and_a_replay_sends_it_under_the_same_id() {
    let receiver = Receiver::start((0..10).map(|_| Say::Status(503))).await;
    let bench = bench(store(), &[receiver.wish("a")]);
    bench.moved().await;
    for _ in 0..12 {
        bench.round().await;
        bench.pass(27 * HOUR);
    }
    let dead = bench.only().await;
    assert_eq!((dead.state, dead.attempts, receiver.got().len()), (State::Dead, 10, 10));
    assert!(bench.webhooks.replay("msg_none", None).await.is_err());
    assert!(bench.webhooks.replay(&dead.id, Some("b")).await.is_err());
    assert_eq!(bench.webhooks.replay(&dead.id, Some("a")).await.expect("it is replayed"), 1);
    bench.round().await;
    let got = receiver.got();
    assert_eq!((got.len(), &got[10].id, &got[10].body), (11, &got[0].id, &got[0].body));
    // What was delivered can be had again, too.
    assert_eq!(bench.webhooks.replay(&dead.id, None).await.expect("it is replayed"), 1);
    bench.round().await;
    assert_eq!((receiver.got().len(), bench.only().await.replays), (12, 2));
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_off_until_it_is_switched_on() {
    let (gone, other) = (Receiver::start([Say::Status(410)]).await, Receiver::start([]).await);
    let bench = bench(store(), &[gone.wish("gone"), other.wish("other")]);
    let late = bench.webhooks.enqueue(&Event { kind: EventKind::RolloutMoved, data: json!({}) });
    assert_eq!((bench.moved().await, late.len()), (2, 2));
    bench.round().await;
    assert!(bench.webhooks.queue.0.put_settings(late).await.expect("it is put"));
    bench.round().await;
    assert_eq!((gone.got().len(), other.got().len()), (1, 2), "one 410 is enough");
    let dead = bench.all().await.into_iter().filter(|one| one.state == State::Dead);
    assert!(dead.map(|one| one.endpoint).eq(["gone", "gone"]));
    assert_eq!(bench.moved().await, 1, "nothing is queued for it");
    let shown = bench.webhooks.overview().await.expect("it is shown").endpoints;
    assert!(shown[0].off.is_some() && shown[1].off.is_none() && !format!("{shown:?}").contains("canary"), "{shown:?}");
    bench.webhooks.enable("gone").await.expect("it is on again");
    assert_eq!(bench.moved().await, 2);
    bench.round().await;
    assert_eq!((gone.got().len(), other.got().len()), (2, 4));
}

#[tokio::test]
async fn another_address_under_the_name_of_one_that_is_gone_is_another_endpoint() {
    let (gone, new) = (Receiver::start([Say::Status(410)]).await, Receiver::start([]).await);
    let store = store();
    let before = bench(Arc::clone(&store), &[gone.wish("a")]);
    before.moved().await;
    before.round().await;
    let after = bench(store, &[new.wish("a")]);
    after.webhooks.survey(false).await.expect("it is surveyed");
    assert_eq!((before.moved().await, after.moved().await), (0, 1));
}

#[tokio::test]
async fn redirects_are_not_followed_and_names_that_lead_inside_are_not_connected_to() {
    let inside = Receiver::start([]).await;
    let header = format!("location: http://127.0.0.1:{}/hook?key=canary", inside.port);
    let moved = Receiver::start([Say::With(302, header)]).await;
    let named = Wish {
        url: format!("http://localhost:{}/hook?key=canary", inside.port),
        allow_private: false,
        ..inside.wish("named")
    };
    let bench = bench(store(), &[moved.wish("moved"), named]);
    bench.moved().await;
    bench.round().await;
    assert_eq!((moved.got().len(), inside.got().len()), (1, 0));
    for delivery in bench.all().await {
        let last = delivery.last.expect("an attempt");
        assert_eq!(delivery.state, State::Waiting);
        let want =
            if delivery.endpoint == "moved" { last.status == Some(302) } else { last.said.contains("not sent to") };
        assert!(want && !last.said.contains("canary"), "{last:?}");
    }
}

#[tokio::test]
async fn an_answer_is_read_so_far_and_waited_for_so_long() {
    let receiver = Receiver::start([Say::Hang, Say::Endless]).await;
    let bench = bench(store(), &[receiver.wish("a")]);
    bench.moved().await;
    bench.round().await;
    let hung = bench.only().await;
    assert!(hung.last.as_ref().is_some_and(|last| last.said.contains("no answer within")), "{hung:?}");
    bench.pass(HOUR);
    bench.round().await;
    let taken = bench.only().await;
    assert_eq!((taken.state, taken.last.map(|last| last.said.len())), (State::Delivered, Some(200)));
    let got = receiver.got();
    assert_eq!(got[0].id, got[1].id);
}

#[tokio::test]
async fn a_receiver_that_asks_for_patience_gets_it() {
    let receiver = Receiver::start([Say::With(429, "retry-after: 7200".into())]).await;
    let bench = bench(store(), &[receiver.wish("a")]);
    bench.moved().await;
    bench.round().await;
    bench.pass(HOUR);
    bench.round().await;
    assert_eq!(receiver.got().len(), 1);
    bench.pass(HOUR);
    bench.round().await;
    assert_eq!(receiver.got().len(), 2);
}

#[tokio::test]
async fn what_was_sent_and_could_not_be_noted_is_sent_again_under_its_id() {
    let receiver = Receiver::start([]).await;
    let planted = Planted::over(store());
    let bench = bench(planted.clone(), &[receiver.wish("a")]);
    bench.moved().await;
    assert!(bench.webhooks.lead.hold().await.expect("it is asked"));
    planted.plan(|name, _| if name == "put_settings" { Deed::Fail } else { Deed::Serve });
    let post = bench.webhooks.post("a").expect("an endpoint");
    assert!(bench.webhooks.round(&post).await.is_err());
    planted.plan(|_, _| Deed::Serve);
    bench.round().await;
    bench.round().await;
    let got = receiver.got();
    assert_eq!(got.len(), 2, "at least once, and no more often than it must be");
    assert_eq!(got[0].id, got[1].id);
}

#[tokio::test]
async fn endpoints_get_what_they_want_and_nobody_more_than_there_is_room_for() {
    let receiver = Receiver::start([]).await;
    let budgets = Wish { events: vec!["budget.threshold".into()], ..receiver.wish("budgets") };
    let bench = bench(store(), &[budgets]);
    assert_eq!(bench.moved().await, 0);
    assert_eq!(bench.enqueue(EventKind::BudgetThreshold, json!({})).await, 1);
    assert_eq!(bench.enqueue(EventKind::BudgetThreshold, json!("x".repeat(20 << 10))).await, 0, "it is too large");
    let id = bench.webhooks.test("budgets").await.expect("a test is for everybody");
    assert!(bench.webhooks.test("other").await.is_err());
    bench.round().await;
    assert_eq!(receiver.got().iter().filter(|got| got.id == id).count(), 1);
    lock(&bench.webhooks.known).waiting.clear();
    let room =
        (0..).take_while(|_| !bench.webhooks.enqueue(&Event { kind: EventKind::Test, data: json!({}) }).is_empty());
    assert_eq!(room.count() as u64, queue::MOST);
    assert!(bench.webhooks.test("budgets").await.is_err());
    bench.webhooks.survey(true).await.expect("it is surveyed");
    assert!(bench.webhooks.test("budgets").await.is_ok(), "what waits is counted anew");
}

#[tokio::test]
async fn what_waits_for_an_endpoint_that_nobody_knows_is_given_up_after_a_day() {
    let receiver = Receiver::start([]).await;
    let store = store();
    let before = bench(Arc::clone(&store), &[receiver.wish("old")]);
    before.moved().await;
    let after = bench(store, &[receiver.wish("new")]);
    after.pass(23 * HOUR);
    after.webhooks.survey(true).await.expect("it is surveyed");
    assert_eq!(after.only().await.state, State::Waiting);
    after.pass(2 * HOUR);
    after.webhooks.survey(false).await.expect("it is surveyed");
    assert_eq!(after.only().await.state, State::Waiting, "whoever sends does that");
    after.webhooks.survey(true).await.expect("it is surveyed");
    assert_eq!(after.only().await.state, State::Dead);
}

#[tokio::test]
async fn an_endpoint_that_hangs_delays_no_other_and_of_two_nodes_one_sends() {
    let (hangs, quick) = (Receiver::start((0..99).map(|_| Say::Hang)).await, Receiver::start([]).await);
    let store = store();
    let wishes = [hangs.wish("hangs"), quick.wish("quick")];
    let nodes = [bench(Arc::clone(&store), &wishes), bench(store, &wishes)];
    for _ in 0..3 {
        nodes[1].moved().await;
    }
    let running: Vec<_> = nodes.iter().map(|node| tokio::spawn(Arc::clone(&node.webhooks).run())).collect();
    let began = Instant::now();
    while quick.got().len() < 3 && began.elapsed() < Duration::from_secs(20) {
        sleep(Duration::from_millis(10)).await;
    }
    nodes[0].moved().await;
    while quick.got().len() < 4 && began.elapsed() < Duration::from_secs(20) {
        sleep(Duration::from_millis(10)).await;
    }
    // Time for a second node to send what the first one sends, if it did.
    sleep(LOOK + Duration::from_millis(500)).await;
    let mut ids: Vec<_> = quick.got().into_iter().map(|got| got.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), quick.got().len()), (4, 4), "each once, whoever queued it");
    assert!(hangs.got().len() >= 3);
    running.iter().for_each(tokio::task::JoinHandle::abort);
}
