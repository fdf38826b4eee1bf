//! However a stream is cut, joined or taken up again, the body is the same.

use proptest::prelude::*;
use threadmill_core::coalesce;
use threadmill_core::fold::Fold;
use threadmill_proto::message::Body;
use threadmill_proto::{Chunk, JsonText, Part};

fn id() -> impl Strategy<Value = String> {
    prop_oneof![Just("0".to_owned()), Just("1".to_owned()), Just("a\"\\\n".to_owned())]
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-zé😀 ]{1,5}"]
}

fn json() -> impl Strategy<Value = JsonText> {
    prop_oneof![Just("{\"a\":1}"), Just("{\"b\":{\"c\":[1,2]}}"), Just("{\"b\":{\"d\":\"},\"}}"), Just("null"),]
        .prop_map(|text| JsonText(text.into()))
}

fn chunk() -> impl Strategy<Value = Chunk> {
    let dynamic = any::<bool>();
    prop_oneof![
        2 => id().prop_map(|id| Chunk::TextStart { id }),
        6 => (id(), word()).prop_map(|(id, delta)| Chunk::TextDelta { id, delta }),
        2 => id().prop_map(|id| Chunk::TextEnd { id }),
        1 => id().prop_map(|id| Chunk::ReasoningStart { id }),
        3 => (id(), word()).prop_map(|(id, delta)| Chunk::ReasoningDelta { id, delta }),
        1 => id().prop_map(|id| Chunk::ReasoningEnd { id }),
        1 => (id(), dynamic).prop_map(|(call_id, dynamic)| Chunk::ToolInputStart { call_id, name: "t".into(), dynamic }),
        2 => (id(), word()).prop_map(|(call_id, delta)| Chunk::ToolInputDelta { call_id, delta }),
        1 => (id(), json(), any::<bool>()).prop_map(|(call_id, input, dynamic)| {
            Chunk::ToolInputAvailable { call_id, name: "t".into(), input, dynamic }
        }),
        1 => (id(), json()).prop_map(|(call_id, output)| Chunk::ToolOutputAvailable { call_id, output }),
        1 => (id(), word()).prop_map(|(call_id, error)| Chunk::ToolOutputError { call_id, error }),
        1 => (id(), json()).prop_map(|(id, data)| Chunk::Data { name: "d".into(), id: Some(id), data }),
        1 => json().prop_map(|metadata| Chunk::Metadata { metadata }),
        1 => Just(Chunk::StartStep),
        1 => Just(Chunk::FinishStep),
    ]
}

fn whole(chunks: &[Chunk]) -> Fold {
    let mut fold = Fold::new();
    for chunk in chunks {
        fold.apply(chunk);
    }
    fold
}

/// Cuts the stream into batches, joins each, and takes the fold up from its body at every cut.
fn in_batches(chunks: &[Chunk], cuts: &[usize]) -> Fold {
    let mut fold = Fold::new();
    let (mut rest, mut cuts) = (chunks, cuts.iter().cycle());
    while !rest.is_empty() {
        let len = cuts.next().map_or(1, |cut| 1 + cut % 7).min(rest.len());
        let mut batch = Vec::new();
        for chunk in &rest[..len] {
            coalesce::push(&mut batch, chunk.clone());
        }
        let to = fold.offset() + len as u64;
        fold = Fold::from_body(fold.body(), fold.offset());
        fold.extend(&batch, to);
        rest = &rest[len..];
    }
    fold
}

proptest! {
    #[test]
    fn no_cut_shows(chunks in prop::collection::vec(chunk(), 0..60), cuts in prop::collection::vec(0_usize..7, 1..10)) {
        let (once, cut) = (whole(&chunks), in_batches(&chunks, &cuts));
        prop_assert_eq!(&once, &cut);
        prop_assert_eq!(once.finish(), cut.finish());
    }
}

fn text(parts: &[Part]) -> String {
    threadmill_core::window::text_of(parts)
}

#[test]
fn parts_come_as_the_ai_sdk_has_them() {
    let s = String::from;
    let fold = whole(&[
        Chunk::StartStep,
        Chunk::ReasoningStart { id: s("r") },
        Chunk::ReasoningDelta { id: s("r"), delta: s("hm") },
        Chunk::ReasoningEnd { id: s("r") },
        Chunk::TextStart { id: s("0") },
        Chunk::TextDelta { id: s("0"), delta: s("Hel") },
        Chunk::TextDelta { id: s("0"), delta: s("lo") },
    ]);
    let open = Some(JsonText(s("{\"id\":\"0\",\"state\":\"streaming\"}")));
    assert_eq!(
        fold.body().parts,
        [Part::StepStart, Part::Reasoning { text: s("hm"), extra: None }, Part::Text { text: s("Hello"), extra: open },]
    );
    let body = fold.finish();
    assert_eq!(
        body,
        Body {
            parts: vec![Part::StepStart, Part::Reasoning { text: s("hm"), extra: None }, Part::text("Hello")],
            metadata: None
        }
    );
    assert_eq!(text(&body.parts), "Hello");
}

#[test]
fn of_what_is_not_known_parts_are_kept_and_the_rest_is_left_out() {
    let other = |kind: &str| Chunk::Other { kind: kind.into(), json: JsonText(format!("{{\"type\":\"{kind}\"}}")) };
    let fold = whole(&[other("source-document"), other("unheard-of"), other("custom"), other("reset-step")]);
    let kind = |part: Part| match part {
        Part::Other { kind, .. } => kind,
        part => panic!("{part:?}"),
    };
    let kinds: Vec<_> = fold.finish().parts.into_iter().map(kind).collect();
    assert_eq!(kinds, ["source-document", "custom"]);
}

