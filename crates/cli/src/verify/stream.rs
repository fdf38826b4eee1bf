//! An answer, followed from its beginning to its end: by one reader without a break, by another that goes away in the middle
//! and resumes.
//!
//! One answer serves several checks, since a model may cost money: it is asked for by whoever needs it first. Readers follow
//! the thread's events as they come over the wire, so that nothing mends what was lost or doubled before it is looked at.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::json;
use threadmill_client::{Event, Events, Method};
use threadmill_proto::ThreadId;

use super::heard::{Heard, Streamed};
use super::node::Node;
use super::scene::{Scene, Why, text};
use crate::checks::{NotDone, Verdict};

type Found = anyhow::Result<Verdict>;

/// A model that takes longer is stopped, and nothing is said of its answer.
const PATIENCE: Duration = Duration::from_secs(25);
/// What goes away in the middle of an answer comes back after this.
const AWAY: Duration = Duration::from_millis(150);
/// What takes less time may well come at once.
const SOON: Duration = Duration::from_millis(500);
/// How long after an end nothing more may come.
const QUIET: Duration = Duration::from_millis(500);

/// The bundled `replay` says a question back that it does not know, so that the length of this is the length of its answer.
const QUESTION: &str = "Please count from one to thirty in words, one number after the other, and write nothing else. Begin like \
    this: one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen, fourteen, and so on.";
/// The same, longer: it is to be stopped.
const LONG_QUESTION: &str = "Please count from one to five hundred in words, one number after the other, and write nothing else \
    at all. Begin like this, and go on in the same way until you are stopped: one, two, three, four, five, six, seven, eight, \
    nine, ten, eleven, twelve, thirteen, fourteen, fifteen, sixteen, seventeen, eighteen, nineteen, twenty, twenty-one, \
    twenty-two, twenty-three, twenty-four, twenty-five, twenty-six, twenty-seven, twenty-eight, twenty-nine, thirty, \
    thirty-one, thirty-two, thirty-three, thirty-four, thirty-five, thirty-six, thirty-seven, thirty-eight, thirty-nine.";

async fn next(events: &mut Events) -> anyhow::Result<Event> {
    events.next().await?.context("the stream of events ended by itself")
}

/// The events of a thread, from its window on, which is taken.
async fn follow(node: &Node, thread: &ThreadId) -> anyhow::Result<Events> {
    let mut events = node.http.events(thread).await.with_context(|| format!("events of {}", node.name()))?;
    while next(&mut events).await?.name() != b"window" {}
    Ok(events)
}

/// How a reader reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Steady,
    /// It goes away after the second piece and resumes.
    Leaves,
}

/// Reads to the end of an answer, and a moment longer.
async fn listen(
    node: &Node,
    thread: &ThreadId,
    mut events: Events,
    run: &str,
    reader: Reader,
) -> anyhow::Result<Heard> {
    let mut heard = Heard::of(run);
    while heard.outcome.is_none() {
        heard.take(&next(&mut events).await?)?;
        if reader == Reader::Leaves && heard.left.is_none() && heard.pieces >= 2 && heard.outcome.is_none() {
            heard.left = Some(heard.offset);
            drop(events);
            tokio::time::sleep(AWAY).await;
            events = node.http.events_after(thread, &heard.cursor).await.context("the stream cannot be resumed")?;
        }
    }
    // Nothing follows the end: it ends by the time alone.
    let after = tokio::time::timeout(QUIET, async {
        loop {
            heard.take(&next(&mut events).await?)?;
        }
    });
    let _: Result<anyhow::Result<()>, _> = after.await;
    Ok(heard)
}

/// An answer, as it was asked for.
struct Asked {
    thread: ThreadId,
    run: String,
    message: String,
}

impl Scene {
    /// Who answers: who was named, else the bundled one, else the first.
    async fn provider(&self) -> anyhow::Result<String> {
        let wanted = self.provider.as_deref();
        if wanted == Some("none") {
            return Err(NotDone("--provider none".into()).into());
        }
        let info = self.first().http.info().await?;
        let names: Vec<_> =
            info["providers"].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect();
        let chosen = match wanted {
            Some(name) => names.iter().find(|known| **known == name),
            None => names.iter().find(|known| **known == "replay").or_else(|| names.first()),
        };
        let chosen = chosen.map(|name| (*name).to_owned());
        chosen.ok_or_else(|| NotDone(format!("no such provider is configured; there are: {}", names.join(", "))).into())
    }

