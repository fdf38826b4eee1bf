//! Every kind of hot tier that a node can be told of, under whole nodes: what crosses by it, and what becomes of it while
//! the tier is away.

mod scene;

use std::time::{Duration, Instant};

use serde_json::json;

use super::hot::mode;
use super::{Cluster, HOT, switch};
use crate::api::until;
use crate::postgres::Database;
use crate::servers::{self, Redis, Watched, certificates, free_port, valkey};
use crate::upstash::Upstash;

use scene::{Fault, Scene, WORDS};

/// How often servers were asked to do any of these.
async fn calls(servers: &[&Redis], names: &[&str]) -> u64 {
    let mut sum = 0;
    for server in servers {
        let calls = server.calls().await;
        sum += calls.iter().filter(|(name, _)| names.contains(&name.as_str())).map(|(_, calls)| calls).sum::<u64>();
    }
    sum
}

/// What the documents say that a user must be allowed, as commands.
fn documented(password: &str) -> Vec<String> {
    let (_, rest) = include_str!("../../../../../../docs/nodes.md").split_once("\nACL SETUSER").expect("a user");
    let (rules, _) = rest.split_once("```").expect("its end");
    let words = ["ACL", "SETUSER"].into_iter().chain(rules.split_whitespace());
    words.map(|word| word.replace("PASSWORD", password)).collect()
}

/// Has a server know the user of the documents, whose password is `hunter2`.
async fn admit(server: &Redis) {
    let rules = documented("hunter2");
    let rules: Vec<_> = rules.iter().map(String::as_str).collect();
    let _: redis::Value = server.run_command(&rules).await;
}

