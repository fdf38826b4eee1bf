//! How long threads are kept. Time is an argument.

use std::collections::BTreeMap;

use serde_json::Value;
use threadmill_proto::{Millis, TenantId};
use threadmill_store::SurveyedThread;

/// A day.
const DAY: Millis = 24 * 3_600_000;
/// A century: more is a typing error.
const LONGEST: u32 = 36_500;

/// Days that threads are kept after their last change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Of tenants that are not named; none for ever.
    days: Option<u32>,
    /// Of those that are.
    tenants: BTreeMap<TenantId, Option<u32>>,
}

/// What is to become of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays.
    Young,
    /// It would go, and is pinned.
    Pinned,
    /// It goes.
    Due,
}

impl Policy {
    /// A policy of days; 0 is for ever.
    ///
    /// # Errors
    /// Why it cannot be.
    pub fn new(days: u32, tenants: &BTreeMap<String, u32>) -> Result<Self, String> {
        let kept = |days: u32| match days {
            0 => Ok(None),
            days if days <= LONGEST => Ok(Some(days)),
            _ => Err(format!("threads are kept for 1 to {LONGEST} days, or for ever with 0")),
        };
        let tenant = |(name, days): (&String, &u32)| {
            let id = TenantId::parse(name).map_err(|rule| format!("the tenant {name:?}: {rule}"))?;
            Ok((id, kept(*days)?))
        };
        Ok(Self { days: kept(days)?, tenants: tenants.iter().map(tenant).collect::<Result<_, String>>()? })
    }

    /// Whether nothing ever goes.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.days.is_none() && self.tenants.values().all(Option::is_none)
    }

    /// For how many days a tenant's threads are kept; none for ever.
    #[must_use]
    pub fn days(&self, tenant: &TenantId) -> Option<u32> {
        self.tenants.get(tenant).copied().unwrap_or(self.days)
    }

    /// The policy in words.
    #[must_use]
    pub fn text(&self) -> String {
        let kept = |days: Option<u32>| days.map_or_else(|| "for ever".to_owned(), |days| format!("{days} days"));
        let tenants = self.tenants.iter().map(|(tenant, days)| format!(", {tenant} {}", kept(*days)));
        format!("{}{}", kept(self.days), tenants.collect::<String>())
    }

    /// What is confirmed of it.
    #[must_use]
    pub fn mark(&self) -> String {
        blake3::hash(self.text().as_bytes()).to_hex()[..12].to_owned()
    }

    /// What becomes of a thread now.
    pub(crate) fn fate(&self, thread: &SurveyedThread, now: Millis) -> Fate {
        let Some(days) = self.days(&thread.scope.tenant) else { return Fate::Young };
        if thread.updated_at.saturating_add(Millis::from(days) * DAY) >= now {
            Fate::Young
        } else if thread.pinning.as_ref().is_some_and(|json| is_pinned(&json.0)) {
            Fate::Pinned
        } else {
            Fate::Due
        }
    }
}

/// Whether an app's own JSON says `"pinned": true`, at its top. What speaks of it and cannot be read is not deleted.
fn is_pinned(json: &str) -> bool {
    serde_json::from_str::<Value>(json).map_or(true, |metadata| metadata["pinned"] == true)
}

#[cfg(test)]
mod tests {
    use threadmill_proto::{JsonText, Scope, ThreadId, UserId};

    use super::*;

    fn policy(days: u32, tenants: &[(&str, u32)]) -> Policy {
        let tenants = tenants.iter().map(|(tenant, days)| ((*tenant).to_owned(), *days)).collect();
        Policy::new(days, &tenants).expect("a policy")
    }

    #[test]
    fn a_thread_goes_after_its_tenants_days_unless_it_is_pinned() {
        let policy = policy(30, &[("acme", 7), ("kept", 0)]);
        let check = |tenant: &str, days: u64, metadata: Option<&str>, want: Fate| {
            let thread = SurveyedThread {
                scope: Scope {
                    tenant: TenantId::parse(tenant).expect("an id"),
                    user: UserId::parse("ada").expect("an id"),
                },
                thread: ThreadId::parse("t").expect("an id"),
                seq: 1,
                updated_at: 1_000,
                pinning: metadata.map(|json| JsonText(json.into())),
            };
            let at = |extra: Millis| policy.fate(&thread, 1_000 + days * DAY + extra);
            assert_eq!((at(0), at(1)), (Fate::Young, want), "{tenant} {metadata:?}");
        };
        check("other", 30, None, Fate::Due);
        check("acme", 7, None, Fate::Due);
        check("kept", 9_999, None, Fate::Young);
        check("acme", 7, Some(r#"{"a": {}, "pinned": true}"#), Fate::Pinned);
        check("acme", 7, Some(r#"{"pinned": true"#), Fate::Pinned);
        for json in
            [r#"{"pinned": false}"#, r#"{"pinned": "true"}"#, r#"{"x": {"pinned": true}}"#, r#"["pinned", true]"#]
        {
            check("acme", 7, Some(json), Fate::Due);
        }
    }

    #[test]
    fn every_change_of_a_policy_is_another_mark() {
        let all = [policy(0, &[]), policy(30, &[]), policy(31, &[]), policy(30, &[("a", 1)]), policy(30, &[("a", 0)])];
        let mut marks: Vec<_> = all.iter().map(Policy::mark).collect();
        marks.sort();
        marks.dedup();
        assert_eq!(marks.len(), all.len());
        assert_eq!(all.iter().map(Policy::is_off).collect::<Vec<_>>(), [true, false, false, false, false]);
        assert_eq!(all[3].text(), "30 days, a 1 days");
        assert!(Policy::new(40_000, &BTreeMap::new()).is_err());
        assert!(Policy::new(1, &BTreeMap::from([("no tenant/".to_owned(), 1)])).is_err());
    }
}
