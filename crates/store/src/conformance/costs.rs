//! One write of each kind, metered: so that a store can hold what each costs to a number that its own counters give.

use threadmill_proto::{BranchId, LockName, Millis, Outcome};

use super::Rig;
use super::kit::shapes::line;
use super::kit::{Chat, body, branch_id, delta, key, lease, message_id, run_id, started_in, stopping_in, thread_id};
use crate::{ChunkAppend, Command, IfMoved, ImportThread, LockAnswer, LockRequest, LockToken, Transaction};

/// What each kind of write cost, by the counter that `meter` reads.
pub async fn of_each_write(rig: &dyn Rig, meter: impl Fn() -> u64) -> Vec<(&'static str, u64)> {
    let mut costs = Costs { chat: Chat::begin(rig).await, meter, costs: Vec::new() };
    costs.messages().await;
    costs.runs().await;
    costs.keys_and_locks().await;
    costs.imports().await;
    let delete = costs.chat.delete();
    costs.write("a deletion", [delete]).await;
    costs.costs
}

struct Costs<M> {
    chat: Chat,
    meter: M,
    costs: Vec<(&'static str, u64)>,
}

impl<M: Fn() -> u64> Costs<M> {
    fn note(&mut self, name: &'static str, before: u64) {
        let cost = (self.meter)() - before;
        self.costs.push((name, cost));
    }

    async fn write(&mut self, name: &'static str, commands: impl Into<Vec<Command>>) -> crate::Committed {
        let before = (self.meter)();
        let done = self.chat.ok(commands).await;
        self.note(name, before);
        done
    }

    async fn messages(&mut self) {
        let chat = self.chat.clone();
        // What is prepared once and read once is not a write's cost.
        for n in 0..70 {
            self.chat.ok([chat.say(&format!("m{n}"))]).await;
        }
        let other = Chat { thread: thread_id("other"), ..chat.clone() };
        self.write("a thread", [other.create("")]).await;
        self.write("a message", [chat.say("a")]).await;
        self.write("a message after the tip", [chat.say_after("b", "a", IfMoved::Refuse)]).await;
        self.write("a message after one that moved", [chat.say_after("c", "m69", IfMoved::Append)]).await;
        self.write("ten messages", (0..10).map(|n| chat.say(&format!("t{n}"))).collect::<Vec<_>>()).await;
        self.write("an edit of the tip", [chat.edit("t9", "x")]).await;
        self.write("an edit that forks", [chat.edit("t3", "x")]).await;
        let mut again = chat.edit("t3", "y");
        if let Command::Edit { branch, fork, copy, .. } = &mut again {
            (*branch, *fork, *copy) = (Some(main()), branch_id("t3-again"), message_id("t3-again"));
        }
        self.write("another edit that forks there", [again]).await;
        self.write("a removal", [chat.remove("m5")]).await;
        let rename = |title: &str| Command::UpdateThread {
            id: chat.thread.clone(),
            title: Some(title.into()),
            archived: None,
            default_branch: None,
            metadata: None,
        };
        self.write("a title", [rename("named")]).await;
        self.write("a title that is there", [rename("named")]).await;
    }

    async fn runs(&mut self) {
        let chat = self.chat.clone();
        let fence = started_in(&self.write("a start", [chat.say("q"), chat.start("r")]).await).1;
        for name in ["the first chunks", "chunks"] {
            let before = (self.meter)();
            let from = u64::from(name == "chunks") * 2;
            chat.stream("r", fence, from, &["a", "b"]).await.expect("chunks pass");
            self.note(name, before);
        }
        let append = ChunkAppend {
            scope: chat.scope.clone(),
            run: run_id("r"),
            fence,
            under: None,
            from: 4,
            chunks: [delta("c")].into(),
            checkpoint: Some(body("ababc")),
        };
        let before = (self.meter)();
        chat.store.append_chunks(append).await.expect("chunks pass");
        self.note("a checkpoint", before);
        let before = (self.meter)();
        chat.store.renew_leases(lease("n1", 9_000)).await.expect("renews");
        self.note("a renewal", before);
        let fence = stopping_in(&self.write("a stop", [chat.stop("r")]).await).fence;
        self.write("a stop that is over", [chat.stop("r")]).await;
        let leased = chat.store.unended_runs().await.expect("reads").remove(0);
        let before = (self.meter)();
        let claimed = chat.store.claim_run(&leased, lease("n2", 9_000), 1).await.expect("asks").expect("it is free");
        self.note("a claim", before);
        assert!(claimed > fence);
        self.write("an end", [chat.end("r", claimed, Outcome::Stopped, "ababc")]).await;
        self.write("an answer anew", [chat.again("s", "answer-r")]).await;
        self.write("an edit beside a run", [chat.edit("answer-r", "z")]).await;
    }

    async fn keys_and_locks(&mut self) {
        let chat = self.chat.clone();
        let at: Millis = 50_000;
        let transaction = |commands: Vec<Command>, under| Transaction {
            scope: chat.scope.clone(),
            at,
            key: Some(key("k", 1)),
            under,
            commands,
        };
        let name = LockName::parse("door").expect("a name");
        let request = |now| LockRequest { name: name.clone(), holder: "a".into(), until: now + 100, now };
        let mut token = 0;
        for name in ["a lock", "a lock again"] {
            let before = (self.meter)();
            let answer = chat.store.acquire_lock(&chat.scope, request(at)).await.expect("it is decided");
            self.note(name, before);
            let LockAnswer::Granted(grant) = answer else { panic!("{answer:?}") };
            token = grant.token;
        }
        let lock = LockToken { name: name.clone(), token };
        let say = chat.say_on("under", "main");
        for name in ["a message with a key under a lock", "the same again"] {
            let before = (self.meter)();
            chat.store.apply(transaction(vec![say.clone()], Some(lock.clone()))).await.expect("applies");
            self.note(name, before);
        }
        let before = (self.meter)();
        chat.store.release_lock(&chat.scope, &lock).await.expect("gives back");
        self.note("a lock given back", before);
    }

    async fn imports(&mut self) {
        let chat = self.chat.clone();
        let id = thread_id("imported");
        let import = ImportThread {
            id: id.clone(),
            title: "old".into(),
            metadata: None,
            archived: false,
            created_at: 1,
            updated_at: 2,
        };
        let before = (self.meter)();
        chat.store.import_begin(&chat.scope, import).await.expect("begins");
        self.note("an import begun", before);
        let rows = line(20, &[10]);
        let before = (self.meter)();
        chat.store.import_rows(&chat.scope, &id, rows.collect()).await.expect("rows are added");
        self.note("an import's rows", before);
        let before = (self.meter)();
        chat.store.import_finish(&chat.scope, &id, Some(main())).await.expect("finishes");
        self.note("an import finished", before);
    }
}

fn main() -> BranchId {
    branch_id("main")
}
