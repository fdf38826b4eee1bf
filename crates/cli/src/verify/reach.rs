//! Whether the deployment can be reached, is ready, and lets in whom it should and nobody else.

use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use futures_util::future::try_join_all;
use serde_json::Value;

use super::node::{Credential, Node, TENANT};
use super::scene::Scene;
use crate::checks::{NotDone, Verdict};
use crate::clock;

type Found = anyhow::Result<Verdict>;

/// A host and an origin that no deployment answers to: the domain is reserved.
const FOREIGN_HOST: &str = "threadmill-verify.invalid";
const FOREIGN_ORIGIN: &str = "https://threadmill-verify.invalid";

/// Names what is wrong at which node; passes if that is nothing.
fn all_or(faults: &[String], passed: String) -> Verdict {
    if faults.is_empty() { Verdict::passed(passed) } else { Verdict::failed(faults.join("; ")) }
}

pub(super) fn nodes(scene: &Scene) -> String {
    match scene.nodes.len() {
        1 => scene.first().name(),
        n => format!("{n} nodes"),
    }
}

pub(super) async fn reachable(scene: &Scene) -> Found {
    let began = Instant::now();
    let mut faults = Vec::new();
    for node in &scene.nodes {
        match node.get("/livez", &[]).await {
            Ok(answer) if answer.status.is_success() => {}
            Ok(answer) => faults.push(format!("{} answers /livez with {}", node.name(), answer.status)),
            Err(error) => faults.push(format!("{}: {error:#}", node.name())),
        }
    }
    Ok(all_or(&faults, format!("{} answers, in {} ms", nodes(scene), began.elapsed().as_millis())))
}

/// `/readyz`, whatever its status.
pub(super) async fn readyz(node: &Node) -> anyhow::Result<(bool, Value)> {
    let answer = node.get("/readyz", &[]).await?;
    Ok((answer.status.is_success(), answer.json().with_context(|| format!("/readyz of {}", node.name()))?))
}

pub(super) async fn not_ready(scene: &Scene) -> Found {
    let mut faults = Vec::new();
    for node in &scene.nodes {
        let (ready, says) = readyz(node).await?;
        if !ready {
            faults.push(format!(
                "{} is not ready: {}",
                node.name(),
                says["status"].as_str().unwrap_or("no reason given")
            ));
        }
    }
    Ok(all_or(&faults, format!("{} is ready", nodes(scene))))
}

/// The nodes that are in a mode, with what that means.
async fn none_in(scene: &Scene, mode: &str, means: &str) -> Found {
    let mut faults = Vec::new();
    for node in &scene.nodes {
        let (_, says) = readyz(node).await?;
        let now = says["mode"].as_str().with_context(|| format!("{} names no mode", node.name()))?;
        if now == mode {
            faults.push(format!("{} is {mode}: {means}", node.name()));
        }
    }
    Ok(all_or(&faults, format!("{} is not", nodes(scene))))
}

pub(super) async fn degraded(scene: &Scene) -> Found {
    none_in(scene, "degraded", "its hot tier does not answer").await
}

pub(super) async fn read_only(scene: &Scene) -> Found {
    none_in(scene, "read-only", "the durable tier takes no writes").await
}

async fn info(node: &Node) -> anyhow::Result<Value> {
    node.http.info().await.with_context(|| format!("/v1/info of {}", node.name()))
}

pub(super) async fn identity(scene: &Scene) -> Found {
    let (mut who, mut faults) = (Vec::new(), Vec::new());
    for node in &scene.nodes {
        let says = info(node).await?;
        let (tenant, user) = (says["tenant"].as_str().unwrap_or_default(), says["user"].as_str().unwrap_or_default());
        let caller = &node.caller;
        let right = match caller.credential {
            Credential::None => user == caller.user,
            Credential::Token(_) => !user.is_empty() && !tenant.is_empty(),
            Credential::Secret(_) => user == caller.user && tenant == TENANT,
        };
        if !right {
            faults.push(format!("{} takes {} for {user} of tenant {tenant}", node.name(), caller.user));
        }
        who.push(format!("{user} of tenant {tenant}"));
    }
    ensure!(who.iter().all(|one| *one == who[0]), "the nodes take the caller for different users: {}", who.join(", "));
    Ok(all_or(&faults, format!("known as {}", who[0])))
}

pub(super) async fn anonymous_refused(scene: &Scene) -> Found {
    let mut faults = Vec::new();
    for node in &scene.nodes {
        let answer = node.get("/v1/threads?limit=1", &[]).await?;
        match (answer.status.as_u16(), &node.caller.credential) {
            (401 | 403, _) => {}
            (status, Credential::None) if status < 300 && node.is_local() => {
                return Err(
                    NotDone("the server believes its callers (--auth dev), on this machine alone".into()).into()
                );
            }
            (status, _) => faults.push(format!("{} answers {status} to a request without credentials", node.name())),
        }
    }
    Ok(all_or(&faults, "a request without credentials is refused".into()))
}

