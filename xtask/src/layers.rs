//! Which crate may use which, which room of a crate may look at which, and that no files of a crate go round in a circle.
//!
//! The tables below are the only place that says so. What a file imports is read off its paths (`crate::…`, `super::…`),
//! in `use` and elsewhere; tests may look anywhere.

use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Each of our crates, and those of ours that it is built on. Tests may use others.
const CRATES: Table = &[
    ("proto", &[]),
    ("core", &["proto"]),
    ("store", &["core", "proto"]),
    ("store-sqlite", &["core", "proto", "store"]),
    ("store-postgres", &["core", "proto", "store"]),
    ("store-redis", &["core", "proto", "store"]),
    ("formats", &["proto", "store"]),
    ("engine", &["core", "proto", "store"]),
    ("server", &["engine", "formats", "proto", "store"]),
    ("client", &["core", "proto"]),
    ("otlp", &["engine"]),
];

/// Names, and those that each may look at.
pub(crate) type Table = &'static [(&'static str, &'static [&'static str])];

/// Rooms of the engine, lowest first, and what each may look at besides itself. `lib` puts them together.
const ENGINE: Table = &[
    ("sync", &[]),
    ("problem", &[]),
    ("telemetry", &["sync"]),
    ("shares", &["problem", "sync"]),
    ("supervise", &["sync"]),
    ("node", &["problem", "supervise", "sync"]),
    ("lead", &["node", "sync"]),
    ("delivery", &["problem", "supervise", "sync", "telemetry"]),
    ("hot", &["supervise", "sync", "telemetry"]),
    ("cluster", &["delivery", "hot", "supervise", "sync", "telemetry"]),
    ("budgets", &["node", "problem", "supervise", "sync", "telemetry"]),
    ("providers", &["budgets", "problem"]),
    ("threads", &["budgets", "delivery", "hot", "node", "problem", "providers", "shares", "sync", "telemetry"]),
    (
        "runs",
        &["budgets", "cluster", "delivery", "node", "problem", "providers", "shares", "sync", "telemetry", "threads"],
    ),
    ("retention", &["lead", "node", "problem", "supervise", "sync", "telemetry", "threads"]),
    ("locks", &["node", "problem", "shares", "sync", "telemetry", "threads"]),
    ("webhooks", &["lead", "node", "problem", "providers", "supervise", "sync", "telemetry"]),
    ("streams", &["delivery", "lead", "node", "problem", "shares", "supervise", "sync", "threads", "webhooks"]),
    ("flags", &["node", "problem", "supervise", "sync", "webhooks"]),
    ("feedback", &["problem"]),
    ("transfer", &["node", "problem", "threads"]),
    ("presence", &["hot", "problem", "shares", "supervise", "sync"]),
    ("inspect", &["delivery", "problem", "sync"]),
    ("analytics", &["node", "problem", "sync", "telemetry"]),
];

/// Rooms of the server, as above.
const SERVER: Table = &[
    ("problem", &[]),
    ("process", &[]),
    ("serve", &["problem"]),
    ("identity", &["problem", "serve"]),
    ("app", &["identity", "problem", "process", "serve"]),
    ("request", &["app", "identity", "problem", "serve"]),
    ("ops", &["app", "identity", "problem", "process", "request", "serve"]),
    ("gate", &["app", "identity", "problem", "request", "serve"]),
    ("api", &["app", "identity", "problem", "request"]),
    ("protocols", &["app", "identity", "problem", "request", "serve"]),
    ("assets", &["problem"]),
    ("routes", &["api", "app", "assets", "gate", "identity", "ops", "problem", "protocols", "serve"]),
    ("listen", &["identity", "ops", "routes", "serve"]),
];

/// Rooms of the command line, as above. `main` puts them together.
const CLI: Table = &[
    ("certificates", &["files"]),
    ("clock", &[]),
    ("connect", &[]),
    ("descriptors", &[]),
    ("files", &[]),
    ("log", &[]),
    ("manual", &[]),
    ("printed", &[]),
    ("private", &[]),
    ("secrets", &[]),
    ("stop", &[]),
    ("checks", &["printed"]),
    ("transfer", &["certificates", "connect", "private"]),
    ("import", &["private", "transfer"]),
    ("sample", &["import", "transfer"]),
    ("bench", &["connect", "descriptors", "sample", "transfer"]),
    ("config", &["files", "log", "printed", "sample", "secrets"]),
    ("serve", &["certificates", "config", "descriptors", "log", "private", "sample", "stop"]),
    ("local", &["certificates", "checks", "clock", "config", "files", "secrets", "serve"]),
    ("verify", &["checks", "clock", "files", "local", "secrets", "stop"]),
    ("backup", &["clock", "config", "private"]),
    ("bundle", &["clock", "config", "files", "private", "secrets", "verify"]),
    ("operator", &["config", "files", "printed"]),
];

