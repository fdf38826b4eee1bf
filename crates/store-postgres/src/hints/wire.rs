//! Hints as the payload of a notification: a line for each, its words apart by tabs, which no id has. The first line
//! names the sender, so that a node skips its own.

use std::collections::HashMap;

use threadmill_proto::{RunId, Scope, TenantId, ThreadId, UserId};

use threadmill_store::Hint;
use threadmill_store::streams::{StreamKey, StreamPath};

use super::state::Key;

/// PostgreSQL takes payloads below 8000 bytes.
const LIMIT: usize = 7900;

/// What a self-test sends.
const TEST: &str = "test";

/// Payloads that carry these hints.
pub(super) fn pack(node: &str, hints: &HashMap<Key, u64>) -> Vec<String> {
    let mut payloads = Vec::new();
    let mut payload = String::from(node);
    for (key, at) in hints {
        let line = line(key, *at);
        if payload.len() + line.len() > LIMIT {
            payloads.push(std::mem::replace(&mut payload, String::from(node)));
        }
        payload.push_str(&line);
    }
    payloads.push(payload);
    payloads
}

fn line(key: &Key, at: u64) -> String {
    match key {
        Key::Thread(tenant, thread) => format!("\nt\t{tenant}\t{thread}\t{at}"),
        Key::Run(tenant, thread, run) => format!("\nr\t{tenant}\t{thread}\t{run}\t{at}"),
        Key::Summaries(scope) => format!("\ns\t{}\t{}\t{at}", scope.tenant, scope.user),
        // A path has no controls, and so no tab.
        Key::Stream(key) => format!("\nn\t{}\t{}\t{}", key.scope.tenant, key.scope.user, key.path),
        Key::Everything => "\n*".to_owned(),
    }
}

/// A self-test's payload.
pub(super) fn test(node: &str, number: u64) -> String {
    format!("{node}\n{TEST}\t{number}")
}

/// What a payload says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A self-test of this node came back.
    Test(u64),
    /// Another node's hints.
    Hints(Vec<Hint>),
}

/// Reads a payload. Lines that a later release may send are skipped.
pub(super) fn unpack(node: &str, payload: &str) -> Heard {
    let mut lines = payload.lines();
    let own = lines.next() == Some(node);
    if own {
        let number = lines.next().and_then(|line| line.strip_prefix(TEST)).and_then(|rest| rest.trim().parse().ok());
        return number.map_or(Heard::Hints(Vec::new()), Heard::Test);
    }
    Heard::Hints(lines.filter_map(hint).collect())
}

fn hint(line: &str) -> Option<Hint> {
    let words: Vec<&str> = line.split('\t').collect();
    match *words {
        ["t", tenant, thread, at] => Some(Hint::Thread {
            tenant: TenantId::parse(tenant).ok()?,
            thread: ThreadId::parse(thread).ok()?,
            seq: at.parse().ok()?,
        }),
        ["r", tenant, thread, run, at] => Some(Hint::Run {
            tenant: TenantId::parse(tenant).ok()?,
            thread: ThreadId::parse(thread).ok()?,
            run: RunId::parse(run).ok()?,
            offset: at.parse().ok()?,
        }),
        ["s", tenant, user, at] => Some(Hint::Summaries {
            scope: Scope { tenant: TenantId::parse(tenant).ok()?, user: UserId::parse(user).ok()? },
            pos: at.parse().ok()?,
        }),
        ["n", tenant, user, path] => Some(Hint::Stream {
            key: StreamKey {
                scope: Scope { tenant: TenantId::parse(tenant).ok()?, user: UserId::parse(user).ok()? },
                path: StreamPath::parse(path).ok()?,
            },
        }),
        ["*"] => Some(Hint::Recheck),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use threadmill_store::conformance::kit::{run_id, scope, thread_id};

    use super::*;

    #[test]
    fn hints_arrive_in_payloads_below_the_limit() {
        let acme = scope("acme", "ann");
        let mut hints = HashMap::from([(Key::Summaries(acme.clone()), 7)]);
        for n in 0..500 {
            let thread = thread_id(&format!("thread-{n}-{}", "x".repeat(90)));
            hints.insert(Key::Run(acme.tenant.clone(), thread.clone(), run_id("r")), n);
            hints.insert(Key::Thread(acme.tenant.clone(), thread), n);
        }
        let path = StreamPath::parse("größe und mehr/".repeat(28).trim_end_matches('/')).expect("a path");
        let stream = StreamKey { scope: acme.clone(), path };
        hints.insert(Key::Stream(stream.clone()), 0);
        let payloads = pack("node-a", &hints);
        assert!(payloads.len() > 1 && payloads.iter().all(|payload| payload.len() < 8000));
        let mut heard = Vec::new();
        for payload in &payloads {
            assert_eq!(unpack("node-a", payload), Heard::Hints(Vec::new()), "a node skips its own");
            let Heard::Hints(some) = unpack("node-b", payload) else {
                panic!("no test was sent");
            };
            heard.extend(some);
        }
        assert_eq!(heard.len(), hints.len());
        assert!(heard.contains(&Hint::Summaries { scope: acme, pos: 7 }));
        assert!(heard.contains(&Hint::Stream { key: stream }));
    }

    #[test]
    fn dropped_hints_have_everything_rechecked() {
        let payloads = pack("a", &HashMap::from([(Key::Everything, 0)]));
        assert_eq!(unpack("b", &payloads[0]), Heard::Hints(vec![Hint::Recheck]));
    }

    #[test]
    fn a_test_comes_back_to_its_sender_alone() {
        let payload = test("node-a", 3);
        assert_eq!(unpack("node-a", &payload), Heard::Test(3));
        assert_eq!(unpack("node-b", &payload), Heard::Hints(Vec::new()));
    }

    #[test]
    fn what_a_later_release_says_is_skipped() {
        let heard = unpack("b", "a\nz\t1\t2\nt\tacme\tt\t5\nt\tacme\t/\t5");
        let hint = Hint::Thread { tenant: scope("acme", "x").tenant, thread: thread_id("t"), seq: 5 };
        assert_eq!(heard, Heard::Hints(vec![hint]));
    }
}
