//! A map that is bounded in bytes, forgets what was not used for longest, and lets entries expire.

use std::collections::BTreeMap;

use tokio::time::Instant;

/// What an entry costs besides its payload, about: two tree nodes' shares and its key twice.
const OVERHEAD: usize = 256;

pub(super) struct Lru<K, V> {
    entries: BTreeMap<K, Entry<V>>,
    /// From the tick of an entry's last use to its key.
    uses: BTreeMap<u64, K>,
    tick: u64,
    bytes: usize,
    max_bytes: usize,
}

struct Entry<V> {
    value: V,
    bytes: usize,
    until: Instant,
    used: u64,
}

impl<K: Ord + Clone, V> Lru<K, V> {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { entries: BTreeMap::new(), uses: BTreeMap::new(), tick: 0, bytes: 0, max_bytes }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Stores a value of this size, and forgets old ones until all fit. One that would never fit is not stored.
    pub(super) fn put(&mut self, key: K, value: V, bytes: usize, until: Instant) {
        self.remove(&key);
        let bytes = bytes.saturating_add(OVERHEAD);
        if bytes > self.max_bytes {
            return;
        }
        self.bytes += bytes;
        self.tick += 1;
        self.uses.insert(self.tick, key.clone());
        self.entries.insert(key, Entry { value, bytes, until, used: self.tick });
        while self.bytes > self.max_bytes {
            let Some((_, oldest)) = self.uses.first_key_value() else { return };
            let oldest = oldest.clone();
            self.remove(&oldest);
        }
    }

    /// Looks a value up and keeps it from being forgotten soon; with `until`, it lives until then.
    pub(super) fn touch(&mut self, key: &K, now: Instant, until: Option<Instant>) -> Option<&V> {
        self.expire(key, now);
        let entry = self.entries.get_mut(key)?;
        self.tick += 1;
        self.uses.remove(&entry.used);
        self.uses.insert(self.tick, key.clone());
        entry.used = self.tick;
        entry.until = until.unwrap_or(entry.until);
        Some(&entry.value)
    }

    /// Removes a value if its time is over.
    pub(super) fn expire(&mut self, key: &K, now: Instant) {
        if self.entries.get(key).is_some_and(|entry| entry.until <= now) {
            self.remove(key);
        }
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.uses.remove(&entry.used);
        self.bytes -= entry.bytes;
        Some(entry.value)
    }

    /// Removes the entries from `first` on as long as they are `part_of` it.
    pub(super) fn remove_from(&mut self, first: &K, part_of: impl Fn(&K) -> bool) {
        while let Some(key) = self.entries.range(first..).next().map(|(key, _)| key.clone()).filter(&part_of) {
            self.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn the_one_not_used_for_longest_goes() {
        let mut lru = Lru::new(3 * (OVERHEAD + 100));
        for key in ["a", "b", "c"] {
            lru.put(key, key, 100, later());
        }
        assert!(lru.touch(&"a", Instant::now(), None).is_some());
        lru.put("d", "d", 100, later());
        let found: Vec<_> =
            ["a", "b", "c", "d"].into_iter().filter(|key| lru.touch(key, Instant::now(), None).is_some()).collect();
        assert_eq!(found, ["a", "c", "d"]);
    }

    #[test]
    fn bytes_are_counted_through_every_change() {
        let mut lru = Lru::new(10_000);
        lru.put("a", 1, 100, later());
        lru.put("a", 2, 300, later());
        assert_eq!(lru.bytes(), OVERHEAD + 300);
        lru.put("huge", 3, 20_000, later());
        assert!(lru.touch(&"huge", Instant::now(), None).is_none());
        lru.remove_from(&"a", |_| true);
        assert_eq!((lru.bytes(), lru.uses.len()), (0, 0));
    }
}
