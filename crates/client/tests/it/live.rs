//! What a reader sees.

use threadmill_client::{EditText, Phase, Row, Side, View};
use threadmill_proto::frame::Mode;
use threadmill_proto::{Anchor, BranchId, MessageId, MessageStatus, ThreadId};

use crate::world::{PATIENCE, World};

fn last(view: &View) -> Option<&Row> {
    view.rows().last()
}

fn range(view: &View) -> (u64, u64, u64) {
    (view.head().from, view.head().to, view.head().total)
}

#[tokio::test]
async fn a_thread_opens_grows_and_jumps() {
    let world = World::new().await;
    let (thread, view) = world.thread_of(120).await;
    assert_eq!(view.with(range), (70, 120, 120));
    assert_eq!(world.client.mode(), Some(Mode::Full));
    view.load(Side::Older);
    view.until(PATIENCE, |view| view.rows().len() == 75).await.expect("a page");
    assert_eq!(view.with(range), (45, 120, 120));
    view.jump(Anchor::Depth(10));
    view.until(PATIENCE, |view| view.head().from == 0).await.expect("the jump");
    world.client.http().send(&thread, "one more", None).await.expect("a message");
    view.until(PATIENCE, |view| view.head().total == 121).await.expect("the news of it");
    assert!(view.with(|view| view.head().to < 121), "what is far away is not taken in");
}

#[tokio::test]
async fn an_answer_streams_through_cuts_without_losing_or_doubling_a_word() {
    let mut world = World::new().await;
    let (thread, view) = world.thread_of(3).await;
    let sent = world.client.http().send(&thread, "go on", Some("")).await.expect("a message");
    assert!(sent.run.is_some());
    view.until(PATIENCE, |view| last(view).is_some_and(|row| row.run.is_some())).await.expect("the run");
    let message = view.with(|view| last(view).map(|row| row.message.id.clone())).expect("its row");
    let mut said = String::new();
    for number in 0..40 {
        let word = format!("word {number} ");
        world.say(&word);
        said += &word;
        if number % 9 == 4 {
            world.wire.cut();
        }
        if number % 4 == 0 {
            view.until(PATIENCE, |view| view.text(&message).as_ref() == Some(&said)).await.expect("every word so far");
        }
    }
    world.voice.take();
    view.until(PATIENCE, |view| last(view).is_some_and(|row| row.message.status == MessageStatus::Complete))
        .await
        .expect("the end");
    assert_eq!(view.text(&message).as_ref(), Some(&said));
    let kept = world.direct.message(&thread, &message).await.expect("the message");
    assert_eq!(kept.text(), said, "the server has the same");
}

#[tokio::test]
async fn what_happened_during_a_cut_is_there_after_it() {
    let world = World::new().await;
    let (thread, view) = world.thread_of(4).await;
    world.wire.cut();
    let http = &world.direct;
    let first = view.with(|view| view.rows().next().map(|row| row.message.id.clone())).expect("a row");
    http.send(&thread, "while away", None).await.expect("a message");
    let path = format!("/threads/{thread}/messages/{first}");
    http.call("DELETE".parse().expect("a method"), &path, None).await.expect("a removal");
    let settled = |view: &View| view.head().total == 5 && view.rows().all(|row| row.message.id != first);
    view.until(PATIENCE, settled).await.expect("both");
}

#[tokio::test]
async fn a_stop_ends_the_run_and_keeps_its_text() {
    let world = World::new().await;
    let made = world.client.http().create_thread("question", Some("")).await.expect("a thread");
    let view = world.client.open(made.thread, None, Anchor::Tip);
    world.say("half an ans");
    let streaming =
        |view: &View| last(view).and_then(|row| view.text(&row.message.id)).as_deref() == Some("half an ans");
    view.until(PATIENCE, streaming).await.expect("the beginning");
    world.client.http().stop(&made.run.expect("a run")).await.expect("a stop");
    let stopped = |view: &View| last(view).is_some_and(|row| row.message.status == MessageStatus::Stopped);
    view.until(PATIENCE, stopped).await.expect("the end");
    assert!(view.with(streaming));
}

#[tokio::test]
async fn an_edit_forks_and_the_reader_may_follow() {
    let world = World::new().await;
    let (thread, view) = world.thread_of(3).await;
    let second = view.with(|view| view.rows().nth(1).map(|row| row.message.id.clone())).expect("a row");
    let edited =
        world.client.http().edit(&thread, &second, EditText::only(1, "another second")).await.expect("an edit");
    let told = |view: &View| view.head().default_branch.as_ref() == Some(&edited.branch);
    if view.with(|view| view.head().branch != Some(edited.branch.clone())) {
        view.until(PATIENCE, told).await.expect("the news of the fork");
        view.switch(edited.branch.clone());
    }
    let text = |view: &View| view.rows().nth(1).map(|row| row.message.text());
    view.until(PATIENCE, |view| text(view).as_deref() == Some("another second")).await.expect("the new line");
}

#[tokio::test]
async fn the_list_follows() {
    let world = World::new().await;
    world.client.follow_threads();
    let first = world.client.http().create_thread("first", None).await.expect("a thread").thread;
    world.client.http().create_thread("second", None).await.expect("a thread");
    let titles = |of: &[threadmill_proto::Summary]| of.iter().map(|entry| entry.title.clone()).collect::<Vec<_>>();
    world.client.until_threads(PATIENCE, |of| titles(of) == ["second", "first"]).await.expect("both");
    world.client.http().send(&first, "again", None).await.expect("a message");
    world.client.until_threads(PATIENCE, |of| titles(of) == ["first", "second"]).await.expect("the newer first");
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let world = World::new().await;
    let thread = ThreadId::parse("nowhere").expect("a valid id");
    let view = world.client.open(thread.clone(), None, Anchor::Tip);
    view.until(PATIENCE, |view| view.head().phase == Phase::Failed).await.expect("an answer");
    let message = MessageId::parse("none").expect("a valid id");
    let error = world.client.http().message(&thread, &message).await.expect_err("nothing");
    assert_eq!(error.code(), Some("thread_not_found"));
}

#[tokio::test]
async fn a_later_view_of_a_thread_lends_the_earlier_one_nothing_but_its_turn() {
    let world = World::new().await;
    let (thread, first) = world.thread_of(2).await;
    let branch: BranchId = first.with(|view| view.head().branch.clone()).expect("a branch");
    let second = world.client.open(thread.clone(), Some(branch), Anchor::Tip);
    second.until(PATIENCE, |view| view.rows().len() == 2).await.expect("the second view");
    world.client.http().send(&thread, "for both", None).await.expect("a message");
    second.until(PATIENCE, |view| view.rows().len() == 3).await.expect("the live one");
    drop(second);
    first.until(PATIENCE, |view| view.rows().len() == 3).await.expect("the earlier one catches up");
}
