//! What becomes of an answer, whatever the provider sends: nothing is dropped unsaid.

use serde_json::{Value, json};
use threadmill_engine::CreateRequest;
use threadmill_proto::{JsonText, MessageStatus, Outcome, Part, ThreadId};

use crate::scripted::{Answered, KEY, Script, World};

fn delta(delta: &Value) -> String {
    json!({"choices": [{"index": 0, "delta": delta}]}).to_string()
}

fn content(text: &str) -> String {
    delta(&json!({"content": text}))
}

fn finish(reason: &str) -> String {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}).to_string()
}

const COMPLETE: Outcome = Outcome::Complete;
const FAILED: Outcome = Outcome::Failed;
const DONE: &str = "[DONE]";

#[tokio::test]
async fn frames_are_understood_or_the_run_says_so() {
    let world = World::new().await;
    let check = async |name: &str, script: Script, want: (&str, Outcome, &str)| {
        let answered = world.ask(script).await;
        let (text, outcome, code) = answered.told();
        assert_eq!((text.as_str(), outcome, code.as_str()), want, "{name}: {:?}", answered.message);
    };
    let raw = |frames: &[&str]| Script::events(frames);
    let hi = content("hi");
    let stop = finish("stop");
    let half = |text: &str| format!("{{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}");
    let a = half("a\\ud83d");
    check("a pair in halves", raw(&[&a, &half("\\ude00b"), &stop, DONE]), ("a😀b", COMPLETE, "")).await;
    check("a lone half", raw(&[&a, &half("b"), &stop]), ("a\u{fffd}b", COMPLETE, "")).await;
    check("a half at the end", raw(&[&a, &stop]), ("a\u{fffd}", COMPLETE, "")).await;
    check("a half in a failure", raw(&[&a]), ("a\u{fffd}", FAILED, "cut_short")).await;

    let list = delta(&json!({"content": [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]}));
    check("a list of parts", raw(&[&list, &stop]), ("one two", COMPLETE, "")).await;
    let refusal = delta(&json!({"refusal": "I will not."}));
    check("a refusal", raw(&[&refusal, &stop]), ("I will not.", COMPLETE, "refusal")).await;
    check("length", raw(&[&hi, &finish("length")]), ("hi", COMPLETE, "length")).await;
    check("a filter", raw(&[&hi, &finish("content_filter")]), ("hi", FAILED, "content_filtered")).await;
    check("an odd reason", raw(&[&hi, &finish("bored")]), ("hi", COMPLETE, "other")).await;
    check("cut", raw(&[&hi]), ("hi", FAILED, "cut_short")).await;
    check("nothing", Script::body(""), ("", FAILED, "cut_short")).await;

    let last = format!("data: {hi}\n\ndata: {stop}");
    check("no last blank line", Script::body(last), ("hi", COMPLETE, "")).await;
    let cr = format!("\u{feff}: hello\r\rdata: {hi}\r\rdata: {stop}\r\r");
    check("CR and a mark", Script::body(cr), ("hi", COMPLETE, "")).await;
    let dense = format!("data: {hi}\ndata: {}\ndata: {stop}\ndata: [DONE]\n", content(" you"));
    check("no blank lines", Script::body(dense), ("hi you", COMPLETE, "")).await;
    let mut bad = b"data: {\"choices\":[{\"delta\":{\"content\":\"a\xffb\"}}]}\n\n".to_vec();
    bad.extend_from_slice(format!("data: {stop}\n\n").as_bytes());
    check("a bad byte", Script::body(bad), ("a\u{fffd}b", COMPLETE, "")).await;
    let whole =
        json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]});
    check("JSON", Script::body(format!("{whole:#}")), ("hi", COMPLETE, "")).await;
    check("HTML", Script::body("<html>Bad gateway</html>"), ("", FAILED, "provider_malformed")).await;

    check("no JSON", raw(&[&hi, "not json", &stop]), ("hi", FAILED, "provider_malformed")).await;
    check("another form", raw(&[&hi, "{\"token\":\"x\"}", &stop]), ("hi", FAILED, "provider_malformed")).await;
    check("a number", raw(&[&delta(&json!({"content": 7})), &stop]), ("", FAILED, "provider_malformed")).await;
    check("pings", raw(&["ping", "{\"type\":\"ping\"}", &hi, &stop]), ("hi", COMPLETE, "")).await;

    let failed = |error: Value| raw(&[&hi, &error.to_string()]);
    check("an error", failed(json!({"error": {"message": "overloaded"}})), ("hi", FAILED, "provider_unavailable"))
        .await;
    check("an error as text", failed(json!({"error": "no"})), ("hi", FAILED, "provider_failed")).await;
    check(
        "an old error",
        failed(json!({"object": "error", "message": "no", "code": 429})),
        ("hi", FAILED, "provider_rate_limited"),
    )
    .await;
    check("a detail", failed(json!({"detail": "no"})), ("hi", FAILED, "provider_failed")).await;
    let bare = format!("data: {hi}\n\n{{\"error\":{{\"message\":\"rate limit\"}}}}\n");
    check("a bare error", Script::body(bare), ("hi", FAILED, "provider_rate_limited")).await;
}

