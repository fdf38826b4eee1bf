//! One way to run a statement: prepared once a connection, held to a deadline, and with what it read added up if a
//! test asks for that.

use std::future::Future;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use futures_util::future::try_join_all;
use tokio_postgres::types::{FromSql, ToSql};
use tokio_postgres::{Row, Statement};

use crate::explain::{self, WindowCost};
use crate::fail::{Done, Fail, Kind, Trouble, damage};

/// A value for a statement.
pub(crate) type Param<'p> = &'p (dyn ToSql + Sync);

/// A statement with its values, to be sent with others.
pub(crate) struct Write {
    pub(crate) sql: &'static str,
    pub(crate) columns: Vec<Box<dyn ToSql + Sync + Send>>,
}

/// A connection.
pub(crate) struct Db<'c> {
    client: &'c ClientWrapper,
    deadline: Duration,
    cost: Option<Mutex<WindowCost>>,
    /// Statements sent, but for those that prepare others.
    statements: AtomicU64,
}

impl<'c> Db<'c> {
    pub(crate) fn new(client: &'c ClientWrapper, deadline: Duration) -> Self {
        Self { client, deadline, cost: None, statements: AtomicU64::new(0) }
    }

    /// A connection that has the server count what its statements read.
    pub(crate) fn counting(client: &'c ClientWrapper, deadline: Duration) -> Self {
        Self { cost: Some(Mutex::default()), ..Self::new(client, deadline) }
    }

    /// What the statements run so far cost.
    pub(crate) fn cost(&self) -> WindowCost {
        self.cost.as_ref().map_or_else(WindowCost::default, |cost| match cost.lock() {
            Ok(cost) => *cost,
            Err(poisoned) => *poisoned.into_inner(),
        })
    }

    /// Statements sent so far.
    pub(crate) fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    fn count(&self, statements: usize) {
        self.statements.fetch_add(statements as u64, Ordering::Relaxed);
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Done<T> {
        match tokio::time::timeout(self.deadline, work).await {
            Ok(done) => Ok(done?),
            Err(_) => Err(Fail::Broken(Trouble::lost("the server did not answer in time"))),
        }
    }

    /// Prepares a statement, or finds it prepared.
    pub(crate) async fn prepare(&self, sql: &str) -> Done<Statement> {
        self.within(self.client.prepare_cached(sql)).await
    }

    /// Every row.
    pub(crate) async fn all(&self, sql: &str, params: &[Param<'_>]) -> Done<Vec<Row>> {
        let statement = self.prepare(sql).await?;
        if let Some(cost) = &self.cost {
            let plan = self.within(self.client.query(&format!("EXPLAIN (ANALYZE, BUFFERS) {sql}"), params)).await?;
            let read = explain::read(&plan)?;
            if let Ok(mut cost) = cost.lock() {
                *cost += read;
            }
        }
        self.count(1);
        self.within(self.client.query(&statement, params)).await
    }

    /// The first row, if there is one.
    pub(crate) async fn one(&self, sql: &str, params: &[Param<'_>]) -> Done<Option<Row>> {
        Ok(self.all(sql, params).await?.into_iter().next())
    }

    /// Changes rows; returns how many.
    pub(crate) async fn change(&self, sql: &str, params: &[Param<'_>]) -> Done<u64> {
        let statement = self.prepare(sql).await?;
        self.count(1);
        self.within(self.client.execute(&statement, params)).await
    }

    /// Statements without values.
    pub(crate) async fn batch(&self, sql: &str) -> Done<()> {
        self.count(1);
        self.within(self.client.batch_execute(sql)).await
    }

    /// Ends a read's transaction, also after a refusal.
    pub(crate) async fn end<T>(&self, done: Done<T>) -> Done<T> {
        match done {
            Err(Fail::Broken(trouble)) => Err(Fail::Broken(trouble)),
            done => self.batch("COMMIT").await.and(done),
        }
    }

    /// Ends a write's transaction: what was done is durable if `stands` says so of it, or nothing is. Of one whose connection
    /// is gone nobody knows.
    pub(crate) async fn finish<T>(&self, done: Done<T>, stands: impl FnOnce(&T) -> bool) -> Done<T> {
        match &done {
            Ok(value) if stands(value) => self.batch("COMMIT").await.and(done),
            Err(Fail::Broken(trouble)) if trouble.kind == Kind::Lost => done,
            Ok(_) | Err(_) => self.batch("ROLLBACK").await.and(done),
        }
    }

    /// Sends all of these and the commit at once, in this order, and waits for every answer: one round trip however
    /// many they are. They are prepared before, so that none waits while a later one is sent.
    pub(crate) async fn commit(&self, writes: &[Write]) -> Done<()> {
        let mut statements = Vec::with_capacity(writes.len());
        for write in writes {
            statements.push(self.prepare(write.sql).await?);
        }
        self.count(writes.len() + 1);
        let params: Vec<Vec<Param<'_>>> = writes
            .iter()
            .map(|write| write.columns.iter().map(|column| -> Param<'_> { &**column }).collect())
            .collect();
        let sent = statements.iter().zip(&params).map(|(statement, params)| self.client.execute(statement, params));
        let all = async {
            // A future of this kind sends when it is first polled, and a biased `try_join` polls from left to right:
            // also, of several failures the first is the cause.
            let (_, ()) = tokio::try_join!(biased; in_order(sent), self.client.batch_execute("COMMIT"))?;
            Ok(())
        };
        self.within(all).await
    }
}

/// Below this many futures `try_join_all` polls them in the order given.
const ORDERED: usize = 30;

async fn in_order<F: Future<Output = Result<u64, tokio_postgres::Error>>>(
    sent: impl ExactSizeIterator<Item = F>,
) -> Result<Vec<u64>, tokio_postgres::Error> {
    assert!(sent.len() <= ORDERED, "a commit has a few statements");
    try_join_all(sent).await
}

/// A column of a row.
pub(crate) fn get<'r, T: FromSql<'r>>(row: &'r Row, at: usize) -> Done<T> {
    row.try_get(at).map_err(damage)
}

/// The columns of a set of rows, each as one array.
macro_rules! columns {
    ($rows:expr; $row:pat => $($value:expr),+ $(,)?) => {
        vec![$({
            #[allow(unused_variables, reason = "each column looks at a part of its row")]
            let column = $rows.iter().map(|$row| $value).collect::<Vec<_>>();
            Box::new(column) as Box<dyn tokio_postgres::types::ToSql + Sync + Send>
        }),+]
    };
}
pub(crate) use columns;
