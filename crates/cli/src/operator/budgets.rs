//! `threadmill budgets`: how budgets stand, and what was used, as a running server says.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::Value;
use threadmill_proto::TenantId;

use super::server::{ServerArgs, Shape, asked};

const EXAMPLES: &str = "Examples:\n  threadmill budgets show\n  threadmill budgets show --tenant acme --json\n\n\
    THREADMILL_OPS_TOKEN has the operators' token, where there is one.";

/// How budgets stand at a running server.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Budgets {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The budgets that a tenant's answers count in, and what it used day by day
    Show(Show),
}

#[derive(Debug, Args)]
struct Show {
    /// The tenant
    #[arg(long, value_name = "TENANT", default_value = "default")]
    tenant: String,
}

const ANSWER: Shape = &[("budgets", Value::is_array), ("days", Value::is_object)];

impl Budgets {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let What::Show(show) = self.what;
        let tenant = TenantId::parse(&show.tenant).context("--tenant")?;
        let path = asked("/usage", &[("tenant", tenant.as_str())]);
        let answer = self.server.operator()?.read(&path, ANSWER).await?;
        self.server.print(&answer, shown)
    }
}

fn word<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or("?")
}

/// A number of millionths as dollars, or of tokens.
fn amount(value: &Value, unit: &str) -> String {
    let number = value.as_u64().unwrap_or(0);
    if unit == "money" { format!("${}.{:06}", number / 1_000_000, number % 1_000_000) } else { number.to_string() }
}

fn shown(answer: &Value) -> String {
    let mut out = String::new();
    let budgets = answer["budgets"].as_array().map(Vec::as_slice).unwrap_or_default();
    for budget in budgets {
        let unit = word(budget, "unit");
        let [spent, held, limit] = ["spent", "held", "limit"].map(|name| amount(&budget[name], unit));
        let (name, subject, until) = (word(budget, "budget"), word(budget, "subject"), word(budget, "period"));
        let _ = writeln!(out, "{name} {subject}: {spent} spent and {held} held of {limit} {unit}, until {until}");
    }
    if budgets.is_empty() {
        out.push_str("Nothing was spent of a budget in its period.\n");
    }
    for (day, used) in answer["days"].as_object().into_iter().flatten() {
        let money = amount(&used["money"], "money");
        let _ = writeln!(out, "{day}: {} runs, {} tokens, {money}", used["runs"], used["tokens"]);
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn sums_are_shown_to_the_millionth() {
        let answer = json!({
            "budgets": [{"budget": "user/day", "subject": "acme/ann", "period": "2026-11-30 00:00 UTC", "unit": "money",
                "spent": 1_500_000, "held": 20, "limit": 5_000_000}],
            "days": {"2026-11-29": {"runs": 3, "tokens": 120, "money": 1_500_000}},
        });
        let want = "user/day acme/ann: $1.500000 spent and $0.000020 held of $5.000000 money, until 2026-11-30 00:00 UTC\n\
            2026-11-29: 3 runs, 120 tokens, $1.500000\n";
        assert_eq!(super::shown(&answer), want);
    }
}
