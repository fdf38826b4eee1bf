//! What is held and spent of budgets, as operators and the alerts see it.

use std::sync::Arc;

use threadmill_proto::{Millis, TenantId};
use threadmill_store::{BudgetLimit, DurableStore, Spending, SpendingQuery, StoreResult};

use super::period::{day, shown};
use super::plan::{Per, Plan, Unit, key_of};
use crate::node::ids;
use crate::problem::{Answer, problem_of};

/// Budgets read at once.
const PAGE: u32 = 500;
/// Budgets of one kind that are looked at, at the most: those of as many users.
const MOST: usize = 20_000;
/// Budgets that one look shows.
const SHOWN: usize = 1_000;
/// Days that usage is shown of.
const DAYS: Millis = 31 * 24 * 60 * 60 * 1000;

/// A limit of a budget, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Such as `user/day`.
    pub budget: String,
    /// Whose, such as `acme/ann`.
    pub subject: String,
    /// When the period ends, in words.
    pub until: String,
    /// `money`, in millionths of a dollar, or `tokens`.
    pub unit: &'static str,
    /// What runs cost that have ended.
    pub spent: u64,
    /// What those may cost that have not.
    pub held: u64,
    /// What there is.
    pub limit: u64,
}

/// What a tenant used in a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedDay {
    /// Such as `2026-11-29`.
    pub day: String,
    /// Answers that ended.
    pub runs: u64,
    /// Tokens of questions and answers.
    pub tokens: u64,
    /// Money, in millionths of a dollar.
    pub money: u64,
}

/// A budget with the narrowest limit that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limited {
    pub(crate) per: Per,
    pub(crate) scope: Unit,
    pub(crate) name: String,
    pub(crate) limit: BudgetLimit,
    pub(crate) at: Spending,
}

/// Reads budgets.
#[derive(Clone)]
pub(crate) struct Ledger {
    pub(crate) store: Arc<dyn DurableStore>,
    pub(crate) plan: Option<Arc<Plan>>,
}

impl Ledger {
    /// The budgets that are open now and have a limit, those of one tenant or all.
    pub(crate) async fn limited(&self, of: Option<&TenantId>, now: Millis) -> StoreResult<Vec<Limited>> {
        let Some(plan) = &self.plan else { return Ok(Vec::new()) };
        let mut kinds: Vec<(Per, Unit)> = plan.limits().iter().map(|limit| (limit.per, limit.scope)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let mut found = Vec::new();
        for (per, scope) in kinds {
            let name = match (of, scope) {
                (Some(tenant), Unit::Tenant) => tenant.as_str().to_owned(),
                (Some(tenant), Unit::User) => format!("{tenant}/"),
                (_, Unit::Provider | Unit::Model) | (None, _) => String::new(),
            };
            for at in self.pages(&key_of(per, scope, &name), now).await? {
                let name = at.key[key_of(per, scope, "").len()..].to_owned();
                let others = scope == Unit::Tenant && of.is_some_and(|tenant| tenant.as_str() != name);
                if let (false, Some(limit)) = (others, plan.limit_of(per, scope, &name)) {
                    found.push(Limited { per, scope, name, limit, at });
                }
            }
        }
        Ok(found)
    }

    async fn pages(&self, prefix: &str, open_at: Millis) -> StoreResult<Vec<Spending>> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let query = SpendingQuery { prefix: prefix.to_owned(), open_at, after, limit: PAGE };
            let page = self.store.spending(query).await?;
            let last = page.last().map(|at| (at.key.clone(), at.start));
            let is_full = page.len() == PAGE as usize;
            all.extend(page);
            if !is_full || all.len() >= MOST {
                return Ok(all);
            }
            after = last;
        }
    }
}

/// What operators see of budgets.
pub struct Budgets {
    ledger: Ledger,
}

impl std::fmt::Debug for Budgets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budgets").finish_non_exhaustive()
    }
}

impl Budgets {
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self { ledger }
    }

    /// Whether there is any limit.
    #[must_use]
    pub fn are_kept(&self) -> bool {
        self.ledger.plan.is_some()
    }

    /// How the budgets stand that a tenant's runs count in: users' after the others, and of both those nearest to their limit
    /// first. And whether there are more than are shown.
    ///
    /// # Errors
    /// What the store says.
    pub async fn of(&self, tenant: &TenantId) -> Answer<(Vec<Line>, bool)> {
        let found = self.ledger.limited(Some(tenant), ids::now()).await.map_err(problem_of)?;
        let mut lines: Vec<Line> = found.iter().flat_map(lines_of).collect();
        // Without fractions: a/b > c/d where a·d > c·b.
        let used = |line: &Line| u128::from(line.spent) + u128::from(line.held);
        let nearest = |a: &Line, b: &Line| (used(b) * u128::from(a.limit)).cmp(&(used(a) * u128::from(b.limit)));
        // There may be any number of users, and few of all else.
        let is_users = |line: &Line| line.budget.starts_with(Unit::User.word());
        lines.sort_by(|a, b| is_users(a).cmp(&is_users(b)).then_with(|| nearest(a, b)));
        let more = lines.len() > SHOWN;
        lines.truncate(SHOWN);
        Ok((lines, more))
    }

    /// What a tenant used in the last 31 days, day by day.
    ///
    /// # Errors
    /// What the store says.
    pub async fn days(&self, tenant: &TenantId) -> Answer<Vec<UsedDay>> {
        self.used(&key_of(Per::Day, Unit::Tenant, tenant.as_str())).await
    }

    async fn used(&self, key: &str) -> Answer<Vec<UsedDay>> {
        let since = ids::now().saturating_sub(DAYS);
        let query = SpendingQuery { prefix: key.to_owned(), open_at: since, after: None, limit: PAGE };
        let found = self.ledger.store.spending(query).await.map_err(problem_of)?;
        let days = found.into_iter().filter(|at| at.key == key).map(|at| UsedDay {
            day: day(at.start),
            runs: at.row.runs,
            tokens: at.row.spent.tokens,
            money: at.row.spent.money,
        });
        Ok(days.collect())
    }
}

fn lines_of(of: &Limited) -> impl Iterator<Item = Line> {
    let line = |unit, limit: Option<u64>, spent, held| {
        limit.map(|limit| Line {
            budget: format!("{}/{}", of.scope.word(), of.per.word()),
            subject: of.name.clone(),
            until: shown(of.at.row.until),
            unit,
            spent,
            held,
            limit,
        })
    };
    let row = &of.at.row;
    let money = line("money", of.limit.money, row.spent.money, row.held.money);
    money.into_iter().chain(line("tokens", of.limit.tokens, row.spent.tokens, row.held.tokens))
}
