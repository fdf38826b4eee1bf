//! Views that nobody looks at.

use threadmill_client::EditText;
use threadmill_proto::Anchor;

use crate::wire::Deed;
use crate::world::{PATIENCE, World};

#[tokio::test]
async fn a_view_that_rests_is_there_at_once_and_catches_up() {
    let world = World::new().await;
    let (thread, view) = world.thread_of(60).await;
    drop(view);
    assert_eq!(world.client.held().0, 1);
    world.client.http().send(&thread, "meanwhile", None).await.expect("a message");
    let opened = world.wire.trap("/messages?", Deed::Pass);
    let view = world.client.open(thread.clone(), None, Anchor::Tip);
    assert_eq!(view.with(|view| view.rows().len()), 50, "it has not been asked for");
    view.until(PATIENCE, |view| view.rows().len() == 51).await.expect("what came meanwhile");
    assert_eq!(opened.now(), 0, "by its cursor alone");
    // Elsewhere is another matter.
    drop(view);
    let view = world.client.open(thread, None, Anchor::Depth(0));
    view.until(PATIENCE, |view| view.head().from == 0).await.expect("the beginning");
    assert_eq!(opened.now(), 1);
}

#[tokio::test]
async fn what_there_is_no_room_for_is_given_up() {
    let world = World::with(|options| options.room(0)).await;
    let (thread, view) = world.thread_of(5).await;
    assert!(world.client.held().1 > 0, "what is shown is held in any case");
    drop(view);
    assert_eq!(world.client.held(), (0, 0));
    let view = world.client.open(thread, None, Anchor::Tip);
    assert_eq!(view.with(|view| view.rows().len()), 0);
    view.until(PATIENCE, |view| view.rows().len() == 5).await.expect("it opens anew");
}

#[tokio::test]
async fn a_view_rests_on_the_branch_it_shows() {
    let world = World::new().await;
    let (thread, view) = world.thread_of(3).await;
    let first = view.with(|view| view.rows().next().map(|row| row.message.id.clone())).expect("a row");
    let main = view.with(|view| view.head().branch.clone()).expect("a branch");
    let fork =
        world.client.http().edit(&thread, &first, EditText::only(1, "another first")).await.expect("an edit").branch;
    view.until(PATIENCE, |view| view.head().default_branch.as_ref() == Some(&fork)).await.expect("the news of it");
    view.switch(fork.clone());
    view.until(PATIENCE, |view| view.head().branch.as_ref() == Some(&fork)).await.expect("the fork");
    drop(view);
    let view = world.client.open(thread.clone(), Some(fork.clone()), Anchor::Tip);
    assert_eq!(view.with(|view| view.head().branch.clone()), Some(fork));
    let other = world.client.open(thread, Some(main.clone()), Anchor::Tip);
    other.until(PATIENCE, |view| view.head().branch.as_ref() == Some(&main)).await.expect("the other branch");
}
