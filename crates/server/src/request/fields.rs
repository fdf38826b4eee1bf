//! Reading JSON bodies field by field. Every refusal says which field.

use std::error::Error;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use futures_util::StreamExt as _;
use serde_json::{Map, Value};
use threadmill_proto::limits::{IMPORT, MAX_DEPTH, METADATA_BYTES};
use threadmill_proto::{
    BranchId, ErrorCode, InvalidId, JsonText, LockName, MessageId, RunId, ThreadId, json, message::Body as MessageBody,
};
use threadmill_store::{IdempotencyKey, LockToken};

use crate::app::App;
use crate::problem::ApiProblem;
use crate::serve::bodies::BodyRefused;
use threadmill_engine::streams::Producer;
use threadmill_engine::{Terms, TraceParent, too_deep};

type Answer<T> = Result<T, ApiProblem>;

/// The largest number that JavaScript counts to.
const LARGEST: u64 = (1 << 53) - 1;
/// Bytes of a word in a header: a producer's name, a writer's own number.
const WORD: usize = 256;

fn invalid(detail: impl Into<String>) -> ApiProblem {
    ApiProblem::new(ErrorCode::InvalidRequest, detail)
}

/// A JSON object that is taken apart field by field; what is left over is refused. Lists and objects in it stay text until
/// somebody looks into them, so that it takes about what its body takes, whatever is in it.
#[derive(Debug)]
pub(crate) struct Fields {
    map: Map<String, Value>,
    digest: [u8; 32],
    key: Option<String>,
    under: Option<LockToken>,
    parent: Option<TraceParent>,
}

impl FromRequest<App> for Fields {
    type Rejection = ApiProblem;

    async fn from_request(request: Request, app: &App) -> Answer<Self> {
        fields(received(request, app.engine.limits().body_bytes).await?)
    }
}

/// The fields of a request that brings rows of an import, which may be larger than others.
#[derive(Debug)]
pub(crate) struct ImportFields(pub(crate) Fields);

impl FromRequest<App> for ImportFields {
    type Rejection = ApiProblem;

    /// Taken apart beside the node's other work, since there is much of it.
    async fn from_request(request: Request, app: &App) -> Answer<Self> {
        let limit = IMPORT.body_bytes.max(app.engine.limits().body_bytes);
        let body = received(request, limit).await?;
        app.engine.transfer().read_rows(move || fields(body)).await?.map(Self)
    }
}

/// A request as it came in.
struct Received {
    media: String,
    key: Option<String>,
    under: Option<LockToken>,
    parent: Option<TraceParent>,
    digest: [u8; 32],
    bytes: Bytes,
}

async fn received(request: Request, limit: usize) -> Answer<Received> {
    let (parts, body) = request.into_parts();
    let media = media_of(&parts.headers).to_owned();
    let key = idempotency_key(&parts.headers)?;
    let (under, parent) = (fence(&parts.headers)?, trace_parent(&parts.headers));
    let bytes = whole(body, limit).await?;
    let mut digest = blake3::Hasher::new();
    let (method, path) = (parts.method.as_str().as_bytes(), parts.uri.path().as_bytes());
    digest.update(method).update(b" ").update(path).update(b"\n").update(&bytes);
    Ok(Received { media, key, under, parent, digest: *digest.finalize().as_bytes(), bytes })
}

fn fields(received: Received) -> Answer<Fields> {
    let Received { media, key, under, parent, digest, bytes } = received;
    if bytes.is_empty() {
        return Ok(Fields { map: Map::new(), digest, key, under, parent });
    }
    if media != "application/json" {
        let detail = format!("The body is declared as `{media}`.");
        return Err(ApiProblem::new(ErrorCode::UnsupportedMediaType, detail));
    }
    match json::level_from_slice(&bytes) {
        Ok(Value::Object(map)) => Ok(Fields { map, digest, key, under, parent }),
        Ok(_) => Err(invalid("The body must be a JSON object.")),
        Err(error) => Err(ApiProblem::new(ErrorCode::InvalidJson, format!("The body is not JSON: {error}."))),
    }
}

/// The media type that a body is declared as, without its parameters; empty if there is none.
pub(crate) fn media_of(headers: &HeaderMap) -> &str {
    let declared = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    declared.split(';').next().unwrap_or_default().trim()
}

