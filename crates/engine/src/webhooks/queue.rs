//! Deliveries as settings of the durable tier. Those that wait are in the order in which they are due, so a look reads what it
//! takes and one more.
//!
//! | key | what | bound |
//! |---|---|---|
//! | `webhooks/queue/ENDPOINT/DUE-ID` | one that waits | [`MOST`] an endpoint |
//! | `webhooks/ended/WHEN-ID-ENDPOINT` | one that was delivered or given up | [`ENDED`], [`KEPT`] |
//! | `webhooks/off/ENDPOINT` | an endpoint that answered 410 | one an endpoint |
//! | `webhooks/lead` | which node sends | one |
//!
//! A delivery moves from key to key in one put; its id keeps keys from ever being used twice.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use threadmill_proto::Millis;
use threadmill_store::{DurableStore, SETTINGS_AT_ONCE, Setting, SettingPut, SettingsPage, StoreResult};

use crate::webhooks::delivery::{Delivery, State};

/// Deliveries that may wait at an endpoint, so that one that is dead for days leaves the others their room.
pub(crate) const MOST: u64 = 250;
/// Deliveries that are kept after their end.
pub(crate) const ENDED: usize = 1_000;
/// For how long they are kept: 30 days.
const KEPT: Millis = 30 * 24 * 3_600_000;
/// Settings of a page.
const PAGE: u32 = 64;

const QUEUE: &str = "webhooks/queue/";
const OVER: &str = "webhooks/ended/";
const OFF: &str = "webhooks/off/";
/// Which node sends.
pub(crate) const LEAD: &str = "webhooks/lead";

/// A delivery as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    key: String,
    version: u64,
    pub(crate) delivery: Delivery,
}

/// An endpoint that wants nothing any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Off {
    /// Since when.
    pub(crate) at: Millis,
    /// Of which address: another one under the same name is another endpoint.
    pub(crate) mark: String,
}

/// Where a delivery lies.
fn place(delivery: &Delivery) -> String {
    let Delivery { id, endpoint, due, .. } = delivery;
    match delivery.state {
        State::Waiting => format!("{QUEUE}{endpoint}/{due:013}-{id}"),
        State::Delivered | State::Dead => format!("{OVER}{due:013}-{id}-{endpoint}"),
    }
}

/// The put that makes a delivery. None if it cannot be written, which is a defect.
pub(crate) fn put(delivery: &Delivery) -> Option<SettingPut> {
    let value = serde_json::to_string(delivery);
    let value = value.inspect_err(|error| tracing::error!(%error, "a delivery cannot be written")).ok()?;
    Some(SettingPut::new(place(delivery), 0, value))
}

fn read(setting: Setting) -> Option<Row> {
    let Setting { key, version, value } = setting;
    let delivery = serde_json::from_str(&value);
    // Of a later release perhaps, which will see to it.
    let delivery = delivery.inspect_err(|error| tracing::debug!(%error, key, "a delivery cannot be read")).ok()?;
    Some(Row { key, version, delivery })
}

/// When a key is due.
fn due(key: &str) -> Option<Millis> {
    key.rsplit('/').next()?.split('-').next()?.parse().ok()
}

/// See the module.
pub(crate) struct Queue(pub(crate) Arc<dyn DurableStore>);

impl Queue {
    /// What is due at an endpoint, the longest due first.
    pub(crate) async fn due(&self, endpoint: &str, now: Millis, most: usize) -> StoreResult<Vec<Row>> {
        let (prefix, mut found) = (format!("{QUEUE}{endpoint}/"), Vec::new());
        let mut after = None;
        loop {
            let limit = u32::try_from(most - found.len() + 1).unwrap_or(PAGE).min(PAGE);
            let page = SettingsPage { prefix: prefix.clone(), after, limit };
            let rows = self.0.settings_page(page).await?;
            let Some(last) = rows.last().map(|row| row.key.clone()) else { return Ok(found) };
            let over = rows.len() < limit as usize;
            for row in rows {
                if due(&row.key).is_some_and(|due| due > now) || found.len() == most {
                    return Ok(found);
                }
                found.extend(read(row));
            }
            if over {
                return Ok(found);
            }
            after = Some(last);
        }
    }

