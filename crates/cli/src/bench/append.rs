//! `threadmill bench append`: writes from many clients, then reads back that every acknowledged message is there.

#![allow(clippy::disallowed_methods, reason = "a bench makes threads of its own")]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::{Value, json};
use uuid::Uuid;

use super::stats::{Stats, print};
use crate::sample;
use crate::transfer::http_client;

/// Each client writes to a thread of its own, one message after the other, and the threads are deleted afterwards.
#[derive(Debug, Args)]
pub(crate) struct Append {
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7430")]
    url: String,
    /// The user to write as
    #[arg(long, default_value = "bench")]
    user: String,
    /// Clients at a time
    #[arg(long, default_value_t = 50)]
    clients: usize,
    /// How long to write
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
}

struct Server {
    client: reqwest::Client,
    base: String,
    user: String,
}

impl Server {
    async fn ask(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        request = request.header("x-threadmill-user", &self.user);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.context("the server does not answer")?.error_for_status()?;
        let text = response.text().await?;
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }
}

impl Append {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let server = Arc::new(Server {
            client: http_client()?,
            base: format!("{}/v1", self.url.trim_end_matches('/')),
            user: self.user.clone(),
        });
        let texts = Arc::new(sample::texts());
        let until = Instant::now() + Duration::from_secs(self.seconds);
        let begun = Instant::now();
        let mut tasks = Vec::new();
        for client in 0..self.clients {
            let (server, texts) = (Arc::clone(&server), Arc::clone(&texts));
            tasks.push(tokio::spawn(async move { write(&server, &texts, client, until).await }));
        }
        let mut stats = Stats::default();
        let mut written = Vec::new();
        for task in tasks {
            let (more, thread, count) = task.await??;
            stats.merge(more);
            written.push((thread, count));
        }
        let over = begun.elapsed();
        for (thread, count) in &written {
            read_back(&server, thread, *count).await?;
        }
        print(&[stats.row(&format!("append, {} clients", self.clients), over)], self.json);
        Ok(ExitCode::SUCCESS)
    }
}

async fn write(
    server: &Server,
    texts: &[String],
    client: usize,
    until: Instant,
) -> anyhow::Result<(Stats, String, u64)> {
    let thread = Uuid::now_v7().to_string();
    server.ask(reqwest::Method::POST, "/threads", Some(json!({"id": thread, "title": "bench"}))).await?;
    let (mut stats, mut count) = (Stats::default(), 0);
    while Instant::now() < until {
        let text = texts.get((client * 31 + stats.len()) % texts.len().max(1)).map_or("hello", String::as_str);
        let body = json!({"id": format!("a-{count}"), "parts": [{"type": "text", "text": text}]});
        let sent = Instant::now();
        server.ask(reqwest::Method::POST, &format!("/threads/{thread}/messages"), Some(body)).await?;
        stats.add(sent.elapsed());
        count += 1;
    }
    Ok((stats, thread, count))
}

async fn read_back(server: &Server, thread: &str, count: u64) -> anyhow::Result<()> {
    let mut depth = 0;
    while depth < count {
        let path = format!("/threads/{thread}/messages?anchor=depth:{depth}&before=0&after=200");
        let page = server.ask(reqwest::Method::GET, &path, None).await?;
        let messages = page.get("messages").and_then(Value::as_array).context("no messages in the answer")?;
        ensure!(!messages.is_empty(), "acknowledged message {depth} of {thread} is not there");
        for message in messages {
            let id = message.get("id").and_then(Value::as_str).unwrap_or_default();
            ensure!(id == format!("a-{depth}"), "{id} where a-{depth} was acknowledged");
            depth += 1;
        }
    }
    server.ask(reqwest::Method::DELETE, &format!("/threads/{thread}"), None).await?;
    Ok(())
}
