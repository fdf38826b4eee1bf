//! Reads: each in one snapshot of the database, on a connection of the pool. What is made of the rows is the rules'.

pub(crate) mod head;
pub(crate) mod nodes;
pub(crate) mod runs;

use std::collections::{HashMap, VecDeque};

use threadmill_proto::{
    BranchId, ChainHash, JsonText, MessageId, Millis, Record, Scope, Summary, TenantId, ThreadId, UserId, from_cbor,
};
use threadmill_store::relational::{
    BranchRow, MessageRow, NONE, Principal, Reads, RunRow, Slot, ThreadRow, Wanted, Way, hash_from_blob, key, number,
    owner_at, ranges, surveyed,
};
use threadmill_store::{Missing, Surveyed, SurveyedThread, store_id as id};
use tokio_postgres::Row;

use crate::codec::{int, text_from, uint};
use crate::db::{Db, get};
use crate::fail::{Done, Fail, damage};
use crate::rows::{
    THREAD_COLUMNS, branch_columns, find_principal, message_columns, read_branch, read_branch_at, read_message,
    read_run, read_slot, read_thread, run_columns, slot_columns, slots_from, thread_columns, visible,
};

macro_rules! summary_columns {
    () => {
        "thread, pos, title, snippet, running, archived, deleted, updated_at"
    };
}

fn read_summary(row: &Row) -> Done<Summary> {
    Ok(Summary {
        thread: id!(ThreadId, get(row, 0)?)?,
        pos: uint(get(row, 1)?)?,
        title: text_from(get(row, 2)?),
        snippet: text_from(get(row, 3)?),
        running: get(row, 4)?,
        archived: get(row, 5)?,
        deleted: get(row, 6)?,
        updated_at: uint(get(row, 7)?)?,
    })
}

/// Threads of a tenant whose ids begin like this, with whose they are: a range of the index of ids.
pub(crate) async fn find_threads(
    db: &Db<'_>,
    tenant: &TenantId,
    prefix: &ThreadId,
    limit: u32,
) -> Done<Vec<(UserId, ThreadId)>> {
    const SQL: &str = "SELECT u.id, h.id FROM threadmill.tenants t
         JOIN threadmill.threads h ON h.tenant = t.num AND h.id >= $2 AND h.id < $3 AND NOT h.hidden
         JOIN threadmill.users u ON u.num = h.owner
         WHERE t.id = $1 ORDER BY h.id LIMIT $4";
    // No letter of an id is past this one.
    let end = format!("{prefix}\u{7f}");
    let rows = db.all(SQL, &[&tenant.as_str(), &prefix.as_str(), &end, &i64::from(limit)]).await?;
    rows.iter().map(|row| Ok((id!(UserId, get(row, 0)?)?, id!(ThreadId, get(row, 1)?)?))).collect()
}

/// A page of all threads, in the order of their numbers.
pub(crate) async fn survey(db: &Db<'_>, after: i64, limit: u32) -> Done<Surveyed> {
    const SQL: &str = "SELECT h.num, h.hidden, t.id, u.id, h.id, h.seq, h.updated_at,
            CASE WHEN position('\"pinned\"' in h.metadata) > 0 THEN h.metadata END
         FROM threadmill.threads h
         JOIN threadmill.tenants t ON t.num = h.tenant JOIN threadmill.users u ON u.num = h.owner
         WHERE h.num > $1 ORDER BY h.num LIMIT $2";
    let rows = db.all(SQL, &[&after, &i64::from(limit)]).await?;
    let read = |row: &Row| {
        let scope = Scope { tenant: id!(TenantId, get(row, 2)?)?, user: id!(UserId, get(row, 3)?)? };
        let pinning = get::<Option<String>>(row, 7)?.map(|json| JsonText(text_from(json)));
        let (seq, updated_at) = (uint(get(row, 5)?)?, uint(get(row, 6)?)?);
        let seen = SurveyedThread { scope, thread: id!(ThreadId, get(row, 4)?)?, seq, updated_at, pinning };
        Ok((get(row, 0)?, get(row, 1)?, seen))
    };
    let rows: Vec<_> = rows.iter().map(read).collect::<Done<_>>()?;
    Ok(surveyed(rows, limit))
}

