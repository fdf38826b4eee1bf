//! `verify --pre`, `doctor` and `config`: a machine and a configuration that are well, and each way in which they are not.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use super::{Found, found};
use crate::node::{BINARY, Setup, command};
use crate::postgres::Database;
use crate::servers::{Redis, free_port};

/// A configuration in a directory of its own.
fn file(directory: &Path, text: &str) -> String {
    let file = directory.join("threadmill.toml");
    let data = directory.join("data");
    let text = text.replace("DATA", &data.display().to_string());
    std::fs::write(&file, text).expect("writes");
    file.display().to_string()
}

const PLAIN: &str = "data = 'DATA'\nlisten = '127.0.0.1:0'\n";

async fn pre(text: &str, only: &str, environment: &[(&str, &str)]) -> Found {
    let directory = tempfile::tempdir().expect("a directory");
    let file = file(directory.path(), text);
    found(&["verify", "--pre", "--config", &file, "--only", only], environment).await
}

/// What is wrong, the check that must say so, the configuration and the variables.
type Way<'a> = (&'a str, &'a str, &'a str, &'a [(&'a str, &'a str)]);

#[tokio::test(flavor = "multi_thread")]
async fn what_would_break_is_named_before_it_is_deployed() {
    let well = pre(PLAIN, "config,secrets,auth,port,directory,disk,durability,fallback,drain,clock", &[]).await;
    assert!(well.code == 0 && well.outcome("config") == "passed" && well.outcome("directory") == "passed", "{well:?}");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address");
    let listens = format!("data = 'DATA'\nlisten = '{taken}'\n");
    let nobody = free_port();
    let (redis, postgres) = (
        format!("{PLAIN}[hot]\nurl = 'redis://:canary@127.0.0.1:{nobody}'\n"),
        format!("{PLAIN}[store]\nurl = 'postgres://app:canary@127.0.0.1:{nobody}/x'\n"),
    );
    let zero = format!("{PLAIN}[hot]\nurl = 'redis://127.0.0.1:1'\nttl_seconds = 0\n");
    let key = format!(
        "{PLAIN}[[providers]]\nkind = 'openai'\nname = 'a'\nbase_url = 'http://x'\nmodel = 'm'\nkey_env = 'NOT_SET_ANYWHERE'\n"
    );
    let ways: [Way<'_>; 9] = [
        ("a key that there is not", "config", "lisen = 'x'\n", &[]),
        ("a secret that a bundler publishes", "secrets", PLAIN, &[("VITE_KV_REST_API_TOKEN", "canary")]),
        ("everybody is believed from afar", "auth", "listen = '0.0.0.0:7430'\n", &[]),
        ("a short secret", "auth", "auth = 'token'\n", &[("THREADMILL_AUTH_SECRET", "canary")]),
        ("a port that is taken", "port", &listens, &[]),
        ("a Redis that is not there", "hot", &redis, &[]),
        ("a PostgreSQL that is not there", "store", &postgres, &[]),
        ("things that are forgotten at once", "hot-ttl", &zero, &[]),
        ("a provider without its key", "providers", &key, &[]),
    ];
    for (how, check, text, environment) in ways {
        let found = pre(text, check, environment).await;
        assert_eq!((found.outcome(check), found.code), ("failed", 1), "{how}: {found:?}");
        assert!(!format!("{found:?}").contains("canary"), "{how}: a secret is repeated: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_and_a_hot_tier_are_looked_at_and_left_as_they_are() {
    // A server of its own: a setting of a database outlives the check.
    let (database, redis) = (Database::alone().await, Redis::start());
    let text = format!("{PLAIN}[store]\nurl = '{}'\n[hot]\nurl = '{}'\n", database.url(), redis.url());
    let checks = "store,durability,hot,hot-ttl,fallback";
    let looked = pre(&text, checks, &[]).await;
    looked.is_well();
    assert!(checks.split(',').all(|check| looked.outcome(check) == "passed"), "{looked:?}");
    let tables = "SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = 'threadmill'";
    assert_eq!(database.value(tables).await, "0", "something was made");
    drop(database.open().await);
    database.sql("UPDATE threadmill.meta SET version = 999, compatible_from = 999").await;
    let later = pre(&text, "store", &[]).await;
    assert_eq!(later.outcome("store"), "failed", "{later:?}");
    let name = database.name.clone();
    database.sql(&format!("ALTER DATABASE {name} SET synchronous_commit = off")).await;
    let forgets = pre(&text, "durability", &[]).await;
    assert_eq!(forgets.outcome("durability"), "failed", "{forgets:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_sees_a_damaged_file_and_an_open_directory() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut node = Setup::new().start();
    for n in 0..40 {
        node.api("ada").thread(&format!("t{n}")).await;
    }
    let data = node.data();
    let doctor =
        async |only: &str| found(&["doctor", "--data", &data.display().to_string(), "--only", only], &[]).await;
    let beside = doctor("directory,disk,integrity,descriptors,sync-time,clock,kernel").await;
    assert!(beside.code == 0 && beside.outcome("integrity") == "passed", "{beside:?}");
    assert!(
        beside.check("integrity")["saw"].as_str().is_some_and(|saw| saw.contains("open in a server")),
        "{beside:?}"
    );
    node.api("ada").thread("after").await;
    node.signal("-TERM");
    let pid = node.pid();
    crate::api::until("the node ends", async || (!Path::new(&format!("/proc/{pid}/fd/0")).exists()).then_some(()))
        .await;
    node.kill();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o777)).expect("a mode");
    assert_eq!(doctor("directory").await.outcome("directory"), "failed");
    let file = data.join("threadmill.db");
    let mut bytes = std::fs::read(&file).expect("the file");
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xa5);
    std::fs::write(&file, bytes).expect("writes");
    let damaged = doctor("integrity").await;
    assert_eq!((damaged.outcome("integrity"), damaged.code), ("failed", 1), "{damaged:?}");
}

