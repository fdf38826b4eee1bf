//! A stream as it is kept, and what it decides alone.

use minicbor::{Decode, Encode};
use threadmill_proto::Millis;

use super::words::{
    Appended, ForkOf, MOST_BYTES, MOST_PRODUCERS, NewStream, Producer, StreamAppend, StreamHead, StreamLife,
    StreamRefusal, StreamTail,
};
use crate::relational::Damage;

/// A time that no column exceeds.
const FAR: u64 = i64::MAX as u64;

/// Streams that live shorter than this without use are kept to the second, each read a commit; of others a read writes at
/// most once an eighth of the time.
const KEPT_TO_THE_SECOND: u64 = 16;

/// What is kept of a stream beside the columns that are asked for. Numbers of fields are frozen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct StreamAbout {
    #[n(0)]
    content_type: String,
    /// Seconds without use.
    #[n(1)]
    ttl: Option<u64>,
    /// When it ends, as asked for.
    #[n(2)]
    until: Option<String>,
    #[n(3)]
    closed: bool,
    /// Who closed it: id, epoch, number.
    #[n(4)]
    closed_by: Option<(String, u64, u64)>,
    /// The writer's own order.
    #[n(5)]
    seq: Option<String>,
    /// As asked for: the source's path, the offset, and what beyond.
    #[n(6)]
    forked: Option<(String, Option<u64>, u64)>,
    /// How many sources are behind it.
    #[n(7)]
    depth: u64,
    #[n(8)]
    producers: u64,
}

/// A stream as a store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamRow {
    /// Its number, given by the store.
    pub num: i64,
    /// Where it begins to be its own.
    pub start: u64,
    /// Its end.
    pub end: u64,
    /// When it ends, if it does.
    pub expires: Option<Millis>,
    /// It was deleted, and is kept for its forks.
    pub deleted: bool,
    /// The source's number.
    pub source: Option<i64>,
    /// Streams that are forks of it.
    pub forks: u64,
    /// The rest.
    pub about: StreamAbout,
}

/// Whether a media type is that of JSON, whatever its parameters.
#[must_use]
pub fn is_json(content_type: &str) -> bool {
    essence(content_type).eq_ignore_ascii_case("application/json")
}

/// Whether two media types are the same, but for case and parameters.
#[must_use]
pub fn same_type(one: &str, other: &str) -> bool {
    essence(one).eq_ignore_ascii_case(essence(other))
}

fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

impl StreamRow {
    /// A stream that is to be made; `source` is what it is a fork of, and where it leaves that.
    pub(super) fn made(new: &NewStream, source: Option<(&Self, u64)>) -> Self {
        let inherited = source.map(|(row, _)| row.about.content_type.clone());
        let life = new.life.clone().or_else(|| source.map(|(row, _)| row.life())).unwrap_or(StreamLife::Forever);
        let (ttl, until, expires) = match life {
            StreamLife::Forever => (None, None, None),
            StreamLife::Idle(seconds) => (Some(seconds), None, None),
            StreamLife::Until { at, written } => (None, Some(written), Some(at.min(FAR))),
        };
        let start = source.map_or(0, |(_, at)| at);
        let about = StreamAbout {
            content_type: new
                .content_type
                .clone()
                .or(inherited)
                .unwrap_or_else(|| "application/octet-stream".to_owned()),
            ttl,
            until,
            closed: new.closed,
            forked: new.fork.as_ref().map(|fork| (fork.path.as_str().to_owned(), fork.offset, fork.sub)),
            depth: source.map_or(0, |(row, _)| row.about.depth + 1),
            ..StreamAbout::default()
        };
        let end = start + new.body.len() as u64;
        let mut row = Self { start, end, expires, source: source.map(|(row, _)| row.num), about, ..Self::default() };
        row.used(new.at);
        row
    }

    /// A row of these columns, with the rest as it was kept.
    ///
    /// # Errors
    /// If it cannot be one.
    pub fn with(mut self, about: &[u8]) -> Result<Self, Damage> {
        self.about = minicbor::decode(about)?;
        Ok(self)
    }

