//! Analytics from outside: what pages report is added up, small groups are in no answer, nobody is named anywhere, and where it is off
//! nothing is kept. Scripted visits in a real browser: `apps/chat/e2e/ops/visits.mjs`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::node::{Node, Setup, command};

const ON: &str = "[analytics]\nenabled = true\n";

async fn look(node: &Node, query: &str) -> (u16, Value) {
    let url = format!("http://{}/ops/api/analytics{query}", node.address());
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = client.get(url).send().await.expect("an answer");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("text");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// A user's page reports what it counted; `headers` go along.
async fn report(node: &Node, user: usize, control: bool, counts: Value, headers: &[(&str, &str)]) -> u16 {
    let body = json!({"engine": "core", "samples": [], "use": {"control": control, "counts": counts}});
    let mut request = node.api(&format!("visitor-{user}")).request(Method::POST, "/rum").json(&body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("an answer").status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn small_groups_are_not_shown_and_nobody_is_named() {
    let mut node = Setup::new().more(ON).start();
    assert_eq!(node.api("ada").get("/info").await["analytics"], json!({"on": true, "hints": null}));
    for user in 0..9 {
        // However often they come, they are nine.
        for _ in 0..2 {
            assert_eq!(report(&node, user, false, json!({"visits": [1], "switches": [2, 0, 1]}), &[]).await, 202);
        }
    }
    let objects = [("dnt", "1"), ("sec-gpc", "1")];
    for (user, header) in objects.iter().enumerate() {
        assert_eq!(report(&node, 20 + user, false, json!({"visits": [1]}), &[*header]).await, 202);
    }
    let (_, few) = look(&node, "").await;
    assert_eq!((&few["groups"], &few["hiddenGroups"], &few["sums"]["visits"]), (&json!([]), &json!(1), &json!([0])));
    assert_eq!(report(&node, 9, true, json!({"visits": [1], "switchWithout": [0, 1]}), &[]).await, 202);
    let (_, found) = look(&node, "?days=2&tenant=default").await;
    let group = &found["groups"][0];
    assert_eq!((&group["visitors"], &group["counts"]["visits"]), (&json!(10), &json!([19])), "{found}");
    assert_eq!(group["counts"]["switches"], json!([36, 0, 18, 0]));
    assert_eq!(group["counts"]["switchWithout"][1], 0, "one reader without the prefetcher is nobody's to see");
    assert_eq!(look(&node, "?tenant=other").await.1["groups"], json!([]));
    for query in ["?days=x", "?days=367", "?format=xml"] {
        assert_eq!(look(&node, query).await.0, 400, "{query}");
    }
    let export = |format: &str| {
        let url = format!("http://{}", node.address());
        command(&["analytics", "export", "--url", &url, "--days", "2", "--format", format])
    };
    let (code, csv, _) = export("csv");
    assert!(code == 0 && csv.lines().any(|line| line.ends_with(",default,10,switches,search,18")), "{csv}");
    let (_, exported, _) = export("json");
    assert_eq!(serde_json::from_str::<Value>(&exported).expect("JSON")["groups"], found["groups"]);

    node.restart();
    let (_, again) = look(&node, "?days=2").await;
    assert_eq!(again["groups"], found["groups"], "a restart counts nothing anew");
    assert_eq!(report(&node, 3, false, json!({"visits": [1]}), &[]).await, 202);
    assert_eq!(look(&node, "?days=2").await.1["groups"][0]["visitors"], 10, "known again after a restart");
    node.kill();
    let kept = std::fs::read_dir(node.data()).expect("a directory");
    for file in kept.map(|file| file.expect("a file").path()).filter(|file| file.is_file()) {
        let bytes = std::fs::read(&file).expect("a file");
        assert!(!bytes.windows(8).any(|eight| eight == b"visitor-"), "{} names somebody", file.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_count_is_refused() {
    let node = Setup::new().more(ON).start();
    for (user, counts) in [
        json!({"moods": [1]}),
        json!({"answers": [1]}),
        json!({"visits": [1, 2]}),
        json!({"visits": [-1]}),
        json!({"visits": "x"}),
        json!(["visits"]),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(report(&node, user, false, counts.clone(), &[]).await, 400, "{counts}");
    }
    assert_eq!(look(&node, "").await.1["hiddenGroups"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_counted_where_it_is_off() {
    let mut node = Setup::new().start();
    assert_eq!(node.api("ada").get("/info").await["analytics"], json!({"on": false, "hints": null}));
    for user in 0..12 {
        assert_eq!(report(&node, user, false, json!({"visits": [1]}), &[]).await, 202, "it is left aside");
    }
    let (_, found) = look(&node, "").await;
    assert_eq!((&found["on"], &found["groups"], &found["hiddenGroups"]), (&json!(false), &json!([]), &json!(0)));
    node.kill();
    node.restart_as(Setup::new().more(ON));
    assert_eq!(look(&node, "").await.1["hiddenGroups"], 0, "nothing was kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_counted_by_their_length() {
    let node = Setup::new().more(ON).start();
    for user in 0..10 {
        report(&node, user, false, json!({"visits": [1]}), &[]).await;
    }
    let api = node.api("ada");
    api.thread("t").await;
    let mut expected = [0; 9];
    for question in ["One?", "Two, and a little longer?"] {
        let (run, message) = api.run("t", question, "replay").await;
        api.ended(&run).await;
        let letters = api.said("t", &message).await.chars().count();
        let ends = [100, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000];
        expected[ends.iter().position(|end| letters <= *end).unwrap_or(8)] += 1;
    }
    assert_eq!(look(&node, "").await.1["sums"]["answers"], json!(expected));
}
