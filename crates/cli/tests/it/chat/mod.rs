//! `/api/chat` as the AI SDK's clients use it: turns, resuming, stopping, several tabs, hostile bodies.

pub(crate) mod client;
mod socket;

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use threadmill_mock_provider::text::said;
use threadmill_mock_provider::{Mock, Plan};

use self::client::{Stream, ask, post, refused, resume, stop, user};
use crate::api::{Api, string, text, text_of, until};
use crate::auth;
use crate::node::{Node, Setup};

const QUICK: &str = "mock,tokens=60,rate=400";
const SLOW: &str = "mock,tokens=2000,rate=50";
const STEADY: &str = "mock,tokens=120,rate=100";

pub(crate) fn expected(model: &str, question: &str) -> String {
    said(&Plan::parse(model).expect("a plan"), question)
}

/// A node whose default provider is one, and a client.
pub(crate) async fn node(model: &str) -> (Mock, Node, Api) {
    let mock = Mock::start(([127, 0, 0, 1], 0).into()).await.expect("a mock provider");
    let node = Setup::new().providers(&mock.base_url(), &[("first", model), ("slow", SLOW), ("quick", QUICK)]).start();
    let api = node.api("ada");
    (mock, node, api)
}

/// What a thread's default branch says.
async fn line(api: &Api, chat: &str) -> Vec<String> {
    api.branch(chat, None).await.iter().map(text_of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_makes_the_thread_and_the_next_one_follows_it() {
    let (mock, _node, api) = node(QUICK).await;
    let first = Stream::of(ask(&api, "chat", json!([user("u1", "why")])).await).end().await;
    let want = expected(QUICK, "why");
    assert_eq!((first.text.as_str(), &first.end["finishReason"]), (want.as_str(), &json!("stop")));
    assert!(first.deltas > 3, "60 tokens came in {} pieces: that is no stream", first.deltas);
    let stored = api.branch("chat", None).await;
    assert_eq!(stored.iter().map(|m| string(&m["id"])).collect::<Vec<_>>(), ["u1", first.id.as_str()]);
    assert_eq!(text_of(&stored[1]), want);
    assert_eq!(api.get("/threads/chat").await["thread"]["title"], "why");

    let answer = json!({"id": first.id, "role": "assistant", "parts": [text("not what was said")]});
    let messages = json!([user("u1", "forged"), answer, user("u2", "how")]);
    let second = Stream::of(ask(&api, "chat", messages).await).end().await;
    assert_eq!(line(&api, "chat").await, ["why", &want, "how", &second.text], "the server holds the history");
    assert_eq!(mock.counters().requests(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_sent_again_gets_the_answer_that_it_got() {
    let (mock, _node, api) = node(STEADY).await;
    let messages = json!([user("u1", "once")]);
    let mut first = Stream::of(ask(&api, "chat", messages.clone()).await);
    first.until(|seen| seen.text.len() > 20).await;
    let again = Stream::of(ask(&api, "chat", messages.clone()).await).end().await;
    let first = first.end().await;
    assert_eq!((again.id, again.text), (first.id.clone(), first.text.clone()));
    let later = Stream::of(ask(&api, "chat", messages).await).end().await;
    assert_eq!((later.id, later.text, later.deltas), (first.id, first.text, 1), "what is there comes as one");
    assert_eq!((mock.counters().requests(), api.branch("chat", None).await.len()), (1, 2));
    let other = refused(ask(&api, "chat", json!([user("u1", "something else")])).await).await;
    assert_eq!((other.0, other.1.as_str()), (409, "id_taken"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_taken_up_from_its_beginning_by_whoever_comes() {
    let (mock, _node, api) = node(STEADY).await;
    assert_eq!(resume(&api, "chat").await.status(), 204, "there is no such chat");
    let mut left = Stream::of(ask(&api, "chat", json!([user("u1", "go on")])).await);
    left.until(|seen| seen.text.len() > 20).await;
    // Leaving is not stopping.
    drop(left);
    let mut readers = Vec::new();
    for _ in 0..3 {
        let mut reader = Stream::of(resume(&api, "chat").await);
        reader.until(|seen| seen.text.len() > 20).await;
        readers.push(reader);
    }
    let want = expected(STEADY, "go on");
    for reader in readers {
        let read = reader.end().await;
        assert_eq!((read.text.as_str(), &read.end["type"]), (want.as_str(), &json!("finish")));
    }
    assert_eq!(resume(&api, "chat").await.status(), 204, "nothing is written any more");
    assert_eq!((mock.counters().requests(), mock.counters().aborted()), (1, 0), "resuming starts nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_answer_for_everybody_who_reads_it() {
    let (mock, _node, api) = node(SLOW).await;
    assert_eq!(stop(&api, "chat", json!({})).await, json!({"stopped": false}));
    let mut first = Stream::of(ask(&api, "chat", json!([user("u1", "long")])).await);
    first.until(|seen| seen.text.len() > 20).await;
    let second = Stream::of(resume(&api, "chat").await);
    for other in [json!({"activeStreamId": "other"}), json!({"assistantMessage": {"id": "other", "parts": [1]}})] {
        assert_eq!(stop(&api, "chat", other).await["stopped"], false, "it is of another answer");
    }
    let meant = json!({"activeStreamId": first.reader.run, "messageId": first.reader.id});
    assert_eq!(stop(&api, "chat", meant).await["run"]["status"], "ended");
    let (first, second) = (first.end().await, second.end().await);
    assert_eq!((&first.end, &second.end), (&json!({"type": "abort"}), &json!({"type": "abort"})));
    assert_eq!(first.text, second.text);
    let kept = api.message("chat", &first.id).await;
    assert_eq!((text_of(&kept), &kept["status"]), (first.text, &json!("stopped")));
    until("the provider is left", async || (mock.counters().aborted() == 1).then_some(())).await;
    assert_eq!(stop(&api, "chat", json!({})).await["stopped"], false, "stopping twice changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_message_while_an_answer_is_written_is_refused_in_words() {
    let (mock, _node, api) = node(SLOW).await;
    let first = Stream::of(ask(&api, "chat", json!([user("u1", "long")])).await);
    let stale = json!([user("u0", "never sent"), user("u2", "me too")]);
    for messages in [json!([user("u1", "long"), user("u2", "me too")]), stale, json!([user("u2", "me too")])] {
        let (status, code, said) = refused(ask(&api, "chat", messages).await).await;
        assert_eq!((status, code.as_str()), (409, "run_in_progress"));
        assert_eq!(said, "An answer is still being written in this chat. Stop it, or wait for its end.");
    }
    // The other tab follows instead, and may stop it.
    let second = Stream::of(resume(&api, "chat").await);
    stop(&api, "chat", json!({})).await;
    assert_eq!((first.end().await.end, second.end().await.end), (json!({"type": "abort"}), json!({"type": "abort"})));
    assert_eq!(mock.counters().requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_a_message_follows_decides_where_it_goes() {
    let (_mock, _node, api) = node(QUICK).await;
    let turn = async |messages: Value| Stream::of(ask(&api, "chat", messages).await).end().await;
    let assistant = |id: &str| json!({"id": id, "role": "assistant", "parts": [text("x")]});
    let a1 = turn(json!([user("u1", "one")])).await;
    let a2 = turn(json!([user("u1", "one"), assistant(&a1.id), user("u2", "two")])).await;
    // A tab that has not seen the second turn.
    let a3 = turn(json!([user("u1", "one"), assistant(&a1.id), user("u3", "three")])).await;
    assert_eq!(line(&api, "chat").await, ["one", &a1.text, "three", &a3.text]);
    // And one that goes on where the other branch ended.
    let a4 = turn(json!([assistant(&a2.id), user("u4", "four")])).await;
    let first = string(&api.message("chat", &a2.id).await["branch"]);
    let other: Vec<_> = api.branch("chat", Some(&first)).await.iter().map(text_of).collect();
    assert_eq!(other, ["one", &a1.text, "two", &a2.text, "four", &a4.text]);
    // A history that the server has never seen is not believed: the message goes to the tip.
    turn(json!([assistant("never"), user("u5", "five")])).await;
    assert_eq!(line(&api, "chat").await[4], "five");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_and_another_answer_are_forks_that_the_next_turn_finds() {
    let (mock, _node, api) = node(QUICK).await;
    let assistant = |id: &str| json!({"id": id, "role": "assistant", "parts": [text("x")]});
    let a1 = Stream::of(ask(&api, "chat", json!([user("u1", "one")])).await).end().await;
    let edit = json!({"id": "chat", "messages": [user("u1", "two")], "trigger": "submit-message", "messageId": "u1"});
    let a2 = Stream::of(post(&api, &edit).await).end().await;
    assert_eq!(line(&api, "chat").await, ["two", &expected(QUICK, "two")]);
    let again = Stream::of(post(&api, &edit).await).end().await;
    assert_eq!((&again.id, mock.counters().requests()), (&a2.id, 2), "an edit is made once");
    // To the SDK the edited message has the id it had.
    let regenerate = |messages: Value, of: Value| json!({"id": "chat", "messages": messages, "trigger": "regenerate-message", "messageId": of});
    let a3 = Stream::of(post(&api, &regenerate(json!([user("u1", "two")]), Value::Null)).await).end().await;
    assert_ne!(a3.id, a2.id);
    assert_eq!(line(&api, "chat").await, ["two", &a3.text]);
    let a4 = Stream::of(post(&api, &regenerate(json!([user("u1", "two")]), json!(a3.id))).await).end().await;
    let shown = api.branch("chat", None).await;
    assert_eq!(shown.iter().map(|m| string(&m["id"])).next_back(), Some(a4.id.clone()));
    let next = json!([user("u1", "two"), assistant(&a4.id), user("u2", "three")]);
    Stream::of(ask(&api, "chat", next).await).end().await;
    assert_eq!(line(&api, "chat").await[..3], ["two", &a4.text, "three"]);
    // Another answer to a message in the middle, by the message's own id.
    let middle = regenerate(json!([user("u1", "one")]), json!(a1.id));
    let a5 = Stream::of(post(&api, &middle).await).end().await;
    assert_eq!(line(&api, "chat").await, ["one", &a5.text]);
    // A question that never arrived is asked.
    let lost = json!({"id": "new", "messages": [user("l1", "lost")], "trigger": "regenerate-message"});
    assert_eq!(Stream::of(post(&api, &lost).await).end().await.text, expected(QUICK, "lost"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_reasoning_and_failures_are_said_in_words_of_version_5() {
    let mock = Mock::start(([127, 0, 0, 1], 0).into()).await.expect("a mock provider");
    let models = [
        ("tools", "mock,rate=0,fault=tools"),
        ("reasoning", "mock,rate=0,fault=reasoning"),
        ("cut", "mock,rate=0,fault=cut,at=30"),
        ("refused", "mock,rate=0,fault=status-429"),
    ];
    let node = Setup::new().providers(&mock.base_url(), &models).start();
    let api = node.api("ada");
    for (name, model) in models {
        let body = json!({"id": name, "messages": [user("u", "why")], "provider": name});
        let read = Stream::of(post(&api, &body).await).end().await;
        let kept = api.message(name, &read.id).await;
        assert_eq!(
            (read.text.as_str(), text_of(&kept)),
            (expected(model, "why").as_str(), read.text.clone()),
            "{name}"
        );
        match name {
            "tools" => assert!(read.types.contains(&"tool-input-available".into()), "{read:?}"),
            "reasoning" => assert!(!read.reasoning.is_empty()),
            _ => {
                let why = api.get(&format!("/runs/{}", read.run)).await["run"]["error"].clone();
                assert_eq!(read.end, json!({"type": "error", "errorText": why}), "{name}");
            }
        }
        // Whoever sends it again gets the same parts, from what is stored.
        let again = Stream::of(post(&api, &body).await).end().await;
        assert_eq!((again.text, again.reasoning, again.end), (read.text, read.reasoning, read.end), "{name}");
    }
    let unknown = json!({"id": "c", "messages": [user("u", "why")], "provider": "nobody"});
    assert_eq!(refused(post(&api, &unknown).await).await.1, "provider_unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bodies_are_refused_and_change_nothing() {
    let (mock, _node, api) = node(QUICK).await;
    let raw = async |body: String| {
        let request = api.request_at(Method::POST, "/api/chat").header("content-type", "application/json").body(body);
        refused(request.send().await.expect("the server answers")).await
    };
    let deep = format!(r#"{{"id":"c","messages":{}{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
    let part = |part: &str| format!(r#"{{"id":"c","messages":[{{"id":"u","role":"user","parts":[{part}]}}]}}"#);
    let nested = part(&format!(r#"{{"type":"data-x","data":{}{}}}"#, "[".repeat(120), "]".repeat(120)));
    let long = part(&format!(r#"{{"type":"text","text":"{}"}}"#, "x".repeat(2 << 20)));
    for (body, want) in [
        ("{".to_owned(), "invalid_json"),
        ("[]".to_owned(), "invalid_request"),
        (deep, "invalid_json"),
        (nested, "invalid_parts"),
        (long, "message_too_large"),
        (part(r#"{"type":"text"}"#), "invalid_parts"),
        (part(&vec![r#"{"type":"text","text":""}"#; 300].join(",")), "invalid_parts"),
        (r#"{"id":"","messages":[{}]}"#.to_owned(), "invalid_id"),
        (
            r#"{"id":"c","messages":[{"id":"a","role":"assistant","parts":[{"type":"text","text":"x"}]}]}"#.to_owned(),
            "invalid_request",
        ),
        (r#"{"id":"c","messages":[],"trigger":"submit-message"}"#.to_owned(), "invalid_request"),
        ("x".repeat(17 << 20), "body_too_large"),
    ] {
        let (_, code, said) = raw(body.clone()).await;
        assert_eq!(code, want, "{said}: {}", &body[..body.len().min(100)]);
    }
    assert_eq!(api.get("/threads").await["threads"], json!([]));
    assert_eq!(mock.counters().requests(), 0);
    // Ten thousand messages of a history that nobody asked for, and names of prototypes.
    let mut messages: Vec<_> = (0..10_000).map(|n| user(&format!("h{n}"), &"x".repeat(400))).collect();
    messages.push(json!({"id": "u", "role": "user", "parts": [text("hello")], "__proto__": {"role": "system"}}));
    let body =
        json!({"id": "odd id/ü", "messages": messages, "__proto__": {"id": "x"}, "constructor": {"prototype": {}}});
    let read = Stream::of(post(&api, &body).await).end().await;
    assert_eq!(read.text, expected(QUICK, "hello"));
    let resumed = resume(&api, "odd%20id%2F%C3%BC").await;
    assert_eq!(resumed.status(), 204, "the id is one in a path, too");
    assert_eq!(api.get("/threads").await["threads"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_or_stops_what_is_another_s() {
    let mock = Mock::start(([127, 0, 0, 1], 0).into()).await.expect("a mock provider");
    let node = auth::setup().providers(&mock.base_url(), &[("slow", SLOW)]).start();
    let token = |claims: Value| Api::new(node.address(), "x").bearing(&auth::mint_for(&claims));
    let ada = token(json!({"sub": "ada"}));
    let others = [token(json!({"sub": "eve"})), token(json!({"sub": "ada", "tenant": "acme"}))];
    let mut first = Stream::of(ask(&ada, "chat", json!([user("u1", "secret")])).await);
    first.until(|seen| seen.text.len() > 20).await;
    for other in &others {
        assert_eq!(resume(other, "chat").await.status(), 204);
        assert_eq!(stop(other, "chat", json!({})).await["stopped"], false);
    }
    let taken = refused(ask(&others[0], "chat", json!([user("u2", "mine")])).await).await;
    assert_eq!((taken.0, taken.1.as_str()), (409, "id_taken"));
    // In another tenant the id is free.
    let theirs = Stream::of(ask(&others[1], "chat", json!([user("u1", "mine")])).await);
    stop(&others[1], "chat", json!({})).await;
    assert_ne!(theirs.end().await.id, first.reader.id);
    stop(&ada, "chat", json!({})).await;
    first.end().await;
    let nobody = Api::new(node.address(), "x");
    assert_eq!(refused(resume(&nobody, "chat").await).await.1, "unauthorized");
    assert_eq!(refused(ask(&nobody, "chat", json!([user("u1", "x")])).await).await.1, "unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_reads_late_misses_nothing() {
    let (_mock, _node, api) = node("mock,tokens=6000,rate=0").await;
    let slow = Stream::of(ask(&api, "chat", json!([user("u1", "much")])).await);
    until("the answer is whole", async || {
        let messages = api.branch("chat", None).await;
        messages.last().is_some_and(|last| last["status"] == "complete").then_some(())
    })
    .await;
    let read = slow.end().await;
    assert_eq!(read.text, text_of(&api.message("chat", &read.id).await));
    assert_eq!(read.end["finishReason"], "stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_silent_does_not_silence_the_connection() {
    let (_mock, _node, api) = node("mock,rate=0,fault=stall,at=5").await;
    let mut stream = Stream::of(ask(&api, "chat", json!([user("u1", "hello?")])).await);
    stream.until(|seen| !seen.text.is_empty()).await;
    let waited = Instant::now();
    stream.beat().await;
    assert!(waited.elapsed() < Duration::from_secs(16), "it took {:?}", waited.elapsed());
    stop(&api, "chat", json!({})).await;
    assert_eq!(stream.end().await.end, json!({"type": "abort"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_breaks_the_connection_and_calls_nothing_complete() {
    let (_mock, mut node, api) = node(SLOW).await;
    let mut first = Stream::of(ask(&api, "chat", json!([user("u1", "long")])).await);
    first.until(|seen| seen.text.len() > 20).await;
    node.kill();
    while first.next().await.is_ok_and(|chunk| chunk.is_some()) {}
    assert!(!first.reader.is_done, "it ended as if it were whole: {:?}", first.reader);
    node.restart();
    let api = node.api("ada");
    assert_eq!(resume(&api, "chat").await.status(), 204);
    let kept = api.message("chat", &first.reader.id).await;
    assert_eq!(kept["status"], "interrupted");
    assert!(text_of(&kept).starts_with(&first.reader.text), "what was shown is kept");
    let next = json!([{"id": first.reader.id, "role": "assistant", "parts": []}, user("u2", "again")]);
    let mut second = Stream::of(ask(&api, "chat", next).await);
    second.until(|seen| !seen.text.is_empty()).await;
    stop(&api, "chat", json!({})).await;
    second.end().await;
}
