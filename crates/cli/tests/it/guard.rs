//! Who may talk to the server at all: addresses, hosts, origins.

use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

use reqwest::Method;

use crate::api::PATIENCE;
use crate::node::{Setup, command};

#[test]
fn dev_identity_is_refused_on_other_addresses() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let directory = tempfile::tempdir().expect("a directory");
        let mut command = Setup::new().listen(address).command(directory.path());
        let child = command.stderr(Stdio::piped()).spawn().expect("the server runs");
        let (pid, (sender, ended)) = (child.id().to_string(), channel());
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        let Ok(output) = ended.recv_timeout(PATIENCE) else {
            let _ = Command::new("kill").args(["-9", &pid]).status();
            panic!("--auth dev is served on {address}");
        };
        let output = output.expect("the errors");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains("loopback"), "{address}: {errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_and_origins_are_checked_on_pages_and_api_alike() {
    let node = Setup::new()
        .flag("--allow-host")
        .flag("Chat.Example:443")
        .flag("--allow-origin")
        .flag("HTTPS://App.Example:443/")
        .start();
    let api = node.api("ada");
    let ask = async |path: &str, headers: &[(&str, &str)]| {
        let mut request = api.request(Method::GET, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("an answer");
        let allowed = response.headers().get("access-control-allow-origin").cloned();
        (response.status().as_u16(), allowed.and_then(|origin| origin.to_str().ok().map(str::to_owned)))
    };
    let own = format!("http://{}", node.address());
    for path in ["/threads", "/../", "/../livez", "/sync"] {
        assert_eq!(ask(path, &[("host", "evil.example")]).await.0, 403, "{path}");
        assert_eq!(ask(path, &[("host", "127.0.0.1.evil.example")]).await.0, 403, "{path}");
        assert_eq!(ask(path, &[("origin", "http://evil.example")]).await.0, 403, "{path}");
        assert_eq!(ask(path, &[("origin", "null")]).await.0, 403, "{path}");
        assert_eq!(ask(path, &[("sec-fetch-site", "cross-site")]).await.0, 403, "{path}");
        assert_eq!(ask(path, &[("via", "1.1 proxy")]).await.0, 403, "{path}");
    }
    assert_eq!(ask("/threads", &[]).await, (200, None));
    assert_eq!(ask("/threads", &[("origin", &own)]).await.0, 200);
    assert_eq!(ask("/threads", &[("host", "chat.example")]).await.0, 200);
    let app = "https://app.example";
    assert_eq!(ask("/threads", &[("origin", app)]).await, (200, Some(app.into())));

    // What a refusal says of its kind can be read where it says.
    let refused = api.request(Method::GET, "/threads").header("host", "evil.example").send().await.expect("an answer");
    let refused: serde_json::Value = refused.json().await.expect("a problem");
    let (page, code) =
        refused["type"].as_str().and_then(|kind| kind.split_once('#')).expect("a page and a place in it");
    let said = api.request(Method::GET, &format!("/..{page}")).send().await.expect("an answer");
    assert_eq!(said.status(), 200, "{page}");
    let said = said.text().await.expect("a text");
    assert!(said.starts_with("## Errors") && said.contains(&format!("`{code}`")), "{said}");
}

#[test]
fn what_no_request_can_say_is_refused_at_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data").display().to_string();
    for (flag, said, hint) in [
        ("--allow-origin", "localhost:5173", "such as https://app.example.org"),
        ("--allow-origin", "http://localhost:*", "such as https://app.example.org"),
        ("--allow-host", "http://chat.example", "such as chat.example.org"),
        ("--listen", "7722", "such as 127.0.0.1:7430"),
    ] {
        let (status, _, errors) = command(&["serve", "--data", &data, flag, said]);
        assert!(status > 0 && errors.contains(said) && errors.contains(hint) && errors.contains(flag), "{errors}");
    }
    assert!(!directory.path().join("data").exists(), "nothing was begun");
}
