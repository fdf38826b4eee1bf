//! Plain calls, without a client that holds a connection.

use std::time::Duration;

use reqwest::Method;
use threadmill_client::{Error, Form, Http, Options, Retry, Wire};
use threadmill_proto::{Chunk, ErrorCode, ServerFrame, Window, from_cbor};
use threadmill_server::{Auth, HttpLimits, Rates};

use crate::wire::Deed;
use crate::world::{PATIENCE, Place};

fn http(place: &Place) -> Http {
    place.options().http().expect("a client")
}

#[tokio::test]
async fn a_thread_s_events_come_as_they_happen() {
    let place = Place::new(Auth::Dev).await;
    let http = http(&place);
    let thread = http.create_thread("first", None).await.expect("a thread").thread;
    let mut events = http.events(&thread).await.expect("a stream");
    let window = events.next().await.expect("a stream").expect("an event");
    let window: serde_json::Value = serde_json::from_slice(window.data()).expect("JSON");
    assert_eq!(window["messages"][0]["parts"][0]["text"], "first");
    http.send(&thread, "second", None).await.expect("a message");
    let next = tokio::time::timeout(PATIENCE, events.next()).await.expect("in time").expect("a stream");
    let next = String::from_utf8(next.expect("an event").data().to_vec()).expect("text");
    assert!(next.contains("second"), "{next}");
}

#[tokio::test]
async fn a_run_is_written_by_the_program_and_stopped_by_others() {
    let place = Place::new(Auth::Dev).await;
    let http = http(&place);
    let thread = http.create_thread("why", None).await.expect("a thread").thread;
    let delta = |text: &str| Chunk::TextDelta { id: "0".into(), delta: text.into() };
    let mut run = http.start_external(&thread).await.expect("a run");
    run.say(&[delta("so "), delta("it ")]).await.expect("it is taken");
    run.keep().await.expect("it is known");
    run.say(&[delta("is")]).await.expect("it is taken");
    run.finish().await.expect("it ends");
    assert_eq!(place.texts(&thread).await, ["why", "so it is"]);
    http.send(&thread, "how", None).await.expect("a message");
    let begun = http.start_external(&thread).await.expect("a run");
    let mut elsewhere = http.open_external(begun.run().clone(), begun.token().to_owned());
    elsewhere.say(&[delta("thus")]).await.expect("it is taken");
    http.stop(begun.run()).await.expect("it is stopped");
    let refused = elsewhere.say(&[delta(" late")]).await.expect_err("it is over");
    assert_eq!(refused.code(), Some(ErrorCode::RunEnded.as_str()));
    assert_eq!(place.texts(&thread).await[3], "thus");
    http.send(&thread, "again", None).await.expect("a message");
    http.start_external(&thread).await.expect("a run").fail("No model today.").await.expect("it ends");
}

/// It may have been taken, so its number is not used for anything else.
#[tokio::test]
async fn a_piece_that_nobody_acknowledged_goes_before_the_next_one() {
    let place = Place::new(Auth::Dev).await;
    let http = http(&place);
    let thread = http.create_thread("why", None).await.expect("a thread").thread;
    let delta = |text: &str| Chunk::TextDelta { id: "0".into(), delta: text.into() };
    let mut run = http.start_external(&thread).await.expect("a run");
    // It arrives, and no answer comes back.
    let lost = place.wire.trap("/chunks", Deed::DropAnswer);
    assert!(matches!(run.say(&[delta("first, ")]).await, Err(Error::Unreachable(_))));
    assert_eq!(lost.now(), 6);
    place.wire.clear();
    // It does not arrive, and it is given up.
    let swallowed = place.wire.trap("/chunks", Deed::Swallow);
    assert!(tokio::time::timeout(Duration::from_millis(300), run.say(&[delta("second, ")])).await.is_err());
    assert_eq!(swallowed.now(), 1, "the first one goes again");
    place.wire.clear();
    place.wire.cut();
    run.say(&[delta("third, ")]).await.expect("it is taken");
    let mute = place.wire.trap("/chunks", Deed::Mute);
    assert!(tokio::time::timeout(Duration::from_millis(300), run.say(&[delta("fourth")])).await.is_err());
    assert_eq!(mute.now(), 1);
    place.wire.clear();
    place.wire.cut();
    run.keep().await.expect("it is there");
    run.finish().await.expect("it ends");
    assert_eq!(place.texts(&thread).await, ["why", "first, second, third, fourth"]);
}

#[tokio::test]
async fn bytes_are_what_the_server_encodes() {
    let place = Place::new(Auth::Dev).await;
    let http = http(&place);
    let thread = http.create_thread("first", None).await.expect("a thread").thread;
    let path = format!("/threads/{thread}/messages");
    let cbor = http.bytes(&path, Form::Cbor).await.expect("bytes");
    assert_eq!(from_cbor::<Window>(&cbor).expect("a window").total, 1);
    assert_eq!(http.bytes(&path, Form::Json).await.expect("bytes").first(), Some(&b'{'));
    let missing = http.bytes("/threads/none/messages", Form::Cbor).await.expect_err("there is none");
    assert_eq!(missing.code(), Some(ErrorCode::ThreadNotFound.as_str()), "a problem is read in either encoding");
}

#[tokio::test]
async fn a_wire_greets_and_hears_the_frames_as_they_are() {
    let place = Place::new(Auth::Dev).await;
    let mut wire = Wire::greeted(&http(&place)).await.expect("a greeting");
    assert!(matches!(wire.hear().await, Ok(ServerFrame::Flags { .. })));
    let nowhere = Wire::bare(&http(&place), "/nowhere").await.expect_err("no such place");
    assert!(matches!(nowhere, Error::Status(404)), "{nowhere}");
}

#[tokio::test]
async fn what_is_refused_for_now_is_sent_again_if_that_is_wanted() {
    let rates = Rates { user: 2, ..HttpLimits::DEFAULT.requests_per_second };
    let limits = HttpLimits { requests_per_second: rates, ..HttpLimits::DEFAULT };
    let place = Place::limited(Auth::Dev, limits).await;
    let asked = |http: Http| async move {
        for _ in 0..4 {
            http.call(Method::GET, "/info", None).await?;
        }
        Ok::<_, Error>(())
    };
    let refused = asked(http(&place)).await.expect_err("four are too many");
    assert_eq!(refused.code(), Some(ErrorCode::RateLimited.as_str()));
    let retry = Retry { times: 20, pause: Duration::from_millis(50) };
    asked(place.options().retry(retry).http().expect("a client")).await.expect("in the end");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_with_the_reason() {
    let http = Options::new("http://127.0.0.1:9").http().expect("a client");
    let error = http.call(Method::GET, "/info", None).await.expect_err("nobody is there");
    assert!(matches!(&error, Error::Unreachable(why) if why.contains("refused")), "{error}");
}
