//! Names of hosts and origins as an operator writes them, made what browsers send: in lower case, without the port that is the
//! scheme's own, letters of other scripts in their ASCII form. What no request can say is refused, with what to write instead.

use std::net::Ipv6Addr;

use url::Url;

/// Schemes of no page, or of pages whose origin is `null`.
const NO_PAGES: [&str; 8] = ["ws", "wss", "ftp", "file", "data", "blob", "javascript", "about"];

/// A host that the server answers to, as a `Host` header names it without a scheme's own port.
///
/// # Errors
/// Says why no request can name it, and what to write.
pub fn allowed_host(said: &str) -> Result<String, String> {
    let refused = |why: &str| {
        Err(format!(
            "the host “{said}” is in no request, since it {why}: write a name, with its port unless that is 80 or 443, such \
             as chat.example.org or chat.example.org:8443"
        ))
    };
    let name = said.trim();
    if name.contains("://") {
        return refused("has a scheme");
    }
    if name.contains('*') {
        return refused("is a pattern");
    }
    if name.contains(|char: char| char.is_whitespace() || "/\\?#@".contains(char)) {
        return refused("is more than a name");
    }
    let bracketed = name.parse::<Ipv6Addr>().map_or_else(|_| name.to_owned(), |address| format!("[{address}]"));
    match Url::parse(&format!("http://{bracketed}")) {
        Ok(url) => Ok(without_port(&authority(&url)).to_owned()),
        Err(_) => refused("is no name"),
    }
}

/// An origin whose pages may talk to the server, as an `Origin` header names it.
///
/// # Errors
/// Says why no page has it, and what to write.
pub fn allowed_origin(said: &str) -> Result<String, String> {
    let refused = |why: &str| {
        Err(format!(
            "the origin “{said}” is no page's, since it {why}: write a scheme and a host, with its port unless that is the \
             scheme's own, such as https://app.example.org or http://localhost:5173"
        ))
    };
    let name = said.trim();
    if name.contains('*') {
        return refused("is a pattern");
    }
    let Ok(url) = Url::parse(name) else { return refused("has no scheme, or no host or port that could be") };
    if !url.has_host() || authority(&url).is_empty() {
        return refused("has no scheme before its host");
    }
    if NO_PAGES.contains(&url.scheme()) {
        return refused("has a scheme that is of no page");
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return refused("has a path");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refused("has a user");
    }
    Ok(format!("{}://{}", url.scheme(), authority(&url)))
}

/// Host and port, the latter if it is not the scheme's own.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
}

/// A host without the port that is HTTP's own or HTTPS's, which some clients and proxies name.
pub(crate) fn without_port(host: &str) -> &str {
    host.strip_suffix(":80").or_else(|| host.strip_suffix(":443")).unwrap_or(host)
}

/// Whether a page of an origin is a host's own.
pub(crate) fn is_own(origin: &str, host: &str) -> bool {
    match origin.split_once("://") {
        Some(("http", name)) => name == host || Some(name) == host.strip_suffix(":80"),
        Some(("https", name)) => name == host || Some(name) == host.strip_suffix(":443"),
        Some(_) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_what_requests_name() {
        for (said, want) in [
            ("chat.example.org", "chat.example.org"),
            (" Chat.Example.ORG ", "chat.example.org"),
            ("chat.example.org:443", "chat.example.org"),
            ("chat.example.org:80", "chat.example.org"),
            ("chat.example.org:8443", "chat.example.org:8443"),
            ("my_host", "my_host"),
            ("10.0.0.7:7430", "10.0.0.7:7430"),
            ("FD00::7", "[fd00::7]"),
            ("[fd00::7]:443", "[fd00::7]"),
            ("bücher.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(allowed_host(said).as_deref(), Ok(want), "{said}");
        }
        for said in ["http://x.y", "x.y/", "*.x.y", "x y", "", ":8080", "x.y:port", "u@x.y", "x.y:99999", "x.y?a"] {
            let why = allowed_host(said).expect_err(said);
            assert!(why.contains(said) && why.contains("such as chat.example.org"), "{why}");
        }
    }

    #[test]
    fn an_origin_is_what_pages_send() {
        for (said, want) in [
            ("https://app.example.org", "https://app.example.org"),
            ("https://app.example.org/", "https://app.example.org"),
            ("HTTPS://App2.example.org:443", "https://app2.example.org"),
            ("http://localhost:80/", "http://localhost"),
            ("http://localhost:443", "http://localhost:443"),
            ("http://[FD00::7]:5173", "http://[fd00::7]:5173"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("chrome-extension://AbCdEf", "chrome-extension://abcdef"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            assert_eq!(allowed_origin(said).as_deref(), Ok(want), "{said}");
        }
        for said in [
            "example.com",
            "localhost:5173",
            "http://localhost:*",
            "https://*.example.org",
            "https://app.example.org/chat",
            "https://app.example.org?a",
            "https://u@app.example.org",
            "wss://app.example.org",
            "file:///index.html",
            "null",
            "*",
            "",
        ] {
            let why = allowed_origin(said).expect_err(said);
            assert!(why.contains(said) && why.contains("such as https://app.example.org"), "{why}");
        }
    }

    #[test]
    fn a_page_is_a_host_s_own_with_the_scheme_s_port_or_without() {
        assert!(is_own("https://x.y", "x.y") && is_own("https://x.y", "x.y:443") && is_own("http://x.y", "x.y:80"));
        assert!(!is_own("https://x.y", "x.y:80") && !is_own("http://x.y", "x.y:443") && !is_own("null", "null"));
    }
}
