//! Who is where by this node's own connections: names that run out, bounded in bytes for a user, a tenant and the node,
//! and swept whether anybody asks for them or not.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use threadmill_proto::Scope;
use threadmill_store::hot::ThreadKey;
use tokio::time::Instant;

use crate::presence::activity::Activity;
use crate::shares::{Bounds, Full, Share, Shares};
use crate::sync::lock;

/// Bytes of names. A user's are some two thousand: a browser's tabs on several devices are a few dozen.
const BYTES: Bounds = Bounds { user: 1 << 20, tenant: 16 << 20, node: 32 << 20 };
/// What a name costs besides its bytes: its thread's key, its share, and its place in the tables.
const NAME: u64 = 400;

#[derive(Debug)]
struct Entry {
    activity: Activity,
    until: Instant,
    _share: Share,
}

type Names = BTreeMap<String, Entry>;

/// The names of a node, by thread.
#[derive(Debug)]
pub(crate) struct Book {
    threads: Mutex<HashMap<ThreadKey, Names>>,
    bytes: Arc<Shares>,
}

impl Default for Book {
    fn default() -> Self {
        Self { threads: Mutex::default(), bytes: Shares::new(BYTES) }
    }
}

impl Book {
    /// Somebody is in a thread until then.
    pub(crate) fn set(
        &self,
        scope: &Scope,
        thread: &ThreadKey,
        name: &str,
        activity: Activity,
        until: Instant,
    ) -> Result<(), Full> {
        let mut threads = lock(&self.threads);
        if let Some(entry) = threads.get_mut(thread).and_then(|names| names.get_mut(name)) {
            (entry.activity, entry.until) = (activity, until);
            return Ok(());
        }
        let share = self.bytes.take(scope, NAME + name.len() as u64)?;
        let entry = Entry { activity, until, _share: share };
        threads.entry(thread.clone()).or_default().insert(name.to_owned(), entry);
        Ok(())
    }

    /// Who is in a thread now.
    pub(crate) fn list(&self, thread: &ThreadKey, now: Instant) -> Vec<(String, Activity)> {
        let threads = lock(&self.threads);
        let names = threads.get(thread).into_iter().flatten().filter(|(_, entry)| entry.until > now);
        names.map(|(name, entry)| (name.clone(), entry.activity)).collect()
    }

    /// Forgets those whose time is over.
    pub(crate) fn sweep(&self, now: Instant) {
        lock(&self.threads).retain(|_, names| {
            names.retain(|_, entry| entry.until > now);
            !names.is_empty()
        });
    }

    /// Bytes of all names.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.held()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use threadmill_proto::{TenantId, ThreadId, UserId};

    use super::*;

    fn scope(tenant: &str, user: &str) -> Scope {
        Scope { tenant: TenantId::parse(tenant).expect("an id"), user: UserId::parse(user).expect("an id") }
    }

    fn thread(name: &str) -> ThreadKey {
        let (tenant, thread) = (TenantId::parse("t").expect("an id"), ThreadId::parse(name).expect("an id"));
        ThreadKey { tenant, thread, birth: 1 }
    }

    #[tokio::test(start_paused = true)]
    async fn new_names_of_one_user_are_bounded_and_go_though_nobody_reads_them() {
        let (book, now) = (Book::default(), Instant::now());
        let until = now + Duration::from_secs(15);
        let flood = (0..100_000).map(|n| {
            book.set(
                &scope("t", "eve"),
                &thread(&format!("t{}", n % 2_000)),
                &format!("n{n}"),
                Activity::Viewing,
                until,
            )
        });
        assert!(flood.filter(Result::is_err).count() > 90_000);
        assert!(book.bytes() <= BYTES.user);
        assert_eq!(book.set(&scope("t", "ann"), &thread("t1"), "tab", Activity::Typing, until), Ok(()));
        // Known names are renewed, whatever room there is.
        assert_eq!(book.set(&scope("t", "eve"), &thread("t0"), "n0", Activity::Typing, until), Ok(()));
        assert!(book.list(&thread("t1"), now).contains(&("tab".to_owned(), Activity::Typing)));
        book.sweep(until);
        assert_eq!((book.bytes(), lock(&book.threads).len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_leaves_room_for_the_others() {
        let (book, until) = (Book::default(), Instant::now() + Duration::from_secs(15));
        for user in 0..40 {
            for n in 0..3_000 {
                let (who, name) = (scope("many", &format!("u{user}")), format!("{user}-{n}"));
                let _ = book.set(&who, &thread(&format!("t{n}")), &name, Activity::Viewing, until);
            }
        }
        assert!(book.bytes() <= BYTES.tenant);
        assert_eq!(book.set(&scope("one", "ann"), &thread("a"), "tab", Activity::Viewing, until), Ok(()));
    }
}
