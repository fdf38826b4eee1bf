//! Sync without a WebSocket, for readers behind proxies that break those.
//!
//! The body is all that the client has to say: a CBOR sequence of its frames, `Hello` first. The answer is either
//! a stream of server-sent events, each the base64 of one frame, or, for those who cannot have a stream either, the
//! frames there are, held back until there is something to tell. Nothing is kept between requests: a client that
//! wants something else asks anew, with its cursors.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::BodyDataStream;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::{StreamExt as _, stream};
use threadmill_proto::{ClientFrame, ErrorCode, ServerFrame, cbor_sequence, to_cbor};
use tokio::time::{Instant, sleep_until};

use super::frames::{encoded, own};
use super::session::{Feed, Session, malformed};
use crate::app::App;
use crate::problem::ApiProblem;
use crate::request::caller::MaybeCaller;
use crate::request::fields::unread;
use crate::request::query::Query;
use crate::serve::bodies::BodyShare;
use crate::serve::peers::Peer;
use threadmill_engine::{Delivered, Share};

const SEQUENCE: &str = "application/cbor-seq";
const EVENTS: &str = "text/event-stream";
/// `Hello` and its token. More is not read of whoever has not said it.
const FIRST_BYTES: usize = 4 << 10;
/// The same and the piece of the body that made it so many: a socket's buffer.
const FIRST_PIECES: usize = 64 << 10;
/// Frames in one request.
const FRAMES: usize = 256;
/// How long an answer is held back when there is nothing to tell, and the most that may be asked for.
const WAIT_MS: u64 = 25_000;
const MOST_MS: u64 = 60_000;
/// How long something to tell waits for more: a request costs more than a few tokens do.
const BATCH: Duration = Duration::from_millis(4);
/// An answer that has this many bytes waits for nothing more.
const FULL: usize = 1 << 20;

/// How the answer comes.
enum Carrier {
    Events,
    Held(Duration),
}

