//! What was counted, in the durable tier, as settings of the deployment. Many nodes add to one row by compare-and-set.
//!
//! | key | what | bound |
//! |---|---|---|
//! | `analytics/NNN/SS` | one day of some tenants: NNN is the day modulo [`SLOTS`], SS the tenants' shard | [`SHARDS`] a day, [`GROUPS`] tenants each |
//! | `analytics-key` | the day's key, that visitors are hashed under; dropped when the day is over | one |
//!
//! A row of a day is sealed an hour after it: then the hashes give way to their number, and nothing is added any more. A day
//! that is too old is emptied. There is no way back from a hash to a user without the key, and the key of a day that is over
//! is nowhere; who copied the database while the day lasted has both, as they have the messages.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use threadmill_proto::TenantId;
use threadmill_store::{DurableStore, Setting, SettingPut, SettingsPage, StoreError, StoreResult};

use super::measure::Counts;
use super::visitors::Visitors;

/// Days that have a place: more than are kept, so that none is in another's.
pub(super) const SLOTS: u64 = 400;
/// Rows of a day.
const SHARDS: u8 = 16;
/// Tenants of a row: what they take is under 256 KiB.
const GROUPS: usize = 64;
/// Nodes whose last word is remembered, so that none is counted twice.
const NODES: usize = 32;
/// Times that a change is tried against others.
const TIMES: usize = 5;
const KEY: &str = "analytics-key";

/// Who was there, on either side of the comparison: with the prefetcher and without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum People {
    /// Of a day that lasts.
    Seen { with: Visitors, without: Visitors },
    /// Of one that is over.
    Number { all: u64, with: u64, without: u64 },
}

impl Default for People {
    fn default() -> Self {
        Self::Seen { with: Visitors::default(), without: Visitors::default() }
    }
}

/// How many there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Crowd {
    pub(super) all: u64,
    pub(super) with: u64,
    pub(super) without: u64,
}

impl People {
    pub(super) fn crowd(&self) -> Crowd {
        match self {
            Self::Seen { with, without } => {
                let mut all = with.clone();
                all.merge(without);
                Crowd { all: all.count(), with: with.count(), without: without.count() }
            }
            Self::Number { all, with, without } => Crowd { all: *all, with: *with, without: *without },
        }
    }

    fn merge(&mut self, other: &Self) {
        if let (Self::Seen { with, without }, Self::Seen { with: their, without: others }) = (self, other) {
            with.merge(their);
            without.merge(others);
        }
    }
}

/// A tenant's day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Group {
    #[serde(default)]
    pub(super) counts: Counts,
    #[serde(default)]
    pub(super) people: People,
}

impl Group {
    fn merge(&mut self, other: &Self) {
        self.counts.merge(&other.counts);
        self.people.merge(&other.people);
    }
}

pub(super) type Groups = BTreeMap<String, Group>;

/// A row.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Row {
    day: u64,
    #[serde(default)]
    sealed: bool,
    /// The last word of each node, the newest last.
    #[serde(default)]
    nodes: Vec<(String, u64)>,
    #[serde(default)]
    groups: Groups,
}

/// What a node has to add, under a number of its own: said again after an answer that was lost, it is not added again.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub(super) node: String,
    pub(super) number: u64,
    pub(super) groups: Groups,
}

impl Row {
    fn add(&mut self, word: &Word) {
        for (tenant, group) in &word.groups {
            if self.groups.len() < GROUPS || self.groups.contains_key(tenant) {
                self.groups.entry(tenant.clone()).or_default().merge(group);
            }
        }
        self.nodes.retain(|(node, _)| *node != word.node);
        self.nodes.push((word.node.clone(), word.number));
        let over = self.nodes.len().saturating_sub(NODES);
        self.nodes.drain(..over);
    }

    fn has(&self, word: &Word) -> bool {
        self.nodes.iter().any(|(node, number)| *node == word.node && *number >= word.number)
    }

    fn seal(&mut self) {
        self.sealed = true;
        self.nodes.clear();
        for group in self.groups.values_mut() {
            let Crowd { all, with, without } = group.people.crowd();
            group.people = People::Number { all, with, without };
        }
    }
}

/// The key of a day.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct DayKey {
    day: u64,
    key: String,
}

/// The row that a tenant is in.
pub(super) fn shard(tenant: &TenantId) -> u8 {
    let [first, ..] = *blake3::hash(tenant.as_str().as_bytes()).as_bytes();
    first % SHARDS
}

fn slot(day: u64) -> String {
    format!("analytics/{:03}/", day % SLOTS)
}

