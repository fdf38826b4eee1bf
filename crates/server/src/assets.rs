//! The bundled pages: their files by their exact names, and each page for its own routes. Every other path is not
//! found, so that nothing else is taken for a file of that name.
//!
//! The build leaves a brotli and a gzip form beside each file that gets smaller by it; who takes them gets them.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use rust_embed::{EmbeddedFile, RustEmbed};
use threadmill_proto::ErrorCode;

use crate::problem::ApiProblem;

#[derive(RustEmbed)]
#[folder = "../../apps/chat/dist"]
#[allow_missing = true]
struct Page;

const INDEX: &str = "index.html";
/// The operators' page.
const OPS: &str = "ops.html";
/// Scripts and styles of the page alone; pictures from elsewhere only where a reader asked for one.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data: blob: https: http:; connect-src 'self'; font-src 'self'; base-uri 'none'; \
    frame-ancestors 'none'; form-action 'none'";

/// Shown where the binary was built without the page.
const UNBUILT: &str = "<!doctype html><title>Threadmill</title><p>The server runs, but was built without its page. \
    Run <code>make build</code>.";

/// The forms of a file, the smallest first: the coding and how its name ends.
const FORMS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

pub(crate) async fn page(request: Request) -> Response {
    let (method, path, headers) = (request.method(), request.uri().path(), request.headers());
    if method != Method::GET && method != Method::HEAD {
        let refused = ApiProblem::new(ErrorCode::MethodNotAllowed, "Pages are only read.");
        return ([(header::ALLOW, "GET,HEAD")], refused).into_response();
    }
    if let Some(document) = document_at(path) {
        return page_of(document, headers);
    }
    match path.strip_prefix('/').filter(|name| is_file(name)).and_then(|name| Some((name, Page::get(name)?))) {
        Some((name, file)) => asset(name, &file, headers),
        None => ApiProblem::new(ErrorCode::RouteNotFound, "There is no such page or file.").into_response(),
    }
}

/// The document of the page that shows something at a path, as `apps/chat/src/shell/address.ts` has it; operators have
/// one address, and all further is behind its `#`.
fn document_at(path: &str) -> Option<&'static str> {
    if path == "/ops" || path == "/ops/" {
        return Some(OPS);
    }
    let thread = path.strip_prefix("/t/").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let is_thread = thread.is_some_and(|id| !id.is_empty() && !id.contains('/'));
    (path == "/" || is_thread).then_some(INDEX)
}

/// Whether a name may be asked for as it is: forms are chosen, not named.
fn is_file(name: &str) -> bool {
    name != INDEX && name != OPS && FORMS.iter().all(|(_, ending)| !name.ends_with(ending))
}

fn page_of(document: &str, headers: &HeaderMap) -> Response {
    let mut response = match Page::get(document) {
        Some(file) => asset(document, &file, headers),
        None => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], UNBUILT).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    response
}

/// A built file in the form that the reader takes. Names under `assets/` carry a hash of what is in them, so they never
/// change; all others are asked about each time.
fn asset(name: &str, file: &EmbeddedFile, headers: &HeaderMap) -> Response {
    let cache = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let taken = FORMS.iter().filter(|(coding, _)| takes(headers, coding));
    let form = taken.filter_map(|(coding, ending)| Some((*coding, Page::get(&format!("{name}{ending}"))?))).next();
    let (coding, body) = match form {
        Some((coding, form)) => (Some(coding), form.data),
        None => (None, file.data.clone()),
    };
    // Each form has a tag of its own, as what is sent differs byte by byte.
    let tag = format!("\"{}{}\"", hex(&file.metadata.sha256_hash()[..12]), coding.unwrap_or_default());
    let kept = [(header::CACHE_CONTROL, cache), (header::VARY, "Accept-Encoding"), (header::ETAG, &tag)];
    if is_known(headers, &tag) {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    let kind = match file.metadata.mimetype() {
        "text/html" => "text/html; charset=utf-8",
        "text/javascript" => "text/javascript; charset=utf-8",
        "text/css" => "text/css; charset=utf-8",
        other => other,
    };
    let mut response = (kept, [(header::CONTENT_TYPE, kind)], body.into_owned()).into_response();
    if let Some(coding) = coding {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    response
}

/// Whether a reader takes a coding: named, or by `*`, with a weight that is not zero.
fn takes(headers: &HeaderMap, coding: &str) -> bool {
    let offers = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut any = false;
    for offer in offers.flat_map(|value| value.split(',')) {
        let (name, weight) = offer.split_once(';').unwrap_or((offer, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.trim().parse::<f32>().ok());
        let wanted = weight.is_some_and(|weight| weight > 0.0);
        match name.trim() {
            name if name.eq_ignore_ascii_case(coding) => return wanted,
            "*" => any = wanted,
            _ => {}
        }
    }
    any
}

/// Whether the reader has this form already.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    known
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_at_its_own_routes_alone() {
        for path in ["/", "/t/abc", "/t/abc/", "/t/a%20b"] {
            assert_eq!(document_at(path), Some(INDEX), "{path}");
        }
        for path in ["/ops", "/ops/"] {
            assert_eq!(document_at(path), Some(OPS), "{path}");
        }
        for path in [
            "//",
            "/index.html",
            "/t",
            "/t/",
            "/t//",
            "/t/a/b",
            "/T/a",
            "//t/a",
            "/v1",
            "/robots.txt",
            "/sw.js",
            "/ops/api",
        ] {
            assert_eq!(document_at(path), None, "{path}");
        }
    }

    #[test]
    fn a_form_is_for_those_who_take_it() {
        let taken = |accept: &str, coding: &str| {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, accept.parse().expect("a value"))]);
            takes(&headers, coding)
        };
        assert!(
            taken("gzip, deflate, br", "br") && taken("gzip;q=0.5", "gzip") && taken("*", "br") && taken("BR", "br")
        );
        assert!(!taken("gzip", "br") && !taken("br;q=0, *", "br") && !taken("identity", "gzip") && !taken("", "br"));
        assert!(!takes(&HeaderMap::new(), "br"));
    }
}
