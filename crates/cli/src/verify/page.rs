//! What is served besides the API's own answers: the page, its files and the headers of what is private.

use std::collections::BTreeSet;

use anyhow::ensure;

use super::node::Plain;
use super::scene::Scene;
use crate::checks::Verdict;
use crate::secrets;

type Found = anyhow::Result<Verdict>;

/// Files of the page that are looked through, and their bytes together.
const FILES: usize = 200;
const BYTES: usize = 48 << 20;

pub(super) async fn page_secrets(scene: &Scene) -> Found {
    let node = scene.first();
    let index = node.get("/", &[]).await?;
    ensure!(index.status.is_success(), "the page is answered with {}", index.status);
    let mut waiting = vec!["/".to_owned()];
    let mut seen: BTreeSet<String> = waiting.iter().cloned().collect();
    let (mut bytes, mut found) = (0, Vec::new());
    while let Some(path) = waiting.pop() {
        let answer = if path == "/" { clone(&index) } else { node.get(&path, &[]).await? };
        if !answer.status.is_success() {
            continue;
        }
        bytes += answer.body.len();
        ensure!(bytes <= BYTES, "the page has more than {} MiB: it was not looked through", BYTES >> 20);
        let text = String::from_utf8_lossy(&answer.body);
        found.extend(secrets::found(&text).map(|what| format!("{what} in {path}")));
        for file in files_named(&text) {
            ensure!(seen.len() < FILES, "the page has more than {FILES} files: they were not all looked through");
            if seen.insert(file.clone()) {
                waiting.push(file);
            }
        }
    }
    found.sort();
    found.dedup();
    Ok(if found.is_empty() {
        Verdict::passed(format!("no key in {} files, {} KiB", seen.len(), bytes >> 10))
    } else {
        Verdict::failed(found.join("; "))
    })
}

fn clone(answer: &Plain) -> Plain {
    Plain { status: answer.status, headers: answer.headers.clone(), body: answer.body.clone() }
}

/// Paths of the page's own files that a text names, as a bundler writes them.
fn files_named(text: &str) -> Vec<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name = |rest: &str| rest.split(|c| !legal(c)).next().unwrap_or_default().to_owned();
    let of_assets = text.split("assets/").skip(1).map(name).map(|name| format!("assets/{name}"));
    // Scripts name each other by `./chunk-1a2b.js`, beside them.
    let beside = text.split("\"./").skip(1).map(name).map(|name| format!("assets/{name}"));
    let known = |path: &String| [".js", ".css", ".json", ".wasm", ".map"].iter().any(|end| path.ends_with(end));
    of_assets.chain(beside).filter(known).map(|path| format!("/{path}")).collect()
}

pub(super) async fn private_cache(scene: &Scene) -> Found {
    let thread = scene.thread().await?;
    for path in [format!("/v1/threads/{thread}/messages"), "/v1/threads?limit=1".into()] {
        let answer = scene.first().get_as(&path, &[]).await?;
        ensure!(answer.status.is_success(), "{path} is answered with {}", answer.status);
        let cache = answer.header("cache-control").unwrap_or("nothing");
        if !cache.contains("no-store") {
            return Ok(Verdict::failed(format!("messages are sent with Cache-Control: {cache}")));
        }
    }
    let page = scene.first().get("/", &[]).await?;
    let policy = page.header("content-security-policy").unwrap_or_default();
    if !policy.contains("script-src 'self'") {
        return Ok(Verdict::failed("the page is sent without a policy that forbids foreign scripts"));
    }
    Ok(Verdict::passed("messages are kept by no cache, and the page runs no foreign script"))
}

pub(super) async fn compression(scene: &Scene) -> Found {
    let thread = scene.long().await?;
    let path = format!("/v1/threads/{thread}/messages?before=50");
    let whole = scene.first().get_as(&path, &[("accept-encoding", "identity")]).await?;
    let small = scene.first().get_as(&path, &[("accept-encoding", "br, gzip")]).await?;
    let coding = small.header("content-encoding").unwrap_or("identity").to_owned();
    let saw = format!("a window of {} bytes is sent as {coding} in {}", whole.body.len(), small.body.len());
    let passed = ["br", "gzip", "zstd"].contains(&coding.as_str()) && small.body.len() < whole.body.len();
    Ok(if passed { Verdict::passed(saw) } else { Verdict::failed(saw) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_as_bundlers_name_them() {
        let html = r#"<script src="/assets/index-Ab_1.js"></script><link href="/assets/a.css"><a href="/t/x">"#;
        assert_eq!(files_named(html), ["/assets/index-Ab_1.js", "/assets/a.css"]);
        let script = r#"import("./rest-9.js");const w=new URL("/assets/core.wasm",x),d=["assets/katex.js"]"#;
        assert_eq!(files_named(script), ["/assets/core.wasm", "/assets/katex.js", "/assets/rest-9.js"]);
    }
}