#[tokio::test]
async fn an_answer_may_come_in_messages_and_lines_of_many_forms() {
    let world = World::new().await;
    let check = async |name: &str, script: Script, want: (&str, Outcome, &str)| {
        let answered = world.ask(script).await;
        let (text, outcome, code) = answered.told();
        assert_eq!((text.as_str(), outcome, code.as_str()), want, "{name}: {:?}", answered.message);
    };
    let message = |content: &str| json!({"choices": [{"index": 0, "message": {"content": content}}]}).to_string();
    let stop = finish("stop");
    let again = Script::events(&[content("a"), content("b"), message("ab"), stop.clone()]);
    check("all of it again", again, ("ab", COMPLETE, "")).await;
    let longer = Script::events(&[message("I"), message("I am"), message("I am I"), stop.clone()]);
    check("more of it each time", longer, ("I am I", COMPLETE, "")).await;
    let pieces = Script::events(&[message("I"), message(" am "), message("I"), message("."), stop.clone()]);
    check("in pieces", pieces, ("I am I.", COMPLETE, "")).await;
    let thought = delta(&json!({"reasoning_content": "hm"}));
    let after = Script::events(&[thought, message("so"), stop.clone()]);
    check("a message after reasoning", after, ("so", COMPLETE, "")).await;
    let begun = json!({"choices": [{"delta": {"role": "assistant"}}], "usage": {"total_tokens": 1}}).to_string();
    check(
        "a message after usage",
        Script::events(&[begun, delta(&json!({"role": "assistant"})), message("so")]),
        ("so", COMPLETE, ""),
    )
    .await;
    let beside = json!({"choices": [{"delta": {}, "message": {"content": "hi"}}]}).to_string();
    check("a message beside a delta", Script::events(&[beside, stop.clone()]), ("hi", COMPLETE, "")).await;

    let two = json!({"choices": [{"delta": {"content": "A"}}, {"delta": {"content": "B"}}]}).to_string();
    check("two without an index", Script::events(&[two.clone(), two, stop.clone()]), ("AA", COMPLETE, "")).await;
    let other = json!({"choices": [{"index": "1", "delta": {"content": "B"}}]}).to_string();
    check("an index as text", Script::events(&[content("A"), other, stop.clone()]), ("A", COMPLETE, "")).await;

    let lines = format!("data: {}\n\n data: {}\n\nDATA: {stop}\n\n", content("a"), content("b"));
    check("odd fields", Script::body(lines), ("ab", COMPLETE, "")).await;
    let typo = format!("data: {}\n\ndaat: {}\n\ndata: {stop}\n\n", content("a"), content("b"));
    check("an unknown field", Script::body(typo), ("a", FAILED, "provider_malformed")).await;
    let unknown = delta(&json!({"output_text": "hi"}));
    check("words that nobody knows", Script::events(&[unknown, stop.clone()]), ("", FAILED, "provider_malformed"))
        .await;

    let quiet = Script::events(&[content("a"), "null".into(), "\"[done]\"".into()]);
    check("nothing, and the end in quotes", quiet, ("a", COMPLETE, "")).await;

    let answered = world.ask(Script::events(&[stop])).await;
    assert_eq!(answered.told(), (String::new(), COMPLETE, String::new()));
    assert_eq!(answered.metadata()["warnings"], json!(["The provider's answer is empty."]));
    let differs = Script::events(&[content("a"), message("b"), DONE.into()]);
    let answered = world.ask(differs).await;
    assert_eq!(answered.message.text(), "a");
    assert!(answered.metadata()["warnings"][0].as_str().is_some_and(|warning| warning.contains("differently")));
}

