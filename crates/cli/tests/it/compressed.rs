//! What is sent smaller to those who take that, and what is not.

use reqwest::{Method, Response};
use serde_json::json;

use crate::api::{Api, text};
use crate::node::Setup;

async fn ask(api: &Api, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = api.request(Method::GET, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("an answer")
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_lists_and_exports_are_compressed_and_streams_are_not() {
    let node = Setup::new().start();
    let api = node.api("ada");
    api.thread("t").await;
    for _ in 0..20 {
        api.post("/threads/t/messages", json!({"parts": [text(&"the same words ".repeat(100))]})).await;
    }
    let plain = ask(&api, "/threads/t/messages", &[]).await;
    assert_eq!(header(&plain, "content-encoding"), "");
    let whole = plain.bytes().await.expect("a body").len();
    for coding in ["br", "gzip"] {
        for path in ["/threads/t/messages", "/threads/t/export"] {
            let smaller = ask(&api, path, &[("accept-encoding", coding)]).await;
            assert_eq!(
                (header(&smaller, "content-encoding"), header(&smaller, "vary")),
                (coding, "accept-encoding"),
                "{path}"
            );
            let bytes = smaller.bytes().await.expect("a body").len();
            assert!(bytes * 3 < whole, "{path} in {coding}: {bytes} of {whole}");
        }
    }
    let both = [("accept-encoding", "gzip, br")];
    let small = ask(&api, "/threads/t", &both).await;
    assert_eq!(header(&small, "content-encoding"), "", "a coder for a packet");
    let events = ask(&api, "/threads/t/events?before=50", &both).await;
    assert_eq!((header(&events, "content-type"), header(&events, "content-encoding")), ("text/event-stream", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_files_are_sent_in_the_form_that_is_taken() {
    let node = Setup::new().start();
    let api = node.api("ada");
    let index = ask(&api, "/../", &[]).await.text().await.expect("the page");
    let Some(script) = index.split('"').find(|word| word.starts_with("/assets/") && word.ends_with(".js")) else {
        assert!(index.contains("built without its page"), "{index}");
        eprintln!("the page is not built: its files are not tried");
        return;
    };
    let path = format!("/..{script}");
    let plain = ask(&api, &path, &[]).await;
    assert_eq!(header(&plain, "cache-control"), "public, max-age=31536000, immutable");
    assert_eq!((header(&plain, "content-encoding"), header(&plain, "vary")), ("", "Accept-Encoding"));
    let plain_tag = header(&plain, "etag").to_owned();
    let whole = plain.bytes().await.expect("a body").len();
    for coding in ["br", "gzip"] {
        let smaller = ask(&api, &path, &[("accept-encoding", coding)]).await;
        assert_eq!(header(&smaller, "content-encoding"), coding);
        let tag = header(&smaller, "etag").to_owned();
        assert_ne!(tag, plain_tag, "two forms of one tag");
        assert!(smaller.bytes().await.expect("a body").len() * 2 < whole);
        let known = ask(&api, &path, &[("accept-encoding", coding), ("if-none-match", &tag)]).await;
        assert_eq!((known.status().as_u16(), header(&known, "vary")), (304, "Accept-Encoding"));
        assert_eq!(header(&known, "cache-control"), "public, max-age=31536000, immutable");
    }
    let page = ask(&api, "/../t/abc", &[("accept-encoding", "br")]).await;
    assert_eq!((header(&page, "content-encoding"), header(&page, "cache-control")), ("br", "no-cache"));
    assert!(header(&page, "content-security-policy").contains("default-src 'none'"));
    let worker = ask(&api, "/../sw.js", &[]).await;
    assert_eq!((worker.status().as_u16(), header(&worker, "cache-control")), (200, "no-cache"));
    assert_eq!(header(&worker, "content-type"), "text/javascript; charset=utf-8");
}
