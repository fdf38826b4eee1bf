//! The page in a real Chromium: quiet where all is well, loud where it is not drawn or slow, and never passed without a browser.
//! Where this machine has none, or the page is not built, that is said and nothing is looked at.

use std::path::Path;
use std::time::Duration;

use axum::http::{HeaderValue, header};

use super::liar::{Liar, Lie};
use super::verify;
use crate::node::{Node, Setup};

const PAGE: &str = "page-renders,page-load-time,page-switch-time,page-frame-time,page-scroll-time";

/// A Chromium, if there is one and the node has its page.
async fn chromium(node: &Node) -> Option<String> {
    threadmill_engine::providers::openai::install_tls();
    let program = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".into());
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let page = client.get(format!("http://{}/", node.address())).send().await.expect("a page");
    let page = page.text().await.expect("text");
    let there = Path::new(&program).exists() && page.contains("<script");
    if !there {
        println!("skipped: no Chromium at {program}, or the page is not built");
    }
    there.then_some(program)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_browser_shows_is_measured_and_what_is_wrong_is_named() {
    let node = Setup::new().start();
    let Some(program) = chromium(&node).await else { return };
    let browser = ["--browser", &program];
    let url = format!("http://{}", node.address());
    let found = verify(&[&url], &[&["--only", PAGE][..], &browser].concat(), &[]).await;
    found.is_well();
    for check in PAGE.split(',') {
        assert_eq!(found.outcome(check), "passed", "{found:?}");
        println!("proof: `{check}` | {}", found.check(check)["saw"].as_str().unwrap_or_default());
    }

    let forbids = Liar::before(
        node.address(),
        Lie::tell(|_, answer| {
            answer.headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("script-src 'none'"));
        }),
    )
    .await;
    let found = verify(&[&forbids.url], &[&["--only", "page-renders"][..], &browser].concat(), &[]).await;
    assert_eq!((found.outcome("page-renders"), found.code), ("failed", 1), "{found:?}");

    let slow = Liar::before(node.address(), Lie { delay: Duration::from_millis(700), ..Lie::default() }).await;
    let late = "page-load-time,page-scroll-time";
    let limits = ["--max-load-ms", "500", "--max-scroll-ms", "300"];
    let found = verify(&[&slow.url], &[&["--only", late][..], &browser, &limits].concat(), &[]).await;
    for check in late.split(',') {
        assert_eq!(found.outcome(check), "failed", "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_browser_nothing_is_called_passed() {
    let node = Setup::new().start();
    let url = format!("http://{}", node.address());
    let found = verify(&[&url], &["--only", PAGE], &[]).await;
    let other = verify(&[&url], &["--only", PAGE, "--browser", "/bin/true"], &[]).await;
    for check in PAGE.split(',') {
        assert_eq!((found.outcome(check), other.outcome(check)), ("skipped", "failed"), "{check}: {other:?}");
    }
}
