//! Rollouts in the durable tier, as settings of the deployment. A change and the entry that says who made it and why are put
//! together, or neither is; who read an older version puts nothing.
//!
//! | key | what | bound |
//! |---|---|---|
//! | `rollouts/FLAG` | the rollout | 32 |
//! | `rollout-counts/FLAG/all` | what all nodes counted in its generation | one a flag |
//! | `rollout-days/FLAG/DD` | sums of one day of it, for the report | 31 a flag |
//! | `rollout-log/FLAG/N` | who changed what, why and when; never altered | one a change |

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use threadmill_proto::Millis;
use threadmill_store::{DurableStore, Setting, SettingPut, SettingsPage, StoreError, StoreResult};

use super::counts::Counts;
use super::rollout::Rollout;

/// Entries of a log that are read: the newest.
const LOG: u32 = 200;
/// Days that are summed up one by one.
pub(super) const DAYS: u64 = 31;
/// Nodes whose last word is remembered, so that none is counted twice.
const NODES: usize = 32;

/// One change of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When.
    pub at: Millis,
    /// Who: a name that was given, or `threadmill` for the rollout itself.
    pub who: String,
    /// What was done.
    pub what: String,
    /// Why.
    pub why: String,
    /// How the rollout stood afterwards.
    pub status: String,
    /// The stage it was in afterwards.
    pub stage: String,
}

/// Counts as they are stored: of one generation, with who added to them last.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Of which generation, or when the rollout began whose day it is.
    pub(super) of: u64,
    pub(super) counts: Counts,
    /// The last word of each node, the newest last.
    nodes: Vec<(String, u64)>,
}

impl Kept {
    /// Adds what a node counted, once.
    fn add(&mut self, word: &Word, counts: &Counts) {
        if self.has(word) {
            return;
        }
        self.counts.merge(counts);
        self.nodes.retain(|(node, _)| *node != word.node);
        self.nodes.push((word.node.clone(), word.number));
        let over = self.nodes.len().saturating_sub(NODES);
        self.nodes.drain(..over);
    }

    fn has(&self, word: &Word) -> bool {
        self.nodes.iter().any(|(node, number)| *node == word.node && *number >= word.number)
    }
}

/// What a node has to add, under a number of its own: said again after an answer that was lost, it is not added again.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub(super) node: String,
    pub(super) number: u64,
    pub(super) counts: Counts,
}

/// See the module.
pub(super) struct Ledger(pub(super) Arc<dyn DurableStore>);

fn read<T: DeserializeOwned>(setting: &Setting) -> StoreResult<T> {
    let unreadable = |error| StoreError::Internal { store: "settings", detail: format!("{}: {error}", setting.key) };
    serde_json::from_str(&setting.value).map_err(unreadable)
}

fn put<T: Serialize>(key: String, read: u64, value: &T) -> StoreResult<SettingPut> {
    let value = serde_json::to_string(value);
    let value = value.map_err(|error| StoreError::Invalid(format!("{key} cannot be written: {error}")))?;
    Ok(SettingPut::new(key, read, value))
}

impl Ledger {
    /// All rollouts by flag. Of one that cannot be read, of a later release perhaps, nothing is known.
    pub(super) async fn all(&self) -> StoreResult<BTreeMap<String, Option<Rollout>>> {
        let rows = self.0.settings("rollouts/").await?;
        let named = rows.iter().map(|row| {
            let rollout = read(row).inspect_err(|error| tracing::debug!(%error, "a rollout cannot be read"));
            (row.key.trim_start_matches("rollouts/").to_owned(), rollout.ok())
        });
        Ok(named.collect())
    }

    /// A rollout with its version, which is 0 if there is none.
    pub(super) async fn find(&self, flag: &str) -> StoreResult<(u64, Option<Rollout>)> {
        let row = self.0.setting(&format!("rollouts/{flag}")).await?;
        row.map_or(Ok((0, None)), |row| Ok((row.version, Some(read(&row)?))))
    }

    /// Puts a rollout that was read at a version, with the entry that explains it and what tells of it. False if it has moved
    /// on.
    pub(super) async fn change(
        &self,
        flag: &str,
        version: u64,
        rollout: &Rollout,
        entry: &Entry,
        told: Vec<SettingPut>,
    ) -> StoreResult<bool> {
        let mut rollout = rollout.clone();
        rollout.entries += 1;
        let log = format!("rollout-log/{flag}/{:08}", rollout.entries);
        let mut puts = vec![put(format!("rollouts/{flag}"), version, &rollout)?, put(log, 0, entry)?];
        puts.extend(told);
        self.0.put_settings(puts).await
    }

    /// The newest entries of a flag's log, oldest first, of a rollout that counts so many.
    pub(super) async fn log(&self, flag: &str, entries: u64) -> StoreResult<Vec<Entry>> {
        let prefix = format!("rollout-log/{flag}/");
        let after = Some(format!("{prefix}{:08}", entries.saturating_sub(u64::from(LOG))));
        self.0.settings_page(SettingsPage { prefix, after, limit: LOG }).await?.iter().map(read).collect()
    }

