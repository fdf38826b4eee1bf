//! Where sockets do not get through.

use std::time::Duration;

use threadmill_client::{Client, Clock};
use threadmill_proto::Anchor;
use threadmill_server::Auth;

use crate::wire::{Count, Deed};
use crate::world::{PATIENCE, Place, answer_through, thread_of};

const SOCKETS: &str = "upgrade: websocket";
const EVENTS: &str = "accept: text/event-stream";
const POLLS: &str = "accept: application/cbor-seq";
/// What a connection is given to stand.
const GREETING: Duration = Duration::from_secs(10);

/// Connections that come to nothing, each given up when its time is over.
async fn give_up(client: &Client, clock: &Clock, count: &mut Count, connections: u32) {
    for connection in 1..=connections {
        count.reach(connection).await;
        clock.skip(GREETING);
        client.wake();
    }
}

/// Opens, follows and writes. A poll says nothing before there is something to say, so nobody waits for it to stand.
async fn use_it(place: &mut Place, client: &Client) {
    let (thread, view) = thread_of(client, 3).await;
    answer_through(place, client, (&thread, &view), 30, async |_, _| {}).await;
    // What is shown besides has to be asked for anew with all the rest.
    let (other, beside) = thread_of(client, 2).await;
    client.http().send(&thread, "here", None).await.expect("a message");
    client.http().send(&other, "there", None).await.expect("a message");
    view.until(PATIENCE, |view| view.head().total == 6).await.expect("the first view goes on");
    beside.until(PATIENCE, |view| view.head().total == 3).await.expect("the second one too");
    drop(view);
    client.http().send(&other, "and there", None).await.expect("a message");
    beside.until(PATIENCE, |view| view.head().total == 4).await.expect("alone too");
    let back = client.open(thread, None, Anchor::Tip);
    back.until(PATIENCE, |view| view.head().total == 6).await.expect("it comes back");
}

#[tokio::test]
async fn refused_sockets_give_way_to_an_event_stream() {
    let mut place = Place::new(Auth::Dev).await;
    let sockets = place.wire.trap(SOCKETS, Deed::Refuse);
    let (events, polls) = (place.wire.trap(EVENTS, Deed::Pass), place.wire.trap(POLLS, Deed::Pass));
    let client = place.options().connect().expect("a client");
    client.live(PATIENCE).await.expect("a connection");
    use_it(&mut place, &client).await;
    assert_eq!((sockets.now(), polls.now()), (2, 0));
    assert!(events.now() > 0);
}

#[tokio::test]
async fn swallowed_sockets_are_given_up_in_time() {
    let mut place = Place::new(Auth::Dev).await;
    let mut sockets = place.wire.trap(SOCKETS, Deed::Swallow);
    let events = place.wire.trap(EVENTS, Deed::Pass);
    let clock = Clock::default();
    let client = place.options().clock(clock.clone()).connect().expect("a client");
    give_up(&client, &clock, &mut sockets, 1).await;
    use_it(&mut place, &client).await;
    assert_eq!(sockets.now(), 1);
    assert!(events.now() > 0);
}

#[tokio::test]
async fn held_up_event_streams_give_way_to_polls() {
    let mut place = Place::new(Auth::Dev).await;
    let sockets = place.wire.trap(SOCKETS, Deed::Refuse);
    let mut events = place.wire.trap(EVENTS, Deed::Mute);
    let polls = place.wire.trap(POLLS, Deed::Pass);
    let clock = Clock::default();
    let client = place.options().clock(clock.clone()).connect().expect("a client");
    give_up(&client, &clock, &mut events, 2).await;
    use_it(&mut place, &client).await;
    assert_eq!((sockets.now(), events.now()), (2, 2));
    assert!(polls.now() > 1);
}

#[tokio::test]
async fn a_socket_is_tried_again_later() {
    let place = Place::new(Auth::Dev).await;
    let mut sockets = place.wire.trap(SOCKETS, Deed::Refuse);
    let clock = Clock::default();
    let client = place.options().clock(clock.clone()).connect().expect("a client");
    sockets.reach(2).await;
    client.live(PATIENCE).await.expect("a connection");
    place.wire.clear();
    let mut sockets = place.wire.trap(SOCKETS, Deed::Pass);
    clock.skip(Duration::from_secs(61));
    client.wake();
    sockets.reach(1).await;
    let (_, view) = thread_of(&client, 2).await;
    assert_eq!(view.with(|view| view.rows().len()), 2);
}

#[tokio::test]
async fn an_event_stream_that_is_cut_comes_back() {
    let mut place = Place::new(Auth::Dev).await;
    place.wire.trap(SOCKETS, Deed::Refuse);
    let client = place.options().connect().expect("a client");
    let (thread, view) = thread_of(&client, 3).await;
    answer_through(&mut place, &client, (&thread, &view), 30, async |place, number| {
        if number % 9 == 4 {
            place.wire.cut();
        }
    })
    .await;
}