    /// What is kept of it beside its columns.
    ///
    /// # Panics
    /// Never: a vector takes all there is.
    #[must_use]
    pub fn packed(&self) -> Vec<u8> {
        minicbor::to_vec(&self.about).unwrap_or_else(|_| unreachable!("a vector takes it"))
    }

    /// How long it lives.
    #[must_use]
    pub fn life(&self) -> StreamLife {
        match (&self.about.ttl, &self.about.until) {
            (Some(seconds), _) => StreamLife::Idle(*seconds),
            (None, Some(written)) => StreamLife::Until { at: self.expires.unwrap_or(FAR), written: written.clone() },
            (None, None) => StreamLife::Forever,
        }
    }

    /// Its media type.
    #[must_use]
    pub fn content_type(&self) -> &str {
        &self.about.content_type
    }

    /// Its messages are JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        is_json(&self.about.content_type)
    }

    /// How many sources are behind it.
    pub(super) fn depth(&self) -> u64 {
        self.about.depth
    }

    /// Whether its time is over.
    #[must_use]
    pub fn has_expired(&self, at: Millis) -> bool {
        self.expires.is_some_and(|expires| expires <= at)
    }

    /// What whoever asks for it is told, if it is not to be had.
    pub(super) fn unseen(&self, at: Millis) -> Option<StreamRefusal> {
        match (self.deleted, self.has_expired(at)) {
            (true, _) => Some(StreamRefusal::Gone),
            (false, true) if self.forks > 0 => Some(StreamRefusal::Gone),
            (false, true) => Some(StreamRefusal::NotFound),
            (false, false) => None,
        }
    }

    /// How it stands.
    #[must_use]
    pub fn head(&self, at: Millis) -> StreamHead {
        StreamHead {
            num: self.num,
            content_type: self.about.content_type.clone(),
            life: self.life(),
            end: self.end,
            closed: self.about.closed,
            touch: self.is_touch_due(at),
        }
    }

    /// Where it ends.
    #[must_use]
    pub fn tail(&self) -> StreamTail {
        StreamTail { num: self.num, end: self.end, closed: self.about.closed }
    }

    /// How much longer than its time it may stay, in milliseconds: what a read need not write.
    fn slack(seconds: u64) -> u64 {
        if seconds < KEPT_TO_THE_SECOND { 0 } else { seconds.saturating_mul(125) }
    }

    /// When it ends if it was used now.
    fn end_of(seconds: u64, at: Millis) -> Millis {
        at.saturating_add(seconds.saturating_mul(1000)).saturating_add(Self::slack(seconds)).min(FAR)
    }

    fn is_touch_due(&self, at: Millis) -> bool {
        let (Some(seconds), Some(expires)) = (self.about.ttl, self.expires) else { return false };
        Self::end_of(seconds, at) > expires.saturating_add(Self::slack(seconds))
    }

    /// It was used. False if that need not be written.
    pub(super) fn touched(&mut self, at: Millis) -> bool {
        let due = self.is_touch_due(at);
        if due {
            self.used(at);
        }
        due
    }

    fn used(&mut self, at: Millis) {
        if let Some(seconds) = self.about.ttl {
            self.expires = Some(self.expires.unwrap_or(0).max(Self::end_of(seconds, at)));
        }
    }

    /// Whether it is what somebody wants to make.
    pub(super) fn is_as_asked(&self, new: &NewStream) -> bool {
        let forked = match (&self.about.forked, &new.fork) {
            (None, None) => true,
            // A repetition does not know where the source ended.
            (Some((path, _, _)), Some(ForkOf { path: asked, offset: None, sub: 0 })) => path == asked.as_str(),
            (Some((path, offset, sub)), Some(asked)) => {
                path == asked.path.as_str() && *offset == asked.offset && *sub == asked.sub
            }
            _ => false,
        };
        let typed = match &new.content_type {
            Some(asked) => same_type(&self.about.content_type, asked),
            None => new.fork.is_some() || same_type(&self.about.content_type, "application/octet-stream"),
        };
        let lives = match (&new.life, self.life()) {
            (None, StreamLife::Forever) => true,
            // What a fork has from its source it did not ask for.
            (None, _) => new.fork.is_some(),
            (Some(StreamLife::Until { at, .. }), StreamLife::Until { at: known, .. }) => *at == known,
            (Some(asked), known) => *asked == known,
        };
        forked && typed && lives && self.about.closed == new.closed
    }

    /// Decides on an append, given what is known of its producer, and takes it: what is not repeated is to be written back,
    /// with the body at the end before, and the producer.
    pub(super) fn take(&mut self, append: &StreamAppend, known: Option<(u64, u64)>) -> Result<Appended, StreamRefusal> {
        if self.about.closed {
            return self.when_closed(append, known);
        }
        let typed = append.content_type.as_deref().is_some_and(|asked| same_type(asked, &self.about.content_type));
        if !append.body.is_empty() && !typed {
            return Err(StreamRefusal::ContentType);
        }
        if let Some(producer) = &append.producer
            && let Some(state) = repeated(producer, known)?
        {
            return Ok(self.appended(self.end, true, Some(state)));
        }
        if let (Some(seq), Some(last)) = (&append.seq, &self.about.seq)
            && seq.as_bytes() <= last.as_bytes()
        {
            return Err(StreamRefusal::OutOfOrder);
        }
        let (from, end) = (self.end, self.end + append.body.len() as u64);
        if end > MOST_BYTES {
            return Err(StreamRefusal::Full("bytes of a stream"));
        }
        if append.producer.is_some() && known.is_none() {
            if self.about.producers >= MOST_PRODUCERS {
                return Err(StreamRefusal::Full("producers of a stream"));
            }
            self.about.producers += 1;
        }
        self.end = end;
        if append.seq.is_some() {
            self.about.seq.clone_from(&append.seq);
        }
        if append.close {
            self.about.closed = true;
            self.about.closed_by = append.producer.as_ref().map(|by| (by.id.clone(), by.epoch, by.seq));
        }
        // As of a read, at most once an eighth of the time: where that has an index, most appends change none.
        self.touched(append.at);
        let state = append.producer.as_ref().map(|by| (by.epoch, by.seq));
        Ok(self.appended(from, false, state))
    }

    /// A closed stream answers whoever repeats what closed it, and whoever only wants it closed.
    fn when_closed(&self, append: &StreamAppend, known: Option<(u64, u64)>) -> Result<Appended, StreamRefusal> {
        let Some(producer) = &append.producer else {
            return if append.close && append.body.is_empty() {
                Ok(self.appended(self.end, true, None))
            } else {
                Err(StreamRefusal::Closed { end: self.end })
            };
        };
        let closed_it = self.about.closed_by.as_ref().is_some_and(|(id, epoch, seq)| {
            (id.as_str(), *epoch, *seq) == (producer.id.as_str(), producer.epoch, producer.seq)
        });
        match known {
            _ if closed_it => Ok(self.appended(self.end, true, known)),
            Some((epoch, _)) if producer.epoch < epoch => Err(StreamRefusal::StaleEpoch { epoch }),
            _ => Err(StreamRefusal::Closed { end: self.end }),
        }
    }

    fn appended(&self, from: u64, repeated: bool, producer: Option<(u64, u64)>) -> Appended {
        Appended { from, end: self.end, closed: self.about.closed, repeated, producer }
    }
}

/// What is known of a producer, if this repeats what it appended before.
fn repeated(producer: &Producer, known: Option<(u64, u64)>) -> Result<Option<(u64, u64)>, StreamRefusal> {
    let Some((epoch, last)) = known else {
        return match producer.seq {
            0 => Ok(None),
            received => Err(StreamRefusal::Gap { expected: 0, received }),
        };
    };
    if producer.epoch < epoch {
        return Err(StreamRefusal::StaleEpoch { epoch });
    }
    if producer.epoch > epoch {
        return if producer.seq == 0 { Ok(None) } else { Err(StreamRefusal::EpochStart) };
    }
    match producer.seq {
        seq if seq <= last => Ok(Some((epoch, last))),
        seq if seq == last + 1 => Ok(None),
        received => Err(StreamRefusal::Gap { expected: last + 1, received }),
    }
}
