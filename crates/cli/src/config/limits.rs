//! `[limits]`: how much of a node those who use it may take.

use std::fmt::Debug;
use std::num::NonZero;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use threadmill_server::{Cap, HttpLimits, Rates};

/// Of the process' file descriptors, those that are not for peers: a quarter up to this many, else a twentieth. [`FILES`]
/// are among them, and a connection to its provider for each run.
const RESERVED: u64 = 512;
/// The store's files and readers, the standard streams, the listener and what the runtime has open.
const FILES: u64 = 64;

/// Shares of the node, and how long its peers may take.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Open sockets; never more than the descriptor limit leaves room for.
    pub(crate) connections: NonZero<usize>,
    /// Of these, from one address and without anybody having shown who they are.
    pub(crate) unknown_connections: NonZero<usize>,
    /// WebSockets, event streams and answers to `POST /v1/sync`: of one user.
    pub(crate) streams_per_user: NonZero<u64>,
    /// The same of one tenant.
    pub(crate) streams_per_tenant: NonZero<u64>,
    /// Runs that are live at once: of one user. 0 for none.
    pub(crate) runs_per_user: u64,
    /// The same of one tenant while they start.
    pub(crate) runs_per_tenant: u64,
    /// The same of the node; never more than the descriptor limit leaves connections to providers for.
    pub(crate) runs: u64,
    /// Bytes of request bodies that are held: of one user.
    pub(crate) body_bytes_per_user: NonZero<u64>,
    /// The same of one tenant.
    pub(crate) body_bytes_per_tenant: NonZero<u64>,
    /// The same of the node.
    pub(crate) body_bytes: NonZero<u64>,
    /// Bytes of answers that nobody has read yet; past it those who are behind for longest are cut.
    pub(crate) unsent_bytes: NonZero<u64>,
    /// Requests a second: of one user.
    pub(crate) requests_per_user: NonZero<u32>,
    /// The same of one tenant.
    pub(crate) requests_per_tenant: NonZero<u32>,
    /// The same of one address, where no caller is known.
    pub(crate) requests_per_address: NonZero<u32>,
    /// How long the head of a request may take.
    pub(crate) head_seconds: NonZero<u64>,
    /// How long a connection is kept on which nothing is asked. Proxies should let go of theirs first.
    pub(crate) idle_seconds: NonZero<u64>,
    /// The longest pause in a request's body.
    pub(crate) body_pause_seconds: NonZero<u64>,
    /// How long a whole body may take.
    pub(crate) body_seconds: NonZero<u64>,
    /// How long a peer may take nothing of what it is sent.
    pub(crate) write_pause_seconds: NonZero<u64>,
    /// How long a reader of a stream may wait for more (`live=long-poll`).
    pub(crate) stream_wait_seconds: NonZero<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        /// The defaults are none of them 0.
        fn some<N: TryInto<M, Error: Debug>, M>(number: N) -> M {
            number.try_into().expect("a default that lets somebody in")
        }
        let limits = HttpLimits::DEFAULT;
        Self {
            connections: some(limits.connections),
            unknown_connections: some(limits.unknown_connections),
            streams_per_user: some(limits.streams.user),
            streams_per_tenant: some(limits.streams.tenant),
            runs_per_user: limits.runs.user,
            runs_per_tenant: limits.runs.tenant,
            runs: limits.runs.node,
            body_bytes_per_user: some(limits.body_bytes.user),
            body_bytes_per_tenant: some(limits.body_bytes.tenant),
            body_bytes: some(limits.body_bytes.node),
            unsent_bytes: some(limits.unsent_bytes),
            requests_per_user: some(limits.requests_per_second.user),
            requests_per_tenant: some(limits.requests_per_second.tenant),
            requests_per_address: some(limits.requests_per_second.address),
            head_seconds: some(limits.head.as_secs()),
            idle_seconds: some(limits.idle.as_secs()),
            body_pause_seconds: some(limits.body_pause.as_secs()),
            body_seconds: some(limits.body_total.as_secs()),
            write_pause_seconds: some(limits.write_pause.as_secs()),
            stream_wait_seconds: some(limits.stream_wait.as_secs()),
        }
    }
}

impl Limits {
    /// What they come to in a process that may open so many files.
    pub(crate) fn http(&self, descriptors: u64) -> HttpLimits {
        let reserved = (descriptors / 4).min(RESERVED).max(descriptors / 20);
        let most = usize::try_from(descriptors.saturating_sub(reserved)).unwrap_or(usize::MAX).max(1);
        let connections = self.connections.get().min(most);
        let providers = descriptors.saturating_sub(connections as u64).saturating_sub(FILES).max(1);
        let seconds = |seconds: NonZero<u64>| Duration::from_secs(seconds.get());
        HttpLimits {
            connections,
            unknown_connections: self.unknown_connections.get().min(connections),
            streams: Cap {
                user: self.streams_per_user.get(),
                tenant: self.streams_per_tenant.get(),
                node: connections as u64,
            },
            runs: Cap { user: self.runs_per_user, tenant: self.runs_per_tenant, node: self.runs.min(providers) },
            exports: HttpLimits::DEFAULT.exports,
            body_bytes: Cap {
                user: self.body_bytes_per_user.get(),
                tenant: self.body_bytes_per_tenant.get(),
                node: self.body_bytes.get(),
            },
            unsent_bytes: self.unsent_bytes.get(),
            requests_per_second: Rates {
                user: self.requests_per_user.get(),
                tenant: self.requests_per_tenant.get(),
                address: self.requests_per_address.get(),
            },
            head: seconds(self.head_seconds),
            idle: seconds(self.idle_seconds),
            body_pause: seconds(self.body_pause_seconds),
            body_total: seconds(self.body_seconds),
            write_pause: seconds(self.write_pause_seconds),
            stream_wait: seconds(self.stream_wait_seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_node_itself() {
        let of = |descriptors| Limits::default().http(descriptors).connections;
        assert_eq!((of(256), of(1_024), of(20_000), of(1 << 20)), (192, 768, 19_000, 25_000));
        assert_eq!(of(10), 8);
    }

    #[test]
    fn every_run_has_a_descriptor_for_its_provider() {
        for descriptors in [10, 256, 1_024, 4_096, 20_000, 65_536, 1 << 20] {
            let limits = Limits::default().http(descriptors);
            let taken = limits.connections as u64 + limits.runs.node;
            assert!(taken + FILES.min(descriptors / 8) <= descriptors, "{taken} of {descriptors}");
            assert!(limits.runs.node >= 1);
        }
        assert_eq!(Limits::default().http(1_024).runs.node, 192);
        assert_eq!(Limits::default().http(1 << 20).runs.node, Limits::default().runs);
        let none = Limits { runs: 0, ..Limits::default() };
        assert_eq!(none.http(1 << 20).runs.node, 0);
    }
}