/// A header that is there at most once, as text.
pub(crate) fn header_text<'h>(headers: &'h HeaderMap, name: &str) -> Answer<Option<&'h str>> {
    let mut all = headers.get_all(name).iter();
    let Some(value) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(invalid(format!("The request has two headers `{name}`.")));
    }
    match value.to_str() {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(invalid(format!("The header `{name}` is not ASCII."))),
    }
}

/// The same, of a bounded length and not empty.
pub(crate) fn header_word<'h>(headers: &'h HeaderMap, name: &str) -> Answer<Option<&'h str>> {
    match header_text(headers, name)? {
        Some(text) if text.is_empty() || text.len() > WORD => {
            Err(invalid(format!("The header `{name}` has 1 to {WORD} characters.")))
        }
        word => Ok(word),
    }
}

/// A header that is a whole number in decimal digits, without leading zeros.
pub(crate) fn header_number(headers: &HeaderMap, name: &str) -> Answer<Option<u64>> {
    let Some(text) = header_text(headers, name)? else { return Ok(None) };
    let plain = text == "0" || text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    match text.parse() {
        Ok(number) if plain && number <= LARGEST => Ok(Some(number)),
        _ => Err(invalid(format!("The header `{name}` is a whole number in digits, at most 2^53 - 1."))),
    }
}

/// Who numbers what a request appends: all three headers, or none.
pub(crate) fn producer(headers: &HeaderMap) -> Answer<Option<Producer>> {
    let id = header_word(headers, "producer-id")?;
    match (id, header_number(headers, "producer-epoch")?, header_number(headers, "producer-seq")?) {
        (None, None, None) => Ok(None),
        (Some(id), Some(epoch), Some(seq)) => Ok(Some(Producer { id: id.to_owned(), epoch, seq })),
        _ => Err(invalid("A producer sends Producer-Id, Producer-Epoch and Producer-Seq, or none of them.")),
    }
}

/// The trace that a request is part of. One that is malformed, or there twice, is none.
pub(crate) fn trace_parent(headers: &HeaderMap) -> Option<TraceParent> {
    let mut all = headers.get_all("traceparent").iter();
    let only = all.next().filter(|_| all.next().is_none())?;
    TraceParent::parse(only.to_str().ok()?.trim())
}

/// A whole body of at most `limit` bytes.
pub(crate) async fn whole(body: Body, limit: usize) -> Answer<Bytes> {
    // Who says beforehand that it is too large is not waited for.
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large(limit));
    }
    // Copied as it comes: a piece of one byte keeps the buffer that it was read into, which is thousands.
    let (mut pieces, mut whole) = (body.into_data_stream(), Vec::new());
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| unread(&error, limit))?;
        if whole.len() + piece.len() > limit {
            return Err(too_large(limit));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.into())
}

/// Why a body was not read to its end.
pub(crate) fn unread(error: &(dyn Error + 'static), limit: usize) -> ApiProblem {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(BodyRefused(problem)) = error.downcast_ref() {
            return problem.clone().into();
        }
        cause = error.source();
    }
    too_large(limit)
}

/// What whoever sends too much is told.
pub(crate) fn too_large(limit: usize) -> ApiProblem {
    ApiProblem::new(ErrorCode::BodyTooLarge, format!("The body is larger than {limit} bytes, or broke off."))
}

fn idempotency_key(headers: &HeaderMap) -> Answer<Option<String>> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let limit = threadmill_proto::Limits::DEFAULT.key_bytes;
    match key.to_str() {
        Ok(key) if (1..=limit).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) => {
            Ok(Some(format!("k:{key}")))
        }
        _ => Err(ApiProblem::new(ErrorCode::InvalidKey, "The Idempotency-Key header is empty, too long or not ASCII.")),
    }
}