/// Nothing was refused. The client's library says what it is called where that is allowed; nothing depends on it.
async fn all_was_allowed(server: &Redis) {
    let refused: Vec<redis::Value> = server.run_command(&["ACL", "LOG"]).await;
    let refused: Vec<_> = refused.iter().map(|entry| format!("{entry:?}")).collect();
    let refused: Vec<_> = refused.iter().filter(|entry| !entry.contains("client|setinfo")).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

async fn one_server(mut server: Redis) {
    let mut scene = Scene::start(vec![(HOT, server.url())]).await;
    scene
        .outlives(async |fault| match fault {
            Fault::Gone => server.kill(),
            Fault::Back => server.restart(),
        })
        .await;
    assert!(calls(&[&server], &["publish"]).await > 0, "word goes by the tier");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_redis() {
    one_server(Redis::start()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_valkey() {
    match valkey() {
        Some(binary) => one_server(Redis::of(&binary, &[])).await,
        None => println!("there is no valkey-server: nothing is checked"),
    }
}

/// An encrypted way to a server that an authority of one's own vouches for, and a user who may do no more than is needed.
#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_server_with_an_authority_and_a_user_of_ones_own() {
    let directory = tempfile::tempdir().expect("a directory");
    certificates(directory.path());
    let (plain, tls, at) = (free_port(), free_port(), directory.path().display());
    let user = documented("hunter2")[2..].join(" ");
    let settings = format!(
        "port {plain}\ntls-port {tls}\nbind 127.0.0.1\nsave \"\"\ntls-auth-clients no\nuser {user}\n\
         tls-cert-file {at}/tm.pem\ntls-key-file {at}/tm.key\ntls-ca-cert-file {at}/ca.pem\n"
    );
    let mut server = Redis::with_file("redis-server", plain, &settings, &[]);
    let url = format!("rediss://threadmill:hunter2@127.0.0.1:{tls}");
    let hot = vec![(HOT, url), ("THREADMILL_HOT_CA_FILE", format!("{at}/ca.pem"))];
    let mut scene = Scene::start(hot).await;
    // Everything that is left there can be taken away again.
    be_present_and_delete(&scene).await;
    all_was_allowed(&server).await;
    scene
        .outlives(async |fault| match fault {
            Fault::Gone => server.kill(),
            Fault::Back => server.restart(),
        })
        .await;
    all_was_allowed(&server).await;
    assert!(calls(&[&server], &["publish"]).await > 0, "word goes by the tier");
}

/// Uses what a run and a window do not.
async fn be_present_and_delete(scene: &Scene) {
    let [a, b] = &scene.apis;
    a.thread("gone").await;
    let body = json!({"device": "phone", "state": "typing"});
    assert_eq!(a.ask(reqwest::Method::POST, "/threads/gone/presence", Some(&body)).await.0, 204);
    until("it is seen at the other node", async || {
        let present = b.get("/threads/gone/presence").await;
        present["present"].as_array().is_some_and(|all| all.len() == 1).then_some(())
    })
    .await;
    assert_eq!(a.ask(reqwest::Method::DELETE, "/threads/gone", None).await.0, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn upstash_over_rest() {
    let redis = Redis::start();
    let mut service = Upstash::start(&redis.url(), "secret").await;
    let hot = vec![("KV_REST_API_URL", service.url.clone()), ("KV_REST_API_TOKEN", "secret".into())];
    let mut scene = Scene::start(hot).await;
    scene
        .outlives(async |fault| match fault {
            Fault::Gone => service.stop().await,
            Fault::Back => service.start_again().await,
        })
        .await;
    // Word goes by the database: every look into a list of hints would be billed.
    let idle = redis.calls().await;
    assert_eq!(calls(&[&redis], &["xread", "publish", "spublish"]).await, 0, "{idle:?}");
}

/// It is asked every 30 seconds when nobody uses it, but not that seldom while it is away.
#[tokio::test(flavor = "multi_thread")]
async fn upstash_that_nobody_uses_is_found_again() {
    let redis = Redis::start();
    let mut service = Upstash::start(&redis.url(), "secret").await;
    let hot = vec![("KV_REST_API_URL", service.url.clone()), ("KV_REST_API_TOKEN", "secret".into())];
    let cluster = Cluster::start_told(Database::fresh().await, 1, hot).await;
    let api = cluster.api(0);
    api.thread(WORDS).await;
    service.stop().await;
    let mut before = 0;
    until("the loss is noticed by who uses it", async || {
        // What it was asked before, a node remembers itself.
        before += 1;
        api.get(&format!("/threads/{WORDS}/messages?before={}", before % 200)).await;
        (api.get("/info").await["mode"] == "degraded").then_some(())
    })
    .await;
    service.start_again().await;
    let back = mode(&cluster, "full").await;
    assert!(back < Duration::from_secs(15), "the return was noticed after {back:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_sentinels_watch() {
    let mut watched = Watched::start();
    let mut scene = Scene::start(vec![(HOT, watched.url())]).await;
    scene
        .outlives(async |fault| match fault {
            Fault::Gone => {
                watched.replica.kill();
                watched.primary.kill();
            }
            Fault::Back => {
                watched.primary.restart();
                watched.replica.restart();
            }
        })
        .await;
    assert!(calls(&[&watched.primary], &["publish"]).await > 0, "word goes by the tier");
}

/// Servers go on without one of them, as `deploy/compose.yaml` has it, and are quick to agree on who is there.
const QUICK: [&str; 4] = ["--cluster-require-full-coverage", "no", "--cluster-node-timeout", "1000"];

async fn cluster_of(binary: &str) {
    let mut servers = servers::Cluster::with(binary, &QUICK);
    for server in &servers.0 {
        admit(server).await;
    }
    let mut scene = Scene::start(vec![(HOT, servers.url("threadmill:hunter2@"))]).await;
    be_present_and_delete(&scene).await;
    for server in &servers.0 {
        all_was_allowed(server).await;
    }
    scene
        .outlives(async |fault| {
            for server in &mut servers.0 {
                match fault {
                    Fault::Gone => server.kill(),
                    Fault::Back => {
                        server.restart();
                        admit(server).await;
                    }
                }
            }
        })
        .await;
    assert!(calls(&servers.0.iter().collect::<Vec<_>>(), &["spublish"]).await > 0, "word goes by the tier");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_redis() {
    cluster_of("redis-server").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_valkey() {
    match valkey() {
        Some(binary) => cluster_of(&binary).await,
        None => println!("there is no valkey-server: nothing is checked"),
    }
}

/// The server that a stream is on dies, and its replica takes over: the text goes on meanwhile, and by the tier again then.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_of_a_cluster_dies_and_its_replica_takes_over() {
    let binary = valkey().unwrap_or_else(|| "redis-server".to_owned());
    let mut servers = servers::Cluster::with(&binary, &QUICK);
    let mut scene = Scene::start(vec![(HOT, servers.url(""))]).await;
    scene.all_is_well().await;
    let mut of = None;
    for (at, server) in servers.0.iter().enumerate() {
        let tails: Vec<String> = server.run_command(&["KEYS", "tm1:*:rn:*"]).await;
        of = of.or_else(|| (!tails.is_empty()).then_some(at));
    }
    let of = of.expect("the stream is on one of them");
    let replica = servers.add_replica(&binary, &QUICK, of);
    scene.streams_come_by().await;
    servers.0[of].kill();
    let (mut longest, died) = (Duration::ZERO, Instant::now());
    loop {
        let began = Instant::now();
        scene.stream.more_of(&scene.message, 1).await;
        longest = longest.max(began.elapsed());
        let role: Vec<redis::Value> = replica.run_command(&["ROLE"]).await;
        if role[0] == redis::Value::BulkString(b"master".to_vec()) {
            break;
        }
        assert!(died.elapsed() < Duration::from_secs(30), "nobody takes over");
    }
    eprintln!("a replica took over within {:?}; the longest pause of the text was {longest:?}", died.elapsed());
    assert!(longest <= switch(), "the text stood still for {longest:?}");
    mode(&scene.cluster, "full").await;
    scene.all_is_well().await;
    scene.ends().await;
}
