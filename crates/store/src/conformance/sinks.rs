//! The sink: hears everything that became durable, once, in order, before those who asked.

use std::sync::{Arc, Mutex};

use threadmill_proto::{Event, Outcome};

use super::Rig;
use super::kit::{Chat, conflict, delta, key, refused, run_id, stopping_in};
use crate::{Changes, CommitSink, Committing, Conflict, StoreError};

#[derive(Default)]
struct Ear(Mutex<Vec<Committing>>);

impl Ear {
    fn take(&self) -> Vec<Committing> {
        std::mem::take(&mut *self.0.lock().expect("no panic holds it"))
    }
}

impl CommitSink for Ear {
    fn committed(&self, batch: Vec<Committing>) {
        assert!(!batch.is_empty(), "nothing is no news");
        self.0.lock().expect("no panic holds it").extend(batch);
    }
}

fn listen(rig: &dyn Rig) -> Arc<Ear> {
    let ear = Arc::new(Ear::default());
    rig.store().attach(ear.clone());
    ear
}

fn events(heard: &[Committing]) -> Vec<Event> {
    heard
        .iter()
        .filter_map(|committing| match committing {
            Committing::Event { event, .. } => Some(event.clone()),
            Committing::Chunks(_) | Committing::Summary { .. } => None,
        })
        .collect()
}

/// The same events, but with the bodies that each change left.
pub async fn the_sink_hears_what_the_log_says(rig: &mut dyn Rig) {
    let ear = listen(rig);
    let mut chat = Chat::begin(rig).await;
    let commands = [chat.say("m0"), chat.edit("m0", "second"), chat.remove("m0")];
    chat.ok(commands).await;
    let commands = [chat.say("m1"), chat.start("r")];
    chat.ok(commands).await;
    let heard = ear.take();
    let Changes::Since { events: log, .. } = chat.since(chat.before_everything().await).await else {
        panic!("the log is whole");
    };
    let heard_events = events(&heard);
    let records =
        |events: &[Event]| -> Vec<_> { events.iter().map(|event| (event.position(), event.record.clone())).collect() };
    assert_eq!(records(&heard_events), records(&log));
    let texts: Vec<_> =
        heard_events.iter().map(|event| event.body.as_ref().map(threadmill_proto::Message::text)).collect();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(texts, [None, text("text of m0"), text("second"), None, text("text of m1"), text("")]);
    for committing in &heard {
        if let Committing::Event { tenant, thread, .. } = committing {
            assert_eq!((tenant, thread), (&chat.scope.tenant, &chat.thread));
        }
    }
}

/// So that whoever has an answer finds its effect published.
pub async fn the_sink_hears_before_the_answer(rig: &mut dyn Rig) {
    let ear = listen(rig);
    let mut chat = Chat::begin(rig).await;
    for n in 0..20 {
        ear.take();
        let say = chat.say(&format!("m{n}"));
        let committed = chat.ok([say]).await;
        let last = events(&ear.take()).pop().expect("it was told");
        assert_eq!(last.position(), committed.position);
    }
}

/// Chunks with their place, summaries once a transaction, the deletion at the last.
pub async fn the_sink_hears_chunks_and_summaries(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let ear = listen(rig);
    let commands = [chat.say("m0"), chat.start("r")];
    chat.ok(commands).await;
    let heard = ear.take();
    assert_eq!(heard.len(), 3);
    let Some(Committing::Summary { scope, summary }) = heard.last() else {
        panic!("the summary comes last");
    };
    assert_eq!(*scope, chat.scope);
    let log = chat.store.summaries(&chat.scope, 0, 9).await.expect("lists");
    assert_eq!(log.items.as_slice(), std::slice::from_ref(summary));
    chat.stream("r", chat.first().await, 0, &["a"]).await.expect("chunks pass");
    chat.stream("r", chat.first().await, 1, &["b", "c"]).await.expect("chunks pass");
    let heard = ear.take();
    let [Committing::Chunks(first), Committing::Chunks(second)] = heard.as_slice() else {
        panic!("two batches, not {heard:?}");
    };
    assert_eq!((first.from, &*first.chunks), (0, &[delta("a")] as &[_]));
    assert_eq!((second.from, &*second.chunks), (1, &[delta("b"), delta("c")] as &[_]));
    assert_eq!((&second.run, &second.thread), (&run_id("r"), &chat.thread));
    assert_eq!(second.message.as_str(), "answer-r");
    let delete = chat.delete();
    chat.ok([delete]).await;
    let heard = ear.take();
    let [Committing::Event { event, .. }, Committing::Summary { summary, .. }] = heard.as_slice() else {
        panic!("an event and a tombstone, not {heard:?}");
    };
    assert_eq!(event.record.change, threadmill_proto::Change::ThreadDeleted);
    assert_eq!(event.record.seq, 4);
    assert!(summary.deleted);
}

/// What did not happen is not told, what happened is told once.
pub async fn the_sink_hears_nothing_of_refusals_and_replays(rig: &mut dyn Rig) {
    let mut chat = Chat::begin(rig).await;
    let say = chat.say("m0");
    let mut transaction = chat.transaction([say, chat.start("r")]);
    transaction.key = Some(key("k", 1));
    chat.store.apply(transaction.clone()).await.expect("applies");
    let ear = listen(rig);
    let replay = chat.store.apply(transaction).await.expect("replays");
    assert!(replay.replayed);
    let commands = [chat.edit("m0", "x"), chat.say("m0")];
    conflict(chat.apply(commands).await, Conflict::IdTaken);
    refused(chat.stream("r", 9, 0, &["x"]).await, &StoreError::Fenced);
    chat.stream("r", chat.first().await, 0, &[]).await.expect("nothing passes");
    let stop = chat.stop("r");
    let fence = stopping_in(&chat.ok([stop.clone()]).await).fence;
    let end = chat.end("r", fence, Outcome::Stopped, "");
    chat.ok([end]).await;
    ear.take();
    chat.ok([stop]).await;
    assert_eq!(ear.take(), []);
}
