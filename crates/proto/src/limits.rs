//! The limits a deployment states and enforces. Sizes are bytes, counts are counts.

/// A message's or a thread's metadata. It is read with every window and list, so it stays small.
pub const METADATA_BYTES: usize = 16 << 10;

/// Levels of JSON that a message or a thread may carry. What stores and moves it wraps it in a few more, and many readers of
/// JSON stop at 127 or 128: all of it together stays below.
pub const MAX_DEPTH: usize = 100;

/// What one deployment accepts and sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// One message: its parts and metadata.
    pub message_bytes: usize,
    /// One HTTP request body.
    pub body_bytes: usize,
    /// One WebSocket frame from a client.
    pub frame_bytes: usize,
    /// One window; a page ends early rather than exceed it.
    pub page_bytes: usize,
    /// A part longer than this comes in windows as a preview of this length.
    pub part_preview_bytes: usize,
    /// Live messages in one window.
    pub page_messages: u32,
    /// Parts in one message.
    pub parts: usize,
    /// A title.
    pub title_bytes: usize,
    /// An idempotency key.
    pub key_bytes: usize,
    /// Subscriptions on one connection.
    pub subscriptions: usize,
    /// Threads in one list page.
    pub list_page: u32,
}

/// What an import may bring that an ordinary request may not: a message of up to 131,072 parts, whose metadata is bounded
/// with the message alone, and 16 MiB in one request. Releases up to 0.1 let runs write that: their bytes had the limit
/// of a message, but they came in up to 100,000 parts and 6.2 MB of JSON. What one of them has exported can be read.
/// The slack is for what the end of a run adds: a sentence for each tool call that was not run.
pub const IMPORT: Limits = Limits {
    message_bytes: Limits::DEFAULT.message_bytes + (64 << 10),
    body_bytes: 16 << 20,
    parts: 128 << 10,
    ..Limits::DEFAULT
};

impl Limits {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        message_bytes: 1 << 20,
        body_bytes: 2 << 20,
        frame_bytes: 256 << 10,
        page_bytes: 256 << 10,
        part_preview_bytes: 16 << 10,
        page_messages: 200,
        parts: 256,
        title_bytes: 512,
        key_bytes: 256,
        subscriptions: 256,
        list_page: 200,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
