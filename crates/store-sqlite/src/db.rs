//! One way to run a statement: cached, and with SQLite's own counters added up, so that the cost of a read can be
//! asserted rather than timed.

use std::cell::Cell;

use rusqlite::{Connection, Params, Row, Statement, StatementStatus};

use crate::fail::Done;

/// What SQLite counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Steps of SQLite's virtual machine: what a read costs, without the noise of a clock.
    pub vm_steps: u64,
    /// Steps of scans that no index bounds.
    pub fullscan_steps: u64,
}

/// A connection and its counters.
#[derive(Debug)]
pub(crate) struct Db<'c> {
    conn: &'c Connection,
    cost: Cell<Cost>,
}

impl<'c> Db<'c> {
    pub(crate) fn new(conn: &'c Connection) -> Self {
        Self { conn, cost: Cell::default() }
    }

    /// What the statements run so far cost.
    pub(crate) fn cost(&self) -> Cost {
        self.cost.get()
    }

    fn count(&self, statement: &Statement<'_>) {
        let count = |status| u64::try_from(statement.reset_status(status)).unwrap_or(0);
        let mut cost = self.cost.get();
        cost.vm_steps += count(StatementStatus::VmStep);
        cost.fullscan_steps += count(StatementStatus::FullscanStep);
        self.cost.set(cost);
    }

    /// The first row, if there is one.
    pub(crate) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Done<T>,
    ) -> Done<Option<T>> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        let value = rows.next()?.map(read).transpose()?;
        drop(rows);
        self.count(&statement);
        Ok(value)
    }

    /// Gives every row to `each` until it says [`Step::Stop`].
    pub(crate) fn each(
        &self,
        sql: &str,
        params: impl Params,
        mut each: impl FnMut(&Row<'_>) -> Done<Step>,
    ) -> Done<()> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        while let Some(row) = rows.next()? {
            if each(row)? == Step::Stop {
                break;
            }
        }
        drop(rows);
        self.count(&statement);
        Ok(())
    }

    /// Every row.
    pub(crate) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Done<T>,
    ) -> Done<Vec<T>> {
        let mut values = Vec::new();
        self.each(sql, params, |row| {
            values.push(read(row)?);
            Ok(Step::On)
        })?;
        Ok(values)
    }

    /// Changes rows; returns how many.
    pub(crate) fn change(&self, sql: &str, params: impl Params) -> Done<usize> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let changed = statement.execute(params)?;
        self.count(&statement);
        Ok(changed)
    }

    /// Inserts a row; returns its number.
    pub(crate) fn insert(&self, sql: &str, params: impl Params) -> Done<i64> {
        self.change(sql, params)?;
        Ok(self.conn.last_insert_rowid())
    }
}

/// Whether a reader of rows wants another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It does.
    On,
    /// It has enough.
    Stop,
}