/// `POST /v1/sync`.
pub(crate) async fn post(
    State(app): State<App>,
    MaybeCaller(caller): MaybeCaller,
    query: Query,
    request: Request,
) -> Result<Response, ApiProblem> {
    let carrier = carrier(request.headers(), &query)?;
    let share = request.extensions().get::<BodyShare>().cloned();
    let peer = request.extensions().get::<Arc<Peer>>().cloned();
    let mut words = Words { body: request.into_body().into_data_stream(), bytes: Vec::new() };
    // Who is there is known before more is read than saying it takes.
    let session = Session::begin(&app, caller, words.first().await?, peer.as_ref())?;
    if let Some(share) = share {
        share.known(&app.limiter, session.scope());
    }
    let place = app.limiter.stream(session.scope())?;
    let feed = Feed { session, asked: words.rest(app.engine.limits().body_bytes).await?.into(), over: false };
    let mut response = match carrier {
        Carrier::Events => events(&app, feed, place),
        Carrier::Held(wait) => ([(header::CONTENT_TYPE, SEQUENCE)], held(feed, wait).await).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn carrier(headers: &HeaderMap, query: &Query) -> Result<Carrier, ApiProblem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = text(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
    if media != SEQUENCE {
        let detail = format!("The body is declared as `{media}`; this route takes {SEQUENCE}.");
        return Err(ApiProblem::new(ErrorCode::UnsupportedMediaType, detail));
    }
    let wait = Duration::from_millis(query.number("wait", WAIT_MS, MOST_MS)?);
    match text(header::ACCEPT) {
        accept if accept.contains(EVENTS) => Ok(Carrier::Events),
        accept if accept.contains(SEQUENCE) => Ok(Carrier::Held(wait)),
        _ => {
            let detail = format!("Accept names neither {EVENTS} nor {SEQUENCE}.");
            Err(ApiProblem::new(ErrorCode::InvalidRequest, detail))
        }
    }
}

/// What a client says, as it comes.
struct Words {
    body: BodyDataStream,
    bytes: Vec<u8>,
}

impl Words {
    /// Reads on. Whether something came.
    async fn more(&mut self, limit: usize) -> Result<bool, ApiProblem> {
        let Some(piece) = self.body.next().await else { return Ok(false) };
        let piece = piece.map_err(|error| unread(&error, limit))?;
        if self.bytes.len() + piece.len() > limit {
            let detail = format!("The body is larger than {limit} bytes.");
            return Err(ApiProblem::new(ErrorCode::BodyTooLarge, detail));
        }
        self.bytes.extend_from_slice(&piece);
        Ok(true)
    }

    /// The first frame, before the others are read: a piece may bring some of them along.
    async fn first(&mut self) -> Result<ClientFrame, ApiProblem> {
        loop {
            match cbor_sequence::<ClientFrame>(&self.bytes).next() {
                Some(Ok(frame)) => return Ok(frame),
                Some(Err(error)) if !error.is_end_of_input() => return Err(malformed(&error).into()),
                None | Some(Err(_)) if self.bytes.len() >= FIRST_BYTES => {
                    return Err(ApiProblem::new(ErrorCode::HelloExpected, "The body does not begin with Hello."));
                }
                None | Some(Err(_)) => {}
            }
            if !self.more(FIRST_PIECES).await? {
                let detail = if self.bytes.is_empty() { "The body is empty." } else { "The first frame broke off." };
                return Err(ApiProblem::new(ErrorCode::HelloExpected, detail));
            }
        }
    }

    /// All frames but the first.
    async fn rest(mut self, limit: usize) -> Result<Vec<ClientFrame>, ApiProblem> {
        while self.more(limit).await? {}
        let frames: Result<Vec<ClientFrame>, _> = cbor_sequence(&self.bytes).skip(1).take(FRAMES).collect();
        let frames = frames.map_err(|error| malformed(&error))?;
        if frames.len() >= FRAMES {
            return Err(ApiProblem::new(ErrorCode::InvalidFrame, format!("One request has at most {FRAMES} frames.")));
        }
        Ok(frames)
    }
}

fn events(app: &App, feed: Feed, place: Share) -> Response {
    let counted = (app.connections.enter(feed.session.scope()), place);
    let lists = feed.asked.iter().any(|frame| matches!(frame, ClientFrame::FollowList { .. }));
    let stream = stream::unfold((feed, counted), move |(mut feed, counted)| async move {
        let frame = feed.next().await?;
        // A stream whose every subscription failed would bring nothing, and its client cannot ask again on it.
        feed.over |= !lists && matches!(frame.event, Delivered::Failed { .. }) && !feed.has_subscriptions();
        let event = Event::default().data(BASE64_STANDARD.encode(encoded(&frame)));
        Some((Ok::<_, Infallible>(event), (feed, counted)))
    });
    Sse::new(stream).into_response()
}

/// The frames there are once one of them tells something, or the time is over.
async fn held(mut feed: Feed, wait: Duration) -> Vec<u8> {
    let mut answer = Vec::new();
    let (mut until, mut told) = (Instant::now() + wait, false);
    let mut opening = feed.session.watcher.opening();
    while answer.len() < FULL {
        if let Err(problem) = feed.settle() {
            answer.extend_from_slice(&to_cbor(&ServerFrame::Refused(problem)));
            break;
        }
        // What was asked is answered to the end, whatever the time limit, so that no subscription waits for ever behind a
        // busy one. Where there is no room for it yet, a frame is ready, which comes before the limit too.
        let over = async {
            sleep_until(until).await;
            let _ = opening.wait_for(|count| *count == 0).await;
        };
        let next = tokio::select! {
            biased;
            next = feed.next() => next,
            () = over => None,
        };
        let Some(frame) = next else { break };
        answer.extend_from_slice(&encoded(&frame));
        if !told && tells(&frame.event) {
            (until, told) = (Instant::now() + BATCH, true);
        }
    }
    answer
}

/// Whether an event is worth an answer of its own.
fn tells(event: &Delivered) -> bool {
    match event {
        Delivered::Resumed { .. } => false,
        Delivered::Summary { items, .. } => !items.is_empty(),
        Delivered::Own(_) => own(event).is_some_and(says_something),
        Delivered::Window { .. }
        | Delivered::Reset { .. }
        | Delivered::Change { .. }
        | Delivered::Chunks { .. }
        | Delivered::Failed { .. }
        | Delivered::Advance { .. } => true,
    }
}

/// The same for what the protocol says itself.
fn says_something(frame: &ServerFrame) -> bool {
    match frame {
        ServerFrame::Welcome { .. } | ServerFrame::Flags { .. } | ServerFrame::Mode { .. } => false,
        // The heartbeat.
        ServerFrame::Pong { token, .. } => *token != 0,
        ServerFrame::Refused(_)
        | ServerFrame::Window { .. }
        | ServerFrame::Resumed { .. }
        | ServerFrame::Reset { .. }
        | ServerFrame::Event { .. }
        | ServerFrame::Chunks { .. }
        | ServerFrame::Summaries { .. }
        | ServerFrame::Failed { .. }
        | ServerFrame::Closing { .. }
        | ServerFrame::Advance { .. } => true,
    }
}
