//! Connections: how they are made, what every one is told first, and which pool has them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;
use threadmill_store::StoreResult;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::fail::{Done, Fail, Kind, Trouble, unavailable};
use crate::options::PostgresOptions;
use crate::origin::{self, Purpose};

/// How long a connection that has nothing to say may be silent before the system asks whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// A TLS or plain way to the server.
#[derive(Clone)]
pub(crate) enum Tls {
    Plain,
    Rustls(MakeRustlsConnect),
}

/// What connections are called before their node has a name.
const NAME: &str = "threadmill";

/// The URL as it is used.
pub(crate) fn config(url: &str, options: &PostgresOptions) -> StoreResult<Config> {
    let mut config: Config = url.parse().map_err(|error| unavailable(format_args!("the database URL: {error}")))?;
    config.connect_timeout(options.connect).keepalives_idle(KEEPALIVE).tcp_user_timeout(options.deadline);
    call_it(&mut config, NAME);
    if is_plain_unasked(&config) {
        tracing::warn!(
            "the database URL does not say sslmode=require: PostgreSQL is spoken to in plain text, passwords and \
             messages included (sslmode=disable says that this is meant)"
        );
    }
    if config.get_ssl_mode() != SslMode::Require {
        // The default, "prefer", protects from nobody who can cut a handshake; it is all or nothing here.
        config.ssl_mode(SslMode::Disable);
    }
    Ok(config)
}

/// Names connections, unless their URL does.
pub(crate) fn call_it(config: &mut Config, name: &str) {
    if config.get_application_name().is_none_or(|known| known == NAME) {
        config.application_name(name);
    }
}

/// Whether what goes over a network is in plain text though nobody said so.
fn is_plain_unasked(config: &Config) -> bool {
    let remote = config.get_hosts().iter().any(|host| match host {
        Host::Tcp(_) => true,
        #[cfg(unix)]
        Host::Unix(_) => false,
    });
    (remote || !config.get_hostaddrs().is_empty()) && config.get_ssl_mode() == SslMode::Prefer
}

/// The way that the URL asks for. Certificates are checked against the system's authorities and the operator's.
pub(crate) fn tls(config: &Config, options: &PostgresOptions) -> StoreResult<Tls> {
    if config.get_ssl_mode() != SslMode::Require {
        return Ok(Tls::Plain);
    }
    let pem = options.roots.as_deref().unwrap_or_default();
    let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let roots = roots.map_err(|error| unavailable(format_args!("the certificates to trust: {error}")))?;
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(roots, provider.clone()).map_err(unavailable)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unavailable)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Tls::Rustls(MakeRustlsConnect::new(config)))
}

/// What every session is told. Joins are taken in the order in which they are written and as nested index seeks: a
/// plan that depends on statistics would some day read a whole thread for one page. A plan is made once.
pub(crate) fn settings(options: &PostgresOptions) -> String {
    let deadline = options.deadline.as_millis();
    // Nodes hold a row for milliseconds. Whoever holds one longer than this is no node, and what needs that row is
    // refused, so that the rest of its group can go on.
    let patience = deadline / 4;
    format!(
        "SET client_min_messages = warning;
         SET statement_timeout = {deadline};
         SET lock_timeout = {patience};
         SET idle_in_transaction_session_timeout = {deadline};
         SET default_transaction_isolation = 'read committed';
         SET plan_cache_mode = force_generic_plan;
         SET join_collapse_limit = 1;
         SET enable_hashjoin = off;
         SET enable_mergejoin = off;
         SET enable_seqscan = off;
         SET enable_bitmapscan = off;
         SET enable_material = off;
         SET jit = off"
    )
}

fn pool(config: &Config, tls: &Tls, options: &PostgresOptions, size: usize, checked: Checked) -> StoreResult<Pool> {
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = match tls {
        Tls::Plain => Manager::from_config(config.clone(), NoTls, recycling),
        Tls::Rustls(connect) => Manager::from_config(config.clone(), connect.clone(), recycling),
    };
    let settings: Arc<str> = settings(options).into();
    let hook = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
        let settings = settings.clone();
        Box::pin(async move {
            client.batch_execute(&settings).await.map_err(HookError::Backend)?;
            match checked {
                Checked::For(purpose) => origin::settle(client, purpose).await.map_err(HookError::Backend),
                Checked::No => Ok(()),
            }
        })
    });
    Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(options.connect))
        .create_timeout(Some(options.connect))
        .post_create(hook)
        .build()
        .map_err(unavailable)
}

/// Whether a new connection's origin is compared: not before there is a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checked {
    For(Purpose),
    No,
}

/// The connections of a node.
pub(crate) struct Connections {
    readers: Pool,
    /// How many of the readers may be written on at once.
    turns: Semaphore,
    writer: Pool,
    deadline: Duration,
    /// Statements that the writer's commits were made of.
    statements: AtomicU64,
}

impl Connections {
    /// Statements that the writer's commits were made of.
    pub(crate) fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Adds those of a commit.
    pub(crate) fn count(&self, statements: u64) {
        self.statements.fetch_add(statements, Ordering::Relaxed);
    }

    /// Connections to a database that is migrated first. None is made yet.
    pub(crate) fn new(config: &Config, tls: &Tls, options: &PostgresOptions) -> StoreResult<Self> {
        Self::of(config, tls, options, Checked::For)
    }