/// Crates whose rooms have a table.
const ROOMS: &[(&str, Table)] = &[("cli", CLI), ("engine", ENGINE), ("server", SERVER)];

/// Crates in which files still go round in a circle: words of a contract that name each other. In every other crate none do.
const CIRCLES: &[&str] = &["core", "proto", "store", "store-redis", "store-sqlite"];

/// What only some files of a crate may name: (crate, name, the folders that may). The engine speaks to the outside in two
/// rooms alone: to providers, at addresses that the operator vouches for, and to webhooks, at addresses that are guarded.
const CONFINED: &[(&str, &str, &[&str])] =
    &[("engine", "axum", &[]), ("engine", "hyper", &[]), ("engine", "reqwest", &["providers", "webhooks"])];

/// The files of a crate, each by its module's path (`delivery::hub`; empty for the root) with its text.
pub(crate) type Files = BTreeMap<String, String>;

/// Checks all tables.
pub(crate) fn check(root: &Path, findings: &mut Vec<String>) -> Result<()> {
    for (name, allowed) in CRATES {
        let manifest = std::fs::read_to_string(root.join("crates").join(name).join("Cargo.toml"))?;
        findings.extend(foreign_crates(name, allowed, &manifest));
    }
    let known = crates(root)?;
    for (name, table) in ROOMS {
        findings.extend(foreign_rooms(name, table, &known[*name]));
    }
    for (name, files) in known.iter().filter(|(name, _)| !CIRCLES.contains(&name.as_str())) {
        findings.extend(circles(files).into_iter().map(|circle| format!("{name}: a circle of files: {circle}")));
    }
    for (name, word, folders) in CONFINED {
        findings.extend(outside(name, word, folders, &known[*name]));
    }
    Ok(())
}

/// The files of every crate, each under the name of its folder; of `xtask` too.
fn crates(root: &Path) -> Result<BTreeMap<String, Files>> {
    let mut known = BTreeMap::from([("xtask".to_owned(), files(&root.join("xtask/src"))?)]);
    for entry in std::fs::read_dir(root.join("crates"))? {
        let folder = entry?.path();
        if let Some(name) = folder.file_name().and_then(|name| name.to_str()) {
            known.insert(name.to_owned(), files(&folder.join("src"))?);
        }
    }
    Ok(known)
}

fn foreign_crates(name: &str, allowed: &[&str], manifest: &str) -> Vec<String> {
    let section = manifest.split("\n[").find_map(|section| section.strip_prefix("dependencies]")).unwrap_or_default();
    let ours = section.lines().filter_map(|line| line.strip_prefix("threadmill-"));
    let used = ours.map(|line| line.split([' ', '.', '=']).next().unwrap_or_default());
    let foreign = used.filter(|used| !allowed.contains(used));
    foreign.map(|used| format!("crates/{name} may not use crates/{used}")).collect()
}

/// All files under a `src`, but those of tests.
fn files(src: &Path) -> Result<Files> {
    let mut found = Files::new();
    let mut folders = vec![(src.to_owned(), Vec::<String>::new())];
    while let Some((folder, path)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))? {
            let file = entry?.path();
            let Some(stem) = file.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned) else { continue };
            if stem == "tests" {
                continue;
            }
            let mut module = path.clone();
            if file.is_dir() {
                module.push(stem);
                folders.push((file, module));
            } else if file.extension().is_some_and(|extension| extension == "rs") {
                if !(stem == "mod" || path.is_empty() && (stem == "lib" || stem == "main")) {
                    module.push(stem);
                }
                found.insert(module.join("::"), std::fs::read_to_string(&file)?);
            }
        }
    }
    Ok(found)
}

