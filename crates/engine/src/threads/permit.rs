//! The write permit: every write passes here on its way to the durable tier, in fair shares.
//!
//! The store's writer takes whatever waits and commits it together, so the time of one commit is the time that
//! everybody's next write waits. What is in the store's hands at once is therefore bounded by its cost ([`IN_FLIGHT`]),
//! and what waits here goes by turns (`turns.rs`). A page of an import costs more than the bound and goes alone.
//!
//! What waits is bounded too, by number and by bytes, for a user, a tenant and the node; what finds no room is refused
//! at once with `overloaded`.

use std::sync::Arc;

use threadmill_proto::message::Body;
use threadmill_proto::{Part, Problem, Scope};
use threadmill_store::{Command, ImportRow};

use crate::shares::{Bounds, Share, Shares};
use crate::threads::turns::{Turn, Turns};

/// The cost of what the store works on at once: 256 KiB, or some 170 small writes. Of an import's rows SQLite wrote 2 MiB
/// in 29 ms, so this is a few milliseconds.
const IN_FLIGHT: u64 = 256 << 10;
/// What a write costs besides its bytes: rows, keys and a receipt.
pub(crate) const WRITE: u64 = 1 << 10;
/// What a deletion costs: it touches more than it says.
const DELETION: u64 = 16 << 10;
/// Writes that may wait. Past the node's bound a write would have waited for several commits.
const WAITING: Bounds = Bounds { user: 1024, tenant: 3072, node: 4096 };
/// Bytes of them. One request has at most 2 MiB.
const WAITING_BYTES: Bounds = Bounds { user: 16 << 20, tenant: 48 << 20, node: 64 << 20 };

/// The node's writes: those in the store's hands, and those that wait for their turn.
#[derive(Debug)]
pub(crate) struct Permits {
    turns: Arc<Turns>,
    writes: Arc<Shares>,
    bytes: Arc<Shares>,
}

impl Default for Permits {
    fn default() -> Self {
        Self { turns: Turns::new(IN_FLIGHT), writes: Shares::new(WAITING), bytes: Shares::new(WAITING_BYTES) }
    }
}

/// A place among those who wait, for one write.
#[derive(Debug)]
pub(crate) struct QueuedWrite {
    turns: Arc<Turns>,
    scope: Scope,
    cost: u64,
    _shares: [Share; 2],
}

impl Permits {
    /// A place for a write of this cost.
    ///
    /// # Errors
    /// `overloaded` if the user, the tenant or the node has no room for it.
    pub(crate) fn place(&self, scope: &Scope, cost: u64) -> Result<QueuedWrite, Problem> {
        let refused = |full: crate::shares::Full| full.problem("The writes that wait for the disk");
        let writes = self.writes.take(scope, 1).map_err(refused)?;
        let bytes = self.bytes.take(scope, cost).map_err(refused)?;
        Ok(QueuedWrite { turns: Arc::clone(&self.turns), scope: scope.clone(), cost, _shares: [writes, bytes] })
    }
}

impl QueuedWrite {
    /// Waits for this write's turn. The place is held for as long as this is.
    pub(crate) async fn turn(&self) -> Turn {
        self.turns.turn(&self.scope, self.cost).await
    }
}

fn body(body: &Body) -> u64 {
    let metadata = body.metadata.as_ref().map_or(0, |metadata| metadata.0.len());
    (metadata + body.parts.iter().map(Part::bytes).sum::<usize>()) as u64
}

fn command(command: &Command) -> u64 {
    WRITE
        + match command {
            Command::CreateThread { title, metadata, .. } => {
                (title.len() + metadata.as_ref().map_or(0, |metadata| metadata.0.len())) as u64
            }
            Command::UpdateThread { title, metadata, .. } => {
                let metadata = metadata.as_ref().map_or(0, |metadata| metadata.0.len());
                (title.as_ref().map_or(0, String::len) + metadata) as u64
            }
            Command::DeleteThread { .. } => DELETION,
            Command::Append { message, .. } => body(&message.body),
            Command::Edit { body: edited, .. } | Command::EndRun { body: edited, .. } => body(edited),
            Command::StartRun { request, .. } => request.0.len() as u64,
            Command::Remove { .. } | Command::StopRun { .. } => 0,
        }
}

/// What a transaction costs.
pub(crate) fn cost_of(commands: &[Command]) -> u64 {
    commands.iter().map(command).sum()
}

