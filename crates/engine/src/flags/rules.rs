//! Feature flags: who has which, by rules alone. Where the rules come from is not known here.
//!
//! A flag is off, on, or on for a percentage of users, and cohorts of users have it whatever the percentage. Users
//! are placed by a hash of the flag, the tenant and the user, so that all nodes agree without asking one another, a
//! user keeps a flag while its percentage rises, and two flags at 10 % reach different users.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use threadmill_proto::Scope;
use tokio::sync::watch;

/// The flag of the sync engine itself: off sends clients back to plain requests.
pub const SCALABLE_SYNC: &str = "scalable-sync";

/// Numbers that JavaScript holds exactly.
const EXACT: u64 = (1 << 53) - 1;

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

/// One flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Whom it is on for.
    pub share: Share,
    /// Users who have it at any percentage.
    pub always: BTreeSet<String>,
}

impl Rule {
    /// A flag without cohorts.
    #[must_use]
    pub fn of(share: Share) -> Self {
        Self { share, always: BTreeSet::new() }
    }
}

/// All flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flags {
    rules: BTreeMap<String, Rule>,
    rev: u64,
}

impl Default for Flags {
    fn default() -> Self {
        Self::new(BTreeMap::new())
    }
}

impl Flags {
    /// Flags by name. Those that are built in are added where they are not named.
    #[must_use]
    pub fn new(mut rules: BTreeMap<String, Rule>) -> Self {
        rules.entry(SCALABLE_SYNC.into()).or_insert_with(|| Rule::of(Share::On));
        let rev = rev(&rules);
        Self { rules, rev }
    }

    /// Differs whenever the rules do, and is the same on every node that has the same ones.
    #[must_use]
    pub fn rev(&self) -> u64 {
        self.rev
    }

    /// Every flag, for one user.
    #[must_use]
    pub fn all_for(&self, scope: &Scope) -> BTreeMap<&str, bool> {
        self.rules.iter().map(|(name, rule)| (name.as_str(), has(name, rule, scope))).collect()
    }
}

fn has(name: &str, rule: &Rule, scope: &Scope) -> bool {
    match rule.share {
        Share::Off => false,
        Share::On => true,
        Share::Percent(percent) => rule.always.contains(scope.user.as_str()) || place(name, scope) < u64::from(percent),
    }
}

/// A user's place in a flag's hundred.
fn place(name: &str, scope: &Scope) -> u64 {
    number(&[b"threadmill flag", name.as_bytes(), scope.tenant.as_str().as_bytes(), scope.user.as_str().as_bytes()])
        % 100
}

/// A number from the hash of these, each with its length before it, so that no two lists read the same.
fn number(parts: &[&[u8]]) -> u64 {
    let mut hash = blake3::Hasher::new();
    for part in parts {
        hash.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    hash.finalize().as_bytes()[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn rev(rules: &BTreeMap<String, Rule>) -> u64 {
    let mut text = String::new();
    for (name, rule) in rules {
        text += &format!("{name:?} {:?} {:?}\n", rule.share, rule.always);
    }
    number(&[b"threadmill flags", text.as_bytes()]) & EXACT
}

/// The flags in force, and who waits for them to change.
#[derive(Debug)]
pub struct Board(watch::Sender<Arc<Flags>>);

impl Default for Board {
    fn default() -> Self {
        Self(watch::Sender::new(Arc::default()))
    }
}

impl Board {
    /// The flags in force.
    #[must_use]
    pub fn current(&self) -> Arc<Flags> {
        Arc::clone(&self.0.borrow())
    }

    /// Tells when the flags change, and what they are.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Flags>> {
        self.0.subscribe()
    }

    /// Puts other flags in force. Connections are told if they differ.
    pub fn set(&self, flags: Flags) {
        self.0.send_if_modified(|known| {
            let differ = **known != flags;
            if differ {
                *known = Arc::new(flags);
            }
            differ
        });
    }
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

    fn flags(share: Share, always: &[&str]) -> Flags {
        let always = always.iter().map(|user| (*user).to_owned()).collect();
        Flags::new([("new-list".to_owned(), Rule { share, always })].into())
    }

    fn is_on(flags: &Flags, scope: &Scope) -> bool {
        flags.all_for(scope)["new-list"]
    }

    #[test]
    fn a_percentage_reaches_about_so_many() {
        for (percent, low, high) in [(0, 0, 0), (1, 20, 85), (25, 1100, 1400), (50, 2350, 2650), (100, 5000, 5000)] {
            let flags = flags(Share::Percent(percent), &[]);
            let reached = users().filter(|user| is_on(&flags, user)).count();
            assert!((low..=high).contains(&reached), "{percent} %: {reached} of 5000");
        }
    }

    #[test]
    fn a_user_keeps_a_flag_while_its_percentage_rises() {
        for user in users().take(500) {
            let on: Vec<bool> = (0..=100).map(|percent| is_on(&flags(Share::Percent(percent), &[]), &user)).collect();
            assert!(on.windows(2).all(|pair| pair[0] <= pair[1]), "{user:?}: {on:?}");
        }
    }

    #[test]
    fn flags_and_tenants_reach_different_users() {
        let rules = ["one", "two"].map(|name| (name.to_owned(), Rule::of(Share::Percent(10))));
        let flags = Flags::new(rules.into());
        let both = users().filter(|user| flags.all_for(user)["one"] && flags.all_for(user)["two"]).count();
        assert!(both < 100, "{both} of 5000 users have both flags at 10 %");
        let elsewhere = users().filter(|user| {
            let other = scope("other", user.user.as_str());
            flags.all_for(user)["one"] && flags.all_for(&other)["one"]
        });
        assert!(elsewhere.count() < 100);
    }

    #[test]
    fn cohorts_are_always_in_but_for_the_kill_switch() {
        let (alice, bob) = (scope("default", "alice"), scope("default", "bob"));
        let nobody = flags(Share::Percent(0), &["alice"]);
        assert!(is_on(&nobody, &alice) && !is_on(&nobody, &bob));
        let killed = flags(Share::Off, &["alice"]);
        assert!(!is_on(&killed, &alice) && !is_on(&killed, &bob));
        assert!(is_on(&flags(Share::On, &[]), &bob));
    }

    #[test]
    fn the_built_in_flag_is_on_until_it_is_named() {
        let ada = scope("default", "ada");
        assert!(Flags::default().all_for(&ada)[SCALABLE_SYNC]);
        let off = Flags::new([(SCALABLE_SYNC.to_owned(), Rule::of(Share::Off))].into());
        assert!(!off.all_for(&ada)[SCALABLE_SYNC]);
    }

    #[test]
    fn the_revision_follows_the_rules_and_nothing_else() {
        let all = [
            flags(Share::On, &[]),
            flags(Share::Off, &[]),
            flags(Share::Percent(5), &[]),
            flags(Share::Percent(5), &["ada"]),
            flags(Share::Percent(5), &["ada", "bob"]),
            flags(Share::Percent(5), &["ada\", \"bob"]),
            Flags::default(),
        ];
        let revs: BTreeSet<u64> = all.iter().map(Flags::rev).collect();
        assert_eq!(revs.len(), all.len());
        assert_eq!(flags(Share::Percent(5), &["ada"]).rev(), flags(Share::Percent(5), &["ada"]).rev());
        assert!(revs.iter().all(|rev| *rev <= EXACT));
        // Nodes of one release and the next must agree on who is in.
        assert_eq!(place("new-list", &scope("default", "ada")), 12);
    }
}