/// The lock that a write is made under: `Threadmill-Fence: NAME:TOKEN`. A name may have colons, a token has none.
pub(crate) fn fence(headers: &HeaderMap) -> Answer<Option<LockToken>> {
    let mut fences = headers.get_all("threadmill-fence").iter();
    let Some(fence) = fences.next() else { return Ok(None) };
    let parsed = fence.to_str().ok().and_then(|fence| fence.trim().rsplit_once(':')).and_then(|(name, token)| {
        let digits = token.bytes().all(|byte| byte.is_ascii_digit());
        let token = token.parse().ok().filter(|_| digits)?;
        Some(LockToken { name: LockName::parse(name).ok()?, token })
    });
    match (parsed, fences.next()) {
        (Some(lock), None) => Ok(Some(lock)),
        (_, Some(_)) => Err(ApiProblem::new(ErrorCode::InvalidFence, "A write is made under one lock.")),
        (None, None) => Err(ApiProblem::new(ErrorCode::InvalidFence, "The Threadmill-Fence header is not NAME:TOKEN.")),
    }
}

impl Fields {
    /// Fields of an object within the body, for the same request.
    pub(crate) fn nested(&mut self, name: &str) -> Answer<Option<Self>> {
        let Some(value) = self.value(name).filter(|value| !value.is_null()) else { return Ok(None) };
        let map = json::object(value, &format!("`{name}`")).map_err(|why| invalid(format!("{why}.")))?;
        Ok(Some(Self { map, digest: self.digest, key: None, under: None, parent: None }))
    }

    /// A list of at most `most` entries, each to be opened by whoever takes it.
    pub(crate) fn list(&mut self, name: &str, most: usize) -> Answer<Option<Vec<Value>>> {
        let items = self.value(name).map(|value| json::list(value, &format!("`{name}`"), most));
        items.transpose().map_err(|why| invalid(format!("{why}.")))
    }

    /// As [`Self::nested`], where `true` stands for an empty object.
    pub(crate) fn nested_or_true(&mut self, name: &str) -> Answer<Option<Self>> {
        match self.map.get(name) {
            Some(Value::Bool(true)) => {
                self.map.shift_remove(name);
                Ok(Some(Self { map: Map::new(), digest: self.digest, key: None, under: None, parent: None }))
            }
            Some(Value::Bool(false)) => {
                self.map.shift_remove(name);
                Ok(None)
            }
            _ => self.nested(name),
        }
    }

    pub(crate) fn text(&mut self, name: &str) -> Answer<Option<String>> {
        match self.map.shift_remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(invalid(format!("`{name}` must be a string."))),
        }
    }

    pub(crate) fn flag(&mut self, name: &str) -> Answer<Option<bool>> {
        match self.map.shift_remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(invalid(format!("`{name}` must be true or false."))),
        }
    }

    pub(crate) fn value(&mut self, name: &str) -> Option<Value> {
        self.map.shift_remove(name)
    }

    fn id<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, InvalidId>) -> Answer<Option<T>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        parse(&text).map(Some).map_err(|rule| ApiProblem::new(ErrorCode::InvalidId, format!("`{name}`: {rule}.")))
    }

    pub(crate) fn thread_id(&mut self, name: &str) -> Answer<Option<ThreadId>> {
        self.id(name, ThreadId::parse)
    }

    pub(crate) fn branch_id(&mut self, name: &str) -> Answer<Option<BranchId>> {
        self.id(name, BranchId::parse)
    }

    pub(crate) fn message_id(&mut self, name: &str) -> Answer<Option<MessageId>> {
        self.id(name, MessageId::parse)
    }

    /// The `id` as it stands, valid or not, for the key.
    pub(crate) fn message_id_peek(&self) -> Option<&str> {
        self.map.get("id").and_then(Value::as_str)
    }

    pub(crate) fn run_id(&mut self, name: &str) -> Answer<Option<RunId>> {
        self.id(name, RunId::parse)
    }

    pub(crate) fn metadata(&mut self) -> Answer<Option<JsonText>> {
        let Some(value) = self.value("metadata").filter(|value| !value.is_null()) else { return Ok(None) };
        if !json::is_object(&value) {
            return Err(invalid("`metadata` must be an object."));
        }
        let text = JsonText(value.to_string());
        let (bytes, depth) = (text.0.len(), text.depth());
        if bytes > METADATA_BYTES {
            return Err(invalid(format!("`metadata` has {bytes} bytes; the limit is {METADATA_BYTES}.")));
        }
        if depth > MAX_DEPTH {
            return Err(too_deep(ErrorCode::InvalidRequest, "`metadata`", depth).into());
        }
        Ok(Some(text))
    }

    /// `parts` and `metadata`.
    pub(crate) fn message_body(&mut self) -> Answer<MessageBody> {
        let parts = self.map.shift_remove("parts").ok_or_else(|| invalid("`parts` is missing."))?;
        let parts =
            json::parts_from_value(parts).map_err(|why| ApiProblem::new(ErrorCode::InvalidParts, format!("{why}.")))?;
        Ok(MessageBody { parts, metadata: self.metadata()? })
    }

    /// Refuses what no one took.
    pub(crate) fn finish(self) -> Answer<()> {
        if self.under.is_some() {
            // Whoever sends one relies on it.
            return Err(ApiProblem::new(ErrorCode::InvalidFence, "This route checks no Threadmill-Fence."));
        }
        match self.map.keys().next() {
            None => Ok(()),
            Some(name) => {
                let name: String = name.chars().take(64).collect();
                Err(ApiProblem::new(ErrorCode::UnknownField, format!("`{name}` is not a field of this request.")))
            }
        }
    }

    /// The request's lock, and its idempotency key: the header's, or one made of the client-minted id.
    pub(crate) fn terms(&mut self, minted: Option<String>) -> Terms {
        let key = self.key.clone().or(minted).map(|key| IdempotencyKey { key, digest: self.digest });
        Terms { key, under: self.under.take(), parent: self.parent }
    }

    /// A whole number, if there is one.
    pub(crate) fn count(&mut self, name: &str) -> Answer<Option<u64>> {
        match self.map.shift_remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number) => Ok(Some(number)),
                None => Err(invalid(format!("`{name}` must be a whole number."))),
            },
        }
    }

    /// A whole number in `least..=most`.
    pub(crate) fn number(&mut self, name: &str, default: u64, least: u64, most: u64) -> Answer<u64> {
        match self.map.shift_remove(name) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => match value.as_u64().filter(|number| (least..=most).contains(number)) {
                Some(number) => Ok(number),
                None => Err(invalid(format!("`{name}` must be a whole number from {least} to {most}."))),
            },
        }
    }
}

