//! What models cost. The list in `prices.json` is read into the binary; each price names its source and the date of that. A file
//! of the operator's, of the same form, goes before it: prices change more often than releases come, and many pay others.
//!
//! Prices are those of plain input and output. What is cheaper (cached input) is counted at the full price; what is dearer
//! (a prompt beyond `upTo` tokens) has no price here, which is to say: it is unknown.

use std::collections::BTreeSet;

use serde::Deserialize;

/// The most that a million tokens may cost, in dollars: a typing error is found before a bill is.
const MOST: f64 = 10_000.0;
/// Prices that a list may have.
const MOST_PRICES: usize = 10_000;
/// Bytes that an operator's list may have.
pub const PRICES_BYTES: usize = 4 << 20;

const BUILT_IN: &str = include_str!("prices.json");

/// What tokens cost, in millionths of a dollar a million of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Those of the question.
    pub input: u64,
    /// Those of the answer, thoughts included.
    pub output: u64,
    /// Tokens of the question that it holds for; any number if none is named.
    pub up_to: Option<u64>,
}

impl Price {
    /// A price in dollars a million tokens.
    ///
    /// # Errors
    /// It is none.
    pub fn of(input: f64, output: f64) -> Result<Self, String> {
        Ok(Self { input: millionths(input)?, output: millionths(output)?, up_to: None })
    }

