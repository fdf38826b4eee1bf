//! What is done to the database of whole nodes.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::SimpleQueryMessage;

use crate::postgres::{Database, Server};

impl Database {
    /// One on a server of its own, which may be ended.
    pub(crate) async fn alone() -> Self {
        Server::start().await.database().await
    }

    /// What a query finds: rows of columns, as text.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let found = self.server.sql(&self.name, sql).await;
        let rows = found.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        rows.map(|row| (0..row.len()).map(|at| row.get(at).unwrap_or_default().to_owned()).collect()).collect()
    }

    /// Has the database refuse writes, or take them again, from the connections that are made from now on.
    pub(super) async fn refuse_writes(&self, refuse: &str) {
        let name = &self.name;
        let set = format!("ALTER DATABASE {name} SET default_transaction_read_only = {refuse}");
        self.server.sql("postgres", &set).await;
        let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        self.server.sql("postgres", &cut).await;
    }

    /// Restarts the server as a crash would have it: nobody is waited for. It is away for `away`.
    pub(crate) async fn crash(&self, away: Duration) {
        let server = Arc::clone(&self.server);
        server.kill("-QUIT");
        server.stopped().await;
        tokio::time::sleep(away).await;
        server.start_again().await;
    }
}