pub(super) async fn foreign_host(scene: &Scene) -> Found {
    let mut faults = Vec::new();
    for node in &scene.nodes {
        let answer = node.get_as("/v1/info", &[("host", FOREIGN_HOST)]).await?;
        if !answer.status.is_client_error() {
            faults.push(format!("{} answers {} to a request for another host", node.name(), answer.status));
        }
    }
    Ok(all_or(&faults, "a request for another host is refused".into()))
}

pub(super) async fn foreign_origin(scene: &Scene) -> Found {
    let mut faults = Vec::new();
    for node in &scene.nodes {
        let answer = node.get_as("/v1/info", &[("origin", FOREIGN_ORIGIN)]).await?;
        let allowed = answer.header("access-control-allow-origin");
        if answer.status.is_success() || allowed.is_some_and(|origin| origin == "*" || origin == FOREIGN_ORIGIN) {
            faults.push(format!("{} answers {} to a page of another origin", node.name(), answer.status));
        }
    }
    Ok(all_or(&faults, "a page of another origin is refused".into()))
}

pub(super) async fn version_skew(scene: &Scene) -> Found {
    let own = env!("CARGO_PKG_VERSION");
    let versions = try_join_all(scene.nodes.iter().map(|node| async move {
        let says = info(node).await?;
        anyhow::Ok(says["version"].as_str().unwrap_or("no version").to_owned())
    }));
    let versions = versions.await?;
    if versions.iter().any(|version| *version != versions[0]) {
        return Ok(Verdict::failed(format!("the nodes run {}", versions.join(", "))));
    }
    if versions[0] != own {
        return Ok(Verdict::warned(format!("the deployment runs {}, this command is {own}", versions[0])));
    }
    Ok(Verdict::passed(format!("all run {own}")))
}

/// The clock of a node, as a range of milliseconds since 1970, from its `Date`, which has whole seconds.
async fn date(node: &Node) -> anyhow::Result<i128> {
    let before = millis();
    let answer = node.get("/livez", &[]).await?;
    let after = millis();
    let date = answer.header("date").with_context(|| format!("{} sends no Date", node.name()))?;
    let date = seconds_of(date).with_context(|| format!("{} sends a Date that is none: {date}", node.name()))? * 1_000;
    // In the second that it names, at some time of the request: no farther off than this.
    Ok(if date + 1_000 < before { date + 1_000 - before } else { (date - after).max(0) })
}

fn millis() -> i128 {
    clock::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis().try_into().unwrap_or_default()
}

/// The seconds since 1970 of an HTTP date, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn seconds_of(date: &str) -> Option<i128> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let fields: Vec<&str> = date.split_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = fields[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let iso = format!("{year}-{month:02}-{day}T{time}Z");
    Some(i128::from(threadmill_proto::json::parse_iso(&iso).ok()?) / 1_000)
}

pub(super) async fn clock_skew(scene: &Scene) -> Found {
    let most = i128::from(scene.limits.max_skew_ms);
    let mut skews = Vec::new();
    for node in &scene.nodes {
        skews.push((node.name(), date(node).await?));
    }
    let (least, greatest) = (skews.iter().map(|(_, skew)| *skew).min(), skews.iter().map(|(_, skew)| *skew).max());
    let apart = greatest.unwrap_or_default() - least.unwrap_or_default();
    let said: Vec<_> = skews.iter().map(|(name, skew)| format!("{name} {skew:+} ms")).collect();
    let far = skews.iter().any(|(_, skew)| skew.abs() > most) || apart > most;
    let saw = format!("against this machine: {}", said.join(", "));
    Ok(if far { Verdict::failed(saw) } else { Verdict::passed(saw) })
}

pub(super) async fn live_connection(scene: &Scene) -> Found {
    let began = Instant::now();
    for node in &scene.nodes {
        let client = node.connect()?;
        client
            .live(Duration::from_secs(15))
            .await
            .with_context(|| format!("{} gives no live connection", node.name()))?;
    }
    Ok(Verdict::passed(format!("{} lives, in {} ms", nodes(scene), began.elapsed().as_millis())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_http_are_read() {
        assert_eq!(seconds_of("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        for wrong in ["", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Foo 1994 08:49:37 GMT", "x x x x x GMT"] {
            assert_eq!(seconds_of(wrong), None, "{wrong}");
        }
    }
}
