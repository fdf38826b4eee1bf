//! The documents name what is there.

use std::path::{Path, PathBuf};

use threadmill_proto::ErrorCode;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Everything in backquotes that looks like a path of this repository.
fn paths(text: &str) -> Vec<&str> {
    let roots = ["crates/", "packages/", "apps/", "python/", "scripts", "xtask", "docs/"];
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|word| !word.contains(' ') && roots.iter().any(|root| word.starts_with(root))).collect()
}

#[test]
fn every_path_in_the_architecture_exists() {
    let text = read("ARCHITECTURE.md");
    let named = paths(&text);
    assert!(named.len() > 30, "only {} paths were found: is the page still written with backquotes?", named.len());
    let missing: Vec<_> = named.iter().filter(|path| !root().join(path).exists()).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names {missing:?}");
    assert!(text.lines().count() <= 500);
}

#[test]
fn every_error_code_is_documented_as_it_is() {
    let text = read("docs/api.md");
    for code in ErrorCode::ALL {
        let row = format!("| `{}` | {} |", code.as_str(), code.status());
        assert!(text.contains(&row) && text.contains(code.hint()), "docs/api.md lacks {}", code.as_str());
    }
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let folder = std::fs::read_dir(root().join("docs")).expect("the documents");
    let names = folder.map(|entry| entry.expect("a document").file_name().into_string().expect("a name"));
    let pages: Vec<_> = names.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")).collect();
    assert!(pages.len() > 15, "only {pages:?} were found");
    for page in pages.iter().map(String::as_str).chain(["README.md", "ARCHITECTURE.md", "CHANGELOG.md"]) {
        for part in read(page).split("](").skip(1) {
            let target = part.split([')', '#']).next().unwrap_or_default();
            let from = root().join(page);
            let from = from.parent().expect("a page is in a folder");
            assert!(target.starts_with("http") || from.join(target).exists(), "{page} links to {target}");
        }
    }
}
