//! Real ids for random requests.

use std::collections::BTreeMap;

use crate::conformance::kit::{branch_id, message_id, run_id};
use crate::{Applied, Command, Committed};
use threadmill_proto::{Anchor, BranchId, MessageId, RunId};

use super::request::Request;

/// The ids that requests have used so far. A drawn id such as `m3` stands for the third-last message made, `mnew`
/// for one that is new: so that random requests are mostly about something.
pub(super) struct World {
    made: BTreeMap<char, Vec<String>>,
    count: usize,
}

impl World {
    pub(super) fn new() -> Self {
        let list = |ids: &[&str]| ids.iter().map(ToString::to_string).collect();
        Self {
            made: BTreeMap::from([('m', list(&["m0", "m1", "m2"])), ('b', list(&["b0"])), ('r', list(&["r0"]))]),
            count: 0,
        }
    }

    fn ground(&mut self, drawn: &str) -> String {
        let (kind, rest) = drawn.split_at(1);
        let made = self.made.entry(kind.chars().next().expect("a prefix")).or_default();
        let Ok(back) = rest.parse::<usize>() else {
            self.count += 1;
            return format!("{kind}new-{}", self.count);
        };
        made[made.len() - 1 - back % made.len()].clone()
    }

    /// Notes what an answer made.
    pub(super) fn learn(&mut self, committed: &Committed) {
        for applied in &committed.applied {
            if let Applied::Message { message, .. } | Applied::Started { message, .. } = applied {
                self.note('m', message.id.as_str());
                self.note('b', message.branch.as_str());
            }
            if let Applied::Started { run, .. } = applied {
                self.note('r', run.id.as_str());
            }
        }
    }

    fn note(&mut self, kind: char, id: &str) {
        let made = self.made.entry(kind).or_default();
        made.retain(|known| known != id);
        made.push(id.to_owned());
    }

    fn message(&mut self, id: &mut MessageId) {
        *id = message_id(&self.ground(id.as_str()));
    }

    fn branch(&mut self, id: &mut BranchId) {
        *id = branch_id(&self.ground(id.as_str()));
    }

    fn run(&mut self, id: &mut RunId) {
        *id = run_id(&self.ground(id.as_str()));
    }

    /// Puts real ids into a request. What is referred to comes before what is made.
    pub(super) fn request(&mut self, request: &mut Request) {
        match request {
            Request::Apply { commands, .. } => commands.iter_mut().for_each(|c| self.command(c)),
            Request::Chunks { run, .. } | Request::Run(_, run, _) => self.run(run),
            Request::Window(_, query) => {
                query.branch.iter_mut().for_each(|id| self.branch(id));
                if let Anchor::Message(id) = &mut query.anchor {
                    self.message(id);
                }
            }
            Request::Claim { .. } | Request::Changes { .. } | Request::Lists(..) | Request::Export(..) => {}
        }
    }

    fn command(&mut self, command: &mut Command) {
        match command {
            Command::Append { branch, after, message, fork, .. } => {
                branch.iter_mut().for_each(|id| self.branch(id));
                after.iter_mut().for_each(|id| self.message(id));
                self.message(&mut message.id);
                self.branch(fork);
            }
            Command::Edit { message, branch, fork, copy, .. } => {
                branch.iter_mut().for_each(|id| self.branch(id));
                self.message(message);
                self.message(copy);
                self.branch(fork);
            }
            Command::StartRun { branch, regenerate, fork, run, message, .. } => {
                branch.iter_mut().for_each(|id| self.branch(id));
                regenerate.iter_mut().for_each(|id| self.message(id));
                self.message(message);
                self.branch(fork);
                self.run(run);
            }
            Command::Remove { message, .. } => self.message(message),
            Command::StopRun { run } | Command::EndRun { run, .. } => self.run(run),
            Command::UpdateThread { default_branch, .. } => {
                default_branch.iter_mut().for_each(|id| self.branch(id));
            }
            Command::CreateThread { .. } | Command::DeleteThread { .. } => {}
        }
    }
}
