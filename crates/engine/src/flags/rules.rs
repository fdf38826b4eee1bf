//! Feature flags: who has which, by rules alone. Where the rules come from is not known here.
//!
//! A flag is off, on, or on for a percentage of users, and cohorts of users have it whatever the percentage. Users
//! are placed by a hash of the flag, the tenant and the user, so that all nodes agree without asking one another, a
//! user keeps a flag while its percentage rises, and two flags at 10 % reach different users.

use std::collections::BTreeSet;

use threadmill_proto::Scope;

/// The flag of the sync engine itself: off sends clients back to plain requests.
pub const SCALABLE_SYNC: &str = "scalable-sync";

/// Whom a flag is on for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Nobody, cohorts included: the kill switch.
    Off,
    /// Everybody.
    On,
    /// So many of a hundred users, and the cohorts.
    Percent(u8),
}

/// Where a rule comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It is built in.
    Default,
    /// The configuration file.
    File,
    /// The process's environment, which goes before a rollout.
    Environment,
}

/// One flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Whom it is on for.
    pub share: Share,
    /// Users who have it at any percentage.
    pub always: BTreeSet<String>,
    /// Who says so.
    pub source: Source,
}

impl Rule {
    /// A flag without cohorts.
    #[must_use]
    pub fn of(share: Share, source: Source) -> Self {
        Self { share, always: BTreeSet::new(), source }
    }

    /// Whether a user has the flag of this name.
    #[must_use]
    pub fn holds(&self, name: &str, scope: &Scope) -> bool {
        match self.share {
            Share::Off => false,
            Share::On => true,
            Share::Percent(percent) => {
                self.always.contains(scope.user.as_str()) || place(name, scope) < u64::from(percent)
            }
        }
    }
}

/// A user's place in a flag's hundred.
pub(super) fn place(name: &str, scope: &Scope) -> u64 {
    number(&[b"threadmill flag", name.as_bytes(), scope.tenant.as_str().as_bytes(), scope.user.as_str().as_bytes()])
        % 100
}

/// A number from the hash of these, each with its length before it, so that no two lists read the same.
pub(super) fn number(parts: &[&[u8]]) -> u64 {
    let mut hash = blake3::Hasher::new();
    for part in parts {
        hash.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    hash.finalize().as_bytes()[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use threadmill_proto::{TenantId, UserId};

    use super::*;

    fn scope(tenant: &str, user: &str) -> Scope {
        Scope { tenant: TenantId::parse(tenant).expect("an id"), user: UserId::parse(user).expect("an id") }
    }

    fn users() -> impl Iterator<Item = Scope> {
        (0..5000).map(|number| scope("default", &format!("user-{number}")))
    }

    fn rule(share: Share, always: &[&str]) -> Rule {
        Rule { always: always.iter().map(|user| (*user).to_owned()).collect(), ..Rule::of(share, Source::File) }
    }

    #[test]
    fn a_percentage_reaches_about_so_many() {
        for (percent, low, high) in [(0, 0, 0), (1, 20, 85), (25, 1100, 1400), (50, 2350, 2650), (100, 5000, 5000)] {
            let rule = rule(Share::Percent(percent), &[]);
            let reached = users().filter(|user| rule.holds("new-list", user)).count();
            assert!((low..=high).contains(&reached), "{percent} %: {reached} of 5000");
        }
    }

    #[test]
    fn a_user_keeps_a_flag_while_its_percentage_rises() {
        for user in users().take(500) {
            let at = |percent| rule(Share::Percent(percent), &[]).holds("new-list", &user);
            let on: Vec<bool> = (0..=100).map(at).collect();
            assert!(on.windows(2).all(|pair| pair[0] <= pair[1]), "{user:?}: {on:?}");
        }
    }

    #[test]
    fn flags_and_tenants_reach_different_users() {
        let tenth = rule(Share::Percent(10), &[]);
        let both = users().filter(|user| tenth.holds("one", user) && tenth.holds("two", user)).count();
        assert!(both < 100, "{both} of 5000 users have both flags at 10 %");
        let elsewhere = users().filter(|user| {
            let other = scope("other", user.user.as_str());
            tenth.holds("one", user) && tenth.holds("one", &other)
        });
        assert!(elsewhere.count() < 100);
    }

    #[test]
    fn cohorts_are_always_in_but_for_the_kill_switch() {
        let (alice, bob) = (scope("default", "alice"), scope("default", "bob"));
        let holds = |share, user| rule(share, &["alice"]).holds("new-list", user);
        assert!(holds(Share::Percent(0), &alice) && !holds(Share::Percent(0), &bob));
        assert!(!holds(Share::Off, &alice) && !holds(Share::Off, &bob));
        assert!(rule(Share::On, &[]).holds("new-list", &bob));
        // Nodes of one release and the next must agree on who is in.
        assert_eq!(place("new-list", &scope("default", "ada")), 12);
    }
}
