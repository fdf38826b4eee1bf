//! A Chromium that is told what to do: messages of its DevTools protocol over a pipe, each ended by a zero byte. No port is
//! opened, so nobody else on the machine can tell it anything.
//!
//! It reads from descriptor 3 and writes to 4. A shell puts the pipes there, as `exec` keeps what a shell has opened; so
//! this is for systems with one. Answers come through a thread, bounded in bytes and in number.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

/// Bytes of a message. What it is asked for is short.
const LONGEST: u64 = 4 << 20;
/// Messages that wait to be looked at; then the browser waits.
const WAITING: usize = 64;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Puts the pipes where the browser looks for them.
const PIPES: &str = r#"exec "$0" "$@" 3<&0 4>&1 0</dev/null 1>/dev/null"#;

/// A running browser with one page. It is ended with this, also when the check took too long.
pub(super) struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    said: u64,
    session: Option<String>,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Browser {
    /// Starts one that has nothing of the page yet, and opens an empty page whose requests carry these headers.
    pub(super) async fn start(program: &Path, headers: &[(String, String)]) -> anyhow::Result<Self> {
        let profile = tempfile::tempdir().context("no directory for the browser")?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", PIPES]).arg(program);
        // As root it has no sandbox to offer. What it opens is the deployment's own page.
        command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe"]);
        command.args(["--window-size=1280,800", "--disable-background-timer-throttling"]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let named = || format!("{} cannot be run", program.display());
        let mut child = command.spawn().with_context(named)?;
        let (to, out) = (child.stdin.take().with_context(named)?, child.stdout.take().with_context(named)?);
        let (found, from) = channel(WAITING);
        std::thread::spawn(move || {
            let mut out = BufReader::new(out);
            loop {
                let mut message = Vec::new();
                let read = (&mut out).take(LONGEST).read_until(0, &mut message);
                if !matches!(read, Ok(bytes) if bytes > 0) || message.pop() != Some(0) {
                    return;
                }
                let Ok(message) = serde_json::from_slice(&message) else { return };
                if found.blocking_send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self { child, to, from, said: 0, session: None, _profile: profile };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"})).await.with_context(named)?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach).await?;
        browser.session = attached["sessionId"].as_str().map(String::from);
        browser.call("Page.enable", json!({})).await?;
        browser.call("Network.enable", json!({})).await?;
        let headers: serde_json::Map<_, _> =
            headers.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        browser.call("Network.setExtraHTTPHeaders", json!({"headers": headers})).await?;
        Ok(browser)
    }

    /// Asks it, and waits for the answer. What else it tells meanwhile is left aside.
    async fn call(&mut self, method: &str, params: Value) -> anyhow::Result<Value> {
        self.said += 1;
        let id = self.said;
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).context("the browser has ended")?;
        let answer = async {
            while let Some(message) = self.from.recv().await {
                if message["id"] == id {
                    return Ok(message);
                }
            }
            bail!("the browser has ended")
        };
        let mut answer =
            timeout(PATIENCE, answer).await.map_err(|_| anyhow!("the browser says nothing to {method}"))??;
        match answer.get("error") {
            Some(error) => bail!("{method}: {}", error["message"].as_str().unwrap_or("refused")),
            None => Ok(answer["result"].take()),
        }
    }

    /// Runs a script at the beginning of every document from now on.
    pub(super) async fn before_all(&mut self, script: &str) -> anyhow::Result<()> {
        self.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": script})).await.map(|_| ())
    }

    /// Opens an address. What of the document before it waited is over.
    pub(super) async fn go(&mut self, url: &str) -> anyhow::Result<()> {
        let gone = self.call("Page.navigate", json!({"url": url})).await?;
        match gone["errorText"].as_str() {
            Some(error) => bail!("the browser cannot open {url}: {error}"),
            None => Ok(()),
        }
    }

    /// What an expression comes to in the page; a promise is waited for.
    pub(super) async fn evaluate(&mut self, expression: &str) -> anyhow::Result<Value> {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut found = self.call("Runtime.evaluate", params).await?;
        if let Some(thrown) = found.get("exceptionDetails") {
            let said = thrown.pointer("/exception/description").or_else(|| thrown.get("text"));
            let said = said.and_then(Value::as_str).unwrap_or("something was thrown");
            bail!("in the page: {}", said.lines().next().unwrap_or_default());
        }
        Ok(found["result"]["value"].take())
    }
}
