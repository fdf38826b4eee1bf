//! Who may talk to the server at all: addresses, hosts, origins.

use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

use reqwest::Method;

use crate::api::PATIENCE;
use crate::node::Setup;

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
        .flag("chat.example")
        .flag("--allow-origin")
        .flag("https://app.example")
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
}
