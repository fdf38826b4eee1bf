//! A tail in memory: the rules of [`TailAppend`] and [`TailRead`] in their plainest form.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::hot::{Extended, OnGap, Place, TailAppend, TailEntry, TailRead};

pub(super) struct Tail {
    end: Place,
    entries: VecDeque<Bytes>,
    bytes: usize,
}

impl Tail {
    /// A tail whose next entry follows `place`.
    pub(super) fn starting(place: Place) -> Self {
        Self { end: place, entries: VecDeque::new(), bytes: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        // An entry's handle is four words.
        self.bytes + self.entries.len() * 32
    }

    pub(super) fn extend(&mut self, append: &TailAppend) -> Extended {
        let anew = append.after.epoch > self.end.epoch
            || (append.after.epoch == self.end.epoch
                && append.after.seq > self.end.seq
                && append.on_gap == OnGap::Restart);
        if anew {
            *self = Self::starting(append.after);
        }
        if append.after != self.end {
            return Extended::Refused { there: self.end };
        }
        for entry in &append.entries {
            self.bytes += entry.len();
            self.entries.push_back(entry.clone());
        }
        self.end = append.end();
        self.trim(append.keep.entries as usize, append.keep.bytes as usize);
        Extended::Accepted
    }

    fn trim(&mut self, entries: usize, bytes: usize) {
        while self.entries.len() > entries || (self.bytes > bytes && self.entries.len() > 1) {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes -= oldest.len();
        }
    }

    pub(super) fn read(&self, after: Place, limit: u32) -> TailRead {
        let before_first = self.end.seq - self.entries.len() as u64;
        if after.epoch != self.end.epoch || !(before_first..=self.end.seq).contains(&after.seq) {
            return TailRead::Gap { there: Some(self.end) };
        }
        let skip = usize::try_from(after.seq - before_first).unwrap_or(usize::MAX);
        let numbers = after.seq + 1..;
        let entries = self.entries.iter().skip(skip).take(limit as usize).zip(numbers);
        TailRead::Entries(entries.map(|(bytes, seq)| TailEntry { seq, bytes: bytes.clone() }).collect())
    }
}