/// What the rows of an import cost.
pub(crate) fn cost_of_rows(rows: &[ImportRow]) -> u64 {
    let row = |row: &ImportRow| match row {
        ImportRow::Branch { .. } => WRITE,
        ImportRow::Message(message) => {
            let metadata = message.metadata.as_ref().map_or(0, |metadata| metadata.0.len());
            WRITE + (metadata + message.parts.iter().map(Part::bytes).sum::<usize>()) as u64
        }
    };
    rows.iter().map(row).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use threadmill_proto::{ErrorCode, TenantId, UserId};

    use super::*;
    use crate::sync::lock;

    fn scope(tenant: &str, user: &str) -> Scope {
        Scope { tenant: TenantId::parse(tenant).expect("an id"), user: UserId::parse(user).expect("an id") }
    }

    /// Waits in a task of its own; what it says when its turn comes is in `order`.
    fn wait(permits: &Arc<Permits>, who: &Scope, cost: u64, order: &Arc<Mutex<Vec<String>>>) {
        let place = permits.place(who, cost).expect("there is room");
        let (order, name) = (Arc::clone(order), format!("{}/{}", who.tenant, who.user));
        tokio::spawn(async move {
            let permit = place.turn().await;
            lock(&order).push(name);
            tokio::time::sleep(Duration::from_millis(10)).await;
            drop(permit);
        });
    }

    async fn order(permits: &Arc<Permits>, order: &Arc<Mutex<Vec<String>>>) -> Vec<String> {
        while permits.writes.held() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        lock(order).clone()
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_one_user_delays_another_by_one_write_alone() {
        let (permits, said) = (Arc::<Permits>::default(), Arc::default());
        for _ in 0..7 {
            wait(&permits, &scope("a", "flood"), 2 << 20, &said);
            tokio::task::yield_now().await;
        }
        wait(&permits, &scope("a", "victim"), 2 << 10, &said);
        let order = order(&permits, &said).await;
        assert_eq!(order.iter().position(|who| who == "a/victim"), Some(1), "{order:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_of_many_users_has_one_turn_of_a_tenant() {
        let (permits, said) = (Arc::<Permits>::default(), Arc::default());
        for user in 0..9 {
            wait(&permits, &scope("many", &format!("u{user}")), 1 << 20, &said);
            tokio::task::yield_now().await;
        }
        wait(&permits, &scope("one", "victim"), 2 << 10, &said);
        wait(&permits, &scope("one", "victim"), 1 << 20, &said);
        let order = order(&permits, &said).await;
        let turns: Vec<_> =
            order.iter().enumerate().filter(|(_, who)| *who == "one/victim").map(|(at, _)| at).collect();
        assert_eq!(turns, [1, 3], "{order:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn small_writes_do_not_keep_a_large_one_waiting_for_ever() {
        let (permits, said) = (Arc::<Permits>::default(), Arc::default());
        for _ in 0..40 {
            wait(&permits, &scope("a", "small"), 100 << 10, &said);
            tokio::task::yield_now().await;
        }
        wait(&permits, &scope("a", "large"), 1 << 20, &said);
        let order = order(&permits, &said).await;
        let at = order.iter().position(|who| who == "a/large").expect("it had its turn");
        assert!(at <= 4, "{order:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_keeps_nobody_waiting() {
        let permits = Arc::<Permits>::default();
        let first = permits.place(&scope("a", "ann"), 1 << 20).expect("room");
        let held = first.turn().await;
        let gone = permits.place(&scope("a", "bob"), 1 << 20).expect("room");
        assert!(gone.turn().now_or_never().is_none());
        drop(gone);
        let next = permits.place(&scope("a", "cec"), 1 << 20).expect("room");
        assert!(next.turn().now_or_never().is_none());
        drop(held);
        drop(tokio::time::timeout(Duration::from_secs(1), next.turn()).await.expect("its turn comes"));
        assert_eq!(permits.turns.in_flight(), 0);
    }

    #[tokio::test]
    async fn what_waits_is_bounded_for_a_user_by_number_and_by_bytes() {
        let permits = Arc::<Permits>::default();
        let many: Vec<_> = (0..WAITING.user).map(|_| permits.place(&scope("a", "ann"), 1).expect("room")).collect();
        let refused = permits.place(&scope("a", "ann"), 1).expect_err("there are too many");
        assert_eq!((refused.code, refused.retry_after.is_some()), (ErrorCode::Overloaded, true));
        let large: Vec<_> = (0..8).map(|_| permits.place(&scope("a", "bob"), 2 << 20).expect("room")).collect();
        assert!(permits.place(&scope("a", "bob"), 1).is_err(), "16 MiB wait");
        assert!(permits.place(&scope("a", "cec"), 2 << 20).is_ok(), "others have room");
        drop((many, large));
        assert_eq!((permits.writes.held(), permits.bytes.held()), (0, 0));
    }
}
