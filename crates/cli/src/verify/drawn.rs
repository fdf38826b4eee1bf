//! How long the page takes in a real browser: what the engine's own times leave out, which is the script, the layout and the
//! paint. Measured inside the page, so that the way to the browser is in none of it; judged as the other times are.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::sync::{Mutex, MutexGuard};

use super::browser::Browser;
use super::scene::{Scene, Why};
use super::timing::{READINGS, judged};
use crate::checks::{NotDone, Verdict};

type Found = anyhow::Result<Verdict>;

/// Openings of a round: each loads the page anew.
const OPENINGS: usize = 7;

/// Notes when the first rows of a document are painted, by its own clock, which begins with the navigation.
const NOTE: &str = "new MutationObserver((_, seen) => {
  if (!document.querySelector('.row[data-row]')) return;
  seen.disconnect();
  requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => { window.__shownAt = performance.now(); };
    port2.postMessage(0);
  });
}).observe(document, { childList: true, subtree: true });";

/// What the scripts below share: waiting for a condition, and for what is there to be painted.
const SHARED: &str = "const until = async (what, probe) => {
  const end = performance.now() + 15000;
  for (;;) {
    const found = probe();
    if (found) return found;
    if (performance.now() > end) throw new Error('waited 15 s for ' + what);
    await new Promise(done => setTimeout(done, 1));
  }
};
const painted = () => new Promise(done => requestAnimationFrame(() => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => done(performance.now());
  port2.postMessage(0);
}));
const rows = () => [...document.querySelectorAll('.row[data-row]')];";

/// The browser of the run, started by whoever asks first.
async fn browser(scene: &Scene) -> anyhow::Result<MutexGuard<'_, Browser>> {
    let program = scene.browser.as_ref().ok_or_else(|| NotDone("no --browser was named".into()))?;
    let started = scene.running.get_or_init(|| async {
        let start = async {
            let mut browser = Browser::start(program, &scene.first().headers()?).await?;
            browser.before_all(NOTE).await?;
            Ok(Mutex::new(browser))
        };
        start.await.map_err(|error: anyhow::Error| Why::of(&error))
    });
    Ok(started.await.as_ref().map_err(Why::error)?.lock().await)
}

fn address(scene: &Scene, thread: &str) -> anyhow::Result<String> {
    Ok(scene.first().url.join(&format!("/t/{thread}"))?.into())
}

async fn milliseconds(browser: &mut Browser, script: &str) -> anyhow::Result<Vec<Duration>> {
    let found = browser.evaluate(&format!("(async () => {{ {SHARED}\n{script} }})()")).await?;
    let numbers = found.as_array().context("the page measured nothing")?;
    let times = numbers.iter().filter_map(serde_json::Value::as_f64).filter(|ms| ms.is_finite() && *ms >= 0.0);
    let times: Vec<_> = times.map(|ms| Duration::from_secs_f64(ms.min(60_000.0) / 1e3)).collect();
    ensure!(!times.is_empty() && times.len() == numbers.len(), "the page measured something that is no time");
    Ok(times)
}

/// Opens a page and waits for its rows.
async fn shown(scene: &Scene, browser: &mut Browser, thread: &str) -> anyhow::Result<Duration> {
    browser.go(&address(scene, thread)?).await?;
    let times = milliseconds(browser, "return [await until('the first rows', () => window.__shownAt)];").await?;
    Ok(times[0])
}

/// What the page of a thread shows in a browser.
pub(super) async fn renders(scene: &Scene) -> Found {
    let thread = scene.long().await?;
    let mut browser = browser(scene).await?;
    let took = shown(scene, &mut browser, thread.as_str()).await?;
    let saw = browser.evaluate("document.querySelector('.row[data-row]:last-of-type')?.innerText ?? ''").await?;
    let (rows, text) = (browser.evaluate("document.querySelectorAll('.row[data-row]').length").await?, saw.as_str());
    let said =
        format!("the browser shows {rows} messages of a thread, {} ms after it was sent there", took.as_millis());
    let newest = text.is_some_and(|text| text.contains("message 999 of threadmill verify"));
    Ok(if newest { Verdict::passed(said) } else { Verdict::failed(format!("{said}, and not the newest")) })
}

/// From the navigation until rows are painted, as for somebody who comes back.
pub(super) async fn load(scene: &Scene) -> Found {
    let thread = scene.long().await?;
    let mut browser = browser(scene).await?;
    // Its files are in the browser's cache from here on.
    shown(scene, &mut browser, thread.as_str()).await?;
    judged("opening a thread of 1,000 messages in a browser", scene.limits.max_load_ms, async || {
        let mut readings = Vec::new();
        for _ in 0..OPENINGS {
            readings.push(shown(scene, &mut browser, thread.as_str()).await?);
        }
        Ok(readings)
    })
    .await
}

/// From a click in the list until the rows of the other thread are painted.
pub(super) async fn switch(scene: &Scene) -> Found {
    let (long, short) = (scene.long().await?, scene.thread().await?);
    let mut browser = browser(scene).await?;
    shown(scene, &mut browser, long.as_str()).await?;
    let script = format!(
        "const ids = ['{short}', '{long}'], times = [];
        const link = id => document.querySelector(`.thread-list a[href=\"/t/${{id}}\"]`);
        await until('both in the list', () => ids.every(link));
        for (let n = 0; n < {READINGS}; n += 1) {{
          const id = ids[n % 2], from = performance.now();
          link(id).click();
          await until('its rows', () => rows().some(row => row.dataset.row.startsWith(id)));
          times.push((await painted()) - from);
          await new Promise(done => setTimeout(done, 50));
        }}
        return times;"
    );
    judged("switching between two threads in a browser", scene.limits.max_switch_ms, async || {
        milliseconds(&mut browser, &script).await
    })
    .await
}

/// What a frame takes in which the reader scrolls and rows come into view.
pub(super) async fn frame(scene: &Scene) -> Found {
    let thread = scene.long().await?;
    let mut browser = browser(scene).await?;
    let script = "const scroller = await until('the list', () => document.querySelector('.scroller')), times = [];
        for (let n = 0; n < 60; n += 1) {
          await new Promise(done => requestAnimationFrame(() => {
            const from = performance.now();
            scroller.scrollTop -= 60;
            const { port1, port2 } = new MessageChannel();
            port1.onmessage = () => { times.push(performance.now() - from); done(); };
            port2.postMessage(0);
          }));
        }
        return times;";
    judged("a frame while scrolling in a browser", scene.limits.max_frame_ms, async || {
        shown(scene, &mut browser, thread.as_str()).await?;
        milliseconds(&mut browser, script).await
    })
    .await
}

/// From the top of what is loaded until the page before it is painted.
pub(super) async fn scroll(scene: &Scene) -> Found {
    let thread = scene.long().await?;
    let mut browser = browser(scene).await?;
    let script = format!(
        "const scroller = await until('the list', () => document.querySelector('.scroller')), times = [];
        const first = () => Math.min(...rows().map(row => Number(row.dataset.depth)));
        for (let n = 0; n < {READINGS}; n += 1) {{
          const before = first(), from = performance.now();
          scroller.scrollTop = 0;
          await until('older messages', () => first() < before);
          times.push((await painted()) - from);
        }}
        return times;"
    );
    judged("scrolling to older messages in a browser", scene.limits.max_scroll_ms, async || {
        shown(scene, &mut browser, thread.as_str()).await?;
        milliseconds(&mut browser, &script).await
    })
    .await
}
