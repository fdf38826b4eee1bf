//! Subscriptions over a store in memory: what makes room for what, who is sent to at once, and what a race is answered.

use threadmill_store::MemoryStore;
use threadmill_store::conformance::kit::scope;
use threadmill_store::relational::at_once;
use threadmill_store::streams::NewStream;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;
use crate::streams::subscriptions::MOST_LINKS;
use crate::tests::planted::{Deed, Planted};

const PATIENCE: Duration = Duration::from_secs(20);

fn service(store: Arc<dyn DurableStore>) -> Arc<Subscriptions> {
    Subscriptions::new(store, Node::new(None), Arc::default())
}

fn ann() -> Scope {
    scope("acme", "ann")
}

fn wish(way: Way) -> Wish {
    Wish { way, pattern: Some("a/*".into()), streams: Vec::new(), lease_ttl_ms: 60_000, description: None }
}

fn pull() -> Wish {
    wish(Way::PullWake("wake".into()))
}

impl Subscriptions {
    async fn made(&self, scope: &Scope, id: &str, wish: Wish) {
        let made = self.create(scope, id, String::new(), wish).await.expect("it is decided");
        assert!(made.expect("it is made").0);
    }

    async fn stream(&self, scope: &Scope, path: &str) {
        let (content_type, at) = (Some("text/plain".into()), self.node.now());
        let new = NewStream { content_type, life: None, closed: false, body: b"x".into(), fork: None, at };
        let key = key_of(scope, path).expect("a path");
        self.store.streams().create_stream(&key, new).await.expect("it is decided").expect("it is made");
    }

    async fn gone(&self, path: &str) {
        let key = key_of(&ann(), path).expect("a path");
        let gone = self.store.streams().delete_stream(&key, self.node.now()).await;
        gone.expect("it is decided").expect("it is there");
    }

    async fn looked(self: &Arc<Self>, scope: &Scope) -> Vec<Subscription> {
        self.look_at(self.of(scope).await.expect("they are read")).await;
        self.of(scope).await.expect("they are read").into_iter().map(|row| row.subscription).collect()
    }
}

#[tokio::test]
async fn streams_that_are_gone_make_room_for_others_and_none_is_passed_over() {
    let service = service(Arc::new(MemoryStore::new()));
    service.made(&ann(), "s", pull()).await;
    for n in 0..MOST_LINKS {
        service.stream(&ann(), &format!("a/{n}")).await;
    }
    service.stream(&ann(), "a/late").await;
    service.stream(&ann(), "b/other").await;
    let [full] = service.looked(&ann()).await.try_into().expect("one");
    assert!(full.crowded && full.links.len() == MOST_LINKS && full.generation == 1);
    assert_eq!(full.seen, i64::try_from(MOST_LINKS).expect("few"), "what found no room is not passed over");
    // One more of the kind, since there is none for it, is not listed to its end either.
    let more = service.create(&ann(), "t", String::new(), pull()).await.expect("it is decided");
    assert_eq!(more.err(), Some(Refused::Full("streams of a subscription")));
    // Its worker is done with all that it was told of, and then they are gone.
    let claimed = service.claim(&ann(), "s", "w").await.expect("it is decided").expect("it has woken");
    let acks = claimed.tails.iter().map(|(path, tail)| (path.clone(), tail.end)).collect();
    for n in 0..MOST_LINKS {
        service.gone(&format!("a/{n}")).await;
    }
    let (wake, generation) = (claimed.subscription.wake.expect("it is held").id, claimed.subscription.generation);
    let word = Word { generation, wake, acks, done: true };
    assert_eq!(service.hear("s", &claimed.token, &word).await.expect("it is decided"), Ok(false));
    service.looked(&ann()).await;
    let [there] = service.looked(&ann()).await.try_into().expect("one");
    assert_eq!(there.links.keys().collect::<Vec<_>>(), ["a/late"]);
    assert!(!there.crowded && there.generation == 2, "it is told of what waited for room");
}

