//! What is asked of a stream, and what is answered.

use threadmill_proto::{Millis, Scope};

use super::path::StreamPath;
use crate::StoreResult;

/// Bytes that a stream may hold, what it has from its source included: 256 MiB.
pub const MOST_BYTES: u64 = 256 << 20;
/// Streams that a user may have, those included that are deleted and kept for their forks.
pub const MOST_STREAMS: u64 = 100_000;
/// Producers that a stream remembers.
pub const MOST_PRODUCERS: u64 = 1024;
/// How deep forks of forks may go: a read may look at each of them.
pub const MOST_FORKS_DEEP: u64 = 64;

/// Whose stream, and which.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey {
    /// The tenant and the user.
    pub scope: Scope,
    /// Its path.
    pub path: StreamPath,
}

/// How long a stream lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamLife {
    /// Until it is deleted.
    Forever,
    /// So many seconds after the last read or write.
    Idle(u64),
    /// Until a time.
    Until {
        /// When.
        at: Millis,
        /// The same, as it was asked for.
        written: String,
    },
}

/// Where a fork leaves its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkOf {
    /// The source's path; its scope is the fork's.
    pub path: StreamPath,
    /// What is shared: everything before this offset. Nothing is all there is when the fork is made.
    pub offset: Option<u64>,
    /// So much more: bytes, or messages of a JSON stream, of the one append that begins there.
    pub sub: u64,
}

/// A stream to be made.
#[derive(Debug, Clone)]
pub struct NewStream {
    /// Its media type. Nothing is the source's, or `application/octet-stream`.
    pub content_type: Option<String>,
    /// How long it lives. Nothing is as long as its source, or for ever.
    pub life: Option<StreamLife>,
    /// It takes nothing after its first content.
    pub closed: bool,
    /// Its first content.
    pub body: Vec<u8>,
    /// What it is a fork of.
    pub fork: Option<ForkOf>,
    /// The time.
    pub at: Millis,
}

/// One of those who append, who repeats what was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Producer {
    /// Its name.
    pub id: String,
    /// Grows with each of its restarts.
    pub epoch: u64,
    /// The number of this append in its epoch, from 0.
    pub seq: u64,
}

/// Something to be appended.
#[derive(Debug, Clone)]
pub struct StreamAppend {
    /// What the body is said to be. Not looked at where there is none.
    pub content_type: Option<String>,
    /// What to append; may be empty if the stream is to be closed.
    pub body: Vec<u8>,
    /// The stream takes nothing after this.
    pub close: bool,
    /// The writer's own order: greater, byte by byte, than that of the append before.
    pub seq: Option<String>,
    /// Who appends, so that a repetition has no second effect.
    pub producer: Option<Producer>,
    /// The time.
    pub at: Millis,
}

/// From where to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// The beginning.
    Start,
    /// An offset.
    At(u64),
    /// The end, as it is now.
    Tail,
}

/// A read.
#[derive(Debug, Clone, Copy)]
pub struct ReadStream {
    /// Where it begins.
    pub from: ReadFrom,
    /// About how much to read: whole appends, as many as begin within so many bytes.
    pub bytes: u64,
    /// The time.
    pub at: Millis,
}

/// Why a stream did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamRefusal {
    /// There is none, or it has expired.
    NotFound,
    /// It was deleted, and is kept for its forks.
    Gone,
    /// Another one is there, or one that is kept for its forks.
    Taken,
    /// There is no source.
    NoSource,
    /// The source was deleted, and is kept for its forks.
    SourceGone,
    /// The body is of another type than the stream, or the fork than its source.
    ContentType,
    /// The fork leaves its source where there is no place to do so.
    BadFork(&'static str),
    /// The offset is none of this stream's.
    BadOffset,
    /// It takes nothing any more.
    Closed {
        /// Its end.
        end: u64,
    },
    /// The writer's own order is not kept.
    OutOfOrder,
    /// The producer was restarted meanwhile, or somebody took its name.
    StaleEpoch {
        /// The newest epoch.
        epoch: u64,
    },
    /// An epoch begins with 0.
    EpochStart,
    /// Appends of the producer are missing.
    Gap {
        /// The next number.
        expected: u64,
        /// What came.
        received: u64,
    },
    /// A bound is reached, of which the word says which.
    Full(&'static str),
}

/// What a stream answers, if the store does.
pub type StreamAnswer<T> = StoreResult<Result<T, StreamRefusal>>;

/// Whether whoever waits is to hear of a write: it had an effect, as `effect` says of what was done, or nobody knows.
pub fn is_news<T>(answer: &StreamAnswer<T>, effect: impl FnOnce(&T) -> bool) -> bool {
    match answer {
        Ok(Ok(done)) => effect(done),
        Ok(Err(_)) => false,
        Err(_) => true,
    }
}

/// A stream that was made, or was there as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// It was made now.
    pub fresh: bool,
    /// How it stands.
    pub head: StreamHead,
}

/// What became of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The stream's end before it.
    pub from: u64,
    /// The stream's end.
    pub end: u64,
    /// Whether it is closed.
    pub closed: bool,
    /// It had its effect before.
    pub repeated: bool,
    /// The producer's epoch and the highest number taken in it.
    pub producer: Option<(u64, u64)>,
}

/// How a stream stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamHead {
    /// Its number in the store: another one for a stream that takes the path after it.
    pub num: i64,
    /// Its media type.
    pub content_type: String,
    /// How long it lives.
    pub life: StreamLife,
    /// Its end.
    pub end: u64,
    /// It takes nothing any more.
    pub closed: bool,
    /// It is time to say that it was used ([`super::StreamStore::touch_stream`]).
    pub touch: bool,
}

/// Part of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSlice {
    /// How the stream stands.
    pub head: StreamHead,
    /// Where the part begins.
    pub from: u64,
    /// Where it ends.
    pub to: u64,
    /// What is there; of a JSON stream, messages with a comma after each.
    pub body: Vec<u8>,
}

/// Where a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamTail {
    /// Its number in the store.
    pub num: i64,
    /// Its end.
    pub end: u64,
    /// It takes nothing any more.
    pub closed: bool,
}

/// One of a user's streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its number in the store, which grows in the order of their making.
    pub num: i64,
    /// Its path.
    pub path: StreamPath,
    /// Where it begins to be its own: 0, or where it leaves its source.
    pub start: u64,
    /// Its end.
    pub end: u64,
}

/// What a step of sweeping did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Streams that had expired.
    pub expired: u64,
    /// Rows of streams that are gone.
    pub rows: u64,
}
