//! Webhooks as text.

use std::fmt::Write as _;

use serde_json::Value;

fn word<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or("?")
}

fn items<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value[name].as_array().into_iter().flatten()
}

/// Who is told, what waits, and the newest deliveries.
pub(super) fn list(answer: &Value) -> String {
    let mut out = String::new();
    for endpoint in items(answer, "endpoints") {
        let events: Vec<_> = items(endpoint, "events").filter_map(Value::as_str).collect();
        let off = endpoint["offSince"].as_str().map(|since| format!(", off since {since}: it answered 410"));
        let (name, origin) = (word(endpoint, "name"), word(endpoint, "origin"));
        let _ = writeln!(out, "{name}: {origin} for {}{}", events.join(", "), off.unwrap_or_default());
    }
    if out.is_empty() {
        out.push_str("No endpoint is configured.\n");
    }
    let oldest = answer["oldest"].as_str().map(|at| format!(", the oldest of {at}")).unwrap_or_default();
    let _ = writeln!(out, "{} waiting{oldest}", answer["waiting"]);
    items(answer, "deliveries").for_each(|delivery| line(&mut out, delivery));
    out
}

fn line(out: &mut String, delivery: &Value) {
    let [id, endpoint, event, at, state] = ["id", "endpoint", "event", "at", "state"].map(|name| word(delivery, name));
    let due = if state == "waiting" { format!(", next {}", word(delivery, "due")) } else { String::new() };
    let last = &delivery["last"];
    let last = match (last.is_null(), last["status"].as_u64()) {
        (true, _) => String::new(),
        (false, Some(status)) => format!(": {status} in {} ms", last["ms"]),
        (false, None) => format!(": {}", word(last, "said")),
    };
    let _ =
        writeln!(out, "  {at} {id} {event} to {endpoint}: {state} after {} attempts{due}{last}", delivery["attempts"]);
}

/// An event's deliveries, with what is sent and what was answered.
pub(super) fn deliveries(answer: &Value) -> String {
    let mut out = String::new();
    for delivery in items(answer, "deliveries") {
        line(&mut out, delivery);
        if let Some(said) = delivery["last"]["said"].as_str().filter(|said| !said.is_empty()) {
            let _ = writeln!(out, "    answered: {said}");
        }
        let _ = writeln!(out, "    {}", word(delivery, "body"));
    }
    out
}

/// How many are sent again.
pub(super) fn replayed(answer: &Value) -> String {
    format!("{} deliveries are sent again.\n", answer["replayed"])
}

/// Under which id a test is sent.
pub(super) fn tested(answer: &Value) -> String {
    let id = word(answer, "id");
    format!("A test is on its way under {id}: see `threadmill webhooks show {id}`.\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_says_what_waits_and_why() {
        let text = list(&json!({
            "endpoints": [{"name": "pager", "origin": "https://x.example", "events": ["rollout.moved"], "offSince": null}],
            "waiting": 1, "oldest": "2026-11-29T10:00:00.000Z",
            "deliveries": [
                {"id": "msg_1", "endpoint": "pager", "event": "rollout.moved", "at": "A", "state": "waiting", "due": "D",
                 "attempts": 2, "last": {"status": null, "said": "no answer within 15s", "ms": 15_000}},
                {"id": "msg_2", "endpoint": "pager", "event": "webhook.test", "at": "B", "state": "delivered", "due": "E",
                 "attempts": 1, "last": {"status": 204, "said": "", "ms": 12}},
            ],
        }));
        assert_eq!(
            text,
            "pager: https://x.example for rollout.moved\n1 waiting, the oldest of 2026-11-29T10:00:00.000Z\n  \
             A msg_1 rollout.moved to pager: waiting after 2 attempts, next D: no answer within 15s\n  \
             B msg_2 webhook.test to pager: delivered after 1 attempts: 204 in 12 ms\n"
        );
        assert_eq!(list(&json!({"waiting": 0})), "No endpoint is configured.\n0 waiting\n");
    }
}
