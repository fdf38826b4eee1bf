//! The rules of `layers.rs` and `tidy.rs` for what is written in TypeScript: which room of a package may look at which,
//! that no files go round in a circle, that each room says what it is for, and that files are short and have a header.
//!
//! What a file imports is read off its text: a path in quotes after `from`, `import`, `import(` or `new URL(`. Types count
//! like anything else, since whoever reads a file has to know them. Comments are left out; tests may look anywhere.

use crate::layers::{Files, Table, circles_among};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The longest a file may be.
const MAX_LINES: usize = 600;

/// Folders whose files have a header and an end.
const FOLDERS: &[&str] = &["apps", "packages", "scripts"];
/// What is built or installed in them.
const BUILT: &[&str] = &["dist", "node_modules", "wasm"];

/// Packages, and their rooms, lowest first. Files beside the rooms are rooms of their own.
const PACKAGES: &[(&str, Table)] = &[
    ("packages/client", CLIENT),
    ("packages/react", &[]),
    ("packages/server", &[]),
    ("packages/ag-ui", &[]),
    ("packages/assistant-ui", &[]),
    ("packages/tanstack-ai", &[]),
    ("apps/chat", CHAT),
];

const CLIENT: Table = &[
    ("words", &[]),
    ("page", &["words"]),
    ("transport", &["page", "words"]),
    ("storage", &["transport", "words"]),
    ("tabs", &[]),
    ("core", &["page", "storage", "tabs", "transport", "words"]),
    ("outbox", &["core", "page", "storage", "transport", "words"]),
    ("views", &["core", "outbox", "page", "storage", "transport", "words"]),
    ("flags", &["page", "storage", "transport", "words"]),
    ("direct", &["flags", "page", "storage", "transport", "views", "words"]),
    ("rum", &["transport", "words"]),
    ("client", &["core", "flags", "outbox", "page", "storage", "transport", "views", "words"]),
    ("engine", &["client", "core", "direct", "flags", "page", "rum", "storage", "transport", "words"]),
    ("index", &["engine", "words"]),
    ("ai-sdk", &["page", "transport", "words"]),
];

const CHAT: Table = &[
    ("turns", &[]),
    ("text", &["turns"]),
    ("shell", &["text"]),
    ("controls", &["shell", "text"]),
    ("markdown", &["controls", "text", "turns"]),
    ("habits", &["shell"]),
    ("composer", &["controls", "shell", "text"]),
    ("parts", &["markdown", "shell", "text", "turns"]),
    ("row", &["composer", "controls", "parts", "shell", "text", "turns"]),
    ("list", &["controls", "habits", "row", "shell", "turns"]),
    ("print", &["markdown", "parts", "shell", "text", "turns"]),
    ("thread", &["composer", "controls", "habits", "list", "parts", "print", "row", "shell", "text"]),
    ("sidebar", &["composer", "controls", "habits", "print", "row", "shell", "text", "turns"]),
    ("app", &["composer", "controls", "print", "shell", "sidebar", "thread"]),
    ("page", &["app", "composer", "habits", "shell", "sidebar"]),
    ("main", &["page", "shell"]),
    ("worker", &[]),
    ("ops", &["controls", "shell"]),
];

/// Checks everything.
pub(crate) fn check(root: &Path, findings: &mut Vec<String>) -> Result<()> {
    for folder in FOLDERS {
        for file in sources(&root.join(folder))? {
            let text = std::fs::read_to_string(&file)?;
            let name = file.strip_prefix(root).unwrap_or(&file).display().to_string();
            findings.extend(of_file(&name, &text));
        }
    }
    for (package, table) in PACKAGES {
        let src = root.join(package).join("src");
        let mut files = Files::new();
        for file in sources(&src)? {
            let name = file.strip_prefix(&src).unwrap_or(&file).to_string_lossy().replace('\\', "/");
            files.insert(name, std::fs::read_to_string(&file)?);
        }
        findings.extend(of_package(package, table, &files));
    }
    Ok(())
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !BUILT.contains(&name) {
                found.extend(sources(&path)?);
            }
        } else if [".ts", ".tsx", ".mts", ".mjs"].iter().any(|end| name.ends_with(end)) {
            found.push(path);
        }
    }
    Ok(found)
}

fn of_file(name: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        findings.push(format!("{name}: does not open with `//!`"));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        findings.push(format!("{name}: {lines} lines, more than {MAX_LINES}"));
    }
    findings
}

fn of_package(package: &str, table: Table, files: &Files) -> Vec<String> {
    let edges: BTreeMap<&str, BTreeSet<String>> =
        files.iter().map(|(name, text)| (name.as_str(), uses(name, text, files))).collect();
    let mut findings: Vec<String> =
        circles_among(&edges).into_iter().map(|circle| format!("{package}: a circle of files: {circle}")).collect();
    if table.is_empty() {
        return findings;
    }
    for (name, used) in &edges {
        let room = room(name);
        let Some((_, allowed)) = table.iter().find(|(known, _)| *known == room) else {
            findings.push(format!("{package}: the room {room} is not in the table of xtask/src/typescript.rs"));
            continue;
        };
        let foreign = used.iter().filter(|used| self::room(used) != room && !allowed.contains(&self::room(used)));
        findings.extend(foreign.map(|used| format!("{package}: {name} may not look at {used}")));
    }
    findings.extend(table.iter().filter_map(|(room, _)| unsaid(package, room, files)));
    findings
}

