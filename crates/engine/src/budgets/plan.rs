//! The limits that are configured, and the hold that a run takes in them.
//!
//! A limit is of a scope (each tenant, each user, each provider or each model that its pattern fits) and a period. Limits nest: a
//! run counts in each that fits it, and begins only if all have room. Where there is any limit, the month and the day of the tenant
//! and of the user are counted too, without one: that is what usage is read from.

use std::collections::BTreeMap;

use threadmill_proto::{ErrorCode, Millis, Problem, Scope};
use threadmill_store::{BudgetLimit, BudgetLine, HOLD_LINES, Hold, is_plain};

use super::bound::{Promise, Unreported};
pub use super::period::Per;
use super::period::around;
use super::prices::Price;
use crate::problem::Answer;

/// Limits that may be configured.
const MOST_LIMITS: usize = 64;
/// Bytes that a pattern may have.
const NAME_BYTES: usize = 512;
/// Characters of a provider's or model's name that a budget is kept under.
const NAME_CHARS: usize = 100;

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// All that a tenant's users ask.
    Tenant,
    /// What a user asks.
    User,
    /// What a provider answers, whoever asks.
    Provider,
    /// What a model answers, whoever asks.
    Model,
}

impl Unit {
    /// The word in keys.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::User => "user",
            Self::Provider => "provider",
            Self::Model => "model",
        }
    }
}

/// One limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// What is counted together.
    pub scope: Unit,
    /// Which of them it is for: a name, or its beginning with `*`. A user's name is `TENANT/USER`.
    pub fits: String,
    /// For how long.
    pub per: Per,
    /// Money, in millionths of a dollar.
    pub money: Option<u64>,
    /// Tokens of questions and answers.
    pub tokens: Option<u64>,
}

impl Limit {
    /// Whether it is for this one.
    #[must_use]
    pub fn is_for(&self, name: &str) -> bool {
        match self.fits.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => self.fits == name,
        }
    }

    fn allows(&self) -> BudgetLimit {
        BudgetLimit { money: self.money, tokens: self.tokens }
    }
}

/// What becomes of a run whose price nobody knows, where money is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownPrice {
    /// It is refused.
    Refuse,
    /// It counts as if it had this price.
    Ceiling(Price),
}

/// What a provider's answers cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// What its tokens cost, if that is known.
    pub price: Option<Price>,
    /// Tokens of an answer at the most: what the endpoint is told.
    pub answer: u64,
}

/// The limits in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    limits: Vec<Limit>,
    unknown: UnknownPrice,
    unreported: Unreported,
}

/// A run as budgets see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) provider: &'a str,
    pub(crate) model: &'a str,
    pub(crate) terms: Terms,
    /// Tokens of the question at the most.
    pub(crate) question: u64,
    pub(crate) at: Millis,
}

/// A budget's key and name: the key is `PER/SCOPE/NAME`.
pub(crate) fn key_of(per: Per, scope: Unit, name: &str) -> String {
    format!("{}/{}/{name}", per.word(), scope.word())
}

