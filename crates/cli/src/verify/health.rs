//! How the deployment says that it fares: the hot tier, and the concerns that each node watches.

use anyhow::Context as _;
use serde_json::Value;

use super::node::Node;
use super::reach::readyz;
use super::scene::Scene;
use super::windows;
use crate::checks::{NotDone, Outcome, Verdict};

type Found = anyhow::Result<Verdict>;

/// A share of fewer events than these says nothing.
const SAMPLES: u64 = 500;
/// The checklist's: reads that the hot tier serves, and pieces that the durable tier had to.
const HIT_RATE: f64 = 0.80;
const FALLBACKS: f64 = 0.01;

/// What `/readyz` counts of each node's hot tier.
async fn counts(scene: &Scene) -> anyhow::Result<Vec<(&Node, Value)>> {
    let mut all = Vec::new();
    for node in &scene.nodes {
        let (_, says) = readyz(node).await?;
        if says["hot"].is_object() {
            all.push((node, says["hot"].clone()));
        }
    }
    if all.is_empty() {
        return Err(NotDone("no hot tier is configured: one node keeps what is hot in its own memory".into()).into());
    }
    Ok(all)
}

fn number(counts: &Value, name: &str) -> u64 {
    counts[name].as_u64().unwrap_or_default()
}

/// The hot tier is there at every node, and used by what is read now.
pub(super) async fn hot_tier(scene: &Scene) -> Found {
    let before = counts(scene).await?;
    if before.len() < scene.nodes.len() {
        return Ok(Verdict::failed(format!("{} of {} nodes have a hot tier", before.len(), scene.nodes.len())));
    }
    windows::unread(scene).await?;
    let after = counts(scene).await?;
    let used = |counts: &[(&Node, Value)]| {
        counts.iter().map(|(_, hot)| number(hot, "pageHits") + number(hot, "pageMisses")).sum::<u64>()
    };
    let unverified: u64 = after.iter().map(|(_, hot)| number(hot, "unverified")).sum();
    let read = used(&after).saturating_sub(used(&before));
    if read == 0 {
        return Ok(Verdict::failed("windows were read, and the hot tier was asked for none"));
    }
    if unverified > 0 {
        return Ok(Verdict::warned(format!(
            "{unverified} replies did not verify: somebody else writes there, or a seal differs"
        )));
    }
    Ok(Verdict::passed(format!("every node uses it, {read} times just now")))
}

fn share(part: u64, rest: u64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a share, for people")]
    let share = |part: u64, all: u64| part as f64 / all as f64;
    (part + rest >= SAMPLES).then(|| share(part, part + rest))
}

async fn sum(scene: &Scene, names: [&str; 2]) -> anyhow::Result<(u64, u64)> {
    let counts = counts(scene).await?;
    let of = |name: &str| counts.iter().map(|(_, hot)| number(hot, name)).sum();
    Ok((of(names[0]), of(names[1])))
}

pub(super) async fn hot_hit_rate(scene: &Scene) -> Found {
    let (hits, misses) = sum(scene, ["pageHits", "pageMisses"]).await?;
    let Some(rate) = share(hits, misses) else {
        return Err(NotDone(format!("{} windows were read so far; a share wants {SAMPLES}", hits + misses)).into());
    };
    let saw = format!("{:.1} % of {} windows came from the hot tier", rate * 100.0, hits + misses);
    Ok(if rate >= HIT_RATE { Verdict::passed(saw) } else { Verdict::warned(saw) })
}

pub(super) async fn fallback_share(scene: &Scene) -> Found {
    let (fallbacks, hits) = sum(scene, ["fallbacks", "hits"]).await?;
    let Some(rate) = share(fallbacks, hits) else {
        return Err(NotDone(format!("{} pieces were read so far; a share wants {SAMPLES}", hits + fallbacks)).into());
    };
    let saw = format!("{:.2} % of {} pieces had to come from the durable tier", rate * 100.0, hits + fallbacks);
    Ok(if rate <= FALLBACKS { Verdict::passed(saw) } else { Verdict::warned(saw) })
}

/// What a node watches of one concern, as `/ops/api/summary` has it.
pub(super) async fn concern(scene: &Scene, id: &'static str) -> Found {
    let (mut worst, mut said, mut unjudged) = (None, Vec::new(), None);
    for node in &scene.nodes {
        let summary = summary(scene, node).await?;
        let Some(watched) = summary["watched"].as_array().into_iter().flatten().find(|one| one["id"] == id) else {
            return Err(NotDone(format!("{} does not watch it", node.name())).into());
        };
        let outcome = match watched["state"].as_str() {
            Some("ok") => Outcome::Passed,
            Some("firing") if watched["severity"] == "critical" => Outcome::Failed,
            Some("firing") => Outcome::Warned,
            // What one node cannot say hides nothing that another says.
            Some("few") => {
                unjudged = Some("too few samples to judge by");
                continue;
            }
            _ => {
                unjudged = Some("nothing of it is measured there");
                continue;
            }
        };
        let insight = summary["insights"].as_array().into_iter().flatten().find(|one| one["id"] == id);
        let what = insight.and_then(|insight| insight["what"].as_str()).map(str::to_owned);
        said.push(
            what.unwrap_or_else(|| {
                format!("{}: {} (threshold {})", node.name(), watched["value"], watched["threshold"])
            }),
        );
        let rank = |outcome: Outcome| {
            [Outcome::Passed, Outcome::Warned, Outcome::Failed].iter().position(|one| *one == outcome)
        };
        worst = worst.max(rank(outcome));
    }
    if let (None, Some(why)) = (worst, unjudged) {
        return Err(NotDone(why.into()).into());
    }
    let saw = said.join("; ");
    Ok(match worst {
        Some(2) => Verdict::failed(saw),
        Some(1) => Verdict::warned(saw),
        _ => Verdict::passed(saw),
    })
}

async fn summary(scene: &Scene, node: &Node) -> anyhow::Result<Value> {
    let token = scene.ops_token.as_deref().map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = token.as_deref().map(|token| ("authorization", token)).into_iter().collect();
    let answer = node.get("/ops/api/summary", &headers).await?;
    match answer.status.as_u16() {
        200 => answer.json().with_context(|| format!("/ops/api/summary of {}", node.name())),
        401 | 403 if scene.ops_token.is_some() => {
            anyhow::bail!("{} refuses the token in THREADMILL_OPS_TOKEN", node.name())
        }
        401 | 403 => Err(NotDone("the ops API wants a token: set THREADMILL_OPS_TOKEN".into()).into()),
        _ => Err(NotDone(format!("{} serves no ops API here", node.name())).into()),
    }
}