/// The first part of a path; of a file beside the rooms, its name.
fn room(name: &str) -> &str {
    name.split(['/', '.']).next().unwrap_or_default()
}

/// One file of a room, and one alone, says in its header what the room is for.
fn unsaid(package: &str, room: &str, files: &Files) -> Option<String> {
    let inside = |name: &str| name.strip_prefix(room).is_some_and(|rest| rest.starts_with('/'));
    let all: Vec<&String> = files.iter().filter(|(name, _)| inside(name)).map(|(_, text)| text).collect();
    let header = format!("//! Room `{room}`: ");
    let said = all.iter().filter(|text| text.lines().any(|line| line.starts_with(&header))).count();
    (!all.is_empty() && said != 1)
        .then(|| format!("{package}: {said} files of the room {room} say `{}`, not one", header.trim_end()))
}

/// The files of the package that a file imports.
fn uses(name: &str, text: &str, files: &Files) -> BTreeSet<String> {
    let folder: Vec<&str> = name.split('/').collect();
    let folder = &folder[..folder.len() - 1];
    let here = imports(text).into_iter().filter(|path| path.starts_with('.'));
    here.filter_map(|path| {
        let mut at = folder.to_vec();
        for part in path.split('/') {
            match part {
                "." => {}
                ".." => {
                    at.pop()?;
                }
                part => at.push(part),
            }
        }
        let at = at.join("/");
        let bare = at.strip_suffix(".js").unwrap_or(&at);
        let names = [at.clone(), format!("{bare}.ts"), format!("{bare}.tsx")];
        names.into_iter().find(|there| there != name && files.contains_key(there))
    })
    .collect()
}

/// Texts in quotes that follow what imports.
fn imports(text: &str) -> Vec<String> {
    let (mut found, mut before, mut rest) = (Vec::new(), String::new(), text);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '\'' | '"' | '`' => {
                let length = quoted(rest, first);
                if ["from", "import", "import(", "newURL("].iter().any(|word| before.ends_with(word)) {
                    found.push(rest[1..length].trim_end_matches(first).to_owned());
                }
                before.clear();
                length
            }
            _ => {
                if !first.is_whitespace() {
                    before.push(first);
                }
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    found
}

/// The length of a text in quotes, or of what there is of it. One that ends with its line was no text: an apostrophe of
/// a regular expression or of an element's words.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\n' if quote != '`' => return 1,
            _ if letter == quote => return at + 1,
            _ => {}
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = &[("low", &[]), ("high", &["low"]), ("top", &["high"])];

    fn house(files: &[(&str, &str)]) -> Files {
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn the_tables_hold() -> Result<()> {
        let mut findings = Vec::new();
        check(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut findings)?;
        assert!(findings.is_empty(), "{}", findings.join("\n"));
        Ok(())
    }

    #[test]
    fn imports_of_every_kind_are_found_and_comments_are_none() {
        let text = "//! from './no'\nimport type { A,\n  B } from './a.js';\nimport './b.css';\nexport * from \"./c\";\n\
                    /* import './no' */ const d = () => import('./d.js');\nnew Worker(new URL('./e.ts', import.meta.url));\n\
                    const words = 'taken from '; const also = './no';\n<p>the row's</p>\nimport f from './f';";
        assert_eq!(imports(text), ["./a.js", "./b.css", "./c", "./d.js", "./e.ts", "./f"]);
    }

    #[test]
    fn a_room_that_looks_up_is_found() {
        let said = "//! Room `low`: a test's.\n";
        let planted = house(&[
            ("top.ts", "import { a } from './high/a.js';"),
            ("low/a.tsx", &format!("{said}import type {{ B }} from '../high/a.js';")),
            ("high/a.ts", "//! Words.\n//!\n//! Room `high`: a test's.\nimport { a } from '../low/c';"),
            ("low/c.ts", "import { top } from '../top';"),
        ]);
        assert_eq!(
            of_package("house", TABLE, &planted),
            [
                "house: a circle of files: high/a.ts, low/c.ts, top.ts",
                "house: low/a.tsx may not look at high/a.ts",
                "house: low/c.ts may not look at top.ts",
            ]
        );
        let attic = house(&[("attic/a.ts", ""), ("low/a.ts", said), ("low/b.ts", said), ("high/a.ts", "")]);
        assert_eq!(
            of_package("house", TABLE, &attic),
            [
                "house: the room attic is not in the table of xtask/src/typescript.rs",
                "house: 2 files of the room low say `//! Room `low`:`, not one",
                "house: 0 files of the room high say `//! Room `high`:`, not one",
            ]
        );
    }

    #[test]
    fn a_file_without_a_header_and_one_without_an_end_are_found() {
        assert_eq!(of_file("a.ts", "import './b';\n"), ["a.ts: does not open with `//!`"]);
        let long = format!("//! Words.\n{}", "1;\n".repeat(MAX_LINES));
        assert_eq!(of_file("a.ts", &long), ["a.ts: 601 lines, more than 600"]);
        assert!(of_file("a.ts", "//! Words.\n").is_empty());
    }
}