impl Plan {
    /// A plan.
    ///
    /// # Errors
    /// A limit that limits nothing, or too many of them.
    pub fn new(limits: Vec<Limit>, unknown: UnknownPrice, unreported: Unreported) -> Result<Self, String> {
        if limits.len() > MOST_LIMITS {
            return Err(format!("there are at most {MOST_LIMITS} limits"));
        }
        for limit in &limits {
            let star = limit.fits.find('*').is_some_and(|at| at + 1 != limit.fits.len());
            if limit.fits.is_empty() || limit.fits.len() > NAME_BYTES || star {
                return Err(format!("`{}` is no name and no beginning of one with `*` after it", limit.fits));
            }
            if limit.scope == Unit::User && !limit.fits.contains(['/', '*']) {
                return Err(format!("`{}` is no user: a user is TENANT/USER, such as default/ada", limit.fits));
            }
            if limit.money.is_none() && limit.tokens.is_none() {
                return Err("a limit limits money, tokens or both".into());
            }
        }
        Ok(Self { limits, unknown, unreported })
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// The narrowest limit of a budget, if it has one.
    #[must_use]
    pub(crate) fn limit_of(&self, per: Per, scope: Unit, name: &str) -> Option<BudgetLimit> {
        let fits = |limit: &&Limit| limit.per == per && limit.scope == scope && limit.is_for(name);
        self.limits.iter().filter(fits).map(Limit::allows).reduce(narrower)
    }

    /// The names that a run is counted under.
    fn names(asked: &Asked<'_>) -> [(Unit, String); 4] {
        let short = |name: &str| name.chars().filter(|c| is_plain(*c)).take(NAME_CHARS).collect();
        let user = format!("{}/{}", asked.scope.tenant, asked.scope.user);
        [
            (Unit::Tenant, asked.scope.tenant.as_str().to_owned()),
            (Unit::User, user),
            (Unit::Provider, short(asked.provider)),
            (Unit::Model, short(asked.model)),
        ]
    }

    /// What a run holds, and what its record says of it.
    ///
    /// # Errors
    /// `price_unknown` if money is limited and nobody knows what it costs.
    pub(crate) fn hold(&self, asked: &Asked<'_>) -> Answer<(Promise, Hold)> {
        let mut places: BTreeMap<String, (Per, BudgetLimit)> = BTreeMap::new();
        for (scope, name) in Self::names(asked) {
            if matches!(scope, Unit::Tenant | Unit::User) {
                for per in [Per::Day, Per::Month] {
                    places.insert(key_of(per, scope, &name), (per, BudgetLimit::default()));
                }
            }
            for limit in self.limits.iter().filter(|limit| limit.scope == scope && limit.is_for(&name)) {
                let place = places
                    .entry(key_of(limit.per, scope, &name))
                    .or_insert_with(|| (limit.per, BudgetLimit::default()));
                place.1 = narrower(place.1, limit.allows());
            }
        }
        let counts_money = places.values().any(|(_, limit)| limit.money.is_some());
        let known = asked.terms.price.filter(|price| price.up_to.is_none_or(|most| asked.question <= most));
        let price = match (known, self.unknown) {
            (Some(price), _) => Some(price),
            (None, UnknownPrice::Ceiling(price)) => Some(price),
            (None, UnknownPrice::Refuse) if counts_money => return Err(price_unknown(asked)),
            (None, UnknownPrice::Refuse) => None,
        };
        let Asked { question, terms, .. } = *asked;
        let promise = Promise { question, answer: terms.answer, price, unreported: self.unreported };
        let line = |(key, (per, limit)): (String, (Per, BudgetLimit))| {
            let (start, until) = around(per, asked.at);
            BudgetLine { key, start, until, limit }
        };
        let lines: Vec<_> = places.into_iter().map(line).collect();
        debug_assert!(lines.len() <= HOLD_LINES, "four scopes and three periods");
        Ok((promise, Hold { amount: promise.amount(), lines }))
    }
}

fn narrower(a: BudgetLimit, b: BudgetLimit) -> BudgetLimit {
    let least = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
    BudgetLimit { money: least(a.money, b.money), tokens: least(a.tokens, b.tokens) }
}

fn price_unknown(asked: &Asked<'_>) -> Problem {
    let detail = format!("Nobody has said what `{}` costs, and money is limited here.", asked.provider);
    Problem::new(ErrorCode::PriceUnknown, detail)
}

#[cfg(test)]
mod tests {
    use threadmill_proto::{TenantId, UserId};

    use super::*;

    fn limit(scope: Unit, fits: &str, per: Per, money: u64) -> Limit {
        Limit { scope, fits: fits.into(), per, money: Some(money), tokens: None }
    }

    fn scope(tenant: &str, user: &str) -> Scope {
        Scope { tenant: TenantId::parse(tenant).expect("an id"), user: UserId::parse(user).expect("an id") }
    }

    fn held(plan: &Plan, scope: &Scope, price: Option<Price>, question: u64) -> Answer<(Promise, Hold)> {
        let terms = Terms { price, answer: 100 };
        plan.hold(&Asked { scope, provider: "p", model: "org/m", terms, question, at: 1_000 })
    }

    fn price() -> Price {
        Price { up_to: Some(1_000), ..Price::of(1.0, 2.0).expect("a price") }
    }

