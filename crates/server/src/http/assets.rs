//! The bundled page. Every path that names no file is the app's own route and gets the page itself.

use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use rust_embed::RustEmbed;
use threadmill_proto::ErrorCode;

use super::ApiProblem;

#[derive(RustEmbed)]
#[folder = "../../apps/chat/dist"]
#[allow_missing = true]
struct Page;

/// Scripts and styles of the page alone; pictures from elsewhere only where a reader asked for one.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data: blob: https: http:; connect-src 'self'; font-src 'self'; base-uri 'none'; \
    frame-ancestors 'none'; form-action 'none'";

/// Shown where the binary was built without the page.
const UNBUILT: &str = "<!doctype html><title>Threadmill</title><p>The server runs, but was built without its page. \
    Run <code>make build</code>.";

pub(super) async fn page(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return ApiProblem::new(ErrorCode::MethodNotAllowed, "Pages are only read.").into_response();
    }
    let path = uri.path().trim_start_matches('/');
    match Page::get(path) {
        Some(file) if path != "index.html" => asset(path, file, &headers),
        _ if path.starts_with("assets/") => {
            ApiProblem::new(ErrorCode::RouteNotFound, "There is no such file.").into_response()
        }
        _ => index(),
    }
}

fn index() -> Response {
    let html = Page::get("index.html").map_or_else(|| UNBUILT.as_bytes().to_vec(), |file| file.data.into_owned());
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, html).into_response()
}

/// A built file. Names under `assets/` carry a hash of what is in them, so they never change.
fn asset(path: &str, file: rust_embed::EmbeddedFile, headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", hex(&file.metadata.sha256_hash()[..12]));
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let cache = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let kind = file.metadata.mimetype().to_owned();
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, cache.to_owned()), (header::ETAG, tag)];
    (headers, file.data.into_owned()).into_response()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
