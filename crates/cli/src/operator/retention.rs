//! `threadmill retention`: what would be deleted for its age, and saying that it may be.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::server::{Operator, Reason, ServerArgs, Shape, asked};

const EXAMPLES: &str = "Examples:\n  threadmill retention preview\n  \
    threadmill retention confirm 3f9a0c12b4d5 --who ada --why 'agreed with legal'\n  \
    threadmill retention stop --who ada --why 'a hold'\n\nTHREADMILL_OPS_TOKEN has the operators' token, where there is one. \
    Changes need a server that was started with --ops-write.";

/// Deletes threads that nothing has changed for long, once somebody has seen which.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Retention {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Subcommand)]
enum What {
    /// What would go by the server's configuration, by tenant; deletes nothing
    Preview,
    /// Let the policy of a mark delete from now on
    Confirm {
        /// The mark that the preview shows
        mark: String,
        #[command(flatten)]
        reason: Reason,
    },
    /// Delete no more
    Stop(Reason),
}

impl Retention {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let operator = self.server.operator()?;
        match self.what {
            What::Preview => self.server.print(&whole(&operator).await?, shown),
            What::Confirm { mark, reason } => {
                let body = json!({"mark": mark, "who": reason.who, "why": reason.why});
                let answer = operator.change("/retention/confirm", body, &[("active", Value::is_boolean)]).await?;
                self.server.print(&answer, |_| "Threads are deleted by this policy from now on.\n".into())
            }
            What::Stop(reason) => {
                let answer =
                    operator.change("/retention/stop", reason.body(), &[("active", Value::is_boolean)]).await?;
                self.server.print(&answer, |_| "No thread is deleted for its age any more.\n".into())
            }
        }
    }
}

/// A page of the preview.
const PREVIEW: Shape = &[
    ("policy", Value::is_string),
    ("mark", Value::is_string),
    ("active", Value::is_boolean),
    ("tenants", Value::is_array),
    ("seen", Value::is_u64),
];
/// Thousands of pages: a page is answered in milliseconds.
const ALL_PAGES: Duration = Duration::from_secs(300);

/// All pages of the preview as one.
async fn whole(operator: &Operator) -> anyhow::Result<Value> {
    let pages = async {
        let mut whole = operator.read("/retention", PREVIEW).await?;
        while let Some(next) = whole["next"].as_str() {
            let page = operator.read(&asked("/retention", &[("after", next)]), PREVIEW).await?;
            whole = joined(whole, &page);
        }
        Ok(whole)
    };
    timeout(ALL_PAGES, pages).await.context("the preview has no end")?
}

/// What was seen so far with what a page adds.
fn joined(mut whole: Value, page: &Value) -> Value {
    let count = |value: &Value, name: &str| value[name].as_u64().unwrap_or_default();
    whole["seen"] = json!(count(&whole, "seen") + count(page, "seen"));
    whole["next"] = page["next"].clone();
    let mut tenants: Vec<Value> = whole["tenants"].as_array().cloned().unwrap_or_default();
    for more in page["tenants"].as_array().into_iter().flatten() {
        let Some(known) = tenants.iter_mut().find(|known| known["tenant"] == more["tenant"]) else {
            tenants.push(more.clone());
            continue;
        };
        for name in ["threads", "pinned"] {
            known[name] = json!(count(known, name) + count(more, name));
        }
        // Times of one form are in their order as texts; null goes with nothing.
        let oldest = [known["oldest"].as_str(), more["oldest"].as_str()].into_iter().flatten().min();
        known["oldest"] = json!(oldest);
    }
    tenants.sort_by_key(|tenant| tenant["tenant"].as_str().unwrap_or_default().to_owned());
    whole["tenants"] = Value::Array(tenants);
    whole
}

fn shown(preview: &Value) -> String {
    let word = |value: &Value, name: &str| value[name].as_str().unwrap_or("-").to_owned();
    let mut out = format!("Threads are kept {}.\n", word(preview, "policy"));
    for tenant in preview["tenants"].as_array().into_iter().flatten() {
        let _ = writeln!(
            out,
            "  {}: {} of more than {} days, the oldest last changed {}; {} as old are pinned and stay",
            word(tenant, "tenant"),
            tenant["threads"],
            tenant["days"],
            word(tenant, "oldest"),
            tenant["pinned"]
        );
    }
    let all: u64 =
        preview["tenants"].as_array().into_iter().flatten().filter_map(|tenant| tenant["threads"].as_u64()).sum();
    let _ = writeln!(out, "{all} of {} threads would go.", preview["seen"]);
    let mark = word(preview, "mark");
    let _ = match (&preview["active"], &preview["confirmed"]) {
        (Value::Bool(true), by) => {
            writeln!(out, "They go: {} confirmed the mark {mark} on {}.", word(by, "who"), word(by, "at"))
        }
        (_, Value::Null) => writeln!(out, "Nothing goes: the mark {mark} is not confirmed."),
        (_, by) => writeln!(out, "Nothing goes: confirmed is {}, and this policy's mark is {mark}.", word(by, "mark")),
    };
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(tenants: &Value, seen: u64, next: Option<&str>) -> Value {
        json!({"policy": "30 days", "mark": "m", "active": false, "confirmed": null, "tenants": tenants, "seen": seen, "next": next})
    }

    #[test]
    fn pages_are_summed_up_by_tenant() {
        let one = json!([{"tenant": "b", "days": 30, "threads": 2, "pinned": 1, "oldest": "2026-01-02T00:00:00.000Z"}]);
        let two = json!([
            {"tenant": "a", "days": 7, "threads": 0, "pinned": 3, "oldest": null},
            {"tenant": "b", "days": 30, "threads": 5, "pinned": 0, "oldest": "2025-12-31T00:00:00.000Z"},
        ]);
        let whole = joined(page(&one, 5_000, Some("9")), &page(&two, 12, None));
        assert_eq!((&whole["seen"], &whole["next"]), (&json!(5_012), &Value::Null));
        let text = shown(&whole);
        assert_eq!(
            text,
            "Threads are kept 30 days.\n  a: 0 of more than 7 days, the oldest last changed -; 3 as old are pinned and stay\n  \
             b: 7 of more than 30 days, the oldest last changed 2025-12-31T00:00:00.000Z; 1 as old are pinned and stay\n\
             7 of 5012 threads would go.\nNothing goes: the mark m is not confirmed.\n"
        );
    }
}