#[test]
fn two_open_parts_do_not_mix() {
    let s = String::from;
    let fold = whole(&[
        Chunk::TextStart { id: s("0") },
        Chunk::TextStart { id: s("1") },
        Chunk::TextDelta { id: s("0"), delta: s("a") },
        Chunk::TextDelta { id: s("1"), delta: s("b") },
        Chunk::TextDelta { id: s("0"), delta: s("c") },
    ]);
    assert_eq!(fold.finish().parts, [Part::text("ac"), Part::text("b")]);
}

/// The generous bound of a fold whose cost grows with its square: the streams below take it minutes.
const LINEAR: std::time::Duration = std::time::Duration::from_secs(20);

#[test]
fn a_long_stream_costs_what_it_is_long() {
    let begun = std::time::Instant::now();
    let mut fold = Fold::new();
    for n in 0..100_000 {
        let (call_id, name) = (format!("call-{n}"), "t".into());
        fold.apply(&Chunk::ToolInputStart { call_id: call_id.clone(), name, dynamic: true });
        fold.apply(&Chunk::ToolInputDelta { call_id, delta: "{}".into() });
    }
    for n in 0..60_000 {
        fold.apply(&Chunk::ReasoningDelta { id: format!("r{n}"), delta: "hm".into() });
        fold.apply(&Chunk::TextStart { id: n.to_string() });
        fold.apply(&Chunk::FinishStep);
        fold.apply(&Chunk::Data { name: "d".into(), id: Some(n.to_string()), data: JsonText("1".into()) });
    }
    for n in 0..3_000 {
        let metadata = JsonText(format!("{{\"usage\":{{\"k{n}\":\"{}\"}}}}", "x".repeat(200)));
        fold.apply(&Chunk::Metadata { metadata });
    }
    assert_eq!(fold.finish().parts.len(), 280_000);
    assert!(begun.elapsed() < LINEAR, "it took {:?}", begun.elapsed());
}

#[test]
fn values_of_other_names_or_ids_are_left_alone() {
    let value = |name: &str, id: &str, json: &str| Chunk::Data {
        name: name.into(),
        id: Some(id.into()),
        data: JsonText(json.into()),
    };
    let parts = |chunks: &[Chunk]| whole(chunks).finish().parts.len();
    assert_eq!(parts(&[value("a", "b", "1"), value("a", "b", "2")]), 1);
    assert_eq!(parts(&[value("a\0b", "c", "1"), value("a", "b\0c", "2")]), 2);
    assert_eq!(parts(&[value("a\"b", "c", "1"), value("a", "b\"c", "2")]), 2);
    assert_eq!(parts(&[value("ab", "c", "1"), value("a", "bc", "2")]), 2);
}

fn calls(chunks: &[Chunk]) -> Vec<(String, Option<String>, Option<String>)> {
    let tool = |part: Part| match part {
        Part::Tool(tool) => Some((tool.state, tool.input.map(|input| input.0), tool.error)),
        _ => None,
    };
    whole(chunks).finish().parts.into_iter().filter_map(tool).collect()
}

#[test]
fn no_tool_call_outlives_its_run() {
    let s = String::from;
    let start = Chunk::ToolInputStart { call_id: s("c"), name: s("t"), dynamic: true };
    let piece = |delta: &str| Chunk::ToolInputDelta { call_id: "c".into(), delta: delta.to_owned() };
    let cut = [start.clone(), piece("{\"a\":\"\n"), piece("\\é")];
    let input = Some(s("\"{\\\"a\\\":\\\"\\u000a\\\\é\""));
    assert_eq!(calls(&cut), [(s("output-error"), input, Some(s("The input was cut short.")))]);
    assert_eq!(calls(std::slice::from_ref(&start))[0].0, "output-error");

    let input = JsonText(s("{\"a\":1}"));
    let available = Chunk::ToolInputAvailable { call_id: s("c"), name: s("t"), input, dynamic: true };
    let not_run = (s("output-error"), Some(s("{\"a\":1}")), Some(s("The tool was not run.")));
    assert_eq!(calls(&[start, piece("{"), available.clone()]), [not_run]);

    let output = Chunk::ToolOutputAvailable { call_id: s("c"), output: JsonText(s("2")) };
    assert_eq!(calls(&[available, output])[0].0, "output-available");
}

/// A call that is begun again is another one: nothing of what it was is shown beside its new input, and that input grows
/// from its first delta.
#[test]
fn a_tool_call_begun_again_begins_from_nothing() {
    let json = |text: &str| JsonText(text.into());
    let start = || Chunk::ToolInputStart { call_id: "a".into(), name: "t".into(), dynamic: false };
    let delta = |delta: &str| Chunk::ToolInputDelta { call_id: "a".into(), delta: delta.into() };
    let input =
        Chunk::ToolInputAvailable { call_id: "a".into(), name: "t".into(), input: json("{\"a\":1}"), dynamic: false };
    let output = Chunk::ToolOutputAvailable { call_id: "a".into(), output: json("1") };
    let error = Chunk::ToolOutputError { call_id: "a".into(), error: "no".into() };
    let fold = whole(&[start(), input, output, error, start(), delta("{\"b"), delta("\":2")]);
    let [Part::Tool(tool)] = fold.parts() else { panic!("{:?}", fold.parts()) };
    assert_eq!((tool.state.as_str(), &tool.output, &tool.error), ("input-streaming", &None, &None));
    assert_eq!(tool.input, Some(json(r#""{\"b\":2""#)));
}