/// What cannot be read, of a later release perhaps, counts as nothing.
fn read(setting: &Setting) -> Row {
    if setting.value.is_empty() {
        return Row::default();
    }
    serde_json::from_str(&setting.value).unwrap_or_else(|error| {
        tracing::debug!(%error, key = setting.key, "a row of the analytics cannot be read");
        Row::default()
    })
}

fn written<T: Serialize>(value: &T) -> StoreResult<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Invalid(error.to_string()))
}

/// See the module.
pub(super) struct Ledger(pub(super) Arc<dyn DurableStore>);

impl Ledger {
    /// Adds what a node counted on a day. False if others came first each time: to be said again.
    pub(super) async fn add(&self, day: u64, shard: u8, word: &Word) -> StoreResult<bool> {
        let key = format!("{}{shard:02}", slot(day));
        for _ in 0..TIMES {
            let found = self.0.setting(&key).await?;
            let (version, mut row) = found.map_or_else(Default::default, |found| (found.version, read(&found)));
            if row.day > day || (row.day == day && (row.sealed || row.has(word))) {
                // Too late, or said before.
                return Ok(true);
            }
            if row.day < day {
                row = Row { day, ..Row::default() };
            }
            row.add(word);
            let put = SettingPut::new(key.clone(), version, written(&row)?);
            if self.0.put_settings(vec![put]).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A day, of all tenants.
    pub(super) async fn day(&self, day: u64) -> StoreResult<Groups> {
        let rows = self.0.settings(&slot(day)).await?;
        Ok(rows.iter().map(read).filter(|row| row.day == day).flat_map(|row| row.groups).collect())
    }

    /// Whether no day was ever counted.
    pub(super) async fn is_empty(&self) -> StoreResult<bool> {
        let page = SettingsPage { prefix: "analytics/".into(), after: None, limit: 1 };
        Ok(self.0.settings_page(page).await?.is_empty())
    }

    /// Seals the days up to `over`, and empties those before `first`.
    pub(super) async fn tidy(&self, over: u64, first: u64) -> StoreResult<()> {
        // Ten days at a time: a question a day would be four hundred, and all at once may be too much to hold.
        for tens in 0..SLOTS / 10 {
            for setting in self.0.settings(&format!("analytics/{tens:02}")).await? {
                let mut row = read(&setting);
                let value = if row.day < first && !setting.value.is_empty() {
                    String::new()
                } else if row.day >= first && row.day <= over && !row.sealed {
                    row.seal();
                    written(&row)?
                } else {
                    continue;
                };
                // Whoever was first does the same, or adds something; then it is for the next time.
                self.0.put_settings(vec![SettingPut::new(setting.key, setting.version, value)]).await?;
            }
        }
        Ok(())
    }

    /// Drops the key of a day before this one.
    pub(super) async fn drop_key(&self, day: u64) -> StoreResult<()> {
        let Some(found) = self.0.setting(KEY).await? else { return Ok(()) };
        if serde_json::from_str::<DayKey>(&found.value).is_ok_and(|known| known.day < day) {
            // Whoever was first did the same, or made today's.
            self.0.put_settings(vec![SettingPut::new(KEY, found.version, String::new())]).await?;
        }
        Ok(())
    }

    /// The key of a day, the same at every node: `fresh` if it has none yet. None if there is a later day's already.
    pub(super) async fn key(&self, day: u64, fresh: [u8; 32]) -> StoreResult<Option<[u8; 32]>> {
        let hex = |key: &str| Some(*blake3::Hash::from_hex(key).ok()?.as_bytes());
        for _ in 0..TIMES {
            let found = self.0.setting(KEY).await?;
            let version = found.as_ref().map_or(0, |row| row.version);
            let known = found.and_then(|row| serde_json::from_str::<DayKey>(&row.value).ok());
            match known {
                Some(known) if known.day > day => return Ok(None),
                Some(known) if known.day == day => return Ok(hex(&known.key)),
                Some(_) | None => {}
            }
            let key = blake3::Hash::from(fresh).to_hex().to_string();
            let put = SettingPut::new(KEY, version, written(&DayKey { day, key })?);
            if self.0.put_settings(vec![put]).await? {
                return Ok(Some(fresh));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use threadmill_store::MemoryStore;

    use super::*;

    fn word(node: &str, number: u64, visitors: std::ops::Range<u32>) -> Word {
        let mut group = Group::default();
        group.counts.report("visits", &[u64::from(visitors.end - visitors.start)]).expect("it is taken");
        if let People::Seen { with, .. } = &mut group.people {
            visitors.for_each(|visitor| with.see(visitor));
        }
        Word { node: node.into(), number, groups: BTreeMap::from([("t".to_owned(), group)]) }
    }

    fn visits(groups: &Groups) -> (u64, u64) {
        let visits = super::super::measure::named("visits").expect("a measure");
        groups.get("t").map_or((0, 0), |group| (group.counts.row(visits)[0], group.people.crowd().all))
    }

    #[tokio::test]
    async fn nodes_add_up_no_word_counts_twice_and_nobody_twice() {
        let ledger = Ledger(Arc::new(MemoryStore::new()));
        for (node, number, range, want) in
            [("a", 1, 0..5, (5, 5)), ("a", 1, 0..5, (5, 5)), ("b", 1, 3..8, (10, 8)), ("a", 2, 0..1, (11, 8))]
        {
            assert!(ledger.add(700, 0, &word(node, number, range)).await.expect("an answer"));
            assert_eq!(visits(&ledger.day(700).await.expect("a day")), want, "{node} {number}");
        }
        assert_eq!(visits(&ledger.day(701).await.expect("a day")), (0, 0));
        assert_eq!(visits(&ledger.day(700 - SLOTS).await.expect("a day")), (0, 0), "one that has the same place");
    }

    #[tokio::test]
    async fn a_day_that_is_over_keeps_numbers_and_then_nothing() {
        let store = Arc::new(MemoryStore::new());
        let ledger = Ledger(Arc::clone(&store) as _);
        let raw = async || store.settings("analytics/").await.expect("settings")[0].value.clone();
        ledger.add(700, 0, &word("a", 1, 0..12)).await.expect("an answer");
        ledger.tidy(699, 600).await.expect("tidied");
        assert!(raw().await.contains("\"f"), "the day lasts: {}", raw().await);
        ledger.tidy(700, 600).await.expect("tidied");
        assert!(!raw().await.contains("\"f") && !raw().await.contains("nodes\":[["), "{}", raw().await);
        assert_eq!(visits(&ledger.day(700).await.expect("a day")), (12, 12));
        assert!(ledger.add(700, 0, &word("a", 2, 20..30)).await.expect("an answer"), "too late is no reason to wait");
        assert_eq!(visits(&ledger.day(700).await.expect("a day")), (12, 12));
        ledger.tidy(800, 701).await.expect("tidied");
        assert_eq!(raw().await, "");
        // The next day in its place.
        ledger.add(700 + SLOTS, 0, &word("a", 3, 0..1)).await.expect("an answer");
        assert_eq!(visits(&ledger.day(700 + SLOTS).await.expect("a day")), (1, 1));
    }

    #[tokio::test]
    async fn a_days_key_is_one_for_all_nodes_and_goes_with_the_day() {
        let store = Arc::new(MemoryStore::new());
        let ledger = Ledger(Arc::clone(&store) as _);
        let key = async |day, fresh| ledger.key(day, [fresh; 32]).await.expect("an answer");
        assert_eq!(key(5, 1).await, Some([1; 32]));
        assert_eq!(key(5, 2).await, Some([1; 32]));
        assert_eq!(key(6, 3).await, Some([3; 32]));
        assert_eq!(key(5, 4).await, None, "a clock that is behind");
        let kept = store.settings("analytics-key").await.expect("settings");
        assert!(kept.len() == 1 && !kept[0].value.contains("0101"), "{kept:?}");
    }

    #[tokio::test]
    async fn a_row_takes_no_more_tenants_than_it_has_room_for() {
        let store = Arc::new(MemoryStore::new());
        let ledger = Ledger(Arc::clone(&store) as _);
        let mut many = word("a", 1, 0..1);
        let mut group = many.groups["t"].clone();
        for measure in &super::super::measure::MEASURES {
            // The longest numbers.
            let text = format!("{{\"{}\":{:?}}}", measure.name, vec![u64::MAX / 2; measure.buckets.len()]);
            group.counts.merge(&serde_json::from_str(&text).expect("counts"));
        }
        if let People::Seen { with, without } = &mut group.people {
            (0..5_000_u32).for_each(|visitor| with.see(visitor.wrapping_mul(2_654_435_761)));
            without.merge(with);
        }
        many.groups = (0..300).map(|at| (format!("{at:0>128}"), group.clone())).collect();
        ledger.add(700, 0, &many).await.expect("it has room");
        assert_eq!(ledger.day(700).await.expect("a day").len(), GROUPS);
    }
}
