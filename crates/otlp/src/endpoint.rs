//! Where traces go: a URL and the headers of each request, which may hold secrets and are shown nowhere.

use std::fmt;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

/// Where traces are below a collector's address.
const TRACES: &str = "v1/traces";
/// Headers that may be given.
const MOST: usize = 32;

/// Why something cannot be an endpoint. It repeats no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointError(String);

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for EndpointError {}

/// A receiver of traces.
#[derive(Clone)]
pub struct Endpoint {
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.shown()).field("headers", &self.headers.len()).finish()
    }
}

impl Endpoint {
    /// A receiver by its base address, such as `http://127.0.0.1:4318`: traces go to `v1/traces` below it.
    ///
    /// # Errors
    /// It is no `http` or `https` URL.
    pub fn base(address: &str) -> Result<Self, EndpointError> {
        let mut url = http_url(address)?;
        let below = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{below}/{TRACES}"));
        Ok(Self { url, headers: HeaderMap::new() })
    }

    /// A receiver by the very URL that takes traces.
    ///
    /// # Errors
    /// It is no `http` or `https` URL.
    pub fn exact(address: &str) -> Result<Self, EndpointError> {
        Ok(Self { url: http_url(address)?, headers: HeaderMap::new() })
    }

    /// Sends these with each request.
    ///
    /// # Errors
    /// There are too many, or one is none.
    pub fn with_headers(mut self, headers: &[(String, String)]) -> Result<Self, EndpointError> {
        if headers.len() > MOST {
            return Err(EndpointError(format!("there are more than {MOST} headers")));
        }
        for (name, value) in headers {
            let none = |_| EndpointError(format!("the header number {} is none", self.headers.len() + 1));
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| none(()))?;
            let mut value = HeaderValue::from_str(value).map_err(|_| none(()))?;
            value.set_sensitive(true);
            self.headers.insert(name, value);
        }
        Ok(self)
    }

    /// The URL as it may be shown: without a password, and without what follows a question mark.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.set_fragment(None);
        // They fail for URLs that can have neither.
        let _ = url.set_password(None);
        let _ = url.set_username("");
        url.into()
    }
}

fn http_url(address: &str) -> Result<Url, EndpointError> {
    let none = || EndpointError("it is no http or https URL, such as http://127.0.0.1:4318".into());
    let url = Url::parse(address.trim()).map_err(|_| none())?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() { Ok(url) } else { Err(none()) }
}

/// Headers as a file has them: `Name: value`, one a line; blank lines and lines that begin with `#` count for nothing.
///
/// # Errors
/// A line has no colon.
pub fn header_lines(text: &str) -> Result<Vec<(String, String)>, EndpointError> {
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let header = |(number, line): (usize, &str)| match line.split_once(':') {
        Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
        None => Err(EndpointError(format!("line {number} has no colon: a header is written `Name: value`"))),
    };
    lines.map(header).collect()
}

/// Headers as OpenTelemetry's variables have them: `name=value,name=value`, values as in URLs.
///
/// # Errors
/// A pair has no equals sign.
pub fn header_list(text: &str) -> Result<Vec<(String, String)>, EndpointError> {
    pairs(text).ok_or_else(|| EndpointError("headers are written `name=value,name=value`".into()))
}

/// A list of `name=value` with commas between, values as in URLs; `None` if it is none.
#[must_use]
pub fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let all = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    all.map(|pair| {
        let (name, value) = pair.split_once('=')?;
        Some((name.trim().to_owned(), decoded(value.trim())?))
    })
    .collect()
}

/// A value without its `%41`s. A plus sign is one.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |digit: Option<u8>| char::from(digit?).to_digit(16);
            let (high, low) = (digit(rest.next())?, digit(rest.next())?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_headers_are_read_and_secrets_are_shown_nowhere() {
        let at = |address: &str| Endpoint::base(address).map(|endpoint| endpoint.url.to_string());
        assert_eq!(at("http://127.0.0.1:4318").as_deref(), Ok("http://127.0.0.1:4318/v1/traces"));
        assert_eq!(at("https://otel.example/in/").as_deref(), Ok("https://otel.example/in/v1/traces"));
        for none in ["", "127.0.0.1:4318", "grpc://x:4317", "file:///x", "http://"] {
            assert!(at(none).is_err(), "{none}");
        }
        let exact = Endpoint::exact("https://user:canary@otel.example/t?key=canary").expect("an endpoint");
        let pairs = [("Authorization".to_owned(), "Bearer canary".to_owned())];
        let exact = exact.with_headers(&pairs).expect("headers");
        let shown = format!("{exact:?} {} {:?}", exact.shown(), exact.headers);
        assert!(!shown.contains("canary") && shown.contains("https://otel.example/t"), "{shown}");
        let wrong = exact.with_headers(&[("a b".into(), "canary".into())]).expect_err("no header");
        assert!(!wrong.to_string().contains("canary"));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let lines = header_lines("# of the collector\n\nAuthorization: Bearer a:b\nX-Scope: 1\n").expect("headers");
        assert_eq!(lines, [pair("Authorization", "Bearer a:b"), pair("X-Scope", "1")]);
        assert!(header_lines("canary").is_err_and(|why| !why.to_string().contains("canary")));
        let list = header_list("api-key=a%20b%2C, x = 1=2").expect("headers");
        assert_eq!(list, [pair("api-key", "a b,"), pair("x", "1=2")]);
        assert!(header_list("canary").is_err() && header_list("a=%4").is_err() && header_list("a=%ff").is_err());
    }
}
