//! `POST /v1/runs/{run}/chunks`: what a program outside says, appended as it comes.
//!
//! A request may be as long as the answer. It is answered when its body ends, when the run does, and at once when the run
//! is stopped, whatever of the body is still to come. One commit is under way at a time, and what came meanwhile goes with
//! the next one, as it is with the node's own runs.

use std::time::Duration;

use axum::Json;
use axum::body::{BodyDataStream, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::json;
use threadmill_engine::{Line, Lines, NotTaken, Numbers, Producer, RunWriter, Taken, WriterToken};
use threadmill_proto::{ErrorCode, Problem, RunId, json as shape};
use tokio::time::{Instant, sleep_until};

use super::lines::{Framing, Splitter, all_of};
use crate::app::App;
use crate::problem::ApiProblem;
use crate::request::fields::{self, media_of, unread, whole};
use crate::request::query::path_id;
use crate::serve::bodies::BodyShare;

/// Between two commits, as of the node's own runs.
const LEAST: Duration = Duration::from_millis(8);
/// A lease lasts fifteen seconds.
const RENEWED: Duration = Duration::from_secs(5);
/// What is gathered for one commit.
const GATHERED: usize = 64 << 10;
/// Lines of one body that is taken as a whole.
const AT_ONCE: usize = 1 << 10;
/// When to try again where the node leaves, in milliseconds.
const RETRY_MS: u32 = 500;
/// How a run ended whose writer is refused for that.
const OUTCOME: &str = "threadmill-outcome";

type Answer<T> = Result<T, ApiProblem>;

/// `POST /v1/runs/{run}/chunks`.
pub(crate) async fn chunks(State(app): State<App>, Path(id): Path<String>, request: Request) -> Answer<Response> {
    let run = path_id(&id, RunId::parse)?;
    let token = request.headers().get("threadmill-run-token").and_then(|token| token.to_str().ok());
    let token = token.and_then(WriterToken::parse);
    let token = token.ok_or_else(|| {
        ApiProblem::new(ErrorCode::Unauthorized, "Send the run's token in the header Threadmill-Run-Token.")
    })?;
    let writer = app.engine.runs().outside().writer(&token, &run).await?;
    if let Some(share) = request.extensions().get::<BodyShare>() {
        share.known(&app.limiter, &token.scope);
    }
    let _place = app.limiter.stream(&token.scope)?;
    let producer = fields::producer(request.headers())?;
    let framing = match media_of(request.headers()) {
        "application/json" => None,
        "application/x-ndjson" | "application/jsonl" => Some(Framing::Lines),
        "text/event-stream" => Some(Framing::Events),
        other => {
            let detail = format!("The body is declared as `{other}`, not JSON, JSON lines or events.");
            return Err(ApiProblem::new(ErrorCode::UnsupportedMediaType, detail));
        }
    };
    let first = producer.as_ref().map_or(0, |producer| producer.seq);
    let producer = producer.map(|producer| Producer { id: producer.id, epoch: producer.epoch });
    let taken = match framing {
        None => {
            let body = whole(request.into_body(), app.engine.limits().body_bytes).await?;
            let lines = if body.is_empty() { Vec::new() } else { all_of(&body, AT_ONCE)? };
            let lines = Lines { producer: producer.clone(), first, numbers: Numbers::One, lines };
            app.engine.runs().outside().append(&writer, &lines).await
        }
        Some(framing) => {
            let splitter = Splitter::new(framing, app.engine.limits().body_bytes);
            let next = Lines { producer: producer.clone(), first, numbers: Numbers::Each, lines: Vec::new() };
            let body = request.into_body().into_data_stream();
            Intake { app: &app, writer: &writer, splitter, next, body, committed: None }.run().await
        }
    };
    Ok(taken.map_or_else(refused, |taken| answer(&taken, producer.as_ref(), first)))
}

fn answer(taken: &Taken, producer: Option<&Producer>, first: u64) -> Response {
    if let Some(expected) = taken.expected {
        let detail = format!("Lines are missing: number {expected} comes next, and {first} came.");
        let mut response = ApiProblem::new(ErrorCode::InvalidRequest, detail).into_response();
        response.headers_mut().insert("producer-expected-seq", HeaderValue::from(expected));
        response.headers_mut().insert("producer-received-seq", HeaderValue::from(first));
        return response;
    }
    let run = taken.ended.as_ref().map(shape::run_to_value);
    let mut response = Json(json!({"seq": taken.last, "run": run})).into_response();
    if let (Some(producer), Some(last)) = (producer, taken.last) {
        response.headers_mut().insert("producer-epoch", HeaderValue::from(producer.epoch));
        response.headers_mut().insert("producer-seq", HeaderValue::from(last));
    }
    response
}

fn refused(why: NotTaken) -> Response {
    let mut response = ApiProblem(why.problem).into_response();
    let outcome = why.outcome.map(|outcome| HeaderValue::from_static(shape::outcome_word(outcome)));
    response.headers_mut().extend(outcome.map(|outcome| (HeaderName::from_static(OUTCOME), outcome)));
    response
}

/// A body that is appended as it comes.
struct Intake<'a> {
    app: &'a App,
    writer: &'a RunWriter,
    splitter: Splitter,
    /// What is to be appended next.
    next: Lines,
    body: BodyDataStream,
    committed: Option<Instant>,
}

