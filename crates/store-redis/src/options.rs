//! What all wires are opened with.

use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::LazyLock;
use std::time::Duration;

use threadmill_store::hot::{HotError, HotResult, Lifetimes};

/// A text that is never shown: a URL with credentials, a password, a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// What every wire needs to know. All nodes of a deployment use the same `namespace` and `seal`.
#[derive(Debug, Clone)]
pub struct HotOptions {
    /// Begins every key and channel, so that deployments can share a server: letters and digits. `tm` by default.
    pub namespace: String,
    /// When a call gives up. 250 ms by default: four in a row open a breaker within a second.
    pub deadline: Duration,
    /// How long things are kept.
    pub lifetimes: Lifetimes,
    /// Seals values, so that whoever can write to the tier but does not know it can forge nothing. The default is a key of
    /// this process: what other processes write does not verify then, and is a miss.
    pub seal: SealKey,
    /// Spreads the retries of many nodes: any number, another for each node.
    pub seed: u64,
}

/// A key for seals.
#[derive(Clone)]
pub struct SealKey(pub(crate) [u8; 32]);

impl SealKey {
    /// The key that follows from a secret of the deployment.
    #[must_use]
    pub fn derive(secret: &Secret) -> Self {
        Self(blake3::derive_key("threadmill 2026 hot tier seal", secret.reveal().as_bytes()))
    }

    /// A key that nobody but this process has.
    fn of_process() -> Self {
        static KEY: LazyLock<SealKey> = LazyLock::new(|| {
            // Each state has keys of the system's own randomness.
            let drawn: Vec<u8> =
                (0..8).flat_map(|_| RandomState::new().build_hasher().finish().to_le_bytes()).collect();
            SealKey(blake3::derive_key("threadmill 2026 hot tier seal of a process", &drawn))
        });
        KEY.clone()
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl Default for HotOptions {
    fn default() -> Self {
        Self {
            namespace: "tm".to_owned(),
            deadline: Duration::from_millis(250),
            lifetimes: Lifetimes::default(),
            seal: SealKey::of_process(),
            seed: 0,
        }
    }
}

impl HotOptions {
    /// A brace would move the hash tag, a colon would run into the partition's.
    pub(crate) fn check(&self) -> HotResult<()> {
        let plain = self.namespace.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if plain && (1..=32).contains(&self.namespace.len()) {
            Ok(())
        } else {
            Err(HotError::Invalid("a namespace has 1 to 32 letters and digits".to_owned()))
        }
    }
}
