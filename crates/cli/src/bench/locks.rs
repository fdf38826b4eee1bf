//! `threadmill bench locks`: many contenders for one lock, and a log that shows whether two ever held it at once.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::Args;
use serde_json::{Value, json};
use threadmill_client::{Error, Http, Method, mint};

use super::stats::{Stats, print};
use crate::connect::strict;

/// How long a contender waits for the lock in one request.
const WAIT_MS: u64 = 60_000;
/// How long one who let go of nothing looks for its successor, and how often.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// Each contender writes twice under the lock and gives it back. Some never do, and come back when it has passed on:
/// then they must be refused. Afterwards the thread that all wrote to is read and deleted.
#[derive(Debug, Args)]
pub(crate) struct Locks {
    /// A server; may be repeated, for nodes that share a store
    #[arg(long = "url", value_name = "URL", default_value = "http://127.0.0.1:7430")]
    urls: Vec<String>,
    /// The user to write as
    #[arg(long, default_value = "bench")]
    user: String,
    /// Contenders
    #[arg(long, default_value_t = 100)]
    contenders: usize,
    /// Of them, one in so many never lets go; 0 for none
    #[arg(long, default_value_t = 10)]
    forgetful: usize,
    /// For how long those are granted the lock, in milliseconds
    #[arg(long, default_value_t = 100)]
    ttl: u64,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
}

/// One contender at one of the servers.
#[derive(Clone)]
struct Contender {
    http: Http,
    name: Arc<str>,
}

/// What the server did not do.
struct Refused {
    status: u16,
    detail: String,
}

/// A grant, and what it took.
struct Held {
    token: u64,
    fence: String,
    waited: Duration,
    attempts: u64,
}

impl Contender {
    /// The answer, or the status of a refusal with the reason.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        fence: Option<&str>,
    ) -> anyhow::Result<Result<Value, Refused>> {
        let body = body.map(|body| body.to_string());
        let answer = match fence {
            Some(fence) => self.http.call_under(fence, method, path, body).await,
            None => self.http.call_text(method, path, body).await,
        };
        match answer {
            Ok(answer) => Ok(Ok(answer)),
            Err(Error::Problem(problem)) => Ok(Err(Refused { status: problem.code.status(), detail: problem.detail })),
            Err(error) => Err(error).context("the server does not answer"),
        }
    }

    /// The lock, if it was granted in time.
    async fn take(&self, ttl: u64) -> anyhow::Result<Option<Held>> {
        let asked = Instant::now();
        let wish = json!({"ttl": ttl, "wait": WAIT_MS});
        match self.ask(Method::POST, &format!("/locks/{}", self.name), Some(wish), None).await? {
            Ok(answer) => Ok(Some(Held {
                token: answer.pointer("/lock/token").and_then(Value::as_u64).context("a grant without a token")?,
                fence: answer.pointer("/lock/fence").and_then(Value::as_str).context("a grant without a fence")?.into(),
                waited: asked.elapsed(),
                attempts: answer.get("attempts").and_then(Value::as_u64).unwrap_or(0),
            })),
            Err(Refused { status: 409 | 503, .. }) => Ok(None),
            Err(Refused { status, detail }) => bail!("the lock was refused with {status}: {detail}"),
        }
    }

    /// Writes under the lock; returns whether that was taken.
    async fn say(&self, held: &Held) -> anyhow::Result<bool> {
        let body = json!({"parts": [{"type": "text", "text": held.token.to_string()}]});
        let path = format!("/threads/{}/messages", self.name);
        match self.ask(Method::POST, &path, Some(body), Some(&held.fence)).await? {
            Ok(_) => Ok(true),
            Err(Refused { status: 409, .. }) => Ok(false),
            Err(Refused { status, detail }) => bail!("a write was refused with {status}: {detail}"),
        }
    }

    async fn work(&self) -> anyhow::Result<Option<Held>> {
        let Some(held) = self.take(WAIT_MS).await? else { return Ok(None) };
        ensure!(self.say(&held).await? && self.say(&held).await?, "the holder of {} was refused", held.token);
        let path = format!("/locks/{}", self.name);
        let given = self.ask(Method::DELETE, &path, Some(json!({"token": held.token})), None).await?;
        given.map_err(|refused| anyhow!("the lock was not taken back: {}", refused.detail))?;
        Ok(Some(held))
    }

    async fn forget(&self, ttl: u64) -> anyhow::Result<Option<Held>> {
        let Some(held) = self.take(ttl).await? else { return Ok(None) };
        let deadline = Instant::now() + PATIENCE;
        let path = format!("/locks/{}", self.name);
        while Instant::now() < deadline {
            let lock = self.http.call(Method::GET, &path, None).await?;
            if lock.pointer("/lock/token").and_then(Value::as_u64) > Some(held.token) {
                ensure!(!self.say(&held).await?, "a stale holder wrote: {} is not the newest token", held.token);
                return Ok(Some(held));
            }
            tokio::time::sleep(LOOK).await;
        }
        // The last of all has no successor.
        Ok(Some(held))
    }

    /// Every token in the order of the log.
    async fn tokens(&self) -> anyhow::Result<Vec<u64>> {
        let (mut tokens, mut depth) = (Vec::new(), 0);
        loop {
            let path = format!("/threads/{}/messages?anchor=depth:{depth}&before=0&after=200", self.name);
            let page = self.http.call(Method::GET, &path, None).await?;
            let messages = page.get("messages").and_then(Value::as_array).context("no messages in the answer")?;
            for message in messages {
                let text = message.pointer("/parts/0/text").and_then(Value::as_str).unwrap_or_default();
                tokens.push(text.parse().with_context(|| format!("`{text}` is no token"))?);
            }
            depth = page.get("nextDepth").and_then(Value::as_u64).context("no depth in the answer")?;
            if page.get("hasNewer") != Some(&Value::Bool(true)) {
                return Ok(tokens);
            }
        }
    }
}

