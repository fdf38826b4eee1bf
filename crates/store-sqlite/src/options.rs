//! What an operator may choose.

/// How a store is opened.
#[derive(Debug, Clone, Copy)]
pub struct SqliteOptions {
    /// Connections for reading: how many reads run at once.
    pub readers: usize,
    /// Each connection's page cache, in KiB.
    pub cache_kib: u32,
    /// Pages of 4 KiB in the log that call for a checkpoint.
    pub checkpoint_pages: u32,
    /// How long the chunks of an ended run are kept, in milliseconds.
    pub keep_streams: u64,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { readers: 4, cache_kib: 16 << 10, checkpoint_pages: 4096, keep_streams: 24 * 60 * 60 * 1000 }
    }
}
