//! What an operator may choose.

use std::time::Duration;

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Connections for reading: how many reads run at once. The writer and the hints have one each besides. Named streams are
    /// written on at most half of these, or on the only one.
    pub readers: usize,
    /// How long one statement may take, on the server and here.
    pub deadline: Duration,
    /// How long making a connection may take, and waiting for one that is free.
    pub connect: Duration,
    /// How long the chunks of an ended run are kept, in milliseconds.
    pub keep_streams: u64,
    /// Authorities to trust beside the system's, as PEM. Used only if the URL asks for `sslmode=require`.
    pub roots: Option<Vec<u8>>,
    /// URLs of standbys that windows may be read from, each with as many connections as `readers` says.
    pub replicas: Vec<String>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            readers: 8,
            deadline: Duration::from_secs(10),
            connect: Duration::from_secs(5),
            keep_streams: 24 * 60 * 60 * 1000,
            roots: None,
            replicas: Vec::new(),
        }
    }
}