impl Locks {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        ensure!(!self.urls.is_empty(), "say where: --url URL");
        let name: Arc<str> = format!("bench-{}", mint()).into();
        let https = self.urls.iter().map(|url| strict(url, &self.user)).collect::<anyhow::Result<Vec<_>>>()?;
        let at = |n: usize| Contender { http: https[n % https.len()].clone(), name: Arc::clone(&name) };
        let first = at(0);
        first.http.call(Method::POST, "/threads", Some(json!({"id": &*name, "title": "bench"}))).await?;
        let begun = Instant::now();
        let (mut workers, mut forgetful) = (Vec::new(), Vec::new());
        for n in 0..self.contenders {
            let (one, ttl) = (at(n), self.ttl);
            if self.forgetful > 0 && n % self.forgetful == 0 {
                forgetful.push(tokio::spawn(async move { one.forget(ttl).await }));
            } else {
                workers.push(tokio::spawn(async move { one.work().await }));
            }
        }
        let mut tally = Tally::default();
        for worker in workers {
            tally.add(worker.await??);
        }
        // Of those who let go of nothing, the ones who are granted it last wait for a successor.
        let (successor, ttl) = (at(1), self.ttl);
        let successors = tokio::spawn(async move { while successor.take(ttl).await.is_ok() {} });
        for one in forgetful {
            tally.add(one.await??);
        }
        let over = begun.elapsed();
        successors.abort();
        let tokens = first.tokens().await?;
        first.http.call(Method::DELETE, &format!("/threads/{name}"), None).await?;
        ensure!(tokens.is_sorted(), "a write came after one with a newer token");
        let (pairs, rest) = tokens.as_chunks::<2>();
        ensure!(rest.is_empty() && pairs.iter().all(|[a, b]| a == b), "two held the lock at once");
        self.report(&mut tally, over);
        Ok(ExitCode::SUCCESS)
    }

    fn report(&self, tally: &mut Tally, over: Duration) {
        tally.attempts.sort_unstable();
        let Tally { waits, attempts, failed } = tally;
        let at = |share: usize| attempts.get((attempts.len() * share / 100).min(attempts.len().saturating_sub(1)));
        let mut row = waits.row(&format!("lock, {} contenders", self.contenders), over);
        let (p90, max) = (waits.percentile(0.9), waits.percentile(1.0));
        let attempts = json!({"p50": at(50), "p90": at(90), "max": attempts.last()});
        if let Value::Object(map) = &mut row {
            map.insert("p90Ms".into(), p90.into());
            map.insert("maxMs".into(), max.into());
            map.insert("attempts".into(), attempts.clone());
            map.insert("failed".into(), (*failed).into());
        }
        print(&[row], self.json);
        if !self.json {
            println!("waits p90 {p90:.1} ms, max {max:.1} ms; attempts {attempts}; {failed} went without");
            println!("no two held it at once, and no stale holder wrote");
        }
    }
}

/// How the contenders fared.
#[derive(Default)]
struct Tally {
    waits: Stats,
    attempts: Vec<u64>,
    failed: usize,
}

impl Tally {
    fn add(&mut self, held: Option<Held>) {
        match held {
            Some(held) => {
                self.waits.add(held.waited);
                self.attempts.push(held.attempts);
            }
            None => self.failed += 1,
        }
    }
}
