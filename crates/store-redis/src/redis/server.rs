//! Which server to talk to, and how a connection to it is made.

use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, ErrorKind, ProtocolVersion, PushInfo, RedisError,
    RedisResult,
};
use threadmill_store::hot::{HotMode, HotResult};

use super::CONNECT;
use super::options::{Layout, RedisOptions, parse};
use super::stream::{self, Tls};

/// The servers that the options name.
pub(super) struct Servers {
    seeds: Vec<ConnectionInfo>,
    layout: Kind,
    /// Where one of them is reached over TLS.
    tls: Option<Tls>,
}

#[derive(Debug)]
enum Kind {
    Standalone,
    Sentinel { primary: String, template: Box<ConnectionInfo> },
    Cluster,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

/// What is to be done with messages that come unasked.
pub(super) type OnPush = Box<dyn Fn(PushInfo) + Send + Sync>;

impl Servers {
    pub(super) fn new(options: &RedisOptions) -> HotResult<Self> {
        // Refused if the process has one already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let seeds = options.urls.iter().map(parse).collect::<HotResult<Vec<_>>>()?;
        let layout = match &options.layout {
            Layout::Standalone => Kind::Standalone,
            Layout::Sentinel { primary, servers } => {
                Kind::Sentinel { primary: primary.clone(), template: Box::new(parse(servers)?) }
            }
            Layout::Cluster => Kind::Cluster,
        };
        let encrypted = |info: &ConnectionInfo| matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        let template = match &layout {
            Kind::Sentinel { template, .. } => encrypted(template),
            Kind::Standalone | Kind::Cluster => false,
        };
        let tls = (template || seeds.iter().any(encrypted))
            .then(|| stream::tls(options.root_certificates.as_deref()))
            .transpose()?;
        if let (Kind::Cluster, Some(tls)) = (&layout, &tls) {
            stream::use_in_clusters(tls.clone());
        }
        Ok(Self { seeds, layout, tls })
    }

    pub(super) fn mode(&self) -> HotMode {
        match self.layout {
            Kind::Standalone => HotMode::Standalone,
            Kind::Sentinel { .. } => HotMode::Sentinel,
            Kind::Cluster => HotMode::Cluster,
        }
    }

    pub(super) fn seeds(&self) -> &[ConnectionInfo] {
        &self.seeds
    }

    /// The server that takes writes, where there is one.
    pub(super) async fn primary(&self) -> RedisResult<ConnectionInfo> {
        match &self.layout {
            Kind::Standalone | Kind::Cluster => self.seeds.first().cloned().ok_or_else(nowhere),
            Kind::Sentinel { primary, template } => {
                let address = self.ask_sentinels(primary).await?;
                Ok(relocated(template, &address))
            }
        }
    }

    /// A cluster's server at an address that the cluster gave.
    pub(super) fn member(&self, address: &Address) -> RedisResult<ConnectionInfo> {
        self.seeds.first().map(|seed| relocated(seed, address)).ok_or_else(nowhere)
    }

    /// All are asked at once, and the first that knows is believed: one that hangs costs nothing. Whether the server
    /// is a primary is for the server to say.
    async fn ask_sentinels(&self, primary: &str) -> RedisResult<Address> {
        let mut asked: FuturesUnordered<_> = self.seeds.iter().map(|seed| self.ask_sentinel(seed, primary)).collect();
        let mut last = nowhere();
        while let Some(answer) = asked.next().await {
            match answer {
                Ok(address) => return Ok(address),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn ask_sentinel(&self, sentinel: &ConnectionInfo, primary: &str) -> RedisResult<Address> {
        let mut connection = self.connect(sentinel.clone(), None).await?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(primary);
        let (host, port): (String, u16) = command.query_async(&mut connection).await?;
        Ok(Address { host, port })
    }

    /// A connection to a server. With `on_push` it is one for listening.
    pub(super) async fn connect(
        &self,
        server: ConnectionInfo,
        on_push: Option<OnPush>,
    ) -> RedisResult<MultiplexedConnection> {
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            // Calls have deadlines of their own, which are shorter.
            .set_response_timeout(Some(Duration::from_secs(3)));
        let mut server = server;
        if let Some(on_push) = on_push {
            let settings = server.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
            server = server.set_redis_settings(settings);
            config = config.set_push_sender(move |push| {
                on_push(push);
                Ok::<(), ()>(())
            });
        }
        stream::connect(&server, self.tls.as_ref(), config).await
    }

    /// A connection to the primary that says that it is one.
    pub(super) async fn connect_primary(&self, on_push: Option<OnPush>) -> RedisResult<MultiplexedConnection> {
        let mut connection = self.connect(self.primary().await?, on_push).await?;
        if matches!(self.layout, Kind::Sentinel { .. }) {
            let role: Vec<redis::Value> = redis::cmd("ROLE").query_async(&mut connection).await?;
            let first = role.first().cloned().unwrap_or_default();
            if redis::from_redis_value::<String>(first)? != "master" {
                return Err((ErrorKind::Io, "the sentinels name a server that is not the primary").into());
            }
        }
        Ok(connection)
    }
}

fn nowhere() -> RedisError {
    (ErrorKind::Io, "no server is named").into()
}

/// The same way of connecting, to another address.
fn relocated(template: &ConnectionInfo, address: &Address) -> ConnectionInfo {
    let (host, port) = (address.host.clone(), address.port);
    let moved = match template.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => ConnectionAddr::Tcp(host, port),
    };
    template.clone().set_addr(moved)
}
