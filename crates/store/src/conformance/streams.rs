//! Streams: chunks in order, durable, readable from any offset.

use threadmill_proto::{Anchor, Chunk, JsonText, Outcome};

use super::Rig;
use super::kit::{Chat, body, delta, nonsense, refused, run_id};
use crate::{ChunkAppend, StoreError, StreamPage};

async fn asked(rig: &dyn Rig) -> Chat {
    let mut chat = Chat::begin(rig).await;
    let commands = [chat.say("m0"), chat.start("r")];
    chat.ok(commands).await;
    chat
}

async fn page(chat: &Chat, from: u64, bytes: usize) -> StreamPage {
    let page = chat.store.stream(&chat.scope, &run_id("r"), from, bytes).await;
    page.expect("the run is there")
}

fn texts(page: &StreamPage) -> String {
    let text = |chunk: &Chunk| match chunk {
        Chunk::TextDelta { delta, .. } => delta.clone(),
        other => panic!("no text in {other:?}"),
    };
    page.chunks.iter().map(text).collect()
}

/// Pages follow each other, and hold at least one chunk.
pub async fn chunks_read_back_from_any_offset(rig: &mut dyn Rig) {
    let chat = asked(rig).await;
    let empty = page(&chat, 0, 100).await;
    assert_eq!((empty.chunks.len(), empty.to, empty.end, empty.closed), (0, 0, 0, false));
    chat.stream("r", chat.first().await, 0, &["ab", "cd", "ef"]).await.expect("chunks pass");
    chat.stream("r", chat.first().await, 3, &["gh"]).await.expect("chunks pass");
    for (from, bytes, text, to) in [
        (0, 1000, "abcdefgh", 4),
        (2, 1000, "efgh", 4),
        (0, 6, "abcd", 2),
        (1, 1, "cd", 2),
        (4, 10, "", 4),
        (99, 10, "", 4),
    ] {
        let page = page(&chat, from, bytes).await;
        assert_eq!((texts(&page).as_str(), page.to), (text, to));
        assert_eq!((page.end, page.closed), (4, false));
    }
}

/// A gap or an overlap is a writer's mistake.
pub async fn chunks_come_at_the_end_of_the_stream(rig: &mut dyn Rig) {
    let chat = asked(rig).await;
    nonsense(chat.stream("r", chat.first().await, 1, &["x"]).await);
    chat.stream("r", chat.first().await, 0, &["a", "b"]).await.expect("chunks pass");
    nonsense(chat.stream("r", chat.first().await, 0, &["x"]).await);
    nonsense(chat.stream("r", chat.first().await, 1, &["x"]).await);
    nonsense(chat.stream("r", chat.first().await, 3, &["x"]).await);
    assert_eq!(texts(&page(&chat, 0, 100).await), "ab");
}

/// Neither an old token nor a guessed one.
pub async fn a_stale_token_appends_nothing(rig: &mut dyn Rig) {
    let chat = asked(rig).await;
    let first = chat.first().await;
    for fence in [0, 1, first - 1, first + 1, u64::MAX] {
        refused(chat.stream("r", fence, 0, &["x"]).await, &StoreError::Fenced);
    }
    assert_eq!(page(&chat, 0, 100).await.end, 0);
}

/// A late reader gets the fold up to the checkpoint and the offset to go on from.
pub async fn a_checkpoint_moves_the_window(rig: &mut dyn Rig) {
    let chat = asked(rig).await;
    chat.stream("r", chat.first().await, 0, &["a"]).await.expect("chunks pass");
    let window = chat.window(Anchor::Tip, 9, 0).await;
    assert_eq!(window.messages[1].parts, []);
    assert_eq!((window.runs.len(), window.runs[0].offset), (1, 0));
    assert_eq!(window.cursor.runs[0].offset, 0);
    let append = ChunkAppend {
        scope: chat.scope.clone(),
        run: run_id("r"),
        fence: chat.first().await,
        under: None,
        from: 1,
        chunks: [delta("b"), delta("c")].into(),
        checkpoint: Some(body("abc")),
    };
    chat.store.append_chunks(append).await.expect("chunks pass");
    chat.stream("r", chat.first().await, 3, &["d"]).await.expect("chunks pass");
    let window = chat.window(Anchor::Tip, 9, 0).await;
    assert_eq!(window.messages[1].text(), "abc");
    assert_eq!(window.messages[1].rev, 1, "a checkpoint is no change");
    assert_eq!((window.runs[0].offset, window.cursor.runs[0].offset), (3, 3));
    assert_eq!(chat.message("answer-r").await.text(), "abc");
    let run = chat.store.run(&chat.scope, &run_id("r")).await;
    let run = run.expect("the run is there");
    assert_eq!((run.info.offset, run.folded.offset), (4, 3));
    assert_eq!(run.body, body("abc"));
    assert_eq!(texts(&page(&chat, 3, 100).await), "d");
}