fn foreign_rooms(name: &str, table: Table, files: &Files) -> Vec<String> {
    let mut findings = Vec::new();
    for (module, text) in files {
        let Some(room) = module.split("::").next().filter(|room| !room.is_empty()) else { continue };
        let Some((_, allowed)) = table.iter().find(|(known, _)| *known == room) else {
            findings.push(format!("{name}: the room {room} is not in the table of xtask/src/layers.rs"));
            continue;
        };
        for used in uses(module, text, files) {
            let there = used.split("::").next().unwrap_or_default();
            if there.is_empty() {
                findings.push(format!("{name}: {module} looks up to the crate's root"));
            } else if there != room && !allowed.contains(&there) {
                findings.push(format!("{name}: {module} may not look at {used}"));
            }
        }
    }
    findings
}

fn outside(name: &str, word: &str, folders: &[&str], files: &Files) -> Vec<String> {
    let inside = |module: &str| module.split("::").next().is_some_and(|folder| folders.contains(&folder));
    let named =
        files.iter().filter(|(module, text)| !inside(module) && paths(&bare(text)).iter().any(|p| p[0] == word));
    named.map(|(module, _)| format!("{name}: {module} may not name {word}")).collect()
}

/// The modules that a file names, but itself and those below it that it declares: parents are made of their children.
fn uses(module: &str, text: &str, files: &Files) -> BTreeSet<String> {
    let here: Vec<&str> = module.split("::").filter(|part| !part.is_empty()).collect();
    let mut used = BTreeSet::new();
    for path in paths(&bare(text)) {
        let mut at = match path[0].as_str() {
            "crate" => Vec::new(),
            "self" => here.clone(),
            "super" => here[..here.len().saturating_sub(1)].to_vec(),
            // A child, named from where it is declared.
            first if files.contains_key(&[&here[..], &[first]].concat().join("::")) => {
                used.insert([&here[..], &[first]].concat().join("::"));
                continue;
            }
            _ => continue,
        };
        for part in &path[1..] {
            if part == "super" {
                at.pop();
                continue;
            }
            at.push(part);
            if !files.contains_key(&at.join("::")) {
                at.pop();
                break;
            }
        }
        let target = at.join("::");
        if target != module {
            used.insert(target);
        }
    }
    used
}

/// Paths in a text that have a `::`, with the trees of `use` taken apart.
fn paths(text: &str) -> Vec<Vec<String>> {
    let (mut found, tokens) = (Vec::new(), tokens(text));
    let mut at = 0;
    while at < tokens.len() {
        let follows = at > 0 && tokens[at - 1] == "::";
        if is_word(&tokens[at]) && !follows && tokens.get(at + 1).is_some_and(|next| next == "::") {
            at = tree(&tokens, at, &mut Vec::new(), &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Reads the tree that begins at a token, and says where it ends.
fn tree(tokens: &[String], mut at: usize, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    let length = path.len();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    at = if tokens[at] == "," { at + 1 } else { tree(tokens, at, path, found).max(at + 1) };
                }
                at += 1;
                break;
            }
            Some(word) if is_word(word) => {
                path.push(word.to_owned());
                at += 1;
                if tokens.get(at).is_some_and(|next| next == "::") {
                    at += 1;
                    continue;
                }
                found.push(path.clone());
                if tokens.get(at).is_some_and(|next| next == "as") {
                    at += 2;
                }
                break;
            }
            _ => {
                found.push(path.clone());
                break;
            }
        }
    }
    path.truncate(length);
    at
}

fn is_word(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Words, `::` and single signs.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if is_word(rest) {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        if !first.is_whitespace() {
            tokens.push(rest[..length].to_owned());
        }
        rest = &rest[length..];
    }
    tokens
}