#[tokio::test]
async fn calls_without_a_name_are_bounded() {
    let world = World::new().await;
    let start = format!("data: {}\n\n", content("hi")).into_bytes();
    let call = json!({"index": 0, "function": {"arguments": "x".repeat(64 << 10)}});
    let call = format!("data: {}\n\n", delta(&json!({"tool_calls": [call]}))).into_bytes();
    let answered = world.ask(Script { endless: true, pieces: vec![start, call], ..Script::body("") }).await;
    assert_eq!(answered.told().2, "answer_too_long");
    assert!(answered.message.bytes() <= 1 << 20);
}

#[tokio::test]
async fn what_is_left_out_on_purpose_is_named() {
    let world = World::new().await;
    let second = json!({"choices": [{"index": 1, "delta": {"content": "C"}, "finish_reason": "stop"}]}).to_string();
    let answered = world.ask(Script::events(&[content("A"), second, content("B"), finish("stop")])).await;
    assert_eq!(answered.told(), ("AB".into(), COMPLETE, String::new()));
    assert!(
        answered.metadata()["warnings"][0].as_str().is_some_and(|warning| warning.contains("more than one answer"))
    );

    let odd = delta(&json!({"content": [{"type": "hologram", "data": "…"}, {"type": "text", "text": "x"}]}));
    let answered = world.ask(Script::events(&[odd, finish("stop")])).await;
    assert_eq!(answered.message.text(), "x");
    assert!(answered.metadata()["warnings"][0].as_str().is_some_and(|warning| warning.contains("hologram")));

    let thought = json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]});
    let answered = world.ask(Script::events(&[delta(&thought), content("so"), finish("stop")])).await;
    let reasoning = Part::Reasoning { text: "hm".into(), extra: None };
    assert_eq!(answered.message.parts, [reasoning, Part::text("so")]);
}

#[tokio::test]
async fn what_is_in_a_field_that_nobody_knows_is_named() {
    let world = World::new().await;
    let warnings = async |frames: &[String]| {
        let answered = world.ask(Script::events(frames)).await;
        assert_eq!(answered.told(), ("hi".into(), COMPLETE, String::new()), "{frames:?}");
        answered.metadata()["warnings"].as_array().cloned().unwrap_or_default()
    };
    let named = |warnings: &[Value], word: &str| {
        assert!(
            warnings.iter().any(|warning| warning.as_str().is_some_and(|text| text.contains(word))),
            "{warnings:?}"
        );
    };
    let beside = delta(&json!({"content": "hi", "hologram": {"frames": ["x"]}, "weight": 1}));
    let found = warnings(&[beside, finish("stop")]).await;
    named(&found, "hologram");
    assert!(!found[0].as_str().is_some_and(|text| text.contains("weight")), "no words, no part of the answer");
    let choice = json!({"choices": [{"index": 0, "delta": {"content": "hi"}, "output": "more"}]}).to_string();
    named(&warnings(&[choice, finish("stop")]).await, "output");
    let frame = json!({"choices": [], "response": "more"}).to_string();
    named(&warnings(&[content("hi"), frame, finish("stop")]).await, "response");
    named(&warnings(&[delta(&json!({"content": "hi", "images": {"url": "x"}})), finish("stop")]).await, "image");

    let different = delta(&json!({"reasoning": "a", "reasoning_content": "b", "content": "hi"}));
    let answered = world.ask(Script::events(&[different, finish("stop")])).await;
    let thought = Part::Reasoning { text: "ba".into(), extra: None };
    assert_eq!(answered.message.parts, [thought, Part::text("hi")]);
    let audio = delta(&json!({"audio": {"id": "a", "transcript": "hi"}}));
    named(&warnings(&[audio, finish("stop")]).await, "audio");

    let call = |name: &str, arguments: &str| {
        delta(&json!({"tool_calls": [{"index": 0, "id": "c", "function": {"name": name, "arguments": arguments}}]}))
    };
    let answered = world.ask(Script::events(&[call("f", "{\"a\":"), call("g", "1}"), finish("tool_calls")])).await;
    named(answered.metadata()["warnings"].as_array().expect("warnings"), "“f” and then “g”");
}