macro_rules! opened {
    ($branch:literal) => {
        concat!(
            "SELECT ",
            thread_columns!(),
            ", ",
            branch_columns!(),
            " FROM threadmill.tenants n
              JOIN threadmill.users u ON u.tenant = n.num AND u.id = $2
              JOIN threadmill.threads t ON t.tenant = n.num AND t.id = $3
              LEFT JOIN threadmill.branches b ON ",
            $branch,
            " WHERE n.id = $1 AND t.owner = u.num AND NOT t.hidden"
        )
    };
}

macro_rules! slots {
    ($order:literal) => {
        concat!(
            "SELECT * FROM (SELECT ",
            slot_columns!(),
            ", s.depth, sum(octet_length(m.body)) OVER (ORDER BY s.depth ",
            $order,
            ") - octet_length(m.body)",
            slots_from!(),
            ") x (key, id, role, status, rev, branch, branch_id, depth, created_at, body, ord, prev_message,
                  prev_branch, next_message, next_branch, total, at, before)
              WHERE x.before <= $4 ORDER BY x.at ",
            $order
        )
    };
}

impl Reads for Db<'_> {
    type Fail = Fail;
    const LEVELS: u32 = 4;

    async fn principal(&self, scope: &Scope) -> Done<Option<Principal>> {
        find_principal(self, scope).await
    }

    async fn visible(&self, scope: &Scope, id: &ThreadId) -> Done<ThreadRow> {
        visible(self, scope, id).await
    }

    async fn opened(&self, scope: &Scope, id: &ThreadId, branch: Option<&BranchId>) -> Done<(ThreadRow, BranchRow)> {
        let (tenant, user, thread) = (scope.tenant.as_str(), scope.user.as_str(), id.as_str());
        let row = match branch {
            Some(branch) => {
                const SQL: &str = opened!("b.tenant = t.tenant AND b.thread = t.num AND b.id = $4");
                self.one(SQL, &[&tenant, &user, &thread, &branch.as_str()]).await?
            }
            None => self.one(opened!("b.key = (t.num << 32) | t.default_branch"), &[&tenant, &user, &thread]).await?,
        };
        let row = row.ok_or(Missing::Thread)?;
        if get::<Option<i64>>(&row, THREAD_COLUMNS)?.is_none() {
            return Err(Missing::Branch.into());
        }
        Ok((read_thread(&row)?, read_branch_at(&row, THREAD_COLUMNS)?))
    }

    async fn branch(&self, thread: &ThreadRow, num: i64) -> Done<BranchRow> {
        const SQL: &str = concat!("SELECT ", branch_columns!(), " FROM threadmill.branches b WHERE b.key = $1");
        let row = self.one(SQL, &[&key(thread.num, num)]).await?;
        read_branch(&row.ok_or_else(|| damage("a branch is not there"))?)
    }

    async fn branch_ids(&self, thread: &ThreadRow, nums: &[i64]) -> Done<HashMap<i64, BranchId>> {
        const SQL: &str = "SELECT key, id FROM threadmill.branches WHERE key = ANY ($1::int8[])";
        let keys: Vec<i64> = nums.iter().map(|num| key(thread.num, *num)).collect();
        let rows = self.all(SQL, &[&keys]).await?;
        rows.iter().map(|row| Ok((number(get(row, 0)?), id!(BranchId, get(row, 1)?)?))).collect()
    }

    async fn branches(&self, thread: &ThreadRow, from: i64, limit: u32) -> Done<Vec<BranchRow>> {
        const SQL: &str = concat!(
            "SELECT ",
            branch_columns!(),
            " FROM threadmill.branches b WHERE b.key >= $1 AND b.key < $2 ORDER BY b.key LIMIT $3"
        );
        let keys = (key(thread.num, from), key(thread.num, NONE));
        self.all(SQL, &[&keys.0, &keys.1, &i64::from(limit)]).await?.iter().map(read_branch).collect()
    }

    async fn messages(&self, thread: &ThreadRow, from: i64, limit: u32) -> Done<Vec<MessageRow>> {
        const SQL: &str = concat!(
            "SELECT ",
            message_columns!(),
            " FROM threadmill.messages m
              JOIN threadmill.branches b ON b.key = m.branch
              WHERE m.key >= $1 AND m.key < $2 ORDER BY m.key LIMIT $3"
        );
        let keys = (key(thread.num, from), key(thread.num, NONE));
        self.all(SQL, &[&keys.0, &keys.1, &i64::from(limit)]).await?.iter().map(read_message).collect()
    }

    async fn messages_named(&self, thread: &ThreadRow, ids: &[&MessageId]) -> Done<Vec<MessageRow>> {
        const SQL: &str = concat!(
            "SELECT ",
            message_columns!(),
            " FROM unnest($3::text[]) k (id)
              JOIN threadmill.messages m ON m.tenant = $1 AND m.thread = $2 AND m.id = k.id
              JOIN threadmill.branches b ON b.key = m.branch"
        );
        let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
        self.all(SQL, &[&thread.tenant, &thread.num, &ids]).await?.iter().map(read_message).collect()
    }

    async fn slot(&self, thread: &ThreadRow, line: &BranchRow, depth: u64) -> Done<Option<i64>> {
        if depth >= line.total {
            return Ok(None);
        }
        const SQL: &str = "SELECT message FROM threadmill.slots WHERE branch = $1 AND depth = $2";
        let owner = key(thread.num, owner_at(&line.lineage, depth)?.branch);
        let row = self.one(SQL, &[&owner, &int(depth)]).await?;
        row.map(|row| Ok(number(get(&row, 0)?))).transpose()
    }

    async fn made_at(&self, thread: &ThreadRow, line: &BranchRow, depths: &[u64]) -> Done<HashMap<u64, Millis>> {
        const SQL: &str = "SELECT s.depth, m.created_at FROM unnest($1::int8[], $2::int8[]) k (branch, depth)
             JOIN threadmill.slots s ON s.branch = k.branch AND s.depth = k.depth
             JOIN threadmill.messages m ON m.key = s.message";
        let owner = |depth: &u64| Ok(key(thread.num, owner_at(&line.lineage, *depth)?.branch));
        let owners = depths.iter().map(owner).collect::<Done<Vec<i64>>>()?;
        let depths: Vec<i64> = depths.iter().map(|depth| int(*depth)).collect();
        let rows = self.all(SQL, &[&owners, &depths]).await?;
        rows.iter().map(|row| Ok((uint(get(row, 0)?)?, uint(get(row, 1)?)?))).collect()
    }

    async fn slots(&self, thread: &ThreadRow, line: &BranchRow, wanted: Wanted) -> Done<VecDeque<Slot>> {
        let Wanted { way, from, to, bytes } = wanted;
        let ranges = ranges(&line.lineage, from, to);
        let owners: Vec<i64> = ranges.iter().map(|(owner, _, _)| key(thread.num, *owner)).collect();
        let firsts: Vec<i64> = ranges.iter().map(|(_, first, _)| int(*first)).collect();
        let ends: Vec<i64> = ranges.iter().map(|(_, _, end)| int(*end)).collect();
        let sql = match way {
            Way::Up => slots!("ASC"),
            Way::Down => slots!("DESC"),
        };
        let rows = self.all(sql, &[&owners, &firsts, &ends, &int(bytes as u64)]).await?;
        rows.iter().map(read_slot).collect()
    }

    /// Those above and below are read together, as many as would do if all were live.
    async fn slots_ahead(
        &self,
        thread: &ThreadRow,
        line: &BranchRow,
        wanted: [Option<Wanted>; 2],
    ) -> Done<[VecDeque<Slot>; 2]> {
        let [above, below] = wanted.map(async |wanted| match wanted {
            Some(wanted) => self.slots(thread, line, wanted).await,
            None => Ok(VecDeque::new()),
        });
        let (above, below) = tokio::try_join!(above, below)?;
        Ok([above, below])
    }

    async fn runs_writing(&self, thread: &ThreadRow, messages: &[i64]) -> Done<Vec<RunRow>> {
        const SQL: &str = concat!(
            "SELECT ",
            run_columns!(),
            " FROM threadmill.runs r WHERE r.open = $1 AND r.message = ANY ($2::int8[])"
        );
        self.all(SQL, &[&thread.num, &messages]).await?.iter().map(read_run).collect()
    }

    async fn records(&self, thread: &ThreadRow, from: u64, limit: u32) -> Done<Vec<(ChainHash, Record)>> {
        const SQL: &str = "SELECT hash, record FROM threadmill.changes
             WHERE thread = $1 AND seq >= $2 ORDER BY seq LIMIT $3";
        let rows = self.all(SQL, &[&thread.num, &int(from), &i64::from(limit)]).await?;
        rows.iter().map(|row| Ok((hash_from_blob(get(row, 0)?)?, from_cbor(get(row, 1)?)?))).collect()
    }

    async fn listed(&self, who: Principal, below: u64, archived: bool, limit: usize) -> Done<Vec<Summary>> {
        const SQL: &str = concat!(
            "SELECT ",
            summary_columns!(),
            " FROM threadmill.summaries
              WHERE owner = $1 AND pos < $2 AND NOT deleted AND archived = $3
              ORDER BY pos DESC LIMIT $4"
        );
        let rows = self.all(SQL, &[&who.user, &int(below), &archived, &int(limit as u64)]).await?;
        rows.iter().map(read_summary).collect()
    }

    async fn summaries_after(&self, who: Principal, since: u64, limit: u64) -> Done<Vec<Summary>> {
        const SQL: &str = concat!(
            "SELECT ",
            summary_columns!(),
            " FROM threadmill.summaries WHERE owner = $1 AND pos > $2 ORDER BY pos LIMIT $3"
        );
        let rows = self.all(SQL, &[&who.user, &int(since), &int(limit)]).await?;
        rows.iter().map(read_summary).collect()
    }

    async fn newest(&self, who: Principal) -> Done<u64> {
        let row = self.one("SELECT pos FROM threadmill.users WHERE num = $1", &[&who.user]).await?;
        row.map_or(Ok(0), |row| Ok::<_, Fail>(uint(get(&row, 0)?)?))
    }

    async fn scopes(&self) -> Done<Vec<(Scope, Principal)>> {
        const SQL: &str = "SELECT t.id, u.id, u.tenant, u.num FROM threadmill.tenants t
             JOIN threadmill.users u ON u.tenant = t.num ORDER BY t.id, u.id";
        let rows = self.all(SQL, &[]).await?;
        let scope = |row: &Row| {
            let tenant = TenantId::parse(get(row, 0)?).map_err(damage)?;
            let user = UserId::parse(get(row, 1)?).map_err(damage)?;
            Ok((Scope { tenant, user }, Principal { tenant: get(row, 2)?, user: get(row, 3)? }))
        };
        rows.iter().map(scope).collect()
    }

    async fn threads_of(&self, who: Principal) -> Done<Vec<ThreadRow>> {
        const SQL: &str = concat!(
            "SELECT ",
            thread_columns!(),
            " FROM threadmill.threads t WHERE t.tenant = $1 AND t.owner = $2 AND NOT t.hidden ORDER BY t.id"
        );
        self.all(SQL, &[&who.tenant, &who.user]).await?.iter().map(read_thread).collect()
    }

    async fn runs_of(&self, thread: &ThreadRow) -> Done<Vec<(RunRow, u64)>> {
        runs::of_thread(self, thread.num).await
    }
}
