//! Streams as endpoints are known to send them, each in its own way of speaking OpenAI's chat completions. They are written
//! anew after captures and documents that are named; nothing of one that is well may leave a warning.

use serde_json::json;
use threadmill_proto::{Outcome, Part};

use crate::scripted::{Answered, Script, World};

/// The parts of an answer, in words.
fn parts(answered: &Answered) -> Vec<String> {
    let part = |part: &Part| match part {
        Part::Text { text, .. } => format!("text: {text}"),
        Part::Reasoning { text, .. } => format!("reasoning: {text}"),
        Part::Tool(tool) => format!("{}({})", tool.name, tool.input.as_ref().map_or("", |input| input.0.as_str())),
        Part::SourceUrl { url, title, .. } => format!("source: {url} {}", title.as_deref().unwrap_or_default()),
        other => format!("{other:?}"),
    };
    answered.message.parts.iter().map(part).collect()
}

/// What becomes of a stream: its parts, how it ended and the word for why, and what its warnings say.
async fn check(world: &World, name: &str, events: &[&str], want: (&[&str], Outcome, &str, &str)) {
    let answered = world.ask(Script::events(events)).await;
    let warnings = answered.metadata()["warnings"].as_array().cloned().unwrap_or_default();
    let warnings = warnings.iter().filter_map(|warning| warning.as_str()).collect::<Vec<_>>().join(" ");
    let (_, outcome, code) = answered.told();
    let (said, outcomes, codes, contains) = want;
    assert_eq!(
        (parts(&answered), outcome, code.as_str()),
        (said.iter().map(|part| (*part).to_owned()).collect(), outcomes, codes),
        "{name}"
    );
    let fits = if contains.is_empty() { warnings.is_empty() } else { warnings.contains(contains) };
    assert!(fits, "{name}: {warnings}");
}

const COMPLETE: Outcome = Outcome::Complete;
const FAILED: Outcome = Outcome::Failed;

/// Its documents on content streaming: filters speak first and between, in events without a choice or without a delta.
#[tokio::test]
async fn azure() {
    let world = World::new().await;
    let safe = r#"{"hate":{"filtered":false,"severity":"safe"},"jailbreak":{"detected":false,"filtered":false}}"#;
    let first = format!(
        r#"{{"id":"","object":"","created":0,"model":"","prompt_filter_results":[{{"prompt_index":0,"content_filter_results":{safe}}}],"choices":[],"usage":null}}"#
    );
    let older = first.replace("prompt_filter_results", "prompt_annotations");
    let role = r#"{"id":"chatcmpl-7","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"finish_reason":null,"content_filter_results":{},"delta":{"role":"assistant","content":"","refusal":null}}],"usage":null}"#;
    let word = r#"{"id":"chatcmpl-7","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"finish_reason":null,"delta":{"content":"Color"},"logprobs":null}],"usage":null,"obfuscation":"x9"}"#;
    let note = format!(
        r#"{{"id":"","object":"","created":0,"model":"","choices":[{{"index":0,"finish_reason":null,"content_filter_results":{safe},"content_filter_raw":["x"],"content_filter_offsets":{{"check_offset":44,"start_offset":44,"end_offset":198}}}}],"usage":null}}"#
    );
    let end = r#"{"id":"chatcmpl-7","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"finish_reason":"stop","delta":{}}],"usage":null}"#;
    let blocked = r#"{"id":"","object":"","created":0,"model":"","choices":[{"index":0,"finish_reason":"content_filter","content_filter_results":{"protected_material_text":{"detected":true,"filtered":true}}}],"usage":null}"#;
    for first in [&first, &older] {
        let events = [first.as_str(), role, word, &note, end, &note, "[DONE]"];
        check(&world, "passed", &events, (&["text: Color"], COMPLETE, "", "")).await;
    }
    let events = [first.as_str(), role, word, &note, blocked, "[DONE]"];
    check(&world, "blocked", &events, (&["text: Color"], FAILED, "content_filtered", "")).await;
}