    /// Names an answer that is to be asked for.
    fn answer_in(thread: ThreadId) -> Asked {
        Asked { run: format!("{thread}-r"), message: format!("{thread}-a"), thread }
    }

    async fn ask(&self, node: &Node, asked: &Asked, provider: &str, question: &str) -> anyhow::Result<()> {
        let body = json!({
            "id": format!("{}-q", asked.thread), "parts": [text(question)],
            "run": {"id": asked.run, "message": asked.message, "provider": provider},
        });
        let path = format!("/threads/{}/messages", asked.thread);
        node.http.call(Method::POST, &path, Some(body)).await.context("an answer cannot be asked for")?;
        Ok(())
    }
}

/// The answer of this run, which is asked for by whoever needs it first.
async fn streamed_or_why(scene: &Scene) -> anyhow::Result<&Streamed> {
    let made = scene.streamed.get_or_init(|| async { ask_and_follow(scene).await.map_err(|error| Why::of(&error)) });
    made.await.as_ref().map_err(Why::error)
}

/// The same for checks that are about something else.
async fn streamed(scene: &Scene) -> anyhow::Result<&Streamed> {
    streamed_or_why(scene).await.map_err(|why| NotDone(format!("there is no answer: {why:#}")).into())
}

async fn ask_and_follow(scene: &Scene) -> anyhow::Result<Streamed> {
    let provider = scene.provider().await?;
    let asked = Scene::answer_in(scene.thread().await?);
    let followed = tokio::time::timeout(PATIENCE, followed(scene, &asked, &provider)).await;
    let Ok(followed) = followed else {
        // It may cost money.
        let _ = scene.first().http.call(Method::POST, &format!("/runs/{}/stop", asked.run), None).await;
        bail!("the answer of {provider} took longer than {} s and was stopped", PATIENCE.as_secs());
    };
    let (whole, broken, first_piece, whole_time) = followed?;
    let mut stored = Vec::new();
    for node in &scene.nodes {
        let path = format!("/threads/{}/messages/{}", asked.thread, asked.message);
        let message = node.http.call(Method::GET, &path, None).await?["message"].take();
        let parts = message["parts"].as_array().into_iter().flatten();
        let words: String =
            parts.filter(|part| part["type"] == "text").filter_map(|part| part["text"].as_str()).collect();
        stored.push((words, message["status"].as_str().unwrap_or_default().to_owned()));
    }
    Ok(Streamed { whole, broken, stored, first_piece, whole_time, provider })
}

async fn followed(scene: &Scene, asked: &Asked, provider: &str) -> anyhow::Result<(Heard, Heard, Duration, Duration)> {
    let (near, far) = (scene.first(), scene.other());
    let (one, two) = (follow(near, &asked.thread).await?, follow(far, &asked.thread).await?);
    let began = Instant::now();
    scene.ask(near, asked, provider, QUESTION).await?;
    let whole = listen(near, &asked.thread, one, &asked.run, Reader::Steady);
    let broken = listen(far, &asked.thread, two, &asked.run, Reader::Leaves);
    let (whole, broken) = tokio::try_join!(whole, broken)?;
    let since = |at: Option<Instant>| at.map_or(Duration::ZERO, |at| at - began);
    let (first, ended) = (since(whole.first), since(whole.ended));
    Ok((whole, broken, first, ended))
}

pub(super) async fn stream(scene: &Scene) -> Found {
    let Streamed { whole, first_piece, whole_time, provider, .. } = streamed_or_why(scene).await?;
    let outcome = whole.outcome.as_deref().unwrap_or("nothing");
    ensure!(outcome == "complete", "the answer of {provider} ended as {outcome}");
    ensure!(
        whole.pieces >= 2,
        "the answer of {provider} came in {} piece: something on the way holds it back",
        whole.pieces
    );
    if *whole_time > SOON && *first_piece > *whole_time * 9 / 10 {
        let (first, all) = (first_piece.as_millis(), whole_time.as_millis());
        return Ok(Verdict::failed(format!(
            "the first piece came after {first} of {all} ms: something on the way holds it back"
        )));
    }
    let (pieces, first) = (whole.pieces, first_piece.as_millis());
    Ok(Verdict::passed(format!("{provider} answered in {pieces} pieces, the first after {first} ms")))
}

