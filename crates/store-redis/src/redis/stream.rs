//! Connections: TCP, TLS or a socket file, each behind what replies may cost. A reply that is larger than any that is asked
//! for ends the connection; replies that are merely many are read no faster than [`RATE`], so that whoever waits for a
//! pipeline's replies gives up, at its deadline, before they take much memory.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::Connect;
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, Pipeline, RedisFuture,
    RedisResult, Value,
};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use threadmill_store::hot::{HotError, HotResult};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_rustls::TlsConnector;

use super::CONNECT;
use super::resp::{Refused, Replies, VALUE};

/// What may be read at once, in bytes and values.
const BURST: u64 = 32 << 20;
/// What may be read in a second after that: more than a node reads of windows in the same time.
const RATE: u64 = 64 << 20;

/// How servers are reached over TLS.
pub(super) type Tls = Arc<ClientConfig>;

/// TLS that trusts these authorities, in PEM, or the system's.
pub(super) fn tls(roots: Option<&[u8]>) -> HotResult<Tls> {
    let wrong = |_| HotError::Invalid("the certificates to trust cannot be used".to_owned());
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(wrong)?;
    let config = match roots {
        Some(pem) => {
            let mut store = rustls::RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let unusable = || HotError::Invalid("the certificates to trust cannot be read".to_owned());
                store.add(certificate.map_err(|_| unusable())?).map_err(wrong)?;
            }
            builder.with_root_certificates(store).with_no_client_auth()
        }
        None => {
            let verifier = Verifier::new(provider).map_err(wrong)?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
    };
    Ok(Arc::new(config))
}

/// A stream whose replies are bounded.
struct Bounded<S> {
    inner: S,
    replies: Replies,
    /// What may be read before the next pause, and when that was reckoned.
    left: u64,
    at: Instant,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<S> Bounded<S> {
    fn new(inner: S) -> Self {
        Self { inner, replies: Replies::default(), left: BURST, at: Instant::now(), pause: None }
    }

    /// Takes note of what was read, and pauses if it is too much at once.
    fn spend(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let cost = bytes.len() as u64 + VALUE * self.replies.walk(bytes)?;
        let now = Instant::now();
        let earned = u64::try_from(now.duration_since(self.at).as_micros()).unwrap_or(u64::MAX);
        self.left = self.left.saturating_add(earned.saturating_mul(RATE) / 1_000_000).min(BURST);
        self.at = now;
        if cost > self.left {
            let wait = Duration::from_micros((cost - self.left).saturating_mul(1_000_000) / RATE);
            self.pause = Some(Box::pin(sleep_until(now + wait)));
        }
        self.left = self.left.saturating_sub(cost);
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        match self.spend(&buffer.filled()[before..]) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(Refused(why)) => {
                buffer.set_filled(before);
                tracing::warn!("the hot tier's server was left: {why}");
                Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)))
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// A connection to a server, made within [`CONNECT`].
pub(super) async fn connect(
    server: &ConnectionInfo,
    tls: Option<&Tls>,
    config: AsyncConnectionConfig,
) -> RedisResult<MultiplexedConnection> {
    match timeout(CONNECT, connect_now(server, tls, config)).await {
        Ok(made) => made,
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
    }
}

async fn connect_now(
    server: &ConnectionInfo,
    tls: Option<&Tls>,
    config: AsyncConnectionConfig,
) -> RedisResult<MultiplexedConnection> {
    match server.addr() {
        ConnectionAddr::Tcp(host, port) => begin(server, dial(host, *port).await?, config).await,
        ConnectionAddr::TcpTls { host, port, .. } => {
            let tls = tls.ok_or((ErrorKind::InvalidClientConfig, "TLS is not set up"))?;
            let name = ServerName::try_from(bare(host).to_owned());
            let name = name.map_err(|_| (ErrorKind::InvalidClientConfig, "a server's name is none"))?;
            let stream = TlsConnector::from(Arc::clone(tls)).connect(name, dial(host, *port).await?).await?;
            begin(server, stream, config).await
        }
        ConnectionAddr::Unix(path) => begin(server, UnixStream::connect(path).await?, config).await,
        _ => Err((ErrorKind::InvalidClientConfig, "an unknown way to a server").into()),
    }
}

/// A host as it is dialled: URLs put an IPv6 address into brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((bare(host), port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn begin<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    server: &ConnectionInfo,
    stream: S,
    config: AsyncConnectionConfig,
) -> RedisResult<MultiplexedConnection> {
    let made = MultiplexedConnection::new_with_config(server.redis_settings(), Bounded::new(stream), config).await;
    let (connection, driver) = made?;
    // It ends when nobody has the connection any more.
    tokio::spawn(driver);
    Ok(connection)
}

/// The TLS of the process's cluster. The crate makes a cluster's connections by a function that is told a server and
/// nothing else, and does not show what it was told of certificates.
static CLUSTER_TLS: Mutex<Option<Tls>> = Mutex::new(None);

/// From now on a cluster's servers are reached like this.
pub(super) fn use_in_clusters(tls: Tls) {
    *CLUSTER_TLS.lock().unwrap_or_else(PoisonError::into_inner) = Some(tls);
}

/// A connection to one server of a cluster.
#[derive(Clone)]
pub(super) struct Member(MultiplexedConnection);

impl Connect for Member {
    fn connect_with_config<'a, T>(info: T, config: AsyncConnectionConfig) -> RedisFuture<'a, Self>
    where
        T: IntoConnectionInfo + Send + 'a,
    {
        Box::pin(async move {
            let server = info.into_connection_info()?;
            let tls = CLUSTER_TLS.lock().unwrap_or_else(PoisonError::into_inner).clone();
            connect(&server, tls.as_ref(), config).await.map(Self)
        })
    }
}

impl ConnectionLike for Member {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.0.req_packed_command(command)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.0.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}
