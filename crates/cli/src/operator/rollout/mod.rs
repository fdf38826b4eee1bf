//! `threadmill rollout`: rollouts of flags at a running server, as its operators see and change them.

mod show;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::server::{Operator, Reason, ServerArgs, Shape};
use crate::config::overrides;

const EXAMPLES: &str = "Examples:\n  threadmill rollout start scalable-sync --internal ada,bob --who ada --why 'first week'\n  \
    threadmill rollout show scalable-sync\n  threadmill rollout kill scalable-sync --who ada --why 'blank pages'\n  \
    threadmill rollout report scalable-sync --week1\n\nTHREADMILL_OPS_TOKEN has the operators' token, where there is one. \
    Changes need a server that was started with --ops-write.";

/// Widens a flag in stages while its users fare well.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Rollouts {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Subcommand)]
enum What {
    /// All rollouts, a line each
    List,
    /// How one stands: its gates, what is waited for, who changed what
    Show(Flag),
    /// Begin one; one that is over begins anew with the same users on either side
    Start(Box<Start>),
    /// Go to the next stage now, whatever the gates say
    Advance(Change),
    /// Stay where it is, unjudged
    Pause(Change),
    /// Go on; the stage begins anew
    Resume(Change),
    /// Off for everybody
    Rollback(Change),
    /// Off for everybody, whatever the environment or the file says
    Kill(Change),
    /// Let the environment and the file decide again
    End(Change),
    /// Its first week or month against the checklist's measures
    Report(Report),
}

#[derive(Debug, Args)]
struct Flag {
    /// The flag
    flag: String,
}

#[derive(Debug, Args)]
struct Change {
    /// The flag
    flag: String,
    #[command(flatten)]
    reason: Reason,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Unit {
    /// Each user by themselves
    User,
    /// All users of a tenant alike
    Tenant,
}

#[derive(Debug, Args)]
struct Start {
    /// The flag
    flag: String,
    /// Users who have it from the internal stage on
    #[arg(long, value_name = "USERS", value_delimiter = ',')]
    internal: Vec<String>,
    /// Stages and how long each lasts at least [default: off:24h,internal:24h,5%:24h,25%:24h,100%:24h]
    #[arg(long, value_name = "STAGES", value_delimiter = ',')]
    stages: Vec<String>,
    /// Gates, of errors, load, inp, heap, fallback, cost, complaints; with `:when-present` one without data holds nothing up
    /// [default: all, heap and cost when present]
    #[arg(long, value_name = "GATES", value_delimiter = ',')]
    gates: Vec<String>,
    /// What is placed on a side as one
    #[arg(long, value_enum, default_value = "user")]
    unit: Unit,
    /// Places users anew
    #[arg(long, value_name = "TEXT")]
    salt: Option<String>,
    /// When it begins, in milliseconds since 1970; until then the file decides
    #[arg(long, value_name = "MILLISECONDS")]
    starts_at: Option<u64>,
    /// What each side has to count before it is judged [default: 500]
    #[arg(long, value_name = "COUNT")]
    least: Option<u64>,
    #[command(flatten)]
    reason: Reason,
}

#[derive(Debug, Args)]
struct Report {
    /// The flag
    flag: String,
    #[command(flatten)]
    span: Span,
}

/// One of them is given.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Span {
    /// Its first seven days
    #[arg(long)]
    week1: bool,
    /// Its first 31 days
    #[arg(long)]
    month1: bool,
}

/// What every rollout has.
const ROLLOUT: Shape = &[("flag", Value::is_string), ("status", Value::is_string)];
const STANDING: Shape = &[("flag", Value::is_string), ("status", Value::is_string), ("gates", Value::is_array)];
const REPORT: Shape = &[("flag", Value::is_string), ("lines", Value::is_array)];

/// How a flag is switched off where no node answers.
fn without_a_server(flag: &str) -> String {
    let variable = overrides::off(flag);
    format!(
        "the kill is not confirmed; without the ops API, {variable} in a node's environment switches it off at a restart"
    )
}

impl Rollouts {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let server = Server(self.server.operator()?);
        let (answer, print): (Value, fn(&Value) -> String) = match self.what {
            What::List => (server.get("", &[("rollouts", Value::is_array)]).await?, show::list),
            What::Show(Flag { flag }) => (server.get(&format!("/{flag}"), STANDING).await?, show::standing),
            What::Report(Report { flag, span: Span { week1, .. } }) => {
                let span = if week1 { "week1" } else { "month1" };
                (server.get(&format!("/{flag}/report?span={span}"), REPORT).await?, show::report)
            }
            What::Start(start) => (server.start(*start).await?, show::changed),
            What::Advance(change) => (server.step("advance", change).await?, show::changed),
            What::Pause(change) => (server.step("pause", change).await?, show::changed),
            What::Resume(change) => (server.step("resume", change).await?, show::changed),
            What::Rollback(change) => (server.step("rollback", change).await?, show::changed),
            What::Kill(change) => {
                let otherwise = without_a_server(&change.flag);
                let killed = server.step("kill", change).await;
                (killed.with_context(|| otherwise)?, show::changed)
            }
            What::End(change) => (server.step("end", change).await?, show::changed),
        };
        self.server.print(&answer, print)
    }
}

struct Server(Operator);

impl Server {
    async fn get(&self, path: &str, shape: Shape) -> anyhow::Result<Value> {
        self.0.read(&format!("/rollouts{path}"), shape).await
    }

    async fn step(&self, step: &str, Change { flag, reason }: Change) -> anyhow::Result<Value> {
        self.0.change(&format!("/rollouts/{flag}/{step}"), reason.body(), ROLLOUT).await
    }

    async fn start(&self, start: Start) -> anyhow::Result<Value> {
        let unit = match start.unit {
            Unit::User => "user",
            Unit::Tenant => "tenant",
        };
        let list = |list: Vec<String>| (!list.is_empty()).then_some(list);
        let body = json!({
            "who": start.reason.who,
            "why": start.reason.why,
            "internal": start.internal,
            "stages": list(start.stages),
            "gates": list(start.gates),
            "unit": unit,
            "salt": start.salt,
            "startsAt": start.starts_at,
            "least": start.least,
        });
        self.0.change(&format!("/rollouts/{}/start", start.flag), body, ROLLOUT).await
    }
}