impl Intake<'_> {
    async fn run(mut self) -> Result<Taken, NotTaken> {
        let outside = self.app.engine.runs().outside();
        let mut taken = Taken { last: None, ended: None, expected: None };
        loop {
            let piece = tokio::select! {
                biased;
                () = self.writer.over() => return Err(why_over(self.app, self.writer).await),
                piece = self.body.next() => piece,
                () = tokio::time::sleep(RENEWED) => {
                    outside.renew(self.writer).await?;
                    continue;
                }
            };
            let (refused, is_last) = match piece {
                Some(piece) => (gather(piece, &mut self.body, &mut self.splitter, &mut self.next.lines), false),
                None => {
                    let (lines, refused) = self.splitter.finish();
                    self.next.lines.extend(lines);
                    (refused, true)
                }
            };
            if !self.next.lines.is_empty() || is_last && self.committed.is_none() {
                taken = self.append().await?;
                if taken.ended.is_some() || taken.expected.is_some() {
                    return Ok(taken);
                }
            } else {
                // A blank line says that somebody is there.
                outside.renew(self.writer).await?;
            }
            match refused {
                Some(problem) => return Err(problem.into()),
                None if is_last => return Ok(taken),
                None => {}
            }
        }
    }

    async fn append(&mut self) -> Result<Taken, NotTaken> {
        if let Some(committed) = self.committed {
            sleep_until(committed + LEAST).await;
        }
        let taken = self.app.engine.runs().outside().append(self.writer, &self.next).await?;
        self.committed = Some(Instant::now());
        self.next.first += self.next.lines.len() as u64;
        self.next.lines.clear();
        Ok(taken)
    }
}

/// Takes a piece and what has come already with it, as far as one commit goes; what is wrong with it. That the body is over
/// is seen again later, that it broke off is not.
fn gather(
    mut piece: Result<Bytes, axum::Error>,
    body: &mut BodyDataStream,
    splitter: &mut Splitter,
    all: &mut Vec<Line>,
) -> Option<Problem> {
    let mut gathered = 0;
    loop {
        let bytes = match piece {
            Ok(bytes) => bytes,
            Err(error) => return Some(unread(&error, usize::MAX).0),
        };
        gathered += bytes.len();
        let (lines, refused) = splitter.take(&bytes);
        all.extend(lines);
        if refused.is_some() || gathered >= GATHERED {
            return refused;
        }
        let Some(Some(next)) = body.next().now_or_never() else { return None };
        piece = next;
    }
}

/// Why nothing more is taken.
async fn why_over(app: &App, writer: &RunWriter) -> NotTaken {
    match app.engine.runs().outside().over(writer).await {
        Ok(Some(over)) => over,
        Ok(None) => {
            let detail = "The node is about to stop. Send what was not acknowledged again.";
            Problem { retry_after: Some(RETRY_MS), ..Problem::new(ErrorCode::Unavailable, detail) }.into()
        }
        Err(problem) => problem.into(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use futures_util::stream;
    use threadmill_proto::Chunk;

    use super::*;

    /// The body was asked for more, and that it broke off was forgotten: half a line was taken for the last one.
    #[tokio::test]
    async fn what_breaks_off_while_it_is_gathered_is_not_over() {
        let pieces = ["{\"type\":\"start-step\"}\n", "{\"type\":\"finish\"}"].map(Ok).into_iter();
        let broken = pieces.chain([Err(std::io::Error::other("the connection broke"))]);
        let mut body = Body::from_stream(stream::iter(broken)).into_data_stream();
        let (mut splitter, mut lines) = (Splitter::new(Framing::Lines, 64), Vec::new());
        let piece = body.next().await.expect("a piece");
        let refused = gather(piece, &mut body, &mut splitter, &mut lines).expect("it broke off");
        assert_eq!((refused.code, lines), (ErrorCode::BodyTooLarge, vec![Line::Chunk(Chunk::StartStep)]));
    }
}
