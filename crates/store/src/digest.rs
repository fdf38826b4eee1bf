//! A hash over what can be read, in one order and one encoding for all backends.

use threadmill_proto::{RunInfo, Scope, Summary, Thread, to_cbor};

use crate::ImportRow;

/// Takes a store's contents in order: scopes ascending; for each its threads by id, a thread's rows in the order of
/// their making and its runs by id; then the scope's summary log. Secrets, and the hashes and commitments that
/// follow from them, are left out: they differ where the contents are equal.
#[derive(Debug, Default)]
pub struct Digest(blake3::Hasher);

impl Digest {
    fn add(&mut self, kind: u8, bytes: &[u8]) {
        self.0.update(&[kind]);
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// Whose data follows.
    pub fn scope(&mut self, scope: &Scope) {
        self.add(0, scope.tenant.as_str().as_bytes());
        self.add(1, scope.user.as_str().as_bytes());
    }

    /// A thread, and how many changes its log has seen.
    pub fn thread(&mut self, thread: &Thread, seq: u64) {
        self.add(2, &to_cbor(thread));
        self.add(3, &seq.to_le_bytes());
    }

    /// A row of the thread.
    pub fn row(&mut self, row: &ImportRow) {
        match row {
            ImportRow::Branch { id, parent, fork_depth } => self.add(4, &to_cbor(&(id, parent, fork_depth))),
            ImportRow::Message(message) => self.add(5, &to_cbor(message)),
        }
    }

    /// A run of the thread.
    pub fn run(&mut self, run: &RunInfo) {
        self.add(6, &to_cbor(run));
    }

    /// An entry of the scope's summary log.
    pub fn summary(&mut self, summary: &Summary) {
        self.add(7, &to_cbor(summary));
    }

    /// The hash.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}
