//! `[limits]`: how much of a node those who use it may take.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use threadmill_server::http::{Cap, HttpLimits, Rates};

/// Of the process' file descriptors, those that are not for peers: a twentieth, within these bounds. The store's
/// files, its readers and the providers' connections are among them.
const RESERVED: (u64, u64) = (64, 512);

/// Shares of the node, and how long its peers may take.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Open sockets; never more than the descriptor limit leaves room for.
    pub(crate) connections: usize,
    /// Of these, from one address and without anybody having shown who they are.
    pub(crate) unknown_connections: usize,
    /// WebSockets, event streams and answers to `POST /v1/sync`: of one user.
    pub(crate) streams_per_user: u64,
    /// The same of one tenant.
    pub(crate) streams_per_tenant: u64,
    /// Runs that are live at once: of one user.
    pub(crate) runs_per_user: u64,
    /// The same of one tenant while they start.
    pub(crate) runs_per_tenant: u64,
    /// The same of the node.
    pub(crate) runs: u64,
    /// Bytes of request bodies that are held: of one user.
    pub(crate) body_bytes_per_user: u64,
    /// The same of one tenant.
    pub(crate) body_bytes_per_tenant: u64,
    /// The same of the node.
    pub(crate) body_bytes: u64,
    /// Bytes of answers that nobody has read yet; past it those who are behind for longest are cut.
    pub(crate) unsent_bytes: u64,
    /// Requests a second: of one user.
    pub(crate) requests_per_user: u32,
    /// The same of one tenant.
    pub(crate) requests_per_tenant: u32,
    /// The same of one address, where no caller is known.
    pub(crate) requests_per_address: u32,
    /// How long the head of a request may take.
    pub(crate) head_seconds: u64,
    /// How long a connection is kept on which nothing is asked. Proxies should let go of theirs first.
    pub(crate) idle_seconds: u64,
    /// The longest pause in a request's body.
    pub(crate) body_pause_seconds: u64,
    /// How long a whole body may take.
    pub(crate) body_seconds: u64,
    /// How long a peer may take nothing of what it is sent.
    pub(crate) write_pause_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let limits = HttpLimits::DEFAULT;
        Self {
            connections: limits.connections,
            unknown_connections: limits.unknown_connections,
            streams_per_user: limits.streams.user,
            streams_per_tenant: limits.streams.tenant,
            runs_per_user: limits.runs.user,
            runs_per_tenant: limits.runs.tenant,
            runs: limits.runs.node,
            body_bytes_per_user: limits.body_bytes.user,
            body_bytes_per_tenant: limits.body_bytes.tenant,
            body_bytes: limits.body_bytes.node,
            unsent_bytes: limits.unsent_bytes,
            requests_per_user: limits.requests_per_second.user,
            requests_per_tenant: limits.requests_per_second.tenant,
            requests_per_address: limits.requests_per_second.address,
            head_seconds: limits.head.as_secs(),
            idle_seconds: limits.idle.as_secs(),
            body_pause_seconds: limits.body_pause.as_secs(),
            body_seconds: limits.body_total.as_secs(),
            write_pause_seconds: limits.write_pause.as_secs(),
        }
    }
}

impl Limits {
    /// What they come to in a process that may open so many files.
    pub(crate) fn http(&self, descriptors: u64) -> HttpLimits {
        let reserved = (descriptors / 20).clamp(RESERVED.0, RESERVED.1);
        let most = usize::try_from(descriptors.saturating_sub(reserved)).unwrap_or(usize::MAX).max(1);
        let connections = self.connections.min(most);
        HttpLimits {
            connections,
            unknown_connections: self.unknown_connections.min(connections),
            streams: Cap { user: self.streams_per_user, tenant: self.streams_per_tenant, node: connections as u64 },
            runs: Cap { user: self.runs_per_user, tenant: self.runs_per_tenant, node: self.runs },
            body_bytes: Cap {
                user: self.body_bytes_per_user,
                tenant: self.body_bytes_per_tenant,
                node: self.body_bytes,
            },
            unsent_bytes: self.unsent_bytes,
            requests_per_second: Rates {
                user: self.requests_per_user,
                tenant: self.requests_per_tenant,
                address: self.requests_per_address,
            },
            head: Duration::from_secs(self.head_seconds),
            idle: Duration::from_secs(self.idle_seconds),
            body_pause: Duration::from_secs(self.body_pause_seconds),
            body_total: Duration::from_secs(self.body_seconds),
            write_pause: Duration::from_secs(self.write_pause_seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_node_itself() {
        let of = |descriptors| Limits::default().http(descriptors).connections;
        assert_eq!((of(256), of(1_024), of(20_000), of(1 << 20)), (192, 960, 19_488, 25_000));
        assert_eq!(of(10), 1);
    }
}
