//! A history as it should be: what a server that makes no mistakes acknowledges, shows and keeps.

use super::history::{Act, Body, Call, End, Entry, Frame, Logged, Mark, Micros, Record, Said, Shown};

pub(super) const THREAD: &str = "t";
pub(super) const SECOND: Micros = 1_000_000;

/// A server that makes no mistakes, and everybody around it.
#[derive(Default)]
struct World {
    now: Micros,
    entries: Vec<Entry>,
    log: Vec<Logged>,
    bodies: Vec<Body>,
}

impl World {
    fn tick(&mut self) -> Micros {
        self.now += 1000;
        self.now
    }

    fn record(&mut self, record: Record) -> u64 {
        let (seq, at) = (self.log.len() as u64 + 1, self.tick());
        self.log.push(Logged { thread: THREAD.into(), seq, at, record: record.clone() });
        let body = record.message().and_then(|(message, _)| self.bodies.iter().find(|body| body.message == message));
        let body = body.filter(|_| !matches!(record, Record::Ended { .. } | Record::Removed { .. })).cloned();
        self.tell(&Said::Change { epoch: 1, seq, record, body });
        seq
    }

    fn tell(&mut self, said: &Said) {
        for watcher in 0..3 {
            let at = self.tick();
            self.frame(watcher, at, 0, said.clone());
        }
    }

    fn frame(&mut self, watcher: usize, at: Micros, asked: Micros, said: Said) {
        self.entries.push(Entry::Frame(Frame { watcher, node: watcher, at, asked, thread: THREAD.into(), said }));
    }

    fn call(&mut self, act: Act, work: impl FnOnce(&mut Self) -> End) {
        let from = self.tick();
        let end = work(self);
        let (node, to, thread) = (0, self.tick(), THREAD.into());
        self.entries.push(Entry::Call(Call { node, from, to, thread, act, end }));
    }

    fn append(&mut self, id: &str) {
        let (message, text) = (id.to_owned(), format!("{id}/0"));
        self.call(Act::Append { message: message.clone(), text: text.clone() }, |world| {
            let body = Body { message: message.clone(), rev: 1, text, streaming: false, removed: false };
            world.bodies.push(body);
            End::Acknowledged { seq: world.record(Record::Appended { message, rev: 1 }) }
        });
    }

    fn body(&mut self, id: &str) -> &mut Body {
        self.bodies.iter_mut().find(|body| body.message == id).expect("it is there")
    }

    fn edit(&mut self, id: &str) {
        let rev = self.body(id).rev + 1;
        let (message, text) = (id.to_owned(), format!("{id}/{rev}"));
        let fork = format!("{text}~");
        self.call(Act::Edit { message: message.clone(), text: text.clone(), fork }, |world| {
            let body = world.body(&message);
            (body.rev, body.text) = (rev, text);
            End::Acknowledged { seq: world.record(Record::Edited { message, rev }) }
        });
    }

    fn remove(&mut self, id: &str) {
        let message = id.to_owned();
        self.call(Act::Remove { message: message.clone() }, |world| {
            let rev = world.body(&message).rev + 1;
            let seq = world.record(Record::Removed { message: message.clone(), rev });
            world.bodies.retain(|body| body.message != message);
            End::Acknowledged { seq }
        });
    }

    fn run(&mut self, name: &str) {
        let [message, answer, text] = ["q", "a", "say "].map(|what| format!("{what}{name}"));
        let run = name.to_owned();
        let act = Act::Ask { message: message.clone(), text: text.clone(), run: run.clone(), answer: answer.clone() };
        self.call(act, |world| {
            let body = Body { message: message.clone(), rev: 1, text, streaming: false, removed: false };
            world.bodies.push(body);
            world.record(Record::Appended { message, rev: 1 });
            let body = Body { message: answer.clone(), rev: 1, text: String::new(), streaming: true, removed: false };
            world.bodies.push(body);
            End::Acknowledged { seq: world.record(Record::Started { run, message: answer, rev: 1 }) }
        });
    }

    fn say(&mut self, name: &str, from: u64) {
        let (run, message, text) = (name.to_owned(), format!("a{name}"), format!("word {from} "));
        self.body(&message).text += &text;
        self.tell(&Said::Chunks { run, message, from, to: from + 1, text });
    }

    fn end(&mut self, name: &str, offset: u64) {
        let (run, message) = (name.to_owned(), format!("a{name}"));
        let body = self.body(&message);
        (body.rev, body.streaming) = (2, false);
        self.record(Record::Ended { run, message, rev: 2, offset });
    }

    fn shown(&self) -> Shown {
        Shown { epoch: 1, seq: self.log.len() as u64, bodies: self.bodies.clone(), runs: Vec::new() }
    }

    fn read(&mut self) {
        self.call(Act::Read, |world| End::Shown(world.shown()));
    }

    fn mark(&mut self, mark: Mark) {
        let at = self.tick();
        self.entries.push(Entry::Mark { mark, at });
    }
}

/// A history in which something of everything happens, and nothing wrong.
pub(super) fn good() -> Vec<Entry> {
    let mut world = World::default();
    world.tell(&Said::Window(Shown { epoch: 1, ..Shown::default() }));
    world.append("m1");
    world.append("m2");
    world.edit("m2");
    world.mark(Mark::FaultBegan);
    world.run("r");
    for from in 0..5 {
        world.say("r", from);
    }
    world.end("r", 5);
    world.append("m3");
    world.edit("m3");
    world.read();
    world.remove("m1");
    world.read();
    // One of them comes back, and is told what it missed.
    let at = world.tick();
    world.frame(1, at, at, Said::Left);
    world.frame(1, at + 1, at, Said::Resumed);
    world.mark(Mark::FaultEnded);
    world.append("m4");
    world.append("m5");
    world.now += 2 * SECOND;
    world.mark(Mark::Over);
    let World { mut entries, log, bodies, .. } = world;
    entries.extend(log.into_iter().map(Entry::Logged));
    entries.extend(bodies.into_iter().map(|body| Entry::Kept { thread: THREAD.into(), body }));
    entries
}