    /// Whether there is any delivery, waiting or ended.
    pub(crate) async fn is_empty(&self) -> StoreResult<bool> {
        for prefix in [QUEUE, OVER] {
            let page = SettingsPage { prefix: prefix.to_owned(), after: None, limit: 1 };
            if !self.0.settings_page(page).await?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// All that wait, to each of whom `each` is told.
    pub(crate) async fn waiting(&self, each: impl FnMut(Row)) -> StoreResult<()> {
        self.all(QUEUE, each).await
    }

    /// All that have ended, the longest ended first.
    pub(crate) async fn ended(&self, each: impl FnMut(Row)) -> StoreResult<()> {
        self.all(OVER, each).await
    }

    async fn all(&self, prefix: &str, mut each: impl FnMut(Row)) -> StoreResult<()> {
        let mut after = None;
        loop {
            let page = SettingsPage { prefix: prefix.to_owned(), after, limit: PAGE };
            let rows = self.0.settings_page(page).await?;
            after = rows.last().map(|row| row.key.clone());
            let over = rows.len() < PAGE as usize;
            rows.into_iter().filter_map(read).for_each(&mut each);
            if over {
                return Ok(());
            }
        }
    }

    /// Puts a delivery as it stands now where it belongs. False if it was moved meanwhile.
    pub(crate) async fn shift(&self, row: &Row, next: &Delivery) -> StoreResult<bool> {
        let Some(put) = put(next) else { return Ok(false) };
        if put.key == row.key {
            return self.0.put_settings(vec![SettingPut { read: row.version, ..put }]).await;
        }
        self.0.put_settings(vec![SettingPut::removal(&row.key, row.version), put]).await
    }

    /// Removes what ended too long ago, and the longest ended of too many.
    pub(crate) async fn tidy(&self, now: Millis) -> StoreResult<()> {
        let mut ended = Vec::new();
        self.ended(|Row { key, version, delivery }| ended.push((key, version, delivery.due))).await?;
        let many = ended.len().saturating_sub(ENDED);
        let old = ended.iter().take_while(|(_, _, at)| at + KEPT < now).count();
        ended.truncate(many.max(old));
        for some in ended.chunks(SETTINGS_AT_ONCE) {
            let gone = some.iter().map(|(key, version, _)| SettingPut::removal(key, *version)).collect();
            // One that is replayed meanwhile keeps its neighbours until the next time.
            self.0.put_settings(gone).await?;
        }
        Ok(())
    }

    /// The endpoints that want nothing any more, by name.
    pub(crate) async fn off(&self) -> StoreResult<Vec<(String, Off)>> {
        let rows = self.0.settings(OFF).await?;
        let read = |row: Setting| Some((row.key.strip_prefix(OFF)?.to_owned(), serde_json::from_str(&row.value).ok()?));
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// Takes note that an endpoint wants nothing, or that it does again. False if others were first each time.
    pub(crate) async fn switch(&self, endpoint: &str, off: Option<&Off>) -> StoreResult<bool> {
        const TIMES: usize = 3;
        let key = format!("{OFF}{endpoint}");
        let value = off.map(|off| serde_json::json!({"at": off.at, "mark": off.mark}).to_string());
        for _ in 0..TIMES {
            let row = self.0.setting(&key).await?;
            if row.as_ref().map(|row| &row.value) == value.as_ref() {
                return Ok(true);
            }
            let read = row.map_or(0, |row| row.version);
            let put = SettingPut { key: key.clone(), read, value: value.clone() };
            if self.0.put_settings(vec![put]).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use threadmill_store::MemoryStore;

    use super::*;

    fn delivery(endpoint: &str, number: u64, due: Millis) -> Delivery {
        Delivery {
            id: format!("msg_{number}"),
            endpoint: endpoint.into(),
            event: "webhook.test".into(),
            at: due,
            since: None,
            due,
            state: State::Waiting,
            attempts: 0,
            replays: 0,
            last: None,
            body: "{}".into(),
        }
    }

    async fn filled(deliveries: impl IntoIterator<Item = Delivery>) -> Queue {
        let queue = Queue(Arc::new(MemoryStore::new()));
        for delivery in deliveries {
            let put = put(&delivery).expect("it is written");
            assert!(queue.0.put_settings(vec![put]).await.expect("it is put"));
        }
        queue
    }

    #[tokio::test]
    async fn what_is_due_comes_in_its_order_however_many_wait() {
        let mut all: Vec<_> = (0..150).map(|number| delivery("a", number, 10_000 - number)).collect();
        all.push(delivery("a-b", 1, 5));
        let queue = filled(all).await;
        // What cannot be read is passed by.
        let strange = SettingPut::new("webhooks/queue/a/0000000000001-x", 0, "{");
        assert!(queue.0.put_settings(vec![strange]).await.expect("it is put"));
        let due = async |now, most| {
            let rows = queue.due("a", now, most).await.expect("reads");
            rows.into_iter().map(|row| row.delivery.due).collect::<Vec<_>>()
        };
        assert_eq!(due(9_852, 9).await, [9_851, 9_852]);
        assert_eq!(due(9_850, 9).await, [0; 0]);
        assert_eq!(due(10_000, 150).await.len(), 150);
        assert_eq!(due(10_000, 3).await, [9_851, 9_852, 9_853]);
    }

    #[tokio::test]
    async fn a_delivery_moves_once_and_is_never_in_two_places() {
        let queue = filled([delivery("a", 1, 10)]).await;
        let row = queue.due("a", 10, 9).await.expect("reads").remove(0);
        let later = Delivery { due: 500, ..row.delivery.clone() };
        assert!(queue.shift(&row, &later).await.expect("it is put"));
        assert!(!queue.shift(&row, &Delivery { due: 700, ..later }).await.expect("it is decided"), "it is elsewhere");
        let row = queue.due("a", 500, 9).await.expect("reads").remove(0);
        let ended = Delivery { state: State::Dead, due: 600, ..row.delivery.clone() };
        assert!(queue.shift(&row, &ended).await.expect("it is put"));
        let all = queue.0.settings("webhooks/").await.expect("reads");
        assert_eq!(
            all.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(),
            ["webhooks/ended/0000000000600-msg_1-a"]
        );
    }

    #[tokio::test]
    async fn what_ended_long_ago_goes_and_the_newest_of_too_many_stay() {
        let ended = |number, due| Delivery { state: State::Dead, ..delivery("a", number, due) };
        let queue = filled((0..1_020).map(|number| ended(number, 1_000_000 + number))).await;
        let count = async || {
            let mut all = Vec::new();
            queue.ended(|row| all.push(row.delivery.due)).await.expect("reads");
            (all.len(), all.first().copied())
        };
        queue.tidy(2_000_000).await.expect("it is tidied");
        assert_eq!(count().await, (1_000, Some(1_000_020)));
        queue.tidy(1_000_050 + KEPT).await.expect("it is tidied");
        assert_eq!(count().await, (970, Some(1_000_050)));
    }
}
