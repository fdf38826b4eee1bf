//! `[budgets]`: what answers may cost. Without a limit nothing is counted.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow, bail};
use serde::{Deserialize, Serialize};
use threadmill_engine::budgets::prices::PRICES_BYTES;
use threadmill_engine::budgets::{self, Plan, Price, Prices};

use crate::files;

/// What answers may cost, to whom and in which time.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Budgets {
    /// Where money is limited and a model's price is not known: `refuse` the run, or count it at the `ceiling`.
    pub(crate) unknown_price: UnknownPrice,
    /// Dollars for a million tokens of a question whose model's price is not known.
    pub(crate) ceiling_input: f64,
    /// Dollars for a million tokens of an answer whose model's price is not known.
    pub(crate) ceiling_output: f64,
    /// Tokens of an answer at the most, where a provider has no `max_tokens` of its own: the endpoint is told so.
    pub(crate) answer_tokens: u32,
    /// What an answer counts as of which the provider reports no tokens, since it was stopped or its node died: `all` that was
    /// held, or a token for each byte that was `seen`.
    pub(crate) unreported: Unreported,
    /// A list of prices that goes before that of this release, as JSON of the same form.
    pub(crate) prices_file: Option<PathBuf>,
    /// The limits, `[[budgets.limits]]` each.
    pub(crate) limits: Vec<BudgetLimit>,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            unknown_price: UnknownPrice::Refuse,
            ceiling_input: 30.0,
            ceiling_output: 180.0,
            answer_tokens: 4096,
            unreported: Unreported::All,
            prices_file: None,
            limits: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum UnknownPrice {
    Refuse,
    Ceiling,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unreported {
    All,
    Seen,
}

/// One limit, of money, of tokens or of both.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct BudgetLimit {
    /// What is counted together: all of a `tenant`, of a `user`, of a `provider` or of a `model`.
    pub(crate) scope: Scope,
    /// Which of them it is for: a name, or the beginning of some with `*` after it. A user's name is `TENANT/USER`.
    #[serde(rename = "match", default = "all")]
    pub(crate) fits: String,
    /// From when to when, in UTC: an `hour`, a `day` or a `month`.
    pub(crate) per: Per,
    /// Dollars.
    pub(crate) money: Option<f64>,
    /// Tokens of questions and answers.
    pub(crate) tokens: Option<u64>,
}

fn all() -> String {
    "*".into()
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    Tenant,
    User,
    Provider,
    Model,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Per {
    Hour,
    Day,
    Month,
}

/// The most that a limit may be, in dollars.
const MOST_MONEY: f64 = 1e9;

impl Budgets {
    /// The limits and the prices, if there is any limit.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn plan(&self) -> anyhow::Result<Option<(Plan, Prices)>> {
        let told = |why: String| anyhow!("budgets: {why}");
        let prices = self.prices()?;
        let ceiling = Price::of(self.ceiling_input, self.ceiling_output).map_err(told)?;
        if self.answer_tokens == 0 {
            bail!("budgets.answer_tokens is at least 1");
        }
        let unknown = match self.unknown_price {
            UnknownPrice::Refuse => budgets::UnknownPrice::Refuse,
            UnknownPrice::Ceiling => budgets::UnknownPrice::Ceiling(ceiling),
        };
        let limits = self.limits.iter().map(BudgetLimit::read).collect::<anyhow::Result<Vec<_>>>()?;
        let unreported = match self.unreported {
            Unreported::All => budgets::Unreported::All,
            Unreported::Seen => budgets::Unreported::Seen,
        };
        let plan = Plan::new(limits, unknown, unreported).map_err(told)?;
        Ok((!self.limits.is_empty()).then_some((plan, prices)))
    }

    fn prices(&self) -> anyhow::Result<Prices> {
        let own = match &self.prices_file {
            None => None,
            Some(file) => Some(files::text(file, PRICES_BYTES as u64).context("budgets.prices_file")?),
        };
        Prices::read(own.as_deref()).map_err(|why| anyhow!("budgets.prices_file: {why}"))
    }
}

impl BudgetLimit {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded on the lines before")]
    fn read(&self) -> anyhow::Result<budgets::Limit> {
        let money = match self.money {
            None => None,
            Some(money) if (0.0..=MOST_MONEY).contains(&money) => Some((money * 1e6).round() as u64),
            Some(money) => bail!("budgets: {money} is no sum of dollars from 0 to {MOST_MONEY}"),
        };
        Ok(budgets::Limit {
            scope: match self.scope {
                Scope::Tenant => budgets::Unit::Tenant,
                Scope::User => budgets::Unit::User,
                Scope::Provider => budgets::Unit::Provider,
                Scope::Model => budgets::Unit::Model,
            },
            fits: self.fits.clone(),
            per: match self.per {
                Per::Hour => budgets::Per::Hour,
                Per::Day => budgets::Per::Day,
                Per::Month => budgets::Per::Month,
            },
            money,
            tokens: self.tokens,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{parse, providers};

    const PROVIDER: &str =
        "[[providers]]\nkind = 'openai'\nname = 'a'\nbase_url = 'https://api.openai.com/v1'\nmodel = 'gpt-4o'\n";

    fn read(budgets: &str) -> anyhow::Result<threadmill_engine::Providers> {
        let config = parse(&format!("{budgets}\n{PROVIDER}"))?;
        providers(&config)
    }

    #[test]
    fn limits_are_read_and_what_is_none_is_refused() {
        let limits = "[[budgets.limits]]\nscope = 'user'\nper = 'day'\nmoney = 1.5\n\n[[budgets.limits]]\nscope = 'tenant'\n\
            match = 'acme'\nper = 'month'\ntokens = 1000\n";
        let found = read(limits).expect("it is read");
        let plan = found.plan().expect("a plan");
        assert_eq!((plan.limits().len(), plan.limits()[0].money), (2, Some(1_500_000)));
        let terms = found.all()[0].terms.expect("what it costs");
        assert_eq!((terms.answer, terms.price.map(|price| price.input)), (4096, Some(2_500_000)));
        let none = read("").expect("it is read");
        assert!(none.plan().is_none() && none.all()[0].terms.is_none());
        for wrong in [
            "[[budgets.limits]]\nscope = 'user'\nper = 'day'\n",
            "[[budgets.limits]]\nscope = 'user'\nper = 'day'\nmoney = -1\n",
            "[[budgets.limits]]\nscope = 'user'\nper = 'day'\nmoney = nan\n",
            "[[budgets.limits]]\nscope = 'user'\nmatch = 'ada'\nper = 'day'\ntokens = 1\n",
            "[[budgets.limits]]\nscope = 'provider'\nmatch = 'typo'\nper = 'day'\ntokens = 1\n",
            "[[budgets.limits]]\nscope = 'model'\nmatch = 'gpt-4*x'\nper = 'day'\ntokens = 1\n",
            "[[budgets.limits]]\nscope = 'model'\nmatch = 'gpt-5'\nper = 'day'\ntokens = 1\n",
            "[[budgets.limits]]\nscope = 'user'\nper = 'week'\nmoney = 1\n",
            "[[budgets.limits]]\nscope = 'user'\nmatch = 'a*b'\nper = 'day'\nmoney = 1\n",
            "[budgets]\nceiling_input = -3\n",
            "[budgets]\nanswer_tokens = 0\n",
            "[budgets]\nprices_file = '/nowhere/prices.json'\n",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
