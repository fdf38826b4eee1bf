//! Feature flags from outside: the file is changed, and open connections hear of it.

use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::{Method, header};
use serde_json::{Value, json};
use threadmill_proto::{ClientFrame, ServerFrame};

use crate::api::{Api, until};
use crate::node::{Node, Setup};
use crate::socket::{Came, Socket};

/// A change of the file holds everywhere within this.
const PROMISE: Duration = Duration::from_secs(2);

fn write(node: &Node, text: &str) {
    std::fs::write(node.directory().join("threadmill.toml"), text).expect("the file is written");
}

/// A connection and the revision it is told at its beginning.
async fn connect(api: &Api) -> (Socket, u64) {
    let mut socket = Socket::raw(api).await;
    socket.say(&ClientFrame::Hello { oldest: 1, newest: 1, client: "it".into(), token: None }).await;
    assert!(matches!(socket.frame().await, ServerFrame::Welcome { .. }));
    let rev = told(&mut socket).await;
    (socket, rev)
}

/// The next revision that a connection is told.
async fn told(socket: &mut Socket) -> u64 {
    match socket.any(Duration::from_secs(10)).await {
        Came::Frame(frame) => match *frame {
            ServerFrame::Flags { rev } => rev,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

async fn scalable_sync(api: &Api) -> Value {
    api.get("/flags").await["flags"]["scalable-sync"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_reaches_open_connections_and_an_invalid_one_changes_nothing() {
    let node = Setup::new().start();
    let (ada, eve) = (node.api("ada"), node.api("eve"));
    let (mut socket, first) = connect(&ada).await;
    assert_eq!(ada.get("/flags").await, json!({"rev": first, "flags": {"scalable-sync": true}}));

    let began = Instant::now();
    write(&node, "[cohorts]\ninternal = ['ada']\n[flags.scalable-sync]\npercent = 0\ncohorts = ['internal']\n");
    let second = told(&mut socket).await;
    assert!(began.elapsed() < PROMISE, "it took {:?}", began.elapsed());
    assert_ne!(first, second);
    assert_eq!((scalable_sync(&ada).await, scalable_sync(&eve).await), (json!(true), json!(false)));
    assert_eq!(ada.get("/flags").await["rev"], second);

    // What is written in the file may be a secret in the wrong place.
    write(&node, "[flags.scalable-sync]\non = 'canary-secret'\n");
    until("the log says so", async || node.log().contains("the flags stay as they are").then_some(())).await;
    assert_eq!(ada.get("/flags").await["rev"], second);
    assert!(!node.log().contains("canary-secret"), "{}", node.log());

    write(&node, "[flags.scalable-sync]\non = false\n[flags.other]\npercent = 100\n");
    let third = told(&mut socket).await;
    assert_eq!(ada.get("/flags").await, json!({"rev": third, "flags": {"other": true, "scalable-sync": false}}));
    let (_, again) = connect(&eve).await;
    assert_eq!(again, third, "the revision is of the rules, not of the reader");

    write(&node, "");
    assert_eq!(told(&mut socket).await, first, "the same rules have the same revision");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_stops_nothing() {
    let node = Setup::new().start();
    let api = node.api("ada");
    let (mut socket, _) = connect(&api).await;
    write(&node, "[flags.scalable-sync]\non = false\n");
    assert!(Command::new("kill").args(["-HUP", &node.pid().to_string()]).status().expect("kill runs").success());
    told(&mut socket).await;
    assert_eq!(scalable_sync(&api).await, false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_is_a_kill_switch() {
    let node = Setup::new().environment("THREADMILL_FLAG_SCALABLE_SYNC", "off").start();
    let api = node.api("ada");
    assert_eq!(scalable_sync(&api).await, false);
    let (mut socket, _) = connect(&api).await;
    write(&node, "[flags.scalable-sync]\non = true\n[flags.other]\non = true\n");
    told(&mut socket).await;
    assert_eq!(scalable_sync(&api).await, false, "the file does not win over the variable");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_known_is_not_sent_again() {
    let node = Setup::new().start();
    let (ada, eve) = (node.api("ada"), node.api("eve"));
    write(&node, "[cohorts]\nsome = ['ada']\n[flags.scalable-sync]\ncohorts = ['some']\n");
    until("the file is read", async || (scalable_sync(&eve).await == false).then_some(())).await;
    let ask = async |api: &Api, tag: Option<&str>| {
        let mut request = api.request(Method::GET, "/flags");
        if let Some(tag) = tag {
            request = request.header(header::IF_NONE_MATCH, tag);
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "private, no-store");
        let tag = answer.headers()[header::ETAG].to_str().expect("a tag").to_owned();
        (answer.status().as_u16(), tag)
    };
    let (_, tag) = ask(&ada, None).await;
    assert_eq!(ask(&ada, Some(&tag)).await, (304, tag.clone()));
    assert_eq!(ask(&ada, Some(&format!("\"x\", W/{tag}"))).await.0, 304);
    assert_eq!(ask(&ada, Some("\"x\"")).await.0, 200);
    assert_eq!(ask(&eve, Some(&tag)).await.0, 200, "eve's answer is another one");
}
