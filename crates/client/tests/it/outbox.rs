//! Writes: kept, in order, with one effect, whatever happens to the answer, the server or the client.

use std::path::Path;

use reqwest::Method;
use serde_json::json;
use threadmill_client::{Answered, Archive, Client, Edit, EditText, Error, NewMessage, Options, State};
use threadmill_proto::{Anchor, MessageId, Part, ThreadId};
use threadmill_server::Auth;

use crate::wire::Deed;
use crate::world::{PATIENCE, Place, World};

const APPEND: &str = "/messages http/1.1";

fn id(text: &str) -> ThreadId {
    ThreadId::parse(text).expect("a valid id")
}

/// A client of a server that is not there.
fn lost(directory: &Path) -> Client {
    Options::new("http://127.0.0.1:1").outbox_dir(directory).connect().expect("a client")
}

fn files(directory: &Path) -> usize {
    let names = std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    names.filter(|path| path.extension().is_some_and(|extension| extension == "json")).count()
}

/// Waits until a write's file has these words in it.
async fn until_kept(file: &Path, words: &str) {
    let kept = async {
        while !std::fs::read_to_string(file).expect("it is kept").contains(words) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, kept).await.expect("in time");
}

#[tokio::test]
async fn messages_have_their_ids_at_once_and_arrive_in_order() {
    let world = World::new().await;
    let made = world.client.create_thread(Some("title"), NewMessage::text("0")).await.expect("kept");
    let mut sent = Vec::new();
    for number in 1..20 {
        sent.push(world.client.send(made.thread.clone(), NewMessage::text(number.to_string())).await.expect("kept"));
    }
    let thread = made.thread.clone();
    for sent in sent {
        let id = sent.message.clone();
        assert_eq!(sent.acknowledged().await.expect("taken").message, Some(id));
    }
    assert_eq!(world.texts(&thread).await, (0..20).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(world.client.outbox().is_empty());
}

#[tokio::test]
async fn what_was_committed_and_not_answered_is_sent_again_by_the_next_client_and_has_one_effect() {
    let place = Place::new(Auth::Dev).await;
    let directory = tempfile::tempdir().expect("a directory");
    let connect = || place.options().outbox_dir(directory.path()).connect().expect("a client");
    let thread = place.direct.create_thread("0", None).await.expect("a thread").thread;
    let mut dropped = place.wire.trap(APPEND, Deed::DropAnswer);
    let client = connect();
    let first = client.send(thread.clone(), NewMessage::text("1")).await.expect("kept");
    let second = client.send(thread.clone(), NewMessage::text("2")).await.expect("kept");
    dropped.reach(1).await;
    assert_eq!(place.texts(&thread).await, ["0", "1"], "the server has it");
    assert_eq!(files(directory.path()), 2, "and the client does not know");
    for (sent, mark) in [(&first, "\"tried\":true"), (&second, "\"tried\":false")] {
        let file = directory.path().join(&sent.written.key).with_extension("json");
        assert!(std::fs::read_to_string(file).expect("a file").contains(mark));
    }
    drop(client);
    for sent in [first, second] {
        assert!(matches!(sent.acknowledged().await, Err(Error::Closed)));
    }
    let client = connect();
    dropped.reach(dropped.now() + 1).await;
    place.wire.clear();
    client.wake();
    client.until_outbox(PATIENCE, <[_]>::is_empty).await.expect("all is acknowledged");
    assert_eq!(place.texts(&thread).await, ["0", "1", "2"]);
}

#[tokio::test]
async fn what_could_not_be_sent_is_kept_and_sent_in_order_by_the_next_client() {
    let place = Place::new(Auth::Dev).await;
    let directory = tempfile::tempdir().expect("a directory");
    let client = lost(directory.path());
    let made = client.create_thread(None, NewMessage::text("0")).await.expect("kept");
    for number in 1..12 {
        client.send(made.thread.clone(), NewMessage::text(number.to_string())).await.expect("kept");
    }
    drop(client);
    let client = place.options().outbox_dir(directory.path()).connect().expect("a client");
    assert_eq!(client.outbox().len(), 12);
    let later = client.send(made.thread.clone(), NewMessage::text("12")).await.expect("kept");
    later.acknowledged().await.expect("taken");
    assert_eq!(place.texts(&made.thread).await, (0..13).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(files(directory.path()), 0, "what is acknowledged is kept no more");
}

#[tokio::test]
async fn a_refused_write_stays_until_it_is_tried_again_or_given_up() {
    let place = Place::new(Auth::Dev).await;
    let directory = tempfile::tempdir().expect("a directory");
    let connect = || place.options().outbox_dir(directory.path()).connect().expect("a client");
    let client = connect();
    let refused = client.send(id("later"), NewMessage::text("early")).await.expect("kept");
    let hopeless = client.send(id("never"), NewMessage::text("lost")).await.expect("kept");
    let keys = [refused.written.key.clone(), hopeless.written.key.clone()];
    for sent in [refused, hopeless] {
        assert_eq!(sent.acknowledged().await.expect_err("no such thread").code(), Some("thread_not_found"));
    }
    for key in &keys {
        until_kept(&directory.path().join(key).with_extension("json"), "thread_not_found").await;
    }
    // They hold up nothing else.
    client.create_thread(None, NewMessage::text("fine")).await.expect("kept").acknowledged().await.expect("taken");
    drop(client);
    let asked = place.wire.trap("/threads/never/", Deed::Pass);
    let client = connect();
    let failed = |item: &threadmill_client::Item| matches!(&item.state, State::Failed(refusal) if refusal.code.as_deref() == Some("thread_not_found"));
    assert_eq!(client.outbox().iter().filter(|item| failed(item)).count(), 2);
    place.direct.call(Method::POST, "/threads", Some(json!({"id": "later"}))).await.expect("a thread");
    client.retry(&keys[0]).expect("it is there").acknowledged().await.expect("taken now");
    assert_eq!(place.texts(&id("later")).await, ["early"]);
    assert_eq!(asked.now(), 0, "nobody wished for it");
    let again = client.retry(&keys[1]).expect("it is there");
    assert_eq!(again.acknowledged().await.expect_err("still none").code(), Some("thread_not_found"));
    client.discard(&keys[1]);
    client.until_outbox(PATIENCE, <[_]>::is_empty).await.expect("nothing is left");
    drop(client);
    assert!(connect().outbox().is_empty());
}

#[tokio::test]
async fn a_directory_is_one_clients() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = lost(directory.path());
    let second = Options::new("http://127.0.0.1:1").outbox_dir(directory.path()).connect();
    assert!(matches!(second, Err(Error::Outbox(_))));
    drop(first);
    assert!(lost(directory.path()).outbox().is_empty());
}

#[tokio::test]
async fn a_stop_takes_back_what_was_not_sent() {
    let directory = tempfile::tempdir().expect("a directory");
    let client = lost(directory.path());
    let made = client.create_thread(None, NewMessage::text("tried")).await.expect("kept");
    let question = NewMessage::text("question").answered(Answered::ByDefault);
    let sent = client.send(made.thread.clone(), question).await.expect("kept");
    let stop = client.stop(sent.run.clone().expect("a run")).await.expect("kept");
    stop.acknowledged().await.expect("nothing is left to stop");
    assert!(matches!(sent.acknowledged().await, Err(Error::Discarded)));
    assert_eq!(client.outbox().len(), 1);
}

#[tokio::test]
async fn what_is_tried_again_goes_behind_the_others_for_the_next_client_too() {
    let place = Place::new(Auth::Dev).await;
    let directory = tempfile::tempdir().expect("a directory");
    let connect = || place.options().outbox_dir(directory.path()).connect().expect("a client");
    let client = connect();
    let refused = client.send(id("later"), NewMessage::text("early")).await.expect("kept");
    let key = refused.written.key.clone();
    refused.acknowledged().await.expect_err("no such thread");
    let file = directory.path().join(&key).with_extension("json");
    until_kept(&file, "thread_not_found").await;
    drop(client);
    place.direct.call(Method::POST, "/threads", Some(json!({"id": "later"}))).await.expect("a thread");
    let client = lost(directory.path());
    client.send(id("later"), NewMessage::text("late")).await.expect("kept");
    client.retry(&key).expect("it is there");
    until_kept(&file, "\"refusal\":null").await;
    drop(client);
    connect().until_outbox(PATIENCE, <[_]>::is_empty).await.expect("both are taken");
    assert_eq!(place.texts(&id("later")).await, ["late", "early"]);
}

#[tokio::test]
async fn a_stop_overtakes_and_stops() {
    let world = World::new().await;
    let question = NewMessage::text("question").answered(Answered::ByDefault);
    let sent = world.client.create_thread(None, question).await.expect("kept");
    let view = world.client.open(sent.thread.clone(), None, Anchor::Tip);
    world.say("half an ans");
    let run = sent.run.clone().expect("a run");
    view.until(PATIENCE, |view| view.head().run.is_some()).await.expect("it runs");
    // The answer is in its way, which would not end by itself.
    let next = world.client.send(sent.thread.clone(), NewMessage::text("next")).await.expect("kept");
    world.client.stop(run).await.expect("kept").acknowledged().await.expect("stopped");
    next.acknowledged().await.expect("nothing is in its way any more");
    view.until(PATIENCE, |view| view.head().total == 3).await.expect("all three");
}

#[tokio::test]
async fn everything_that_can_be_written_goes_through_the_outbox() {
    let mut world = World::new().await;
    let client = &world.client;
    let made = client.create_thread(Some("title"), NewMessage::text("first")).await.expect("kept");
    let (thread, first) = (made.thread.clone(), made.message.clone());
    let question = NewMessage::text("second").answered(Answered::By("dictated".into()));
    let sent = client.send(thread.clone(), question).await.expect("kept");
    let run = sent.run.clone();
    assert_eq!(sent.acknowledged().await.expect("taken").run, run);
    let view = client.open(thread.clone(), None, Anchor::Tip);
    view.until(PATIENCE, |view| view.head().total == 3).await.expect("the answer's message");
    world.voice.take();
    view.until(PATIENCE, |view| view.head().run.is_none()).await.expect("the answer");
    let client = &world.client;
    let answer = view.with(|view| view.rows().last().map(|row| row.message.id.clone())).expect("a row");
    let again = client.regenerate(thread.clone(), answer).await.expect("kept");
    let run = again.run.clone();
    let again = again.acknowledged().await.expect("taken");
    assert!(run.is_some() && again.run == run && again.branch.is_some());
    let edited = client.edit(thread.clone(), first, EditText::only(1, "another first")).await.expect("kept");
    let edited = edited.acknowledged().await.expect("taken");
    assert!(edited.forked);
    let removed = client.remove(thread.clone(), edited.message.expect("an id")).await.expect("kept");
    removed.acknowledged().await.expect("removed");
    assert_eq!(world.texts(&thread).await, [""], "a tombstone, since the thread forks there");
    client.rename(thread.clone(), "other").await.expect("kept");
    client.archive(thread.clone(), Archive::In).await.expect("kept").acknowledged().await.expect("archived");
    let now = client.http().call(Method::GET, &format!("/threads/{thread}"), None).await.expect("the thread");
    assert_eq!((&now["thread"]["title"], &now["thread"]["archived"]), (&json!("other"), &json!(true)));
    client.archive(thread.clone(), Archive::Out).await.expect("kept").acknowledged().await.expect("brought back");
    client.delete(thread.clone()).await.expect("kept").acknowledged().await.expect("deleted");
    let gone = client.http().call(Method::GET, &format!("/threads/{thread}"), None).await;
    assert_eq!(gone.expect_err("it is deleted").code(), Some("thread_not_found"));
}

/// A row shows the beginning of a long text. Whoever edits the message has read all of it, or names the text that is
/// new: nothing that a row does not show is lost, and nothing that somebody else wrote meanwhile.
#[tokio::test]
async fn an_edit_loses_nothing_that_a_row_does_not_show() {
    let world = World::new().await;
    let client = &world.client;
    let long = "word ".repeat(8_282);
    let text = |text: &str| Part::Text { text: text.into(), extra: None };
    let file = Part::File { media_type: "image/png".into(), url: "data:,".into(), filename: None };
    let said = NewMessage { parts: vec![text(&long), file.clone(), text("end")], ..NewMessage::text("") };
    let made = client.create_thread(None, said).await.expect("kept");
    let (thread, message): (ThreadId, MessageId) = (made.thread.clone(), made.message.clone());
    made.acknowledged().await.expect("taken");
    let view = client.open(thread.clone(), None, Anchor::Tip);
    view.until(PATIENCE, |view| view.head().total == 1).await.expect("the thread opens");
    let row = view.with(|view| view.rows().next().cloned()).expect("a row");
    assert!(!row.message.previews.is_empty(), "it shows a preview");

    let edit = async |edit: Edit| {
        let edited = client.edit(thread.clone(), message.clone(), edit).await.expect("kept");
        edited.acknowledged().await.map(drop)
    };
    edit(EditText::of(row.message.rev, [(2, "new end".into())]).into()).await.expect("taken");
    let whole = client.http().message(&thread, &message).await.expect("the message");
    assert_eq!(whole.parts, [text(&long), file.clone(), text("new end")]);

    let late = edit(EditText::of(row.message.rev, [(2, "late".into())]).into()).await;
    assert_eq!(late.expect_err("it was made from what is gone").code(), Some("message_changed"));

    edit(whole.into_parts().change(|parts| parts.push(text("more"))).into()).await.expect("taken");
    let whole = client.http().message(&thread, &message).await.expect("the message");
    assert_eq!(whole.parts, [text(&long), file, text("new end"), text("more")]);
}

/// An edit of all parts is one of the metadata too, which therefore goes along.
#[tokio::test]
async fn an_edit_of_all_parts_keeps_the_metadata() {
    let world = World::new().await;
    let client = &world.client;
    let (thread, _view) = world.thread_of(1).await;
    let metadata = r#"{"n":123456789012345678901234567890}"#;
    let body: serde_json::Value = serde_json::from_str(&format!(
        r#"{{"role":"user","parts":[{{"type":"text","text":"a"}}],"metadata":{metadata}}}"#
    ))
    .expect("JSON");
    let answer =
        client.http().call(Method::POST, &format!("/threads/{thread}/messages"), Some(body)).await.expect("taken");
    let message = MessageId::parse(answer["message"]["id"].as_str().expect("an id")).expect("an id");
    let whole = client.http().message(&thread, &message).await.expect("the message");
    client.http().edit(&thread, &message, whole.into_parts()).await.expect("taken");
    let whole = client.http().message(&thread, &message).await.expect("the message");
    assert_eq!(whole.metadata.as_ref().map(|metadata| metadata.0.as_str()), Some(metadata));
}