    /// What all nodes counted in a generation.
    pub(super) async fn counts(&self, flag: &str, generation: u64) -> StoreResult<Counts> {
        Ok(self.open(counts_key(flag), generation).await?.map_or_else(Counts::default, |(_, kept)| kept.counts))
    }

    /// The sums of the first `days` days.
    pub(super) async fn days(&self, flag: &str, started: Millis, days: u64) -> StoreResult<Vec<Counts>> {
        let rows = self.0.settings(&format!("rollout-days/{flag}/")).await?;
        let mut all = Vec::new();
        for row in rows.iter().filter(|row| row.key.as_str() < day_key(flag, days).as_str()) {
            let kept: Kept = read(row)?;
            if kept.of == started {
                all.push(kept.counts);
            }
        }
        Ok(all)
    }

    /// Adds what a node counted, to the generation and to the day, and returns what all counted so far. `None` if other
    /// nodes came first each time.
    pub(super) async fn add(
        &self,
        flag: &str,
        rollout: &Rollout,
        day: u64,
        word: &Word,
    ) -> StoreResult<Option<Counts>> {
        const TIMES: usize = 5;
        for _ in 0..TIMES {
            let Some((version, mut kept)) = self.open(counts_key(flag), rollout.generation).await? else {
                return Ok(None);
            };
            if word.counts.is_empty() || kept.has(word) {
                return Ok(Some(kept.counts));
            }
            kept.add(word, &word.counts);
            let mut puts = vec![put(counts_key(flag), version, &kept)?];
            if day < DAYS
                && let Some((version, mut sums)) = self.open(day_key(flag, day), rollout.started).await?
            {
                sums.add(word, &word.counts.flat());
                puts.push(put(day_key(flag, day), version, &sums)?);
            }
            if self.0.put_settings(puts).await? {
                return Ok(Some(kept.counts));
            }
        }
        Ok(None)
    }

    /// What is kept under a key, with its version, to be added to: emptied if it is of something before `of`. None if it is of
    /// something later: generations and starts only grow, so this node is behind, and what it would put is of no use.
    async fn open(&self, key: String, of: u64) -> StoreResult<Option<(u64, Kept)>> {
        let (version, kept) = match self.0.setting(&key).await? {
            Some(row) => (row.version, read::<Kept>(&row)?),
            None => (0, Kept::default()),
        };
        Ok(match kept.of.cmp(&of) {
            Ordering::Greater => None,
            Ordering::Equal => Some((version, kept)),
            Ordering::Less => Some((version, Kept { of, ..Kept::default() })),
        })
    }
}

fn counts_key(flag: &str) -> String {
    format!("rollout-counts/{flag}/all")
}

fn day_key(flag: &str, day: u64) -> String {
    format!("rollout-days/{flag}/{day:02}")
}

#[cfg(test)]
mod tests {
    use threadmill_store::MemoryStore;

    use super::super::counts::{Arm, Place};
    use super::super::metric::Metric;
    use super::super::plan::Plan;
    use super::*;

    fn word(node: &str, number: u64) -> Word {
        let mut counts = Counts::default();
        counts.count(Place { arm: Arm::New, bucket: 1, user: 7 }, Metric::Errors, 0.0, None);
        Word { node: node.into(), number, counts }
    }

    #[tokio::test]
    async fn a_word_that_is_said_again_is_counted_once_and_another_generation_begins_anew() {
        let ledger = Ledger(Arc::new(MemoryStore::new()));
        let mut rollout = Rollout::start(Plan::checklist(std::collections::BTreeSet::new()), None, 50);
        let total = |counts: Option<Counts>| {
            counts
                .as_ref()
                .and_then(|counts| counts.cell(Arm::New, Metric::Errors))
                .map_or(0, super::super::counts::Cell::total)
        };
        for (node, number, want) in [("a", 1, 1), ("a", 1, 1), ("b", 1, 2), ("a", 2, 3), ("a", 1, 3)] {
            let added = ledger.add("f", &rollout, 0, &word(node, number)).await.expect("it is added");
            assert_eq!(total(added), want, "{node} {number}");
        }
        rollout.generation += 1;
        assert_eq!(total(ledger.add("f", &rollout, 1, &word("a", 3)).await.expect("it is added")), 1);
        let days = ledger.days("f", 50, 7).await.expect("days");
        assert_eq!(days.into_iter().map(|day| total(Some(day))).collect::<Vec<_>>(), [3, 1]);
        assert_eq!(ledger.days("f", 51, 7).await.expect("days").len(), 0, "another start has its own");
        assert_eq!(ledger.days("f", 50, 1).await.expect("days").len(), 1);
    }
}
