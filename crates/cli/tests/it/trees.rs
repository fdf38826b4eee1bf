//! Open Assistant trees, imported and compared with their source by a walk that knows nothing of the importer.
//!
//! With `THREADMILL_REAL_DATA` the source is the real file of 100 trees; without, a small one in our own words.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::api::{Api, string, text_of};
use crate::node::{Setup, command};

const REAL: &str = "oasst_en_100_tree.jsonl";

/// The file, and how many trees, messages and leaves it is known to have.
fn source() -> (PathBuf, (usize, usize, usize)) {
    match std::env::var_os("THREADMILL_REAL_DATA").map(|folder| Path::new(&folder).join(REAL)) {
        Some(file) if file.exists() => (file, (100, 1167, 626)),
        _ => {
            println!("THREADMILL_REAL_DATA names no folder with {REAL}: this ran on the small fixture only.");
            (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/trees.jsonl"), (4, 58, 18))
        }
    }
}

/// One message of the source.
struct Node {
    value: Value,
    parent: Option<String>,
    replies: Vec<String>,
}

/// A tree as the file has it: messages by id, and the path to every leaf.
#[derive(Default)]
struct Tree {
    nodes: BTreeMap<String, Node>,
    leaves: BTreeSet<Vec<String>>,
}

impl Tree {
    fn read(line: &str) -> (String, Self) {
        let value: Value = serde_json::from_str(line).expect("JSON");
        let mut tree = Self::default();
        tree.walk(&value["prompt"], &mut Vec::new());
        (string(&value["prompt"]["message_id"]), tree)
    }

    fn walk(&mut self, message: &Value, path: &mut Vec<String>) {
        let id = string(&message["message_id"]);
        let parent = path.last().cloned();
        path.push(id.clone());
        let replies = message["replies"].as_array().expect("replies");
        if replies.is_empty() {
            self.leaves.insert(path.clone());
        }
        for reply in replies {
            self.walk(reply, path);
        }
        path.pop();
        let replies = replies.iter().map(|reply| string(&reply["message_id"])).collect();
        self.nodes.insert(id, Node { value: message.clone(), parent, replies });
    }

    /// The replies to a message's parent, the message among them.
    fn siblings(&self, id: &str) -> &[String] {
        let parent = self.nodes[id].parent.as_ref();
        parent.map_or(&[], |parent| &self.nodes[parent].replies)
    }
}

/// Every thread of a user, by the id of its first message.
async fn threads(api: &Api) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut page = String::new();
    loop {
        let list = api.get(&format!("/threads?limit=30{page}")).await;
        for thread in list["threads"].as_array().expect("threads") {
            let id = string(&thread["id"]);
            let first = api.get(&format!("/threads/{id}/messages?anchor=depth:0&before=0&after=1")).await;
            all.insert(string(&first["messages"][0]["id"]), id);
        }
        match list["nextPage"].as_str() {
            Some(next) => page = format!("&page={next}"),
            None => return all,
        }
    }
}

async fn branches(api: &Api, thread: &str) -> Vec<String> {
    let (mut all, mut skip) = (Vec::new(), 0);
    loop {
        let page = api.get(&format!("/threads/{thread}/branches?skip={skip}&limit=7")).await;
        all.extend(page["branches"].as_array().expect("branches").iter().map(|branch| string(&branch["id"])));
        match page["next"].as_u64() {
            Some(next) => skip = next,
            None => return all,
        }
    }
}

fn compare_message(message: &Value, source: &Node) {
    let role = if source.value["role"] == "prompter" { "user" } else { "assistant" };
    assert_eq!((&message["role"], text_of(message)), (&json!(role), string(&source.value["text"])));
    assert_eq!(message["status"], "complete");
    let mut rest = source.value.as_object().expect("an object").clone();
    rest.retain(|key, _| !["message_id", "parent_id", "role", "text", "replies"].contains(&key.as_str()));
    assert_eq!(message["metadata"], Value::Object(rest), "what the format has no place for is kept");
}

/// What a window says of the siblings at one depth, and that it leads to them.
async fn compare_fork(api: &Api, thread: &str, fork: &Value, tree: &Tree) {
    let id = string(&fork["message"]);
    let siblings = tree.siblings(&id);
    let index = siblings.iter().position(|sibling| *sibling == id).expect("it is its parent's reply");
    assert_eq!((&fork["index"], &fork["total"]), (&json!(index), &json!(siblings.len())), "{id}");
    let want = [index.checked_sub(1).and_then(|at| siblings.get(at)), siblings.get(index + 1)];
    for (option, want) in [&fork["previous"], &fork["next"]].into_iter().zip(want) {
        assert_eq!(option["message"].as_str(), want.map(String::as_str), "beside {id}");
        if let Some(branch) = option["branch"].as_str() {
            let (depth, want) = (&fork["depth"], &option["message"]);
            let path = format!("/threads/{thread}/messages?anchor=depth:{depth}&before=0&after=1&branch={branch}");
            assert_eq!(&api.get(&path).await["messages"][0]["id"], want, "the switch leads elsewhere");
        }
    }
}

