//! Requests as bytes: forms that clients do not send and that two readers could understand differently.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::api::PATIENCE;
use crate::auth::{self, token};
use crate::node::{Node, Setup};

/// What the server answers to some bytes: one answer, or all that comes before it closes.
pub(crate) fn said(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("the server accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(bytes).expect("the server reads");
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    while !is_whole(&String::from_utf8_lossy(&answer)) {
        match stream.read(&mut piece) {
            Ok(read) if read > 0 => answer.extend_from_slice(&piece[..read]),
            Ok(_) | Err(_) => break,
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Whether an answer says how long it is, and is so long.
fn is_whole(answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| body.len() >= length)
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default()
}

fn check(node: &Node, request: &str, want: u16, word: &str) {
    let bytes = request.replace('\n', "\r\n");
    let answer = said(node.address(), bytes.as_bytes());
    assert_eq!(status(&answer), want, "{request}\n{answer}");
    assert!(answer.to_lowercase().contains(word), "{request}\n{answer}");
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    let node = Setup::new().start();
    let fine = "GET /v1/threads HTTP/1.1\nHost: localhost\nConnection: close\n";
    check(&node, &format!("{fine}\n"), 200, "threads");
    check(&node, &format!("{fine}Host: localhost\n\n"), 400, "invalid_request");
    check(&node, &format!("{fine}Authorization: Bearer a\nAuthorization: Bearer a\n\n"), 400, "authorization");
    check(&node, &format!("{fine}X-Threadmill-User: a\nX-Threadmill-User: b\n\n"), 400, "x-threadmill-user");
    check(&node, &format!("{fine}Origin: http://localhost\nOrigin: http://evil.example\n\n"), 400, "origin");
    check(&node, "GET http://evil.example/v1/threads HTTP/1.1\nHost: localhost\n\n", 400, "host");
    check(&node, "GET http://localhost/v1/threads HTTP/1.1\nHost: localhost\nConnection: close\n\n", 200, "threads");
    check(&node, "GET /v1/threads HTTP/1.1\nHost: localhost\n folded\n\n", 400, "");
    check(&node, "GET /v1/threads HTTP/1.1\nHost : localhost\n\n", 400, "");
    check(&node, "GET /v1/threads HTTP/1.1\n\n", 403, "host_refused");
    check(&node, "POST /v1/threads HTTP/1.1\nHost: localhost\nContent-Length: 1\nContent-Length: 2\n\n{}", 400, "");
    check(&node, "POST /v1/threads HTTP/1.1\nHost: localhost\nTransfer-Encoding: gzip\n\n{}", 400, "");
    check(&node, "POST /v1/threads HTTP/1.1\nHost: localhost\nContent-Length: +2\n\n{}", 400, "");
    let pieces = |headers: &str| {
        format!("POST /v1/threads HTTP/1.1\nHost: localhost\nContent-Type: application/json\n{headers}\n2\n{{}}\n0\n\n")
    };
    check(&node, &pieces("Transfer-Encoding: chunked\n"), 201, "connection: close");
    for headers in [
        "Transfer-Encoding: gzip, chunked\n",
        "Transfer-Encoding: chunked, chunked\n",
        "Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n",
        "Transfer-Encoding: identity, chunked\n",
        "Transfer-Encoding: chunked\nContent-Length: 12\n",
        "Content-Length: 12\nTransfer-Encoding: chunked\n",
        "content-length: 12\nTRANSFER-ENCODING: Chunked\n",
    ] {
        check(&node, &pieces(headers), 400, "transfer-encoding");
    }
    let json = "POST /v1/threads HTTP/1.1\nHost: localhost\nConnection: close\nContent-Type: application/json\n";
    for coding in ["gzip", "br", "deflate", "identity, gzip", "x"] {
        let coded = format!("{json}Content-Encoding: {coding}\nContent-Length: 2\n\n{{}}");
        check(&node, &coded, 415, "unsupported_media_type");
    }
    check(&node, &format!("{json}Content-Encoding: identity\nContent-Length: 2\n\n{{}}"), 201, "thread");
    check(&node, &format!("GET / HTTP/1.1\nHost: localhost\nX-Long: {}\n\n", "x".repeat(100_000)), 431, "");
    assert_eq!(said(node.address(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "", "HTTP/2 is not spoken");
    check(&node, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\nGET / HTTP/1.1\nHost: localhost\n\n", 400, "");
}

/// A refusal is read by whoever sends all of a request before they read, and is not lost with a reset; only a body
/// without an end is cut.
#[test]
fn a_refusal_reaches_those_who_are_still_sending() {
    let node = Setup::new().start();
    let head =
        "POST /v1/sync HTTP/1.1\r\nHost: localhost\r\nX-Threadmill-User: ada\r\nContent-Type: application/cbor-seq\r\n";
    let much = vec![0xff; 8 << 20];
    let sized = [format!("{head}Content-Length: {}\r\n\r\n", much.len()).as_bytes(), &much].concat();
    let pieces = [format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", much.len()).as_bytes(), &much].concat();
    let folded = [b"GET / HTTP/1.1\r\nX-Long: ".as_slice(), &much].concat();
    for (request, want) in [(sized, 400), (pieces, 400), (folded, 431)] {
        for _ in 0..8 {
            let answer = said(node.address(), &request);
            assert_eq!(status(&answer), want);
            assert!(answer.to_lowercase().contains("connection: close"), "nothing can follow on it: {answer}");
        }
    }
    let mut stream = TcpStream::connect(node.address()).expect("the server accepts");
    stream.write_all(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).expect("the server reads");
    let began = Instant::now();
    let piece = [b"10000\r\n".as_slice(), &[0xff; 0x10000], b"\r\n"].concat();
    while stream.write_all(&piece).is_ok() {
        assert!(began.elapsed() < PATIENCE, "a body without an end is cut");
    }
}

/// Before its client has said who it is, a WebSocket holds what a Hello takes and no more.
#[test]
fn a_greeting_is_short() {
    let node = auth::setup().start();
    let upgrade = "GET /v1/sync HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Protocol: threadmill.v1.cbor\r\n\r\n";
    let mut stream = TcpStream::connect(node.address()).expect("the server accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(upgrade.as_bytes()).expect("the server reads");
    // A frame of 200,000 bytes that never ends.
    let frame = [&[0x82, 0xff, 0, 0, 0, 0, 0, 3, 0x0d, 0x40, 0, 0, 0, 0][..], &[0; 40_000]].concat();
    let began = Instant::now();
    let _ = stream.write_all(&frame);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    assert!(began.elapsed() < Duration::from_secs(5), "it is let go at once, not when Hello is overdue");
}

#[test]
fn methods_are_those_of_the_route() {
    let node = Setup::new().start();
    let ask = |line: &str, want: u16, word: &str| {
        check(&node, &format!("{line} HTTP/1.1\nHost: localhost\nConnection: close\n\n"), want, word);
    };
    ask("PUT /v1/threads", 405, "allow: get,head,post");
    ask("DELETE /v1/sync", 405, "allow: get,head,post");
    ask("get /v1/threads", 405, "method_not_allowed");
    ask("OPTIONS /v1/threads", 405, "allow:");
    ask("TRACE /", 405, "allow: get,head");
    ask("POST /", 405, "allow: get,head");
    ask("HEAD /v1/threads", 200, "content-length");
    check(
        &node,
        "GET /v1/threads HTTP/1.1\nHost: localhost\nX-HTTP-Method-Override: DELETE\nConnection: close\n\n",
        200,
        "threads",
    );
}

#[test]
fn paths_that_are_no_route_are_not_found() {
    let node = Setup::new().start();
    let ask = |path: &str, want: u16, word: &str| {
        check(&node, &format!("GET {path} HTTP/1.1\nHost: localhost\nConnection: close\n\n"), want, word);
    };
    for path in ["/", "/t/abc", "/t/abc/?m=x"] {
        ask(path, 200, "text/html");
    }
    let unknown = "//v1/threads /V1/threads /v1 /v1/ /v1//threads /v1/threads/ /%76%31/threads /v1%2fthreads /v1/../v1/threads \
        /v1/%2e%2e/docs /robots.txt /favicon.ico /.well-known/x /index.html /assets/ /assets/x.js /assets/..%2findex.html \
        /favicon.svg.br /t /t/ /t/a/b /T/a /docs/x /livez/ /Livez /metrics%00";
    for path in unknown.split_whitespace() {
        ask(path, 404, "application/problem+json");
    }
    ask("/v1/threads/%00", 400, "invalid_id");
    ask("/v1/threads/a%2fb", 400, "invalid_id");
    ask("/v1/threads/%e2%80%ae", 400, "invalid_id");
}

#[test]
fn a_refusal_shows_what_it_names_without_letting_it_act() {
    let node = Setup::new().start();
    let body = "{\"\u{202e}gnp\u{200b}\u{7}\": 1}";
    let request = format!(
        "POST /v1/threads HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = said(node.address(), request.as_bytes());
    // Raw control characters are no JSON at all; what stays is the field's name or the place, never the characters.
    assert!(status(&answer) == 400 && !answer.contains(['\u{202e}', '\u{200b}', '\u{7}']), "{answer}");
    let body = body.replace('\u{7}', "");
    let request = format!(
        "POST /v1/threads HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = said(node.address(), request.as_bytes());
    assert!(answer.contains("unknown_field") && answer.contains("u{202e}gnp"), "{answer}");
    assert!(!answer.contains(['\u{202e}', '\u{200b}']), "{answer}");
}

#[test]
fn dev_identity_refuses_what_shows_a_proxy() {
    let node = Setup::new().start();
    let ask = |version: &str, more: &str, want: u16, word: &str| {
        let request = format!("GET /v1/threads HTTP/{version}\nHost: {}\nConnection: close\n{more}\n", node.address());
        check(&node, &request, want, word);
    };
    ask("1.1", "", 200, "threads");
    ask("1.0", "", 403, "proxy_refused");
    for header in [
        "Forwarded: for=192.0.2.1",
        "Via: 1.1 caddy",
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Port: 443",
        "X-Forwarded-Server: a",
        "X-Envoy-External-Address: 192.0.2.1",
        "CF-Connecting-IP: 192.0.2.1",
        "True-Client-IP: 192.0.2.1",
        "Cdn-Loop: cloudflare",
        "Fly-Client-IP: 192.0.2.1",
        "X-Vercel-Id: a",
        "X-Amzn-Trace-Id: a",
        "Tailscale-User-Login: a",
        "Ngrok-Trace-Id: a",
    ] {
        ask("1.1", &format!("{header}\n"), 403, "proxy_refused");
    }
    // Probes of load balancers speak HTTP/1.0 and are told nothing of anybody.
    check(&node, &format!("GET /livez HTTP/1.0\nHost: {}\n\n", node.address()), 200, "ok");
}

/// nginx with nothing but `proxy_pass`, which shows itself by HTTP/1.0 alone.
#[test]
fn dev_identity_is_refused_through_a_plain_nginx() {
    let Ok(nginx) = Command::new("nginx").arg("-v").output() else {
        eprintln!("nginx is not installed: what it sends is tried as bytes alone");
        return;
    };
    assert!(nginx.status.success());
    let node = Setup::new().start();
    let directory = tempfile::tempdir().expect("a directory");
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let config = format!(
        "daemon off; master_process off; error_log stderr; pid {0}/pid;\nevents {{}}\nhttp {{ access_log off;\n\
         client_body_temp_path {0}/a; proxy_temp_path {0}/b; fastcgi_temp_path {0}/c; uwsgi_temp_path {0}/d; \
         scgi_temp_path {0}/e;\n\
         server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{1}; }} }} }}",
        directory.path().display(),
        node.address()
    );
    let file = directory.path().join("nginx.conf");
    std::fs::write(&file, config).expect("a configuration");
    let mut proxy = Command::new("nginx").arg("-e").arg("stderr").arg("-c").arg(&file).spawn().expect("nginx runs");
    let address = format!("127.0.0.1:{port}");
    let begun = Instant::now();
    while TcpStream::connect(&address).is_err() {
        assert!(begun.elapsed() < PATIENCE, "nginx did not start");
        std::thread::yield_now();
    }
    let mut answers = Vec::new();
    for (method, body) in [("GET", ""), ("POST", "{}"), ("DELETE", "")] {
        let path = if method == "DELETE" { "/v1/threads/a" } else { "/v1/threads?user=alice" };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: chat.example.org\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        answers.push(said(&address, request.as_bytes()));
    }
    let _ = proxy.kill();
    let _ = proxy.wait();
    for answer in answers {
        assert!(status(&answer) == 403 && answer.contains("proxy_refused"), "{answer}");
    }
}

#[test]
fn an_address_of_the_loopback_network_is_served() {
    let node = Setup::new().listen("127.0.0.2:0").start();
    let answer = said(
        node.address(),
        format!("GET /v1/threads HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", node.address()).as_bytes(),
    );
    assert_eq!(status(&answer), 200, "{answer}");
}

#[test]
fn refusals_can_be_read_by_pages_that_are_allowed() {
    let origin = "Origin: https://app.example\n";
    let node = auth::setup().flag("--allow-origin").flag("https://app.example").start();
    let header = "access-control-allow-origin: https://app.example";
    let ask = |method: &str, path: &str, more: &str, want: u16| {
        let request = format!("{method} {path} HTTP/1.1\nHost: localhost\nConnection: close\n{origin}{more}\n");
        check(&node, &request, want, header);
    };
    ask("GET", "/v1/threads", "", 401);
    ask("GET", "/v1/threads", "Authorization: Bearer forged\n", 401);
    ask("GET", "/v1/threads", &format!("Authorization: Bearer {}\n", token("ada", -5.0)), 401);
    ask("GET", "/v1/threads", "Authorization: Basic x\n", 401);
    ask("GET", "/v1/threads", "Authorization: Bearer a\nAuthorization: Bearer b\n", 400);
    ask("POST", "/v1/threads", "Content-Encoding: gzip\nContent-Length: 0\n", 415);
    ask("GET", "/v1/nothing", "", 404);
    ask("PUT", "/v1/threads", "", 405);
    ask("OPTIONS", "/v1/threads", "Access-Control-Request-Method: POST\n", 204);
    ask("OPTIONS", "/v1/threads", "Access-Control-Request-Method: POST\nAuthorization: Bearer forged\n", 204);
    let evil = "GET /v1/threads HTTP/1.1\nHost: localhost\nOrigin: http://evil.example\n\n".replace('\n', "\r\n");
    let answer = said(node.address(), evil.as_bytes());
    assert!(status(&answer) == 403 && !answer.contains("access-control-allow-origin"), "{answer}");
}

/// `--auth link`: nothing without the link, and with it what `dev` gives, through a proxy too.
#[test]
fn a_link_lets_its_holder_in_and_nobody_else() {
    let node = Setup::new().flag("--auth").flag("link").start();
    let log = node.log();
    let begun = Instant::now();
    let mut line = log;
    while !line.contains("/?link=") {
        assert!(begun.elapsed() < PATIENCE, "no link is printed: {line}");
        std::thread::yield_now();
        line = node.log();
    }
    let link = line.split("/?link=").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a link").to_owned();
    assert!(link.len() >= 32, "{link}");
    let ask = |path: &str, more: &str| {
        let request =
            format!("GET {path} HTTP/1.1\nHost: localhost\nConnection: close\n{more}\n").replace('\n', "\r\n");
        said(node.address(), request.as_bytes())
    };
    for (path, more) in
        [("/", ""), ("/v1/threads", ""), ("/v1/threads?link=x", ""), ("/v1/threads", "Cookie: link=x\n")]
    {
        assert_eq!(status(&ask(path, more)), 401, "{path} {more}");
    }
    assert_eq!(status(&ask("/v1/threads", "Authorization: Bearer x\n")), 401);
    assert_eq!(status(&ask("/livez", "")), 200);
    let opened = ask(&format!("/?link={link}"), "");
    assert_eq!(status(&opened), 303, "{opened}");
    let cookie = opened.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let cookie = format!("Cookie: {}\n", cookie.split(';').next().expect("a pair"));
    assert_eq!(status(&ask("/v1/threads", &cookie)), 200);
    assert_eq!(status(&ask("/", &cookie)), 200);
    assert_eq!(status(&ask("/v1/threads", &format!("{cookie}X-Forwarded-For: 192.0.2.1\n"))), 200);
    assert_eq!(status(&ask("/v1/threads", &format!("Authorization: Bearer {link}\n"))), 200);
    assert_eq!(status(&ask("/v1/threads", &format!("{cookie}Origin: http://evil.example\n"))), 403);
}