#[tokio::test]
async fn a_provider_s_own_words_come_through_in_every_form_and_encoding() {
    let world = World::new().await;
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).expect("a Vec takes it");
        encoder.finish().expect("a Vec takes it")
    };
    let brotli = |text: &str| {
        let mut out = Vec::new();
        brotli::BrotliCompress(&mut text.as_bytes(), &mut out, &Default::default()).expect("a Vec takes it");
        out
    };
    let list = r#"[{"error":{"code":400,"message":"no such thing"}}]"#;
    let page = "<!doctype html><html><head><style>a{}</style></head><body>no such <b>thing</b></body></html>";
    for (encoding, body) in [
        (None, list.as_bytes().to_vec()),
        (None, page.as_bytes().to_vec()),
        (None, gzip(list)),
        (Some("gzip"), gzip(list)),
        (Some("br"), brotli(list)),
        (Some("br"), brotli(page)),
    ] {
        let answered = world.ask(Script { status: "400 Bad Request", encoding, ..Script::body(body) }).await;
        assert_eq!(answered.metadata()["error"]["providerMessage"], "no such thing", "{encoding:?}");
    }
    let zeros = gzip(&"0".repeat(64 << 20));
    let answered = world.ask(Script { status: "400 Bad Request", encoding: Some("gzip"), ..Script::body(zeros) }).await;
    assert_eq!(answered.told().2, "provider_refused");
    // In mid stream, and what could not be read of one.
    let events = format!("data: {}\n\ndata: {list}\n\n", content("hi"));
    let answered = world.ask(Script { encoding: Some("gzip"), ..Script::body(gzip(&events)) }).await;
    assert_eq!(answered.told(), ("hi".into(), FAILED, "provider_refused".into()));
    assert_eq!(answered.metadata()["error"]["providerMessage"], "no such thing");
    let answered = world.ask(Script::body(page)).await;
    assert_eq!(answered.told().2, "provider_malformed");
    assert_eq!(answered.metadata()["error"]["providerMessage"], "no such thing");
    let answered = world.ask(Script { encoding: Some("zstd"), ..Script::body("x") }).await;
    assert!(answered.run.error.is_some_and(|why| why.contains("zstd")));
}

#[tokio::test]
async fn no_tool_call_runs_on_in_a_message_that_has_ended() {
    let world = World::new().await;
    let call = |index: u64, id: &str, arguments: &str| {
        let function = json!({"name": "f", "arguments": arguments});
        delta(&json!({"tool_calls": [{"index": index, "id": id, "function": function}]}))
    };
    // What looks like the JSON reader's own number is JSON like any other.
    let odd = "{\"$serde_json::private::Number\":\"x\"}";
    let frames = [
        call(0, "c", "{\"a\":"),
        call(0, "", "1}"),
        call(1, "d", ""),
        call(2, "e", "{oh"),
        call(3, "n", odd),
        finish("tool_calls"),
    ];
    let tools = |parts: &[Part]| -> Vec<(String, String, Option<String>)> {
        let tool = |part: &Part| match part {
            Part::Tool(tool) => Some((
                tool.state.clone(),
                tool.input.clone().map(|json| json.0).unwrap_or_default(),
                tool.error.clone(),
            )),
            _ => None,
        };
        parts.iter().filter_map(tool).collect()
    };
    let failed = |input: &str, why: &str| ("output-error".into(), input.into(), Some(why.into()));
    let answered = world.ask(Script::events(&frames)).await;
    assert_eq!(answered.told().2, "tool-calls");
    let want = [
        failed("{\"a\":1}", "The tool was not run."),
        failed("{}", "The tool was not run."),
        failed("\"{oh\"", "The input is not JSON."),
        failed(odd, "The tool was not run."),
    ];
    assert_eq!(tools(&answered.message.parts), want);
    let answered = world.ask(Script::events(&frames[..1])).await;
    assert_eq!(tools(&answered.message.parts), [failed("\"{\\\"a\\\":\"", "The input was cut short.")]);
    assert_eq!(answered.message.status, MessageStatus::Failed);
}