/// What was acknowledged is there, and the writer may go on with its token.
pub async fn chunks_survive_a_restart(rig: &mut dyn Rig) {
    let mut chat = asked(rig).await;
    let token = chat.first().await;
    chat.stream("r", token, 0, &["a", "b"]).await.expect("chunks pass");
    rig.restart().await;
    chat.store = rig.store();
    assert_eq!(texts(&page(&chat, 0, 100).await), "ab");
    chat.stream("r", token, 2, &["c"]).await.expect("chunks pass");
    rig.restart().await;
    chat.store = rig.store();
    assert_eq!(texts(&page(&chat, 0, 100).await), "abc");
    let end = chat.end("r", token, Outcome::Complete, "abc");
    chat.ok([end]).await;
    rig.restart().await;
    chat.store = rig.store();
    let page = page(&chat, 1, 100).await;
    assert_eq!((texts(&page).as_str(), page.closed), ("bc", true));
}

/// It stays readable for a while, and says that nothing follows.
pub async fn an_ended_stream_is_closed(rig: &mut dyn Rig) {
    let mut chat = asked(rig).await;
    chat.stream("r", chat.first().await, 0, &["a", "b"]).await.expect("chunks pass");
    let end = chat.end("r", chat.first().await, Outcome::Complete, "ab");
    chat.ok([end]).await;
    let rest = page(&chat, 1, 100).await;
    assert_eq!((texts(&rest).as_str(), rest.to, rest.end, rest.closed), ("b", 2, 2, true));
    assert!(page(&chat, 2, 100).await.closed);
}

/// Of appends in one commit, the good ones pass and the bad ones do not.
pub async fn appends_that_wait_together_have_their_own_outcomes(rig: &mut dyn Rig) {
    let mut chat = asked(rig).await;
    let edit = chat.edit("m0", "x");
    let starts = [edit, chat.start("s")];
    chat.ok(starts).await;
    let text: &[&str] = &["x"];
    let (sealed, good, gap, stale, more) = tokio::join!(
        chat.stream("r", chat.first().await, 0, text),
        chat.stream("s", chat.first().await, 0, text),
        chat.stream("s", chat.first().await, 9, text),
        chat.stream("s", 9, 1, text),
        chat.stream("s", chat.first().await, 1, text),
    );
    refused(sealed, &StoreError::Fenced);
    nonsense(gap);
    refused(stale, &StoreError::Fenced);
    good.expect("chunks pass");
    more.expect("chunks pass");
    let page = chat.store.stream(&chat.scope, &run_id("s"), 0, 100).await;
    assert_eq!(texts(&page.expect("the run is there")), "xx");
}

/// Whatever a provider says, it comes back as it was.
pub async fn every_kind_of_chunk_is_kept(rig: &mut dyn Rig) {
    let mut chat = asked(rig).await;
    let (id, json) = (String::from("0"), JsonText("{\"a\":[1]}".into()));
    let chunks = vec![
        Chunk::StartStep,
        delta("before its start"),
        Chunk::TextStart { id: id.clone() },
        delta("ünïcödé 🦀"),
        Chunk::TextEnd { id: id.clone() },
        Chunk::ReasoningStart { id: id.clone() },
        Chunk::ReasoningDelta { id: id.clone(), delta: String::new() },
        Chunk::ReasoningEnd { id: id.clone() },
        Chunk::ToolInputStart { call_id: id.clone(), name: "f".into(), dynamic: true },
        Chunk::ToolInputDelta { call_id: id.clone(), delta: "{".into() },
        Chunk::ToolInputAvailable { call_id: id.clone(), name: "f".into(), input: json.clone(), dynamic: false },
        Chunk::ToolOutputAvailable { call_id: id.clone(), output: json.clone() },
        Chunk::Data { name: "d".into(), id: Some(id.clone()), data: json.clone() },
        Chunk::Metadata { metadata: json.clone() },
        Chunk::Other { kind: "new".into(), json },
        Chunk::FinishStep,
    ];
    let append = ChunkAppend {
        scope: chat.scope.clone(),
        run: run_id("r"),
        fence: chat.first().await,
        under: None,
        from: 0,
        chunks: chunks.clone().into(),
        checkpoint: None,
    };
    chat.store.append_chunks(append).await.expect("chunks pass");
    assert_eq!(page(&chat, 0, 10_000).await.chunks, chunks);
    rig.restart().await;
    chat.store = rig.store();
    for from in 0..=chunks.len() {
        assert_eq!(page(&chat, from as u64, 10_000).await.chunks, chunks[from..]);
    }
}