#[test]
fn the_configuration_is_shown_with_its_origins_and_without_secrets() {
    let directory = tempfile::tempdir().expect("a directory");
    let name = file(directory.path(), PLAIN);
    let mut print = Command::new(BINARY);
    print.args(["config", "print", "--origin", "--config", &name]);
    print.env("THREADMILL_STORE_URL", "postgres://app:canary@db/chat").env("THREADMILL_AUTH_SECRET", "canary");
    let output = print.output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let line = |key: &str| text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
    assert!(line("store.url").ends_with("# THREADMILL_STORE_URL"), "{text}");
    assert!(line("listen").ends_with("threadmill.toml") && line("hot.ttl_seconds").ends_with("# default"), "{text}");
    assert!(text.contains("THREADMILL_AUTH_SECRET is set") && !text.contains("canary"), "{text}");
    let (code, said, _) = command(&["config", "check", "--config", &name]);
    assert!(code == 0 && said.contains("can be used"), "{said}");
    let wrong = file(directory.path(), "lisen = 'canary'\n");
    let (code, _, said) = command(&["config", "check", "--config", &wrong]);
    assert!(code == 1 && said.contains("lisen") && !said.contains("canary"), "{said}");
}

#[test]
fn the_checks_are_listed_and_a_name_that_is_none_is_refused() {
    let (code, list, _) = command(&["verify", "--list"]);
    assert!(code == 0 && list.lines().count() > 55 && list.contains("viewport-first"), "{list}");
    let (code, list, _) = command(&["verify", "--list", "--format", "json"]);
    let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
    assert!(code == 0 && list.as_array().is_some_and(|list| list.iter().any(|check| check["id"] == "hot-hit-rate")));
    for wrong in [&["verify", "--only", "no-such"][..], &["verify", "--url", "ftp://x"], &["verify", "--format", "tea"]]
    {
        assert_eq!(command(wrong).0, 2, "{wrong:?}");
    }
}