fn judged(heard: &Heard, passed: String) -> Verdict {
    match (heard.faults.first(), heard.resets) {
        (Some(fault), _) => Verdict::failed(format!("{fault} ({} in all)", heard.faults.len())),
        (None, 0) => Verdict::passed(passed),
        (None, n) => Verdict::warned(format!("the reader was started over {n} times, as the server may do")),
    }
}

pub(super) async fn order(scene: &Scene) -> Found {
    let heard = &streamed(scene).await?.whole;
    Ok(judged(heard, format!("{} pieces and every change, in order and once", heard.pieces)))
}

pub(super) async fn stored(scene: &Scene) -> Found {
    let streamed = streamed(scene).await?;
    for ((words, status), node) in streamed.stored.iter().zip(&scene.nodes) {
        ensure!(status == "complete", "{} has the message as {status}", node.name());
        if *words != streamed.whole.text {
            let (live, kept) = (streamed.whole.text.len(), words.len());
            return Ok(Verdict::failed(format!(
                "{live} bytes were shown while it came, and {} keeps {kept} others",
                node.name()
            )));
        }
    }
    Ok(Verdict::passed(format!("the {} bytes that were shown are those that are kept", streamed.whole.text.len())))
}

pub(super) async fn resume(scene: &Scene) -> Found {
    let Streamed { whole, broken, .. } = streamed(scene).await?;
    if broken.left.is_none() {
        return Err(NotDone("the answer was too short to leave in the middle of it".into()).into());
    }
    if broken.faults.is_empty() && broken.resets == 0 && broken.text != whole.text {
        return Ok(Verdict::failed("who resumed has another text than who stayed"));
    }
    Ok(judged(broken, "who went away in the middle has every piece once, and started nothing".into()))
}

/// Stops an answer in its middle, from another node if there is one.
pub(super) async fn stop(scene: &Scene) -> Found {
    let provider = scene.provider().await?;
    let asked = Scene::answer_in(scene.thread().await?);
    let mut events = follow(scene.first(), &asked.thread).await?;
    scene.ask(scene.first(), &asked, &provider, LONG_QUESTION).await?;
    let mut heard = Heard::of(&asked.run);
    let begun = async {
        while heard.pieces < 2 && heard.outcome.is_none() {
            heard.take(&next(&mut events).await?)?;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, begun).await.context("no answer began")??;
    if heard.outcome.is_some() {
        return Err(NotDone("the answer was over before it could be stopped".into()).into());
    }
    let began = Instant::now();
    scene
        .other()
        .http
        .call(Method::POST, &format!("/runs/{}/stop", asked.run), None)
        .await
        .context("the stop was refused")?;
    let ended = async {
        while heard.outcome.is_none() {
            heard.take(&next(&mut events).await?)?;
        }
        anyhow::Ok(())
    };
    let most = Duration::from_millis(scene.limits.max_stop_ms);
    let ended = tokio::time::timeout(most.max(Duration::from_secs(5)), ended).await;
    let took = began.elapsed();
    match ended {
        Err(_) => {
            return Ok(Verdict::failed(format!("the answer went on for {} s after it was stopped", took.as_secs())));
        }
        Ok(done) => done?,
    }
    match heard.outcome.as_deref() {
        Some("stopped") => {}
        Some("complete") if took > most => {
            return Ok(Verdict::failed(format!(
                "the answer went on to its end for {} ms after it was stopped",
                took.as_millis()
            )));
        }
        Some("complete") => return Err(NotDone("the answer was over before it could be stopped".into()).into()),
        other => bail!("a stopped answer ended as {}", other.unwrap_or_default()),
    }
    let length = heard.text.len();
    let late = tokio::time::timeout(QUIET, async {
        loop {
            heard.take(&next(&mut events).await?)?;
        }
    });
    // The stream stays open, so that it ends by the time alone.
    let _: Result<anyhow::Result<()>, _> = late.await;
    ensure!(heard.text.len() == length, "an answer that was stopped went on");
    let saw = format!("stopped at {} after {} ms, and nothing followed", scene.other().name(), took.as_millis());
    Ok(if took <= most { judged(&heard, saw) } else { Verdict::failed(saw) })
}