    #[test]
    fn a_run_counts_in_every_budget_that_fits_it() {
        let limits = vec![
            limit(Unit::Tenant, "acme", Per::Month, 900),
            limit(Unit::User, "acme/*", Per::Day, 500),
            limit(Unit::User, "acme/ann", Per::Day, 400),
            limit(Unit::User, "umbrella/*", Per::Hour, 1),
            limit(Unit::Provider, "p", Per::Hour, 300),
            limit(Unit::Model, "org/*", Per::Hour, 200),
        ];
        let plan = Plan::new(limits, UnknownPrice::Refuse, Unreported::All).expect("a plan");
        let (promise, hold) = held(&plan, &scope("acme", "ann"), Some(price()), 50).expect("it is held");
        let lines: Vec<_> = hold.lines.iter().map(|line| (line.key.as_str(), line.limit.money)).collect();
        let want = [
            ("day/tenant/acme", None),
            ("day/user/acme/ann", Some(400)),
            ("hour/model/org/m", Some(200)),
            ("hour/provider/p", Some(300)),
            ("month/tenant/acme", Some(900)),
            ("month/user/acme/ann", None),
        ];
        assert_eq!(lines, want);
        assert_eq!((promise.amount(), hold.amount.money), (hold.amount, 250));
    }

    #[test]
    fn an_unknown_price_is_refused_or_put_at_a_ceiling_where_money_is_limited() {
        let money = vec![limit(Unit::User, "*", Per::Day, 500)];
        let refuse = Plan::new(money.clone(), UnknownPrice::Refuse, Unreported::All).expect("a plan");
        let who = scope("acme", "ann");
        let problem = held(&refuse, &who, None, 50).expect_err("it is refused");
        assert_eq!(problem.code, ErrorCode::PriceUnknown);
        // Beyond the prompts that a price is for it is unknown too.
        assert!(held(&refuse, &who, Some(price()), 1_000).is_ok());
        assert!(held(&refuse, &who, Some(price()), 1_001).is_err());
        let ceiling = Plan::new(money, UnknownPrice::Ceiling(Price::of(10.0, 20.0).expect("a price")), Unreported::All)
            .expect("a plan");
        assert_eq!(held(&ceiling, &who, None, 50).expect("it is held").1.amount.money, 2_500);
        let tokens = Limit { money: None, tokens: Some(9), ..limit(Unit::User, "*", Per::Day, 0) };
        let plan = Plan::new(vec![tokens], UnknownPrice::Refuse, Unreported::All).expect("a plan");
        assert_eq!(held(&plan, &who, None, 50).expect("it is held").1.amount.money, 0);
    }

    #[test]
    fn all_scopes_and_periods_at_once_fit_a_hold() {
        let mut limits = Vec::new();
        for scope in [Unit::Tenant, Unit::User, Unit::Provider, Unit::Model] {
            limits.extend([Per::Hour, Per::Day, Per::Month].map(|per| limit(scope, "*", per, 9)));
        }
        let plan = Plan::new(limits, UnknownPrice::Refuse, Unreported::All).expect("a plan");
        let (_, hold) = held(&plan, &scope("acme", "ann"), Some(price()), 1).expect("it is held");
        assert_eq!(hold.lines.len(), 12);
        hold.check().expect("a store keeps it");
        let (id, long) = ("u".repeat(128), "ü".repeat(900));
        let who = scope(&id, &id);
        let asked = Asked {
            provider: &long,
            model: &long,
            scope: &who,
            terms: Terms { price: Some(price()), answer: 1 },
            question: 1,
            at: 1,
        };
        plan.hold(&asked).expect("it is held").1.check().expect("a store keeps it");
    }

    #[test]
    fn limits_that_limit_nothing_are_refused() {
        let nothing = Limit { money: None, ..limit(Unit::User, "*", Per::Day, 0) };
        for wrong in [nothing, limit(Unit::User, "", Per::Day, 1), limit(Unit::User, "a*b", Per::Day, 1)] {
            assert!(Plan::new(vec![wrong], UnknownPrice::Refuse, Unreported::All).is_err());
        }
        assert!(
            Plan::new(vec![limit(Unit::User, "*", Per::Day, 1); 65], UnknownPrice::Refuse, Unreported::All).is_err()
        );
    }
}
