//! `threadmill webhooks`: deliveries at a running server, as its operators see them, and what they can do about one.

mod show;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::server::{ServerArgs, Shape};

const EXAMPLES: &str = "Examples:\n  threadmill webhooks list\n  threadmill webhooks test pager\n  \
    threadmill webhooks replay msg_0190… --endpoint pager --why 'the pager lost them'\n\nTHREADMILL_OPS_TOKEN has the \
    operators' token, where there is one. Changes need a server that was started with --ops-write.";

/// Webhooks and their deliveries.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Webhooks {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Who is told, what waits, and the newest deliveries
    List,
    /// An event's deliveries, with what is sent
    Show {
        /// The webhook-id
        id: String,
    },
    /// Send an event again, under the id it has
    Replay {
        /// The webhook-id
        id: String,
        /// To this endpoint alone
        #[arg(long, value_name = "NAME")]
        endpoint: Option<String>,
        /// Why: it is audited
        #[arg(long, value_name = "REASON")]
        why: Option<String>,
    },
    /// Send a test to an endpoint
    Test(Named),
    /// Switch an endpoint on again that answered 410
    Enable(Named),
}

#[derive(Debug, Args)]
struct Named {
    /// The endpoint
    endpoint: String,
    /// Why: it is audited
    #[arg(long, value_name = "REASON")]
    why: Option<String>,
}

const LIST: Shape = &[("endpoints", Value::is_array), ("waiting", Value::is_u64), ("deliveries", Value::is_array)];

impl Webhooks {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let operator = self.server.operator()?;
        let act = async |name: &str, action: &str, body: Value, shape: Shape| {
            operator.change(&format!("/webhooks/{name}/{action}"), body, shape).await
        };
        let (answer, print): (Value, fn(&Value) -> String) = match self.what {
            What::List => (operator.read("/webhooks", LIST).await?, show::list),
            What::Show { id } => {
                (operator.read(&format!("/webhooks/{id}"), &[("deliveries", Value::is_array)]).await?, show::deliveries)
            }
            What::Replay { id, endpoint, why } => (
                act(&id, "replay", json!({"endpoint": endpoint, "why": why}), &[("replayed", Value::is_u64)]).await?,
                show::replayed,
            ),
            What::Test(Named { endpoint, why }) => {
                (act(&endpoint, "test", json!({"why": why}), &[("id", Value::is_string)]).await?, show::tested)
            }
            What::Enable(Named { endpoint, why }) => {
                (act(&endpoint, "enable", json!({"why": why}), &[("enabled", Value::is_boolean)]).await?, |_| {
                    "It is on.\n".into()
                })
            }
        };
        self.server.print(&answer, print)
    }
}