/// Walks every branch of a thread and compares it with a path of the tree. Returns messages and leaves.
async fn compare(api: &Api, thread: &str, tree: &Tree) -> (usize, usize) {
    let mut leaves = BTreeSet::new();
    let mut met = BTreeSet::new();
    for branch in branches(api, thread).await {
        let window = api.get(&format!("/threads/{thread}/messages?before=200&branch={branch}")).await;
        assert_eq!(window["hasOlder"], false, "these trees fit a page");
        let messages = window["messages"].as_array().expect("messages");
        let path: Vec<_> = messages.iter().map(|message| string(&message["id"])).collect();
        for (depth, message) in messages.iter().enumerate() {
            let node = &tree.nodes[&path[depth]];
            assert_eq!(message["depth"], depth);
            assert_eq!(node.parent.as_ref(), depth.checked_sub(1).map(|above| &path[above]), "the parent");
            if met.insert(path[depth].clone()) {
                compare_message(message, node);
            }
        }
        let forks = window["forks"].as_array().expect("forks");
        let forked: BTreeSet<_> = forks.iter().map(|fork| string(&fork["message"])).collect();
        let want: BTreeSet<_> = path.iter().filter(|id| tree.siblings(id).len() > 1).cloned().collect();
        assert_eq!(forked, want, "where {branch} forks");
        for fork in forks {
            compare_fork(api, thread, fork, tree).await;
        }
        assert!(leaves.insert(path), "two branches are the same line");
    }
    assert_eq!(leaves, tree.leaves);
    (met.len(), leaves.len())
}

fn import(file: &Path, place: &[&str], user: &str) -> Value {
    let file = file.display().to_string();
    let (status, out, errors) = command(&[&["import", &file, "--user", user, "--json"], place].concat());
    assert_eq!(status, 0, "{out}{errors}");
    serde_json::from_str(&out).expect("a summary")
}

fn export(place: &[&str], user: &str) -> String {
    let (status, out, errors) = command(&[&["export", "--user", user], place].concat());
    assert_eq!(status, 0, "{errors}");
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tree_is_there_as_its_source_has_it() {
    let (file, (trees, messages, leaves)) = source();
    let text = std::fs::read_to_string(&file).expect("the source");
    let source: BTreeMap<_, _> = text.lines().filter(|line| !line.trim().is_empty()).map(Tree::read).collect();
    let node = Setup::new().start();
    let url = format!("http://{}", node.address());
    let place = ["--url", url.as_str()];
    let summary = import(&file, &place, "ada");
    assert_eq!(
        summary,
        json!({"imported": trees, "unchanged": 0, "messages": messages, "branches": leaves, "skipped": []})
    );

    let ada = node.api("ada");
    let found = threads(&ada).await;
    assert_eq!(found.keys().collect::<Vec<_>>(), source.keys().collect::<Vec<_>>());
    let mut seen = (0, 0);
    for (root, tree) in &source {
        let (messages, leaves) = compare(&ada, &found[root], tree).await;
        seen = (seen.0 + messages, seen.1 + leaves);
    }
    assert_eq!((source.len(), seen.0, seen.1), (trees, messages, leaves));
    println!(
        "proof: compared with {}, each leaf reached by its branch | {trees} threads, {messages} messages, {leaves} leaves",
        file.file_name().unwrap_or_default().display()
    );

    let before = (ada.get("/threads?since=0").await, export(&place, "ada"));
    let again = import(&file, &place, "ada");
    assert_eq!(again, json!({"imported": 0, "unchanged": trees, "messages": 0, "branches": 0, "skipped": []}));
    assert_eq!((ada.get("/threads?since=0").await, export(&place, "ada")), before, "importing twice changed something");

    let theirs = import(&file, &place, "eve");
    assert_eq!(theirs["imported"], trees);
    let eve = node.api("eve");
    let other = threads(&eve).await;
    assert_eq!(other.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    assert!(other.values().all(|id| !found.values().any(|known| known == id)), "two users share a thread");
    let (root, tree) = source.iter().next().expect("a tree");
    compare(&eve, &other[root], tree).await;
    assert_eq!(export(&place, "ada"), before.1, "another user's import changed something");
}

#[test]
fn an_export_comes_back_byte_for_byte() {
    let (file, _) = source();
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (first, second) = (path("first"), path("second"));
    import(&file, &["--data", &first], "ada");
    let exported = export(&["--data", &first], "ada");
    assert!(exported.lines().count() > 10);
    let kept = directory.path().join("export.jsonl");
    std::fs::write(&kept, &exported).expect("the export is written");
    import(&kept, &["--data", &second], "ada");
    assert_eq!(export(&["--data", &second], "ada"), exported);
    let summary = import(&kept, &["--data", &second], "ada");
    assert_eq!(summary["imported"], 0, "importing an export twice changes nothing");
    assert_eq!(export(&["--data", &second], "ada"), exported);
}
