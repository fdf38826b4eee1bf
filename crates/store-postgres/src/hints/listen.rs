//! The connection that listens and sends.
//!
//! It tests itself when it is made: a notification to itself that is not back within a second says that something in
//! between swallows them. When it is lost it is made again, ever less often; what was missed meanwhile nobody knows,
//! so everything is to be re-checked.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls};

use super::state::{HintMode, Hints};
use super::wire::{self, Heard};
use crate::fail::Trouble;
use crate::schema::CHANNEL;
use crate::session::Tls;

/// How long hints are gathered: at most 50 notifications a second.
const GATHER: Duration = Duration::from_millis(20);

/// How long a self-test may take.
const TEST: Duration = Duration::from_secs(1);

/// How often an idle connection tests itself: a half-open one would be silent for ever.
const EVERY: Duration = Duration::from_secs(15);

/// The pause before the connection is made again; it doubles up to [`LONGEST`].
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// How to listen.
pub(crate) struct Listener {
    config: Config,
    tls: Tls,
    node: String,
    deadline: Duration,
}

/// Listens and sends for as long as the store is open.
pub(super) async fn work(hints: Arc<Hints>, listener: Arc<Listener>) {
    let mut pause = PAUSE;
    loop {
        let began = Instant::now();
        let ended = session(&hints, &listener).await;
        hints.mode.send_replace(HintMode::Connecting);
        tracing::warn!(error = %ended.detail, "the connection for hints is gone");
        // One that lasted was good: the next failure begins with a short pause again.
        pause = if began.elapsed() > LONGEST { PAUSE } else { (pause * 2).min(LONGEST) };
        sleep(pause).await;
    }
}

/// Messages of the connection, driven by a task of its own.
fn drive<S, T>(mut connection: tokio_postgres::Connection<S, T>) -> mpsc::UnboundedReceiver<String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (heard, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut messages = stream::poll_fn(move |cx| connection.poll_message(cx));
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notification(notification) = message
                && heard.send(notification.payload().to_owned()).is_err()
            {
                return;
            }
        }
    });
    receiver
}

impl Listener {
    /// The way to the server that this connection takes, under a name of its own: so that an operator tells it from
    /// those that carry data.
    pub(crate) fn new(mut config: Config, tls: Tls, node: String, deadline: Duration) -> Self {
        let name = format!("{} hints", config.get_application_name().unwrap_or("threadmill"));
        config.application_name(&name);
        Self { config, tls, node, deadline }
    }

    async fn connect(&self) -> Result<(Client, mpsc::UnboundedReceiver<String>), tokio_postgres::Error> {
        match &self.tls {
            Tls::Plain => {
                let (client, connection) = self.config.connect(NoTls).await?;
                Ok((client, drive(connection)))
            }
            Tls::Rustls(connect) => {
                let (client, connection) = self.config.connect(connect.clone()).await?;
                Ok((client, drive(connection)))
            }
        }
    }
}

/// One connection, until it fails.
async fn session(hints: &Hints, listener: &Listener) -> Trouble {
    match timeout(listener.deadline, listener.connect()).await {
        Err(_) => Trouble::lost("no connection could be made in time"),
        Ok(Err(error)) => error.into(),
        Ok(Ok((client, heard))) => {
            let session = Session { hints, listener, client, tests: 0, tested: None, next_test: Instant::now() };
            session.run(heard).await
        }
    }
}

struct Session<'s> {
    hints: &'s Hints,
    listener: &'s Listener,
    client: Client,
    tests: u64,
    /// The test that is out, and when it has failed.
    tested: Option<Instant>,
    next_test: Instant,
}

impl Session<'_> {
    async fn run(mut self, mut heard: mpsc::UnboundedReceiver<String>) -> Trouble {
        if let Err(trouble) = self.within(self.client.batch_execute(&format!("LISTEN {CHANNEL}"))).await {
            return trouble;
        }
        // After the LISTEN: what is committed from now on is heard, what was before is found by those who look now.
        self.hints.recheck();
        loop {
            let timer = self.tested.unwrap_or(self.next_test);
            // What was heard comes first: there is as much to send all the time, each sending takes as long as a commit,
            // and meanwhile every other node has sent something, too.
            let done = tokio::select! {
                biased;
                payload = heard.recv() => match payload {
                    Some(payload) => self.hear(&payload),
                    None => return Trouble::lost("the server closed it"),
                },
                () = sleep_until(timer) => self.test().await,
                () = self.hints.ready.notified() => self.send().await,
            };
            if let Err(trouble) = done {
                return trouble;
            }
        }
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Trouble> {
        match timeout(self.listener.deadline, work).await {
            Ok(done) => Ok(done?),
            Err(_) => Err(Trouble::lost("the server did not answer in time")),
        }
    }

    fn hear(&mut self, payload: &str) -> Result<(), Trouble> {
        match wire::unpack(&self.listener.node, payload) {
            Heard::Test(number) if number == self.tests => {
                self.tested = None;
                self.next_test = Instant::now() + EVERY;
                self.hints.mode.send_replace(HintMode::Listening);
            }
            Heard::Test(_) => {}
            Heard::Hints(hints) => hints.into_iter().for_each(|hint| self.hints.hear(hint)),
        }
        Ok(())
    }

    /// Sends a test, or finds that the last one has not come back.
    async fn test(&mut self) -> Result<(), Trouble> {
        if self.tested.take().is_some() {
            if self.hints.mode.send_replace(HintMode::Polling) != HintMode::Polling {
                tracing::warn!("notifications do not arrive: heads are polled instead");
                self.hints.recheck();
            }
            self.next_test = Instant::now() + EVERY;
            return Ok(());
        }
        self.tests += 1;
        self.notify(&[wire::test(&self.listener.node, self.tests)]).await?;
        self.tested = Some(Instant::now() + TEST);
        Ok(())
    }

    /// Gathers for a moment, then sends what there is.
    async fn send(&mut self) -> Result<(), Trouble> {
        sleep(GATHER).await;
        let hints = self.hints.take();
        if hints.is_empty() {
            return Ok(());
        }
        self.notify(&wire::pack(&self.listener.node, &hints)).await
    }

    async fn notify(&self, payloads: &[String]) -> Result<(), Trouble> {
        const SQL: &str = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) k (payload)";
        self.within(self.client.query(SQL, &[&CHANNEL, &payloads])).await.map(|_| ())
    }
}
