//! Feature flags, as the server decides them for this user.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::Value;
use tokio::sync::{Mutex, watch};

use crate::error::Error;
use crate::http::Http;

/// The flags as last heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    rev: u64,
    values: BTreeMap<String, bool>,
}

impl Flags {
    /// Differs whenever the server's decisions do; 0 before the first.
    #[must_use]
    pub fn rev(&self) -> u64 {
        self.rev
    }

    /// Whether a flag is on; `fallback` if the server does not know it.
    #[must_use]
    pub fn is_on(&self, name: &str, fallback: bool) -> bool {
        self.values.get(name).copied().unwrap_or(fallback)
    }

    fn read(answer: &Value) -> Option<Self> {
        let values = answer["flags"].as_object()?.iter().filter_map(|(name, on)| Some((name.clone(), on.as_bool()?)));
        Some(Self { rev: answer["rev"].as_u64()?, values: values.collect() })
    }
}

/// Where the flags are put.
#[derive(Debug, Default)]
pub(crate) struct Board {
    flags: watch::Sender<Flags>,
    /// Answers are put up in the order of the questions.
    asking: Mutex<()>,
}

impl Board {
    pub(crate) async fn refresh(&self, http: &Http) -> Result<Flags, Error> {
        let turn = self.asking.lock().await;
        let answer = http.call(Method::GET, "/flags", None).await?;
        let flags = Flags::read(&answer).ok_or_else(|| Error::Malformed("these are no flags".into()))?;
        self.flags.send_if_modified(|known| {
            let news = *known != flags;
            known.clone_from(&flags);
            news
        });
        drop(turn);
        Ok(flags)
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Flags> {
        self.flags.subscribe()
    }
}
