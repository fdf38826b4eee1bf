//! How much of the node its peers may take. Every limit of the HTTP edge is here; the binary fills them in from its
//! configuration.

use std::time::Duration;

/// A share of what the node has: for one user, for one tenant, for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// For one user.
    pub user: u64,
    /// For all users of one tenant.
    pub tenant: u64,
    /// For everybody.
    pub node: u64,
}

/// How much of the node its peers may take, and how long they may take to say or to read something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// Open sockets. Past it the one that has asked for nothing for longest is closed; where all are busy, new ones
    /// are refused.
    pub connections: usize,
    /// Of these, from one address and without anybody having shown who they are. A proxy is one address, but what
    /// comes through it is known.
    pub unknown_connections: usize,
    /// Live connections: WebSockets, event streams and `POST /v1/sync`.
    pub streams: Cap,
    /// Runs that are being written.
    pub runs: Cap,
    /// Pages of exports that are being read, or sent to somebody who takes their time. A page is a mebibyte of text, in
    /// JSON up to six.
    pub exports: Cap,
    /// Bytes of request bodies that are held: still coming, or waiting with their request.
    pub body_bytes: Cap,
    /// Bytes of answers that peers have not taken yet. Past it those who have been behind for longest are cut.
    pub unsent_bytes: u64,
    /// Requests a second of a user and of a tenant, and of an address for those who show no credentials.
    pub requests_per_second: Rates,
    /// For a request's head, from its first byte, and for the first byte of a new connection.
    pub head: Duration,
    /// Between two requests of a connection. Longer than the 60 s that proxies keep one, so that it is the proxy who
    /// closes it.
    pub idle: Duration,
    /// Between two pieces of a body.
    pub body_pause: Duration,
    /// For a whole body: 2 MiB at 140 kbit/s.
    pub body_total: Duration,
    /// For an answer that the peer takes nothing of.
    pub write_pause: Duration,
    /// How long a reader of a stream may wait for more (`live=long-poll`).
    pub stream_wait: Duration,
}

/// Requests a second; bursts of one second's worth are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Of one user.
    pub user: u32,
    /// Of all users of one tenant.
    pub tenant: u32,
    /// Of one address, where no caller is known.
    pub address: u32,
}

const MIB: u64 = 1 << 20;

impl HttpLimits {
    /// Nineteen thousand sockets are what one node is designed for. The rates are fuses: they are above what the node
    /// can do on two cores.
    pub const DEFAULT: Self = Self {
        connections: 25_000,
        unknown_connections: 6_000,
        streams: Cap { user: 1_024, tenant: 25_000, node: 25_000 },
        runs: Cap { user: 1_000, tenant: 5_000, node: 5_000 },
        exports: Cap { user: 4, tenant: 8, node: 16 },
        body_bytes: Cap { user: 24 * MIB, tenant: 48 * MIB, node: 64 * MIB },
        unsent_bytes: 64 * MIB,
        requests_per_second: Rates { user: 20_000, tenant: 50_000, address: 5_000 },
        head: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        body_pause: Duration::from_secs(10),
        body_total: Duration::from_secs(120),
        write_pause: Duration::from_secs(30),
        stream_wait: Duration::from_secs(20),
    };
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
