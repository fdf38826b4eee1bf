//! `threadmill analytics`: how people use the page, as a running server tells its operators.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};

use serde_json::Value;

use super::server::{Operator, Shape, asked, print, print_json};
use crate::printed;

const EXAMPLES: &str = "Examples:\n  threadmill analytics export > month.csv\n  \
    threadmill analytics export --days 90 --tenant acme --format json\n\nTHREADMILL_OPS_TOKEN has the operators' token, \
    where there is one. Days of a tenant with fewer than ten visitors are left out.";

/// How people use the page, in numbers.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Analytics {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write what may be shown to standard output
    Export(Export),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// A line a bucket: day, tenant, visitors, measure, bucket, count
    Csv,
    /// As `/ops/api/analytics` answers
    Json,
}

#[derive(Debug, Args)]
struct Export {
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7430")]
    url: String,
    /// The last days, today among them
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=366))]
    days: u64,
    /// One tenant instead of all
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// How it is written
    #[arg(long, value_enum, default_value = "csv")]
    format: Format,
}

const ANSWER: Shape = &[("groups", Value::is_array)];

impl Analytics {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let What::Export(Export { url, days, tenant, format }) = self.what;
        let operator = Operator::at(&url)?;
        if let Some(tenant) = &tenant {
            threadmill_proto::TenantId::parse(tenant).context("the tenant is no id")?;
        }
        let days = days.to_string();
        let mut fields = vec![("days", days.as_str())];
        fields.extend(tenant.as_deref().map(|tenant| ("tenant", tenant)));
        match format {
            Format::Csv => {
                fields.push(("format", "csv"));
                print(&printed::text(&operator.read_csv(&asked("/analytics", &fields)).await?))
            }
            Format::Json => print_json(&operator.read(&asked("/analytics", &fields), ANSWER).await?),
        }
    }
}