/// Receivers that never answer: how many requests came to them.
async fn silent() -> (String, Arc<Mutex<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}/hook", listener.local_addr().expect("it listens"));
    let came = Arc::new(Mutex::new(0));
    let counts = Arc::clone(&came);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            held.push(socket);
            *lock(&counts) = held.len();
        }
    });
    (address, came)
}

async fn reaches(came: &Mutex<usize>, count: usize) {
    let reached = async {
        while *lock(came) < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, reached).await.expect("requests come");
}

#[tokio::test]
async fn one_user_has_a_share_of_the_places_and_what_has_none_is_not_begun() {
    let service = service(Arc::new(MemoryStore::new()));
    service.take_loopback();
    let bob = scope("acme", "bob");
    let ((anns, came), (bobs, others)) = (silent().await, silent().await);
    for n in 0..9 {
        service.made(&ann(), &format!("s{n}"), wish(Way::Webhook(anns.clone()))).await;
    }
    service.made(&bob, "s", wish(Way::Webhook(bobs))).await;
    service.stream(&ann(), "a/1").await;
    service.stream(&bob, "a/1").await;
    for _ in 0..3 {
        let all = service.looked(&ann()).await;
        let begun = all.iter().filter(|it| it.wake.is_some() && it.generation == 1).count();
        let waiting = all.iter().filter(|it| it.wake.is_none() && it.generation == 0).count();
        assert_eq!((begun, waiting), (4, 5));
    }
    reaches(&came, 4).await;
    assert!(service.looked(&bob).await[0].wake.is_some());
    reaches(&others, 1).await;
    assert_eq!((*lock(&came), service.deliveries.held()), (4, 5));
}

#[tokio::test]
async fn whoever_loses_every_race_is_asked_to_come_again() {
    let store: Arc<dyn DurableStore> = Arc::new(MemoryStore::new());
    let planted = Planted::over(Arc::clone(&store));
    let service = service(Arc::clone(&planted) as _);
    service.made(&ann(), "s", pull()).await;
    service.stream(&ann(), "a/1").await;
    // Whatever is put, somebody else was faster.
    let keys = [place(&ann(), "s"), place(&ann(), "new")];
    planted.plan(move |call, _| {
        for key in keys.iter().filter(|_| call == "put_settings") {
            let known = at_once(store.setting(key)).expect("it is read");
            let (version, value) = known.map_or_else(|| (0, gone(1)), |known| (known.version, known.value));
            let put = at_once(store.put_settings(vec![SettingPut::new(key, version, value)]));
            assert!(put.expect("it is put"));
        }
        Deed::Serve
    });
    let problems = [
        service.create(&ann(), "new", String::new(), pull()).await.map(|_| ()).err(),
        service.delete(&ann(), "s").await.map(|_| ()).err(),
        service.name_streams(&ann(), "s", &["b".into()], &[]).await.map(|_| ()).err(),
        service.claim(&ann(), "s", "w").await.map(|_| ()).err(),
    ];
    for problem in problems {
        let problem = problem.expect("it is no answer of the subscription's");
        assert_eq!((problem.code, problem.retry_after), (ErrorCode::Overloaded, Some(1_000)));
    }
}

#[tokio::test]
async fn nothing_is_kept_of_users_without_subscriptions() {
    let service = service(Arc::new(MemoryStore::new()));
    let watching = tokio::spawn(Arc::clone(&service).watch());
    service.made(&ann(), "s", pull()).await;
    assert!(lock(&service.known).contains(&ann()));
    // It is looked at, and stays known.
    service.stream(&ann(), "a/1").await;
    service.poke(&ann());
    let until = async |done: &dyn Fn(Option<&Subscription>) -> bool| {
        let looking = async {
            while !done(service.read(&ann(), "s").await.expect("it is read").ok().as_ref()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, looking).await.expect("it is looked at");
    };
    until(&|it| it.is_some_and(|it| it.generation == 1)).await;
    assert!(lock(&service.known).contains(&ann()));
    service.delete(&ann(), "s").await.expect("it is decided").expect("it was there");
    until(&|_| lock(&service.known).is_empty()).await;
    watching.abort();
}