/// A minted id used for another request is simply taken; only a header's key is "reused".
pub(crate) fn taken(problem: ApiProblem, terms: &Terms) -> ApiProblem {
    let minted = terms.key.as_ref().is_some_and(|key| !key.key.starts_with("k:"));
    if problem.0.code == ErrorCode::KeyReused && minted {
        ApiProblem::new(ErrorCode::IdTaken, "The id was used for another request.")
    } else {
        problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::strict::tests::headers;

    #[test]
    fn numbers_are_digits() {
        for bad in ["", "-1", "+1", "01", "1.0", "1e3", " 1", "1abc", "9007199254740992", "٣"] {
            let Ok(value) = axum::http::HeaderValue::from_bytes(bad.as_bytes()) else { continue };
            let map = HeaderMap::from_iter([(axum::http::HeaderName::from_static("stream-ttl"), value)]);
            assert!(header_number(&map, "stream-ttl").is_err(), "{bad:?}");
        }
        let largest = headers(&[("stream-ttl", "9007199254740991")]);
        assert!(matches!(header_number(&largest, "stream-ttl"), Ok(Some(LARGEST))));
        assert!(header_number(&headers(&[("stream-ttl", "1"), ("stream-ttl", "1")]), "stream-ttl").is_err());
    }

    #[test]
    fn a_producer_says_who_and_how_far_once_or_nothing() {
        let of = |epoch: &str, seq: &str, more: &[(&'static str, &str)]| {
            let mut all = vec![("producer-id", "p"), ("producer-epoch", epoch), ("producer-seq", seq)];
            all.extend(more);
            producer(&headers(&all)).map(|producer| producer.expect("three headers"))
        };
        let known = of("5", "0", &[]).expect("a producer");
        assert_eq!((known.id.as_str(), known.epoch, known.seq), ("p", 5, 0));
        assert!(producer(&headers(&[])).is_ok_and(|none| none.is_none()));
        assert!(producer(&headers(&[("producer-id", "p")])).is_err());
        for (epoch, seq, more) in [
            ("+5", "0", [].as_slice()),
            ("5", "05", &[]),
            ("5", "", &[]),
            ("5", "0", &[("producer-seq", "1")]),
            ("5", "0", &[("producer-id", "q")]),
        ] {
            assert!(of(epoch, seq, more).is_err(), "{epoch} {seq} {more:?}");
        }
    }
}
