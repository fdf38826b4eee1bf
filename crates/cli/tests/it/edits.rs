//! Edits of parts: what is not named stays to the byte, and what somebody else changed is not undone.

use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Answer, Api, code, text};
use crate::node::Setup;

const MESSAGE: &str = "/threads/t/messages/m";

/// Two texts, one of them longer than any preview, round parts whose JSON no number type holds.
const PARTS: &str = r#"[{"type":"text","text":"LONG"},{"type":"file","mediaType":"image/png","url":"data:image/png,x"},
    {"type":"data-odd","data":{"n":123456789012345678901234567890,"e":1e-999,"z":-0}},{"type":"text","text":"end"}]"#;

async fn message_in(api: &Api) -> String {
    api.thread("t").await;
    let long = "a long question ".repeat(3_000);
    let parts: Value = serde_json::from_str(&PARTS.replace("LONG", &long)).expect("JSON");
    let body = json!({"id": "m", "parts": parts, "metadata": {"from": "a test"}});
    api.post("/threads/t/messages", body).await;
    long
}

async fn patch(api: &Api, body: Value) -> Answer {
    api.ask(Method::PATCH, MESSAGE, Some(&body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_one_text_leaves_the_others_as_they_are() {
    let node = Setup::new().start();
    let api = node.api("ada");
    let long = message_in(&api).await;
    let before = api.message("t", "m").await;
    let (status, answer) = patch(&api, json!({"texts": [{"part": 3, "text": "END"}], "rev": 1})).await;
    assert_eq!(status, 200, "{answer}");
    let after = api.message("t", "m").await;
    assert_eq!(after["parts"][0]["text"], long);
    assert_eq!(after["parts"][3]["text"], "END");
    for untouched in [1, 2] {
        assert_eq!(after["parts"][untouched].to_string(), before["parts"][untouched].to_string());
    }
    assert_eq!(after["metadata"], before["metadata"]);
    assert_eq!(after["rev"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_meanwhile_is_not_overwritten() {
    let node = Setup::new().start();
    let api = node.api("ada");
    message_in(&api).await;
    let (status, _) = patch(&api, json!({"texts": [{"part": 3, "text": "first"}], "rev": 1})).await;
    assert_eq!(status, 200);
    for late in [
        json!({"texts": [{"part": 3, "text": "late"}], "rev": 1}),
        json!({"text": "late", "rev": 1}),
        json!({"parts": [text("late")], "rev": 1}),
    ] {
        let refused = patch(&api, late).await;
        assert_eq!((refused.0, code(&refused)), (409, "message_changed".into()));
    }
    let now = api.message("t", "m").await;
    assert_eq!((&now["rev"], &now["parts"][3]["text"]), (&json!(2), &json!("first")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_fits_no_part_changes_nothing() {
    let node = Setup::new().start();
    let api = node.api("ada");
    message_in(&api).await;
    for (body, expected) in [
        (json!({"text": "which?"}), "invalid_parts"),
        (json!({"texts": [{"part": 1, "text": "x"}]}), "invalid_parts"),
        (json!({"texts": [{"part": 9, "text": "x"}]}), "invalid_parts"),
        (json!({"texts": []}), "invalid_request"),
        (json!({"texts": [{"part": -1, "text": "x"}]}), "invalid_request"),
        (json!({"texts": [{"part": 0}]}), "invalid_request"),
        (json!({"texts": [{"part": 0, "text": "a"}, {"part": 0, "text": "b"}]}), "invalid_request"),
        (json!({"texts": [{"part": 0, "text": "a"}], "parts": [text("b")]}), "unknown_field"),
        (json!({"texts": [{"part": 0, "text": "x".repeat(1 << 20)}]}), "message_too_large"),
        (json!({"text": "x", "rev": "1"}), "invalid_request"),
    ] {
        let refused = patch(&api, body).await;
        assert_eq!(code(&refused), expected, "{}", refused.1);
    }
    assert_eq!(api.message("t", "m").await["rev"], 1);
}

/// The answer was lost; meanwhile somebody removed the message. The repetition still gets the first answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_edit_gets_its_first_answer() {
    let node = Setup::new().start();
    let api = node.api("ada");
    message_in(&api).await;
    let edit = async || {
        let body = json!({"texts": [{"part": 3, "text": "once"}], "rev": 1});
        let request = api.request(Method::PATCH, MESSAGE).header("idempotency-key", "edit-1").json(&body);
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON"))
    };
    let first = edit().await;
    assert_eq!(first.0, 200);
    let (status, _) = api.ask(Method::DELETE, MESSAGE, None).await;
    assert_eq!(status, 200);
    let again = edit().await;
    assert_eq!(again.0, 200, "{}", again.1);
    assert_eq!(api.message("t", "m").await["status"], "removed");
}
