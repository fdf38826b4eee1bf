//! `threadmill bundle`, `completions` and `man`: what is handed to people and shells.

use std::io::Read as _;
use std::process::Command;

use crate::node::{BINARY, Setup, command};

/// The texts of an archive.
fn texts(path: &std::path::Path) -> Vec<(String, String)> {
    let file = flate2::read::GzDecoder::new(std::fs::File::open(path).expect("the archive"));
    let mut archive = tar::Archive::new(file);
    let entries = archive.entries().expect("an archive").map(|entry| {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a name").display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("a text");
        (name, text)
    });
    entries.collect()
}

#[test]
fn a_bundle_says_how_a_node_is_and_no_secret() {
    let node = Setup::new().start();
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let config = "data = 'DATA'\n[cohorts]\nstaff = ['canary-user']\n[context]\nsystem = 'canary words'\n[hot]\nurl = 'redis://app:canary-hot@127.0.0.1:9'\n".replace("DATA", &path("data"));
    std::fs::write(path("threadmill.toml"), config).expect("writes");
    let log = "started\nauthorization: Bearer canary-bearer\nthe key sk-ant-canary0123456789abcdef was refused\nurl redis://app:canary-hot@127.0.0.1:9\nended\n";
    std::fs::write(path("log"), log).expect("writes");
    let url = format!("http://{}", node.address());
    let mut bundle = Command::new(BINARY);
    bundle.args(["bundle", "--url", &url, "--config", &path("threadmill.toml"), "--log", &path("log"), "--no-verify"]);
    bundle
        .args(["--output", &path("b.tar.gz")])
        .env("THREADMILL_TOKEN", "canary-token")
        .env("PROVIDER_KEY", "canary-key");
    let output = bundle.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let texts = texts(&directory.path().join("b.tar.gz"));
    let text = |name: &str| {
        let found = texts.iter().find(|(there, _)| there.ends_with(name));
        found.unwrap_or_else(|| panic!("no {name}: {texts:?}")).1.as_str()
    };
    assert!(text("readyz.json").contains("\"ready\":true") && text("metrics.txt").contains("threadmill_info"));
    assert!(
        text("config.json").contains("redis://app:(redacted)@127.0.0.1:9") && text("doctor.json").contains("integrity")
    );
    assert!(
        text("log.txt").starts_with(
            "started\nauthorization: (the rest of the line was left out)\n(a line with an Anthropic key was left out)\n"
        ),
        "{}",
        text("log.txt")
    );
    assert!(text("log.txt").ends_with("ended\n") && text("about.json").contains("version"));
    for (name, text) in &texts {
        assert!(!text.contains("canary"), "{name} holds a secret: {text}");
    }
}

#[test]
fn every_command_has_a_page_and_is_completed() {
    let directory = tempfile::tempdir().expect("a directory");
    let (code, _, errors) = command(&["man", &directory.path().display().to_string()]);
    assert_eq!(code, 0, "{errors}");
    for name in ["serve", "verify", "doctor", "backup", "restore", "bundle", "config", "import", "export", "bench"] {
        let page = directory.path().join(format!("threadmill-{name}.1"));
        let text = std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        assert!(text.contains(".SH NAME"), "{name}");
        for shell in ["bash", "zsh", "fish"] {
            let (code, script, _) = command(&["completions", shell]);
            assert!(code == 0 && script.contains(name), "{shell} does not know {name}");
        }
        let (code, help, _) = command(&[name, "--help"]);
        assert!(code == 0 && (help.contains("Examples:") || name == "bench"), "{name} has no example");
    }
}
