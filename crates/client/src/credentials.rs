//! Credentials: asked for and held. `supply` renews them before they run out.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use crate::error::Error;

/// Whoever gives tokens.
pub(crate) type Provider =
    Arc<dyn Fn() -> BoxFuture<'static, Result<String, Box<dyn StdError + Send + Sync>>> + Send + Sync>;

/// The token in use.
pub(crate) struct Credentials {
    provider: Provider,
    token: Mutex<Option<String>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl Credentials {
    pub(crate) fn new(provider: Provider) -> Self {
        Self { provider, token: Mutex::default() }
    }

    /// The token there is, or a first one.
    pub(crate) async fn token(&self) -> Result<String, Error> {
        self.other_than(None).await
    }

    /// A token that is not the one refused. Whoever asks at the same time gets the same.
    pub(crate) async fn other_than(&self, refused: Option<&str>) -> Result<String, Error> {
        let mut token = self.token.lock().await;
        match &*token {
            Some(token) if refused != Some(token) => Ok(token.clone()),
            Some(_) | None => {
                let fresh = (self.provider)().await.map_err(|error| Error::NoToken(error.to_string()))?;
                *token = Some(fresh.clone());
                Ok(fresh)
            }
        }
    }
}
