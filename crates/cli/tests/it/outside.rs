//! Runs that a program outside writes: its own backend, over any of three bodies, once however often it sends.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::StreamExt as _;
use reqwest::{Body, Method, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc::{Sender, channel};

use crate::api::{Api, code, string, text, text_of, until};
use crate::chat::client::{Stream, resume, stop};
use crate::node::{Node, Setup};

/// The header of a refusal that says how the run ended.
const OUTCOME: &str = "threadmill-outcome";

/// A run that is written from outside, and how.
pub(crate) struct Outside {
    pub(crate) api: Api,
    pub(crate) run: String,
    pub(crate) message: String,
    token: String,
}

impl Outside {
    /// Begins one on a thread that is there.
    pub(crate) async fn begin(api: &Api, thread: &str) -> Self {
        let written = api.post(&format!("/threads/{thread}/runs"), json!({"external": true})).await;
        Self::of(api, &written)
    }

    fn of(api: &Api, written: &Value) -> Self {
        assert_eq!(written["run"]["provider"], "external");
        let run = string(&written["run"]["id"]);
        assert_eq!(written["writer"]["href"], format!("/v1/runs/{run}/chunks"));
        let message = string(&written["run"]["message"]);
        Self { api: api.clone(), run, message, token: string(&written["writer"]["token"]) }
    }

    /// The same through another node.
    pub(crate) fn at(&self, api: &Api) -> Self {
        Self { api: api.clone(), run: self.run.clone(), message: self.message.clone(), token: self.token.clone() }
    }

    fn request(&self, media: &str) -> reqwest::RequestBuilder {
        let request = self.api.request(Method::POST, &format!("/runs/{}/chunks", self.run));
        request.header("threadmill-run-token", &self.token).header("content-type", media)
    }

    async fn send(&self, media: &str, body: String, producer: Option<(u64, u64)>) -> Response {
        let mut request = self.request(media).body(body);
        if let Some((epoch, seq)) = producer {
            request = request.header("producer-id", "p").header("producer-epoch", epoch).header("producer-seq", seq);
        }
        request.send().await.expect("the server answers")
    }

    /// Lines of JSON, the first under a number; the number of the last one that was taken.
    pub(crate) async fn lines(&self, from: u64, lines: &[Value]) -> Response {
        self.send("application/x-ndjson", ndjson(lines), Some((0, from))).await
    }

    /// A body that goes on: what is said into it, and the answer that comes some time.
    fn open(&self, media: &str) -> (Sender<String>, tokio::task::JoinHandle<Response>) {
        let (sender, receiver) = channel::<String>(8);
        let pieces = futures_util::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|piece| (Ok::<_, std::io::Error>(piece), receiver))
        });
        let request = self.request(media).body(Body::wrap_stream(pieces.boxed()));
        (sender, tokio::spawn(async move { request.send().await.expect("the server answers") }))
    }
}

fn ndjson(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

pub(crate) fn delta(said: &str) -> Value {
    json!({"type": "text-delta", "id": "0", "delta": said})
}

pub(crate) fn finish() -> Value {
    json!({"type": "finish", "finishReason": "stop", "usage": {"outputTokens": 3}})
}

pub(crate) async fn answered(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, response.json().await.expect("JSON"))
}