    /// What so many tokens cost, rounded up.
    #[must_use]
    pub(crate) fn cost(&self, question: u64, answer: u64) -> u64 {
        let sum = u128::from(question) * u128::from(self.input) + u128::from(answer) * u128::from(self.output);
        u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded on the line before")]
fn millionths(dollars: f64) -> Result<u64, String> {
    if !(0.0..=MOST).contains(&dollars) {
        return Err(format!("a million tokens cost 0 to {MOST} dollars, not {dollars}"));
    }
    Ok((dollars * 1e6).round() as u64)
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Row {
    /// Of the endpoint's address; any if none is named.
    host: Option<String>,
    model: String,
    input: f64,
    output: f64,
    up_to: Option<u64>,
    source: String,
    date: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    currency: String,
    #[serde(rename = "unit")]
    _unit: Option<String>,
    prices: Vec<Row>,
}

/// Price lists, the one that goes first first.
#[derive(Debug, Clone)]
pub struct Prices(Vec<(Row, Price)>);

impl Prices {
    /// The list of this release, after an operator's if there is one.
    ///
    /// # Errors
    /// What is wrong with the operator's.
    pub fn read(own: Option<&str>) -> Result<Self, String> {
        let mut all = own.map(parse).transpose()?.unwrap_or_default();
        all.extend(parse(BUILT_IN)?);
        Ok(Self(all))
    }

    /// What a model costs at an endpoint, if it is known: by its name, a date after it (`gpt-5-2026-01-31`) and what is before
    /// the last `/` left out.
    #[must_use]
    pub fn of(&self, host: &str, model: &str) -> Option<Price> {
        let named = model.rsplit('/').next().unwrap_or(model);
        let fits = |row: &Row| row.host.as_deref().is_none_or(|known| known.eq_ignore_ascii_case(host));
        let is = |row: &Row| {
            let dated = |rest: &str| {
                rest.strip_prefix('-').is_some_and(|date| {
                    date.len() >= 8 && date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
                })
            };
            row.model == model
                || named.strip_prefix(row.model.as_str()).is_some_and(|rest| rest.is_empty() || dated(rest))
        };
        self.0.iter().find(|(row, _)| fits(row) && is(row)).map(|(_, price)| *price)
    }
}

fn parse(text: &str) -> Result<Vec<(Row, Price)>, String> {
    if text.len() > PRICES_BYTES {
        return Err(format!("a price list has at most {PRICES_BYTES} bytes"));
    }
    let list: List = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if list.currency != "USD" {
        return Err("prices are in USD, so that they can be added".into());
    }
    if list.prices.len() > MOST_PRICES {
        return Err(format!("a price list has at most {MOST_PRICES} prices"));
    }
    let read = |row: Row| {
        let told = |why: String| format!("{}: {why}", row.model);
        if row.model.is_empty() || row.source.is_empty() || row.date.parse::<jiff::civil::Date>().is_err() {
            return Err(told("a price names its model, its source and the date of that, such as 2026-11-29".into()));
        }
        let price = Price { up_to: row.up_to, ..Price::of(row.input, row.output).map_err(told)? };
        Ok((row, price))
    };
    let mut seen = BTreeSet::new();
    for Row { host, model, .. } in &list.prices {
        // The second would count for nothing.
        if !seen.insert((host.as_ref().map(|host| host.to_ascii_lowercase()), model)) {
            return Err(format!("{model} has two prices"));
        }
    }
    list.prices.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENAI: &str = "api.openai.com";

    #[test]
    fn the_list_of_this_release_is_read_whole() {
        let prices = Prices::read(None).expect("it reads");
        assert!(prices.0.len() > 30);
        assert!(prices.0.iter().all(|(row, _)| row.source.starts_with("https://") && row.host.is_some()));
        let places: BTreeSet<_> = prices.0.iter().map(|(row, _)| (&row.host, &row.model)).collect();
        assert_eq!(places.len(), prices.0.len(), "a model has one price");
        let price = prices.of(OPENAI, "gpt-4o").expect("it is known");
        assert_eq!((price.input, price.output), (2_500_000, 10_000_000));
    }

    #[test]
    fn a_model_is_named_whole_or_with_a_date() {
        let prices = Prices::read(None).expect("it reads");
        let known = |host: &str, model: &str| prices.of(host, model).is_some();
        assert!(known(OPENAI, "gpt-4o") && known(OPENAI, "gpt-4o-2024-11-20") && known(OPENAI, "openai/gpt-4o"));
        assert!(known("api.anthropic.com", "claude-haiku-4-5-20251001"));
        for other in ["gpt-4o-audio-preview", "gpt-4", "gpt-4o-1", "gpt-4o-", "my-gpt-4o", ""] {
            assert!(!known(OPENAI, other), "{other}");
        }
        assert!(!known("127.0.0.1", "gpt-4o"), "who else sells it has a price of their own");
    }

    #[test]
    fn an_operators_list_goes_first() {
        let own = r#"{"currency": "USD", "prices": [
            {"model": "llama", "input": 0, "output": 0, "source": "our own machines", "date": "2026-11-29"},
            {"host": "api.openai.com", "model": "gpt-4o", "input": 1.5, "output": 6, "source": "contract", "date": "2026-11-01"}]}"#;
        let prices = Prices::read(Some(own)).expect("it reads");
        assert_eq!(prices.of("10.0.0.1", "llama"), Some(Price { input: 0, output: 0, up_to: None }));
        assert_eq!(prices.of(OPENAI, "gpt-4o").map(|price| price.input), Some(1_500_000));
    }

    #[test]
    fn what_is_no_price_is_refused() {
        let list = |input: &str, date: &str| {
            format!(
                r#"{{"currency": "USD", "prices": [{{"model": "m", "input": {input}, "output": 1, "source": "s", "date": "{date}"}}]}}"#
            )
        };
        assert!(Prices::read(Some(&list("1", "2026-11-29"))).is_ok());
        for (input, date) in [("-1", "2026-11-29"), ("1e9", "2026-11-29"), ("\"1\"", "2026-11-29"), ("1", "soon")] {
            assert!(Prices::read(Some(&list(input, date))).is_err(), "{input} {date}");
        }
        assert!(Prices::read(Some(r#"{"currency": "EUR", "prices": []}"#)).is_err());
        assert!(Prices::read(Some("{")).is_err());
    }

    #[test]
    fn costs_are_rounded_up() {
        let price = Price::of(2.5, 10.0).expect("a price");
        assert_eq!(price.cost(1, 0), 3);
        assert_eq!(price.cost(1_000_000, 1_000_000), 12_500_000);
        assert_eq!(price.cost(u64::MAX, u64::MAX), u64::MAX);
        assert_eq!(price.cost(0, 0), 0);
    }
}
