//! Problems as HTTP answers (RFC 9457).

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use threadmill_proto::{ErrorCode, Problem, json, to_cbor};

/// Text that a request had a part in, as it may be shown: what turns the direction of what follows, or cannot be seen, is
/// written out, so that a log or a page says what is there.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            // Letters by their category, and blank: the fillers of Hangul, and Braille's empty cell.
            '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{2800}' => shown.extend(c.escape_unicode()),
            // Knows controls, format characters (of direction, of no width), separators, and what is not assigned.
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown
}

/// A problem that answers a request.
#[derive(Debug, Clone)]
pub struct ApiProblem(pub Problem);

impl From<Problem> for ApiProblem {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl ApiProblem {
    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self(Problem::new(code, detail))
    }

    fn visible(mut self) -> Self {
        self.0.detail = visible(&self.0.detail);
        self
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The problem as CBOR, for readers that asked for it.
    pub(crate) fn into_cbor(self) -> Response {
        let headers = [(header::CONTENT_TYPE, "application/cbor"), (header::CACHE_CONTROL, "no-store")];
        (self.status(), headers, to_cbor(&self.visible().0)).into_response()
    }
}

impl IntoResponse for ApiProblem {
    fn into_response(self) -> Response {
        let this = self.visible();
        let body = json::problem_to_value(&this.0).to_string();
        let headers = [(header::CONTENT_TYPE, "application/problem+json"), (header::CACHE_CONTROL, "no-store")];
        let mut response = (this.status(), headers, body).into_response();
        response.extensions_mut().insert(this.0.code);
        if this.0.code == ErrorCode::Unauthorized {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(ms) = this.0.retry_after {
            let seconds = HeaderValue::from(u64::from(ms).div_ceil(1000));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response.extensions_mut().insert(Refused(this.0));
        response
    }
}

/// What an answer refuses, for whoever has it said otherwise: moved here and not copied, since nearly nobody asks.
#[derive(Debug, Clone)]
struct Refused(Problem);

/// The header that says an answer's code where its body is words.
const CODE: HeaderName = HeaderName::from_static("threadmill-code");

/// The answer to a reader who shows a person whatever a refusal's body says: a sentence, with the code in a header. What
/// refuses nothing stays as it is.
pub(crate) fn in_words(mut response: Response) -> Response {
    let Some(Refused(problem)) = response.extensions_mut().remove::<Refused>() else { return response };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CODE, HeaderValue::from_static(problem.code.as_str()));
    headers.remove(header::CONTENT_LENGTH);
    response.map(|_| Body::from(problem.detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_problem_is_invisible_or_turns_what_follows() {
        for c in
            "\u{0}\u{7}\u{1b}\u{85}\u{ad}\u{34f}\u{61c}\u{115f}\u{17b4}\u{180e}\u{200b}\u{200d}\u{200e}\u{202e}\u{2028}\
            \u{2060}\u{2066}\u{2069}\u{2800}\u{3000}\u{3164}\u{fe0f}\u{feff}\u{ffa0}\u{fff9}\u{e0041}\u{e0100}\u{f8ff}"
                .chars()
        {
            let code = u32::from(c);
            let shown = visible(&format!("a{c}b"));
            assert!(shown.starts_with("a\\") && shown.ends_with('b') && shown.is_ascii(), "U+{code:04X}: {shown:?}");
        }
        let words = "`größe`: 名前 \"x\" \\ it's ١ 😀";
        assert_eq!(visible(words), words);
    }
}