fn node() -> (Node, Api) {
    let node = Setup::new().start();
    let api = node.api("ada");
    (node, api)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_piped_in_is_seen_as_it_comes_and_kept_when_it_ends() {
    let (_node, api) = node();
    api.thread("t").await;
    let outside = Outside::begin(&api, "t").await;
    let (say, answer) = outside.open("text/event-stream");
    let event = |chunk: &Value| format!("data: {chunk}\n\n");
    say.send(event(&json!({"type": "start", "messageId": "the SDK's own"}))).await.expect("it is read");
    say.send(event(&json!({"type": "start-step"})) + &event(&json!({"type": "text-start", "id": "0"})))
        .await
        .expect("read");
    let mut reader = Stream::of(resume(&api, "t").await);
    let mut said = String::new();
    for word in ["Hello ", "from ", "outside, ", "é"] {
        // Each is seen before the next one is said: nothing is held back.
        say.send(event(&delta(word))).await.expect("it is read");
        said += word;
        let want = said.clone();
        reader.until(move |seen| seen.text == want).await;
    }
    let tool = json!({"type": "tool-input-available", "toolCallId": "c", "toolName": "t", "input": {"n": 1}});
    let output = json!({"type": "tool-output-available", "toolCallId": "c", "output": [true]});
    let rest = [json!({"type": "text-end", "id": "0"}), tool, output, json!({"type": "finish-step"}), finish()];
    for chunk in &rest {
        say.send(event(chunk)).await.expect("it is read");
    }
    let (status, taken) = answered(answer.await.expect("it is answered")).await;
    assert_eq!((status, &taken["run"]["outcome"]), (200, &json!("complete")));
    let read = reader.end().await;
    assert_eq!(
        (&read.id, read.text.as_str(), &read.end["finishReason"]),
        (&outside.message, said.as_str(), &json!("stop"))
    );
    let kept = api.message("t", &outside.message).await;
    assert_eq!(
        (text_of(&kept), &kept["status"], &kept["metadata"]["usage"]["outputTokens"]),
        (said, &json!("complete"), &json!(3))
    );
    assert_eq!(kept["parts"][2]["output"], json!([true]));
}

#[tokio::test(flavor = "multi_thread")]
async fn numbered_lines_are_taken_once_however_often_they_are_sent() {
    let (mut node, api) = node();
    api.thread("t").await;
    let outside = Outside::begin(&api, "t").await;
    let lines: Vec<_> = (0..20).map(|n| delta(&format!("{n} "))).collect();
    let taken = async |from: usize, to: usize| {
        let (status, taken) = answered(outside.lines(from as u64, &lines[from..to]).await).await;
        (status, taken["seq"].as_u64())
    };
    assert_eq!(taken(0, 5).await, (200, Some(4)));
    assert_eq!(taken(0, 5).await, (200, Some(4)), "again");
    assert_eq!(taken(3, 9).await, (200, Some(8)), "what overlaps");
    let gap = outside.lines(11, &lines[11..12]).await;
    let header = |name: &str| gap.headers()[name].to_str().expect("a text").to_owned();
    assert_eq!((header("producer-expected-seq"), header("producer-received-seq")), ("9".into(), "11".into()));
    assert_eq!(gap.status(), 400);
    // The node is gone and back, and its memory of the writer with it.
    node.kill();
    node.restart();
    let outside = outside.at(&node.api("ada"));
    let (status, again) = answered(outside.lines(5, &lines[5..15]).await).await;
    assert_eq!((status, &again["seq"]), (200, &json!(14)));
    // A writer that takes over counts from 0, and the one before it is refused.
    let newer = outside.send("application/x-ndjson", ndjson(&[delta("new ")]), Some((1, 0))).await;
    assert_eq!(newer.status(), 200);
    let older = answered(outside.lines(15, &lines[15..]).await).await;
    assert_eq!((older.0, code(&older).as_str()), (409, "fenced"));
    let end = outside.send("application/x-ndjson", ndjson(&[finish()]), Some((1, 1))).await;
    assert_eq!(answered(end).await.1["run"]["outcome"], "complete");
    // Its answer was lost: the end is sent again.
    let again = outside.send("application/x-ndjson", ndjson(&[finish()]), Some((1, 1))).await;
    assert_eq!(answered(again).await.1["run"]["outcome"], "complete");
    let more = answered(outside.send("application/x-ndjson", ndjson(&[delta("x")]), Some((1, 2))).await).await;
    assert_eq!((more.0, code(&more).as_str()), (409, "run_ended"));
    let want: String = (0..15).map(|n| format!("{n} ")).collect::<String>() + "new ";
    assert_eq!(text_of(&outside.api.message("t", &outside.message).await), want);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_is_read_followed_and_stopped_though_its_node_was_started_again() {
    let (mut node, api) = node();
    api.thread("t").await;
    let outside = Outside::begin(&api, "t").await;
    assert_eq!(outside.lines(0, &[delta("before, ")]).await.status(), 200);
    node.kill();
    node.restart();
    let api = node.api("ada");
    let outside = outside.at(&api);
    assert_eq!(text_of(&api.message("t", &outside.message).await), "before, ");
    let mut reader = Stream::of(resume(&api, "t").await);
    assert_eq!(outside.lines(1, &[delta("after")]).await.status(), 200);
    reader.until(|seen| seen.text == "before, after").await;
    let window = api.get("/threads/t/messages").await;
    let newest = window["messages"].as_array().and_then(|messages| messages.last()).expect("a message");
    assert_eq!(text_of(newest), "before, after");
    // What a writer's numbers are kept in is no word of the answer.
    let stream = api.get(&format!("/stream/runs/{}?offset=-1", outside.run)).await;
    let kinds: Vec<_> = stream.as_array().expect("a list").iter().map(|chunk| string(&chunk["type"])).collect();
    assert_eq!(kinds, ["text-delta", "text-delta"]);
    for unreadable in [json!({"activeStreamId": 3}), json!({"messageId": []}), json!({"assistantMessage": {"id": {}}})]
    {
        let (status, problem) = api.ask(Method::POST, "/../api/chat/t/stop", Some(&unreadable)).await;
        assert_eq!(status, 400, "{problem}");
    }
    assert_eq!(stop(&api, "t", json!({})).await["stopped"], true);
    assert_eq!(text_of(&api.message("t", &outside.message).await), "before, after");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_one_number_is_taken_whole_or_not_at_all() {
    let (_node, api) = node();
    api.thread("t").await;
    let outside = Outside::begin(&api, "t").await;
    let send = async |seq: u64, body: Value| {
        let sent = outside.send("application/json", body.to_string(), Some((0, seq))).await;
        let producer = sent.headers().get("producer-seq").and_then(|seq| seq.to_str().ok()).map(str::to_owned);
        (sent.status().as_u16(), producer)
    };
    assert_eq!(send(0, json!([delta("a"), delta("b")])).await, (200, Some("0".into())));
    assert_eq!(send(0, json!([delta("a"), delta("b")])).await, (200, Some("0".into())));
    assert_eq!(send(1, json!([delta("c"), {"type": "text-delta"}])).await.0, 400, "one of it is malformed");
    assert_eq!(send(1, delta("d")).await, (200, Some("1".into())));
    assert_eq!(send(2, finish()).await.0, 200);
    assert_eq!(text_of(&api.message("t", &outside.message).await), "abd");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_reaches_the_writer_at_once() {
    let (_node, api) = node();
    api.thread("t").await;
    let outside = Outside::begin(&api, "t").await;
    let (say, answer) = outside.open("application/x-ndjson");
    say.send(ndjson(&[delta("so far")])).await.expect("it is read");
    let mut reader = Stream::of(resume(&api, "t").await);
    reader.until(|seen| seen.text == "so far").await;
    let asked = Instant::now();
    assert_eq!(stop(&api, "t", json!({})).await["stopped"], true);
    // Nothing more is said, and the body is not over: the writer hears of it all the same.
    let answer = answer.await.expect("it is answered");
    assert_eq!(answer.headers()[OUTCOME], "stopped");
    let refused = answered(answer).await;
    assert!(asked.elapsed() < Duration::from_millis(500), "it took {:?}", asked.elapsed());
    assert_eq!((refused.0, code(&refused).as_str()), (409, "run_ended"));
    assert_eq!(refused.1["detail"], "The run was stopped.");
    let next = outside.lines(0, &[delta("late")]).await;
    assert_eq!(next.headers()[OUTCOME], "stopped");
    let next = answered(next).await;
    assert_eq!((next.0, code(&next).as_str()), (409, "run_ended"));
    assert_eq!(reader.end().await.end, json!({"type": "abort"}));
    assert_eq!(text_of(&api.message("t", &outside.message).await), "so far");
    drop(say);
}

/// From their start until their end, whatever the node remembers of their writers.
#[tokio::test(flavor = "multi_thread")]
async fn they_count_in_what_a_user_may_have_at_once() {
    let mut node = Setup::new().more("[limits]\nruns_per_user = 2\n").start();
    let api = node.api("ada");
    for thread in ["a", "b", "c", "d"] {
        api.thread(thread).await;
    }
    let external = json!({"external": true});
    let begin = async |api: &Api, thread: &str| {
        let answer = api.ask(Method::POST, &format!("/threads/{thread}/runs"), Some(&external)).await;
        if answer.0 == 201 { "begun".to_owned() } else { code(&answer) }
    };
    let (one, two) = (Outside::begin(&api, "a").await, Outside::begin(&api, "b").await);
    assert_eq!(begin(&api, "c").await, "rate_limited");
    node.api("bob").thread("bobs").await;
    Outside::begin(&node.api("bob"), "bobs").await;
    assert_eq!(one.lines(0, &[delta("x")]).await.status(), 200);
    assert_eq!(begin(&api, "c").await, "rate_limited", "a request of its writer's came and went");
    node.kill();
    node.restart();
    let api = node.api("ada");
    assert_eq!(begin(&api, "c").await, "rate_limited", "they were found when the node began");
    assert_eq!(one.at(&api).lines(1, &[finish()]).await.status(), 200);
    assert_eq!(begin(&api, "c").await, "begun");
    assert_eq!(begin(&api, "d").await, "rate_limited");
    assert_eq!(stop(&api, "b", json!({})).await["stopped"], true);
    assert_eq!(begin(&api, "d").await, "begun");
    let refused = answered(two.at(&api).lines(0, &[delta("late")]).await).await;
    assert_eq!(code(&refused), "run_ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_taken_whole_counts_in_what_its_sender_may_hold() {
    let node = Setup::new().more("[limits]\nbody_bytes_per_user = 65536\n").start();
    let api = node.api("ada");
    api.thread("t").await;
    let outside = Outside::begin(&api, "t").await;
    let much = delta(&"x".repeat(100 << 10));
    let held = answered(outside.send("application/json", much.to_string(), None).await).await;
    assert_eq!((held.0, code(&held).as_str()), (429, "rate_limited"));
    // What is looked at as it comes is not held.
    assert_eq!(outside.send("application/x-ndjson", ndjson(&[much]), None).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_and_aborts_of_the_writer_are_ends() {
    let (_node, api) = node();
    for (end, outcome, status) in [
        (json!({"type": "error", "errorText": "The model is on fire."}), "failed", "failed"),
        (json!({"type": "abort"}), "stopped", "stopped"),
        (json!({"type": "finish", "finishReason": "length"}), "complete", "complete"),
    ] {
        let thread = format!("t-{outcome}");
        api.thread(&thread).await;
        let outside = Outside::begin(&api, &thread).await;
        let (_, taken) = answered(outside.lines(0, &[delta("x"), end.clone()]).await).await;
        assert_eq!(taken["run"]["outcome"], outcome);
        assert_eq!(taken["run"]["error"].as_str(), end["errorText"].as_str());
        assert_eq!(api.message(&thread, &outside.message).await["status"], status);
        let late = outside.lines(9, &[delta("late")]).await;
        assert_eq!((late.status().as_u16(), late.headers()[OUTCOME].to_str().expect("a word")), (409, outcome));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_says_nothing_is_let_go_and_one_that_thinks_is_not() {
    let (_node, api) = node();
    api.thread("silent").await;
    api.thread("thinking").await;
    let silent = Outside::begin(&api, "silent").await;
    let thinking = Outside::begin(&api, "thinking").await;
    silent.lines(0, &[delta("I was")]).await;
    let (say, answer) = thinking.open("application/x-ndjson");
    say.send(ndjson(&[delta("I am")])).await.expect("it is read");
    let began = Instant::now();
    assert_eq!(api.ended(&silent.run).await["outcome"], "interrupted");
    assert!(began.elapsed() < Duration::from_secs(30), "it took {:?}", began.elapsed());
    assert_eq!(text_of(&api.message("silent", &silent.message).await), "I was");
    let late = silent.lines(1, &[delta(" late")]).await;
    assert_eq!(late.headers()[OUTCOME], "interrupted");
    let late = answered(late).await;
    assert_eq!((late.0, code(&late).as_str()), (409, "run_ended"));
    say.send(ndjson(&[delta(" still"), finish()])).await.expect("it is read");
    assert_eq!(answered(answer.await.expect("an answer")).await.1["run"]["outcome"], "complete");
    assert_eq!(text_of(&api.message("thinking", &thinking.message).await), "I am still");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_for_its_run_and_nothing_else() {
    let (node, api) = node();
    api.thread("t").await;
    api.thread("u").await;
    let (one, two) = (Outside::begin(&api, "t").await, Outside::begin(&api, "u").await);
    let other = Outside { token: two.token.clone(), ..one.at(&api) };
    let none = Outside { token: "none".into(), ..one.at(&api) };
    let mut forged = one.token.clone();
    let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
    forged.insert(forged.len() - 4, last);
    let forged = Outside { token: forged, ..one.at(&api) };
    // As it would be shown after a stop: the next fencing token, which nobody was given.
    let shown = BASE64_URL_SAFE_NO_PAD.decode(&one.token).expect("it is base64");
    let mut fields: Vec<_> = shown.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    let fence: u64 = String::from_utf8_lossy(&fields[2]).parse().expect("a fence");
    fields[2] = (fence + 1).to_string().into_bytes();
    let fenced = Outside { token: BASE64_URL_SAFE_NO_PAD.encode(fields.join(&0)), ..one.at(&api) };
    for outside in [other, none, forged, fenced] {
        let refused = answered(outside.lines(0, &[delta("x")]).await).await;
        assert_eq!((refused.0, code(&refused).as_str()), (401, "unauthorized"));
    }
    assert_eq!(text_of(&api.message("t", &one.message).await), "");
    // The writer need not be the user.
    let backend = one.at(&node.api("backend"));
    assert_eq!(backend.lines(0, &[delta("x")]).await.status(), 200);
    // A run of a provider's has no writer outside, and a run has one of the two.
    let both = api.ask(Method::POST, "/threads/t/runs", Some(&json!({"external": true, "provider": "replay"}))).await;
    assert_eq!((both.0, code(&both).as_str()), (400, "invalid_request"));
    // No provider is called so, and nobody gets a token without asking for it.
    let named = json!({"provider": "external"});
    let with_message = json!({"parts": [text("why")], "run": named});
    for (path, body) in [("/threads/t/runs", &named), ("/threads/t/messages", &with_message)] {
        let refused = api.ask(Method::POST, path, Some(body)).await;
        assert_eq!(code(&refused), "provider_unknown", "{path}");
    }
    assert!(!api.get(&format!("/runs/{}", one.run)).await.to_string().contains("secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_begins_with_a_message_and_again_with_the_same_token() {
    let (_node, api) = node();
    let body = json!({"id": "t", "message": {"id": "q", "parts": [text("why")]}, "run": {"id": "r", "external": true}});
    let first = Outside::of(&api, &api.post("/threads", body.clone()).await);
    let again = Outside::of(&api, &api.post("/threads", body).await);
    assert_eq!(first.token, again.token);
    first.lines(0, &[delta("so"), finish()]).await;
    let body = json!({"id": "q2", "parts": [text("how")], "run": {"external": true}});
    let second = Outside::of(&api, &api.post("/threads/t/messages", body).await);
    second.lines(0, &[delta("thus"), finish()]).await;
    let line: Vec<_> = api.branch("t", None).await.iter().map(text_of).collect();
    assert_eq!(line, ["why", "so", "how", "thus"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bodies_cost_no_more_than_what_is_true_of_them() {
    let (_node, api) = node();
    api.thread("t").await;
    let outside = Outside::begin(&api, "t").await;
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for (media, body, want) in [
        ("text/plain", String::new(), "unsupported_media_type"),
        ("application/x-ndjson", "{\n".into(), "invalid_json"),
        ("application/x-ndjson", format!("{{\"type\":\"data-x\",\"data\":{deep}}}\n"), "invalid_json"),
        ("application/x-ndjson", "7\n".into(), "invalid_request"),
        ("application/x-ndjson", json!({"type": "threadmill-writer", "seq": 7}).to_string(), "invalid_request"),
        ("application/json", json!([[1]]).to_string(), "invalid_request"),
        ("application/x-ndjson", "x".repeat(3 << 20), "body_too_large"),
    ] {
        let refused = answered(outside.send(media, body.clone(), None).await).await;
        assert_eq!(code(&refused), want, "{media} {}", &body[..body.len().min(60)]);
    }
    let half =
        outside.request("application/json").header("producer-id", "p").body("[]").send().await.expect("an answer");
    assert_eq!(half.status(), 400, "a producer's headers come together");
    for (epoch, seq) in [("+0", "0"), ("0", "00"), ("0", "9007199254740992")] {
        let request = outside.request("application/json").header("producer-id", "p").header("producer-epoch", epoch);
        let odd = request.header("producer-seq", seq).body("[]").send().await.expect("an answer");
        assert_eq!(odd.status(), 400, "{epoch} {seq}");
    }
    // Lines before the malformed one were said.
    let sent =
        answered(outside.send("application/x-ndjson", format!("{}{{", ndjson(&[delta("kept")])), None).await).await;
    assert_eq!(code(&sent), "invalid_json");
    assert_eq!(text_of(&api.message("t", &outside.message).await), "kept");
    // More than a message holds: it ends as what it is.
    let much = ndjson(&[delta(&"x".repeat(400 << 10))]);
    for _ in 0..2 {
        outside.send("application/x-ndjson", much.clone(), None).await;
    }
    let (_, over) = answered(outside.send("application/x-ndjson", much, None).await).await;
    assert_eq!(over["run"]["outcome"], "failed");
    until("it is kept up to the limit", async || {
        let kept = text_of(&api.message("t", &outside.message).await);
        (kept.len() > 1_000_000 && kept.len() <= 1 << 20).then_some(())
    })
    .await;
}
