//! How a Redis or Valkey is reached.

use redis::IntoConnectionInfo;
use threadmill_store::hot::{HotError, HotResult};

use crate::options::{HotOptions, Secret};

/// How the servers are laid out.
#[derive(Debug, Clone)]
pub enum Layout {
    /// One server, named by the first URL.
    Standalone,
    /// The URLs name sentinels, with the credentials for them.
    Sentinel {
        /// What the sentinels call the primary.
        primary: String,
        /// A URL whose scheme, credentials and database are those of the servers; its host is not used.
        servers: Secret,
    },
    /// The URLs name some servers of a cluster, with the credentials for all.
    Cluster,
}

/// How a Redis or Valkey is reached.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// `redis://[user[:password]@]host[:port][/database]`, `rediss://` for TLS.
    pub urls: Vec<Secret>,
    /// How they are laid out.
    pub layout: Layout,
    /// Certificates to trust for TLS instead of the system's, in PEM.
    pub root_certificates: Option<Vec<u8>>,
    /// What every wire needs to know.
    pub common: HotOptions,
}

impl RedisOptions {
    /// One server.
    #[must_use]
    pub fn standalone(url: impl Into<String>) -> Self {
        Self {
            urls: vec![Secret::new(url)],
            layout: Layout::Standalone,
            root_certificates: None,
            common: HotOptions::default(),
        }
    }

    /// A cluster with these servers among it.
    #[must_use]
    pub fn cluster(urls: impl IntoIterator<Item = String>) -> Self {
        let urls = urls.into_iter().map(Secret::new).collect();
        Self { urls, layout: Layout::Cluster, root_certificates: None, common: HotOptions::default() }
    }

    /// The primary that these sentinels know as `primary`. `servers` is a URL with the servers' scheme, credentials
    /// and database.
    #[must_use]
    pub fn sentinel(urls: impl IntoIterator<Item = String>, primary: &str, servers: &str) -> Self {
        let layout = Layout::Sentinel { primary: primary.to_owned(), servers: Secret::new(servers) };
        Self { layout, ..Self::cluster(urls) }
    }

    pub(super) fn check(&self) -> HotResult<()> {
        self.common.check()?;
        if self.urls.is_empty() {
            return Err(HotError::Invalid("no server is named".to_owned()));
        }
        for url in &self.urls {
            parse(url)?;
        }
        if let Layout::Sentinel { servers, .. } = &self.layout {
            parse(servers)?;
        }
        Ok(())
    }
}

/// A URL's meaning. Its text is not repeated in the error.
pub(super) fn parse(url: &Secret) -> HotResult<redis::ConnectionInfo> {
    let wrong = |_| HotError::Invalid("a server's URL is not redis://… or rediss://…".to_owned());
    url.reveal().into_connection_info().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let mut options = RedisOptions::standalone("rediss://ann:hunter2@example.org:6380/0");
        options.layout = Layout::Sentinel { primary: "p".to_owned(), servers: Secret::new("redis://:hunter2@x") };
        options.common.seal = crate::SealKey::derive(&Secret::new("hunter2"));
        let shown = format!("{options:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("ann"), "{shown}");
    }

    #[test]
    fn what_can_never_work_is_refused_without_repeating_it() {
        let mut spaced = RedisOptions::standalone("redis://localhost");
        spaced.common.namespace = "a:{b}".to_owned();
        for options in [
            RedisOptions::standalone("http://:hunter2@x"),
            RedisOptions::cluster([]),
            RedisOptions::standalone(""),
            spaced,
        ] {
            let error = options.check().expect_err("it is refused");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