    /// Connections to a standby, which nothing is written to and whose history is not compared: what is read there is.
    pub(crate) fn replica(config: &Config, tls: &Tls, options: &PostgresOptions) -> StoreResult<Self> {
        Self::of(config, tls, options, |_| Checked::No)
    }

    fn of(config: &Config, tls: &Tls, options: &PostgresOptions, checked: fn(Purpose) -> Checked) -> StoreResult<Self> {
        Ok(Self {
            readers: pool(config, tls, options, options.readers.max(1), checked(Purpose::Reading))?,
            turns: Semaphore::new((options.readers / 2).max(1)),
            writer: pool(config, tls, options, 1, checked(Purpose::Writing))?,
            deadline: options.deadline,
            statements: AtomicU64::new(0),
        })
    }

    /// A pool for before there is a schema.
    pub(crate) fn first(config: &Config, tls: &Tls, options: &PostgresOptions) -> StoreResult<Pool> {
        pool(config, tls, options, 1, Checked::No)
    }

    /// How long a statement may take.
    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The writer's connection.
    pub(crate) async fn writer(&self) -> Done<Object> {
        Ok(self.writer.get().await?)
    }

    /// A connection on loan, for what is done in a transaction by somebody who may go away.
    pub(crate) fn lend(&self, client: Object) -> Loan {
        Loan { client: Some(client), deadline: self.deadline }
    }

    /// A connection for reading.
    pub(crate) async fn reader(&self) -> Done<Object> {
        Ok(self.readers.get().await?)
    }

    /// A turn to write on a connection for reading. Half of these are the most that are written on, so that reads find one;
    /// it is waited for no longer than a statement may take.
    pub(crate) async fn turn(&self) -> Done<SemaphorePermit<'_>> {
        let busy = |_| Trouble::lost("every connection for writing streams is busy");
        let turn = timeout(self.deadline, self.turns.acquire()).await.map_err(busy);
        turn.and_then(|turn| turn.map_err(Trouble::lost)).map_err(Fail::Broken)
    }

    /// Takes a connection back after a read. Returns the read's end, or `None` if the connection had gone and it is
    /// worth another one: once, and a read can be repeated.
    pub(crate) fn take_back<T>(
        &self,
        client: Option<Object>,
        done: Done<T>,
        repeated: &mut bool,
    ) -> Option<StoreResult<T>> {
        let Err(Fail::Broken(trouble)) = &done else {
            return Some(done.map_err(Into::into));
        };
        // After trouble nobody knows whether the session is in mid-transaction.
        drop(client.map(Object::take));
        if trouble.kind == Kind::Lost && !*repeated {
            *repeated = true;
            return None;
        }
        Some(done.map_err(Into::into))
    }

    /// Lets the connections go.
    pub(crate) fn close(&self) {
        self.readers.close();
        self.writer.close();
    }
}

/// A connection on loan. A request whose client goes away is dropped in the middle, and its transaction would be the next
/// borrower's: who reads would see the past, who writes would be refused. So it is ended before the connection goes back.
pub(crate) struct Loan {
    /// Only the end of the loan takes it.
    client: Option<Object>,
    deadline: Duration,
}

impl Loan {
    /// The work is done, and the transaction with it.
    pub(crate) fn back(mut self) -> Option<Object> {
        self.client.take()
    }

    /// The connection, for as long as it is lent.
    pub(crate) fn client(&self) -> Done<&Object> {
        self.client.as_ref().ok_or_else(|| Fail::Refused(unavailable("the connection was given back")))
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            drop(Object::take(client));
            return;
        };
        let deadline = self.deadline;
        runtime.spawn(async move {
            let ended = timeout(deadline, client.batch_execute("ROLLBACK")).await;
            if !matches!(ended, Ok(Ok(()))) {
                drop(Object::take(client));
            }
        });
    }
}

/// Runs a read on a connection of the pool, with `db` as its name for it: `plain`, or all of it in one `snapshot`.
///
/// A macro and not a function that takes a closure: what an async closure with a borrowed argument returns cannot be
/// said to be `Send`.
macro_rules! reading {
    ($connections:expr, $mode:ident, $db:ident => $read:expr) => {{
        let connections: &$crate::session::Connections = &$connections;
        let mut repeated = false;
        loop {
            let loan = connections.lend(connections.reader().await?);
            let done = {
                let $db = &$crate::db::Db::new(loan.client()?, connections.deadline());
                $crate::session::reading!(@ $mode $db $read)
            };
            if let Some(done) = connections.take_back(loan.back(), done, &mut repeated) {
                break done;
            }
        }
    }};
    (@ plain $db:ident $read:expr) => { $read.await };
    (@ snapshot $db:ident $read:expr) => {{
        // Sent together: the first statement of the read follows at once.
        let begin = $db.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        let (begun, done) = tokio::join!(biased; begin, $read);
        $db.end(begun.and(done)).await
    }};
}
pub(crate) use reading;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_over_a_network_is_asked_for_or_said() {
        let unasked = |url: &str| is_plain_unasked(&url.parse().expect("a URL"));
        assert!(unasked("postgres://app@db.example.org/app"));
        assert!(unasked("postgres://app@127.0.0.1/app?sslmode=prefer"));
        assert!(unasked("hostaddr=192.0.2.1 user=app"));
        assert!(!unasked("postgres://app@db.example.org/app?sslmode=disable"));
        assert!(!unasked("postgres://app@db.example.org/app?sslmode=require"));
        assert!(!unasked("host=/run/postgresql user=app"));
    }
}