/// Captures in noho/dayu-agent#45 and #82, dyedd/lens#49 and NousResearch/hermes-agent#62940: calls without an index, or
/// all with the first; signatures of thoughts; the whole of a call in one piece.
#[tokio::test]
async fn gemini() {
    let world = World::new().await;
    let frame = |delta: &str| {
        format!(
            r#"{{"choices":[{{"delta":{delta},"index":0}}],"created":1,"id":"x","model":"gemini-3-flash","object":"chat.completion.chunk","usage":{{"completion_tokens":1,"prompt_tokens":2,"total_tokens":3}}}}"#
        )
    };
    let signed = r#""extra_content":{"google":{"thought_signature":"EjQKMgEMOdbH"}}"#;
    let call = |index: &str, id: &str, name: &str, arguments: &str| {
        let function = json!({"name": name, "arguments": arguments});
        frame(&format!(
            r#"{{"role":"assistant","tool_calls":[{{{signed},{index}"function":{function},"id":"{id}","type":"function"}}]}}"#
        ))
    };
    let end = r#"{"choices":[{"delta":{"role":"assistant"},"finish_reason":"stop","index":0}],"created":1,"id":"x","model":"gemini-3-flash","object":"chat.completion.chunk"}"#;
    let thought =
        frame(r#"{"role":"assistant","content":"<thought>hm</thought>","extra_content":{"google":{"thought":true}}}"#);
    let word = frame(r#"{"role":"assistant","content":"Hi"}"#);
    check(&world, "text", &[&thought, &word, end, "[DONE]"], (&["text: <thought>hm</thought>Hi"], COMPLETE, "", ""))
        .await;
    let two: &[&str] = &[r#"get({"city":"北京"})"#, r#"get({"city":"上海"})"#];
    let [one, other] = [r#"{"city":"北京"}"#, r#"{"city":"上海"}"#];
    for (index, ids) in [("", ["a", "b"]), ("", ["", ""]), (r#""index":0,"#, ["a", "b"]), (r#""index":0,"#, ["", ""])] {
        let events = [call(index, ids[0], "get", one), call(index, ids[1], "get", other)];
        check(&world, index, &[&events[0], &events[1], end, "[DONE]"], (two, COMPLETE, "", "")).await;
    }
    let joined = call(r#""index":0,"#, "a", "get", &format!("{one}{other}"));
    check(&world, "joined", &[&joined, end, "[DONE]"], (two, COMPLETE, "", "")).await;
    let unnamed = [
        call(r#""index":0,"#, "a", "get", ""),
        call(r#""index":0,"#, "", "", one),
        call(r#""index":0,"#, "", "", other),
    ];
    check(&world, "unnamed", &[&unnamed[0], &unnamed[1], &unnamed[2], end], (two, COMPLETE, "", "")).await;
    let error = r#"[{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}]"#;
    check(&world, "an error in a list", &[&word, error], (&["text: Hi"], FAILED, "provider_unavailable", "")).await;
}

/// Its documents on reasoning and citations, and symfony/ai#2422: thinking and text in lists, empty deltas between them
/// (earendil-works/pi#9674), padding.
#[tokio::test]
async fn mistral() {
    let world = World::new().await;
    let frame = |content: &str| {
        format!(
            r#"{{"id":"m","object":"chat.completion.chunk","created":1,"model":"magistral-medium","p":"abcdefgh","choices":[{{"index":0,"delta":{{"content":{content}}},"finish_reason":null}}]}}"#
        )
    };
    let think =
        |text: &str| frame(&format!(r#"[{{"type":"thinking","thinking":[{{"type":"text","text":"{text}"}}]}}]"#));
    let end = r#"{"id":"m","object":"chat.completion.chunk","created":1,"model":"magistral-medium","choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"total_tokens":2,"completion_tokens":1}}"#;
    let (a, b, empty, so) = (think("Let"), think(" me see"), frame(r#""""#), frame(r#"[{"type":"text","text":"So"}]"#));
    let rest = frame(r#"" it is""#);
    let events = [empty.as_str(), &a, &empty, &b, &so, &rest, end, "[DONE]"];
    check(&world, "thinking", &events, (&["reasoning: Let me see", "text: So it is"], COMPLETE, "", "")).await;
    let cited = frame(r#"[{"type":"text","text":"So"},{"type":"reference","reference_ids":[3]}]"#);
    check(&world, "a reference", &[&cited, end], (&["text: So"], COMPLETE, "", "reference")).await;
    let call = r#"{"id":"m","choices":[{"index":0,"delta":{"content":"","tool_calls":[{"id":"D681PevKs","function":{"name":"get","arguments":"{\"a\": 1}"},"index":0}]},"finish_reason":"tool_calls"}]}"#;
    check(&world, "a call", &[call, "[DONE]"], (&[r#"get({"a": 1})"#], COMPLETE, "tool-calls", "")).await;
}

/// A capture in vllm-project/vllm#45678, and its server's source: usage in every frame, ids of tokens, both names of
/// reasoning, calls whose pieces have no id; an error as `{"object":"error"}` and, since 0.11, as `{"error":{…}}`.
#[tokio::test]
async fn vllm() {
    let world = World::new().await;
    let frame = |delta: &str| {
        format!(
            r#"{{"id":"chatcmpl-9","object":"chat.completion.chunk","created":1,"model":"/model/x","choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":null,"token_ids":[28292]}}],"usage":{{"prompt_tokens":16,"total_tokens":54,"completion_tokens":38}}}}"#
        )
    };
    let role = r#"{"id":"chatcmpl-9","object":"chat.completion.chunk","created":1,"model":"/model/x","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"prompt_token_ids":[1,2]}"#;
    let thought = frame(r#"{"reasoning":"hm","reasoning_content":"hm"}"#);
    let call =
        frame(r#"{"tool_calls":[{"id":"chatcmpl-tool-1","type":"function","index":0,"function":{"name":"get"}}]}"#);
    let piece = frame(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\": "}}]}"#);
    let rest = frame(r#"{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}"#);
    let end = r#"{"id":"chatcmpl-9","object":"chat.completion.chunk","created":1,"model":"/model/x","choices":[{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":"tool_calls","stop_reason":null}]}"#;
    let usage = r#"{"id":"chatcmpl-9","object":"chat.completion.chunk","created":1,"model":"/model/x","choices":[],"usage":{"prompt_tokens":16,"total_tokens":60,"completion_tokens":44}}"#;
    let events = [role, &thought, &frame(r#"{"content":"so"}"#), &call, &piece, &rest, end, usage, "[DONE]"];
    let want: &[&str] = &["reasoning: hm", "text: so", r#"get({"a": 1})"#];
    check(&world, "all of it", &events, (want, COMPLETE, "tool-calls", "")).await;
    for error in [
        r#"{"object":"error","message":"This model's maximum context length is 4096 tokens.","type":"BadRequestError","param":null,"code":400}"#,
        r#"{"error":{"message":"This model's maximum context length is 4096 tokens.","type":"BadRequestError","param":null,"code":400}}"#,
    ] {
        check(&world, "an error", &[role, error, "[DONE]"], (&[], FAILED, "context_too_long", "")).await;
    }
}

/// A capture in the notes of g0t4/ask-openai.nvim, and unslothai/unsloth#9390: a null for the first content, times at the
/// end; an error with the numbers of tokens in mid stream.
#[tokio::test]
async fn llama_cpp() {
    let world = World::new().await;
    let frame = |delta: &str| {
        format!(
            r#"{{"choices":[{{"finish_reason":null,"index":0,"delta":{delta}}}],"created":1,"id":"chatcmpl-X","model":"gpt-oss:20b","system_fingerprint":"b6097-9515c613","object":"chat.completion.chunk"}}"#
        )
    };
    let (role, thought, word) = (
        frame(r#"{"role":"assistant","content":null}"#),
        frame(r#"{"reasoning_content":"We"}"#),
        frame(r#"{"content":"Hi"}"#),
    );
    let end = r#"{"choices":[{"finish_reason":"stop","index":0,"delta":{}}],"created":1,"id":"chatcmpl-X","model":"gpt-oss:20b","system_fingerprint":"b6097-9515c613","object":"chat.completion.chunk","usage":{"completion_tokens":2,"prompt_tokens":1,"total_tokens":3},"timings":{"prompt_n":1,"prompt_ms":2.5,"predicted_n":2,"predicted_per_second":264.5587652496171}}"#;
    let events = [role.as_str(), &thought, &word, end, "[DONE]"];
    check(&world, "all of it", &events, (&["reasoning: We", "text: Hi"], COMPLETE, "", "")).await;
    let error = r#"{"error":{"code":400,"message":"request (2358 tokens) exceeds the available context size (2048 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":2358,"n_ctx":2048}}"#;
    check(&world, "an error", &[&role, &word, error], (&["text: Hi"], FAILED, "context_too_long", "")).await;
}

/// Captures in the notes of g0t4/ask-openai.nvim: a call in one piece with an empty content, the reason in a frame of its
/// own, and whole answers in one frame.
#[tokio::test]
async fn ollama() {
    let world = World::new().await;
    let frame = |delta: &str, reason: &str| {
        format!(
            r#"{{"id":"chatcmpl-838","object":"chat.completion.chunk","created":1,"model":"qwen3","system_fingerprint":"fp_ollama","choices":[{{"index":0,"delta":{delta},"finish_reason":{reason}}}]}}"#
        )
    };
    let whole = frame(r#"{"role":"assistant","content":"My name is Ben."}"#, r#""stop""#);
    check(&world, "whole", &[&whole, "[DONE]"], (&["text: My name is Ben."], COMPLETE, "", "")).await;
    let call = |index: u32, arguments: &str| {
        let call = json!({"id": format!("call_{index}"), "index": index, "type": "function", "function": {"name": "run", "arguments": arguments}});
        frame(&format!(r#"{{"role":"assistant","content":"","tool_calls":[{call}]}}"#), "null")
    };
    let end = frame(r#"{"role":"assistant","content":""}"#, r#""tool_calls""#);
    let thought = frame(r#"{"role":"assistant","content":"","reasoning":"hm"}"#, "null");
    let events = [&thought, &call(0, r#"{"c":"ls"}"#), &call(1, r#"{"c":"ls -l"}"#), &end];
    let events: Vec<&str> = events.iter().map(|event| event.as_str()).chain(["[DONE]"]).collect();
    let want: &[&str] = &["reasoning: hm", r#"run({"c":"ls"})"#, r#"run({"c":"ls -l"})"#];
    check(&world, "calls", &events, (want, COMPLETE, "tool-calls", "")).await;
}

/// OpenAI's custom tools as openai/openai-openapi#576 says that they are streamed, and Perplexity's sources, which come
/// beside the choices in every frame.
#[tokio::test]
async fn openai_and_perplexity() {
    let world = World::new().await;
    let custom = |id: &str, name: &str, input: &str| {
        let call = json!({"index": 0, "id": id, "type": "custom", "custom": {"name": name, "input": input}});
        json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": null}]}).to_string()
    };
    let end = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#;
    let events = [custom("call_1", "sql", "select "), custom("", "", "\"a\"")];
    let want: &[&str] = &[r#"sql("select \"a\"")"#];
    check(&world, "custom", &[&events[0], &events[1], end], (want, COMPLETE, "tool-calls", "")).await;

    let frame = |delta: &str, reason: &str| {
        format!(
            r#"{{"id":"p","model":"sonar","object":"chat.completion.chunk","created":1,"citations":["https://a.example/"],"search_results":[{{"title":"A","url":"https://a.example/","date":"2026-01-01"}}],"choices":[{{"index":0,"finish_reason":{reason},"message":{{"role":"assistant","content":"So it is"}},"delta":{delta}}}]}}"#
        )
    };
    let events = [
        frame(r#"{"role":"assistant","content":"So it is"}"#, "null"),
        frame(r#"{"role":"assistant","content":""}"#, r#""stop""#),
    ];
    let want: &[&str] = &["text: So it is", "source: https://a.example/ A"];
    check(&world, "sources", &[&events[0], &events[1]], (want, COMPLETE, "", "")).await;
}