#[tokio::test]
async fn the_reason_is_in_the_message_without_the_key() {
    let world = World::new().await;
    let spelled: String = KEY.chars().flat_map(|char| [char, '\u{200b}']).collect();
    for (status, words, code) in [
        ("429 Too Many Requests", "You exceeded your quota", "provider_rate_limited"),
        ("401 Unauthorized", "Incorrect API key", "provider_auth"),
        ("400 Bad Request", "This model's maximum context length is 8 tokens", "context_too_long"),
        ("500 Internal Server Error", "oh dear", "provider_unavailable"),
    ] {
        let body = json!({"error": {"message": format!("{words}: {KEY} {spelled} \u{202e}x")}}).to_string();
        let answered = world.ask(Script { status, ..Script::body(body) }).await;
        assert_eq!(answered.told(), (String::new(), FAILED, code.into()), "{status}");
        let error = &answered.metadata()["error"];
        assert_eq!(error["status"].as_u64().map(|status| status.to_string()).as_deref(), status.get(..3));
        assert_eq!(error["providerMessage"], format!("{words}: [key] [key] x"));
        let told = answered.run.error.expect("a reason");
        assert!(told.contains(words) && !told.contains(KEY), "{told}");
    }
    let usage = |said: &str| json!({"choices": [], "usage": {"echo": said}}).to_string();
    for said in [[usage(KEY), usage("fine")], [usage("fine"), usage(KEY)], [usage(KEY), usage(KEY)]] {
        let [first, second] = said;
        let answered = world.ask(Script::events(&[content("so"), first, second, finish("stop")])).await;
        let told = format!("{:?}", answered.message);
        assert!(answered.told().0 == "so" && !told.contains(KEY), "{told}");
    }
}

#[tokio::test]
async fn an_answer_has_the_limits_of_a_message() {
    let world = World::new().await;
    let big = "x".repeat(700 << 10);
    let answered = world.ask(Script::events(&[content(&big), content(&big), finish("stop")])).await;
    let (text, outcome, code) = answered.told();
    assert_eq!((outcome, code.as_str()), (FAILED, "answer_too_long"));
    assert!(text.len() > 900 << 10 && answered.message.bytes() <= 1 << 20, "{} bytes are kept", text.len());

    let switches: Vec<String> =
        (0..300).flat_map(|n| [delta(&json!({"reasoning": n.to_string()})), content(&n.to_string())]).collect();
    let answered = world.ask(Script::events(&switches)).await;
    assert_eq!((answered.told().1, answered.told().2.as_str()), (FAILED, "answer_too_long"));
    assert_eq!(answered.message.parts.len(), 256);

    let usage = |n: usize| json!({"choices": [], "usage": {format!("k{n}"): "x".repeat(200)}}).to_string();
    let mut frames = vec![content("hi")];
    frames.extend((0..3000).map(usage));
    frames.push(finish("stop"));
    let answered = world.ask(Script::events(&frames)).await;
    assert_eq!(answered.told(), ("hi".into(), COMPLETE, String::new()));
    assert!(answered.metadata()["usage"]["k2999"].is_string());
    assert!(answered.message.metadata.is_some_and(|text| text.0.len() < 16 << 10));
}

