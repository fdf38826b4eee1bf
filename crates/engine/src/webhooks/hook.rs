//! One request to an address that a user named: guarded as every webhook is, signed by whoever asks for it.

use std::net::IpAddr;

use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderValue};

use crate::webhooks::address::Reach;
use crate::webhooks::endpoint::literal;
use crate::webhooks::post::{PATIENCE, beginning, guarded, why};

/// Bytes of an address.
const ADDRESS: usize = 2 << 10;
/// Who sends.
const AGENT: &str = concat!("Threadmill/", env!("CARGO_PKG_VERSION"), " (streams)");

/// Whether an address on this machine is taken: for whoever develops, on a server that nobody else reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loopback {
    /// `http://localhost` and `http://127.0.0.x` are.
    Taken,
    /// Nothing but the public Internet is, by `https`.
    Refused,
}

/// Checks an address that a user named.
///
/// # Errors
/// Why nothing is sent there.
pub(crate) fn checked(address: &str, loopback: Loopback) -> Result<Url, &'static str> {
    if address.len() > ADDRESS {
        return Err("it is longer than 2 KiB");
    }
    let url: Url = address.parse().map_err(|_| "it is no URL")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it has a user or a password");
    }
    let literal = literal(&url);
    if loopback == Loopback::Taken && is_own(&url) {
        return Ok(url);
    }
    match (url.scheme(), literal) {
        ("https", Some(address)) if !Reach::Public.allows(address) => Err("it is not on the public Internet"),
        ("https", None) if url.host_str().is_none_or(|host| host == "localhost" || host.ends_with(".localhost")) => {
            Err("it is this machine")
        }
        ("https", _) => Ok(url),
        _ => Err("it is not https"),
    }
}

/// Whether it is on this machine, by the name or an address of the loopback interface.
fn is_own(url: &Url) -> bool {
    let named = url.host_str() == Some("localhost");
    let numbered = matches!(literal(url), Some(IpAddr::V4(v4)) if v4.octets()[..3] == [127, 0, 0]);
    url.scheme() == "http" && (named || numbered)
}

/// Sends a body once. What comes back of a receiver that took it: the beginning of its answer.
///
/// # Errors
/// Why it was not taken, without the address.
pub(crate) async fn send(url: Url, signature: String, body: String, loopback: Loopback) -> Result<Vec<u8>, String> {
    // What was taken once may be refused by now.
    checked(url.as_str(), loopback)?;
    let reach = if is_own(&url) { Reach::Own } else { Reach::Public };
    let client = guarded(AGENT, reach, PATIENCE)?;
    let request = client
        .post(url)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header("webhook-signature", signature)
        .body(body);
    let mut response = request.send().await.map_err(why)?;
    if !response.status().is_success() {
        return Err(format!("it answered {}", response.status().as_u16()));
    }
    Ok(beginning(&mut response).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_inside_is_an_address() {
        for refused in [
            "http://10.0.0.1/hook",
            "https://10.0.0.1/hook",
            "https://169.254.169.254/",
            "https://[::1]/",
            "https://localhost/",
            "https://a.localhost/",
            "http://example.org/",
            "ftp://example.org/",
            "https://user:pass@example.org/",
            "http://localhost.example.org/",
            "http://127.1.0.1/",
            "http://[::1]/",
            "hook",
        ] {
            assert!(checked(refused, Loopback::Taken).is_err(), "{refused}");
        }
        for own in ["http://127.0.0.1:9/hook", "http://localhost:9/hook", "http://127.0.0.9/"] {
            assert!(checked(own, Loopback::Taken).is_ok() && checked(own, Loopback::Refused).is_err(), "{own}");
        }
        assert!(checked("https://example.org/hook", Loopback::Refused).is_ok());
    }
}