/// A file without comments and without its tests.
fn bare(text: &str) -> String {
    // The tests themselves, not a line that says that they are in a file of their own.
    let tests = text
        .match_indices("#[cfg(test)]\n")
        .find(|(at, found)| text[at + found.len()..].lines().next().is_some_and(opens_a_module));
    let text = &text[..tests.map_or(text.len(), |(at, _)| at)];
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

fn opens_a_module(line: &str) -> bool {
    (line.starts_with("mod ") || line.starts_with("pub(crate) mod ")) && line.ends_with('{')
}

/// Files that reach themselves, each circle once and named by its files.
fn circles(files: &Files) -> Vec<String> {
    circles_among(&files.iter().map(|(module, text)| (module.as_str(), uses(module, text, files))).collect())
}

/// The circles among files, each with those that it names.
pub(crate) fn circles_among(edges: &BTreeMap<&str, BTreeSet<String>>) -> Vec<String> {
    let reach = |from: &str| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(at) = next.pop() {
            for to in edges.get(at.as_str()).into_iter().flatten() {
                if seen.insert(to.clone()) {
                    next.push(to.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<String>> = edges.keys().map(|module| (*module, reach(module))).collect();
    let mut found = BTreeSet::new();
    for (module, reached_here) in &reached {
        if reached_here.contains(*module) {
            let with =
                reached_here.iter().filter(|other| reached.get(other.as_str()).is_some_and(|r| r.contains(*module)));
            let all: BTreeSet<&str> = with.map(String::as_str).chain([*module]).collect();
            found.insert(
                all.into_iter().map(|m| if m.is_empty() { "(root)" } else { m }).collect::<Vec<_>>().join(", "),
            );
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house(files: &[(&str, &str)]) -> Files {
        files.iter().map(|(module, text)| ((*module).to_owned(), (*text).to_owned())).collect()
    }

    const TABLE: Table = &[("low", &[]), ("high", &["low"])];

    #[test]
    fn the_tables_hold() -> Result<()> {
        let mut findings = Vec::new();
        check(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut findings)?;
        assert!(findings.is_empty(), "{}", findings.join("\n"));
        Ok(())
    }

    #[test]
    fn a_room_that_looks_up_is_found() {
        let planted = house(&[
            ("", "mod low;\nmod high;\npub use high::thing::Thing;"),
            ("high", "mod thing;"),
            ("low", "pub mod part;"),
            ("low::part", "use std::sync::Arc;\nuse crate::{high::thing::{self, Thing}, low};\n"),
            ("high::thing", "use crate::low::part;\nfn f() -> crate::Engine { todo() }"),
        ]);
        assert_eq!(
            foreign_rooms("house", TABLE, &planted),
            ["house: high::thing looks up to the crate's root", "house: low::part may not look at high::thing",]
        );
        let good = house(&[("low", ""), ("high::thing", "use crate::low::part; // not crate::high::other\n")]);
        assert!(foreign_rooms("house", TABLE, &good).is_empty());
        let unknown = house(&[("attic", "")]);
        assert_eq!(foreign_rooms("house", TABLE, &unknown).len(), 1);
    }

    #[test]
    fn a_circle_is_found_and_a_tree_is_none() {
        let planted = house(&[
            ("a", "use super::b::B;"),
            ("b", "use crate::c::{d::D, E as F};"),
            ("c", "pub mod d;"),
            ("c::d", "fn f() { crate::a::g() }"),
        ]);
        assert_eq!(circles(&planted), ["a, b, c::d"]);
        let tree = house(&[("", "mod a; use a::A;"), ("a", "mod b;\nuse b::B;"), ("a::b", "use std::fmt;")]);
        assert!(circles(&tree).is_empty());
        let tests = house(&[("a", "use crate::b::B;"), ("b", "#[cfg(test)]\nmod tests {\n use crate::a::A;\n}")]);
        assert!(circles(&tests).is_empty());
        let elsewhere = house(&[("a", "#[cfg(test)]\nmod tests;\nuse crate::b::B;"), ("b", "use crate::a::A;")]);
        assert_eq!(circles(&elsewhere), ["a, b"], "what follows the line is looked at");
    }

    #[test]
    fn a_crate_that_is_not_in_the_table_is_found() {
        let manifest = "[package]\nname = \"x\"\n\n[dependencies]\nthreadmill-proto.workspace = true\n\
                        threadmill-server = { workspace = true }\n\n[dev-dependencies]\nthreadmill-client.workspace = true\n";
        assert_eq!(foreign_crates("engine", &["proto"], manifest), ["crates/engine may not use crates/server"]);
    }

    #[test]
    fn what_is_confined_is_found_elsewhere() {
        let planted = house(&[
            ("providers::http", "use reqwest::Client;"),
            ("runs", "use std::fmt;\nfn f() { reqwest::get() }"),
            ("node", "//! reqwest::Client is not named here"),
        ]);
        assert_eq!(outside("engine", "reqwest", &["providers"], &planted), ["engine: runs may not name reqwest"]);
    }
}