#[tokio::test]
async fn a_stream_without_an_end_is_left() {
    let world = World::new().await;
    let endless = |pieces: Vec<Vec<u8>>| Script { endless: true, pieces, ..Script::body("") };
    let start = format!("data: {}\n\n", content("hi")).into_bytes();
    let line = endless(vec![start.clone(), b"data: ".to_vec(), vec![b'x'; 64 << 10]]);
    assert_eq!(world.ask(line).await.told(), ("hi".into(), FAILED, "answer_too_long".into()));
    let event = endless(vec![start.clone(), b"data: xxxxxxxxxxxxxxxx\n".repeat(4096)]);
    assert_eq!(world.ask(event).await.told(), ("hi".into(), FAILED, "answer_too_long".into()));
    let calls = (0..1000).map(|n| {
        let call = json!({"index": n, "id": format!("c{n}"), "function": {"name": "f", "arguments": "{}"}});
        format!("data: {}\n\n", delta(&json!({"tool_calls": [call]})))
    });
    let calls = endless(vec![start, calls.collect::<String>().into_bytes()]);
    assert_eq!(world.ask(calls).await.told().2, "answer_too_long");
}

#[tokio::test]
async fn a_prompt_has_turns_that_alternate_and_every_file() {
    let world = World::new().await;
    let thread = ThreadId::parse("p").expect("an id");
    let create = CreateRequest { id: Some(thread.clone()), ..CreateRequest::default() };
    world.engine.threads().create(&world.scope, Default::default(), create).await.expect("a thread");
    let file = |kind: &str| Part::File {
        media_type: kind.into(),
        url: format!("data:{kind};base64,AAAA"),
        filename: Some("a".into()),
    };
    let answered = world.ask_in(&thread, vec![Part::text("  ")], Script::body("")).await;
    assert_eq!(answered.told().2, "nothing_to_ask");
    assert_eq!(world.requests().len(), 0, "an empty history is sent to nobody");
    world.ask_in(&thread, vec![file("image/png")], Script::events(&["[DONE]"])).await;
    world.ask_in(&thread, vec![Part::text("what is it?")], Script::events(&["[DONE]"])).await;
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}});
    let words = json!({"type": "text", "text": "what is it?"});
    let requests = world.requests();
    assert_eq!(requests[1]["messages"], json!([{"role": "user", "content": [image, words]}]));

    let answered = world.ask_in(&thread, vec![Part::text("\u{a0} \u{200b}")], Script::body("")).await;
    assert_eq!(answered.told().2, "nothing_to_ask", "and no answer is answered");
    let image = Part::Other { kind: "image".into(), json: JsonText("{\"type\":\"image\"}".into()) };
    let answered = world.ask_in(&thread, vec![Part::text("what?"), image], Script::body("")).await;
    assert_eq!(answered.told().2, "unsupported_part");
    assert!(answered.metadata()["error"]["message"].as_str().is_some_and(|why| why.contains("“image”")));
    let answered = world.ask_in(&thread, vec![file("application/zip")], Script::body("")).await;
    assert_eq!(answered.told().2, "unsupported_part");
    assert!(answered.metadata()["error"]["message"].as_str().is_some_and(|why| why.contains("application/zip")));
    assert_eq!(world.requests().len(), 2, "nobody is asked without the file");

    let thread = ThreadId::parse("q").expect("an id");
    let create = CreateRequest { id: Some(thread.clone()), ..CreateRequest::default() };
    world.engine.threads().create(&world.scope, Default::default(), create).await.expect("a thread");
    let place = Part::Data { name: "place".into(), id: None, data: JsonText("[1]".into()) };
    let two = json!({"choices": [{"index": 1, "delta": {"content": "B"}}]}).to_string();
    let script = Script::events(&[content("A"), two, finish("stop")]);
    let answered = world.ask_in(&thread, vec![Part::text("where?"), place], script).await;
    let warnings = answered.metadata()["warnings"].as_array().cloned().expect("warnings");
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert_eq!(warnings[0], "Of the question “data-place” was not sent to the model.");
}

#[tokio::test]
async fn words_in_the_frame_of_an_error_are_kept() {
    let world = World::new().await;
    let check = async |script: Script, want: &str, code: &str| {
        let answered = world.ask(script.clone()).await;
        assert_eq!(answered.told(), (want.into(), FAILED, code.into()), "{script:?}");
        assert_eq!(answered.metadata()["error"]["providerMessage"], "overloaded", "{script:?}");
    };
    let error = json!({"message": "overloaded"});
    let choice =
        |words: &str| json!({"index": 0, "delta": {"content": words}, "finish_reason": "error", "error": error});
    let within = json!({"choices": [choice(" last")]}).to_string();
    let beside = json!({"choices": [{"delta": {"content": " last"}}], "error": error}).to_string();
    let both = json!({"choices": [choice(" last")], "error": error}).to_string();
    for frame in [&within, &beside, &both] {
        check(Script::events(&[content("A"), frame.clone()]), "A last", "provider_unavailable").await;
        check(Script::events(&[frame]), " last", "provider_unavailable").await;
    }
    let message = json!({"index": 0, "message": {"content": "all"}, "finish_reason": "error", "error": error});
    check(Script::body(json!({"choices": [message]}).to_string()), "all", "provider_unavailable").await;
    let message = json!({"choices": [{"message": {"content": "all"}}], "error": error});
    check(Script::body(format!("{message:#}")), "all", "provider_unavailable").await;
    // Of another choice neither words nor errors are the answer's.
    let other = json!({"choices": [{"index": 1, "delta": {"content": "B"}, "error": error}]}).to_string();
    let answered = world.ask(Script::events(&[content("A"), other, finish("stop")])).await;
    assert_eq!(answered.told(), ("A".into(), COMPLETE, String::new()));
}

#[tokio::test]
async fn what_is_no_word_of_the_model_is_not_taken_for_one() {
    let world = World::new().await;
    let warned = |answered: &Answered, word: &str| {
        let metadata = answered.metadata();
        let warnings = metadata["warnings"].as_array().map(Vec::as_slice).unwrap_or_default();
        warnings.iter().any(|warning| warning.as_str().is_some_and(|text| text.contains(word)))
    };
    let call =
        delta(&json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{\"b\":1}"}}]}));
    let result = |id: &str| delta(&json!({"role": "tool", "tool_call_id": id, "content": "RESULT"}));
    let answered = world.ask(Script::events(&[call.clone(), result("a"), content("so"), finish("stop")])).await;
    let Part::Tool(tool) = &answered.message.parts[0] else { panic!("{answered:?}") };
    let output = tool.output.as_ref().map(|output| output.0.as_str());
    assert_eq!((tool.state.as_str(), output), ("output-available", Some("\"RESULT\"")));
    assert_eq!((answered.message.text(), answered.metadata()["warnings"].is_null()), ("so".into(), true));
    let answered = world.ask(Script::events(&[call, result("z"), finish("stop")])).await;
    assert!(answered.message.text() == "RESULT" && warned(&answered, "belongs to no call"), "{answered:?}");

    let sealed = delta(&json!({"reasoning_details": [{"type": "reasoning.encrypted", "data": "AAA"}]}));
    let answered = world.ask(Script::events(&[sealed, content("so"), finish("stop")])).await;
    assert!(warned(&answered, "reasoning.encrypted"), "{answered:?}");
    let answered = world.ask(Script::events(&[content(" \n "), finish("stop")])).await;
    assert!(warned(&answered, "is empty"), "{answered:?}");

    for script in ["javascript:alert(1)", " JavaScript:alert(1)", "java\nscript:alert(1)", "vbscript:x"] {
        let images = json!([{"type": "image_url", "image_url": {"url": script}}]);
        let said = delta(&json!({"content": "so", "images": images, "citations": [script]}));
        let answered = world.ask(Script::events(&[said, finish("stop")])).await;
        assert_eq!(answered.message.parts, [Part::text("so")]);
        assert!(warned(&answered, "is a script"), "{answered:?}");
    }
}
