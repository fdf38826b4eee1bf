//! What the deployment signs with: webhooks by Ed25519, whose public half everybody may read, and the tokens of wakes. Both
//! come from one seed, which the first node that needs it puts into the settings of the durable tier: so every node signs
//! alike, and a restart changes nothing.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use threadmill_proto::{Millis, Scope, TenantId, UserId};
use threadmill_store::{DurableStore, SettingPut, StoreError, StoreResult};

/// Where the seed is.
const KEY: &str = "streams/seed";
/// How it is derived: frozen.
const SIGNING: &str = "threadmill 2026-11 signatures of stream webhooks";
const TOKENS: &str = "threadmill 2026-11 tokens of stream wakes";

/// The keys of a deployment.
pub(crate) struct Keys {
    pair: Ed25519KeyPair,
    tokens: [u8; 32],
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// Whom a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bearer {
    /// Whose subscription.
    pub(crate) scope: Scope,
    /// Which.
    pub(crate) id: String,
    /// Of which generation.
    pub(crate) generation: u64,
}

fn defect(detail: &str) -> StoreError {
    StoreError::Internal { store: "settings", detail: detail.to_owned() }
}

impl Keys {
    /// Reads the deployment's seed, or draws it.
    pub(super) async fn read(store: &dyn DurableStore) -> StoreResult<Self> {
        for _ in 0..3 {
            if let Some(setting) = store.setting(KEY).await? {
                let seed = blake3::Hash::from_hex(setting.value).map_err(|_| defect("the seed of streams is none"))?;
                return Self::of(seed.as_bytes());
            }
            let mut seed = [0; 32];
            SystemRandom::new().fill(&mut seed).map_err(|_| defect("there is no chance to be had"))?;
            let hex = blake3::Hash::from_bytes(seed).to_hex().to_string();
            // Another node may have been first: then its seed is read.
            store.put_settings(vec![SettingPut::new(KEY.to_owned(), 0, hex)]).await?;
        }
        Err(defect("the seed of streams does not stay"))
    }

    fn of(seed: &[u8; 32]) -> StoreResult<Self> {
        let signing = blake3::derive_key(SIGNING, seed);
        let pair = Ed25519KeyPair::from_seed_unchecked(&signing).map_err(|_| defect("the seed makes no key"))?;
        Ok(Self { pair, tokens: blake3::derive_key(TOKENS, seed) })
    }

    /// The public half, as a JWK has it.
    pub(crate) fn public(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref())
    }

    /// The name of the key: of its own bytes.
    pub(crate) fn kid(&self) -> String {
        format!("ds_{}", &blake3::hash(self.pair.public_key().as_ref()).to_hex()[..16])
    }

    /// A body's signature, as it is sent.
    pub(super) fn sign(&self, now: Millis, body: &str) -> String {
        let seconds = now / 1_000;
        let signature = self.pair.sign(format!("{seconds}.{body}").as_bytes());
        format!("t={seconds},kid={},ed25519={}", self.kid(), BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    /// A token for a wake.
    pub(super) fn token(&self, bearer: &Bearer) -> String {
        let said = format!("{}\n{}\n{}\n{}", bearer.scope.tenant, bearer.scope.user, bearer.generation, bearer.id);
        let signed = blake3::keyed_hash(&self.tokens, said.as_bytes());
        format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(said), signed.to_hex())
    }

    /// Whom a token is for, if it is one.
    pub(super) fn bearer(&self, token: &str) -> Option<Bearer> {
        let (said, signed) = token.split_once('.')?;
        let said = BASE64_URL_SAFE_NO_PAD.decode(said).ok()?;
        // Hashes are compared in constant time.
        if blake3::keyed_hash(&self.tokens, &said) != blake3::Hash::from_hex(signed).ok()? {
            return None;
        }
        let mut parts = std::str::from_utf8(&said).ok()?.splitn(4, '\n');
        let scope = Scope { tenant: TenantId::parse(parts.next()?).ok()?, user: UserId::parse(parts.next()?).ok()? };
        let generation = parts.next()?.parse().ok()?;
        Some(Bearer { scope, generation, id: parts.next()?.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};
    use threadmill_store::MemoryStore;
    use threadmill_store::conformance::kit::scope;

    use super::*;

    #[tokio::test]
    async fn every_node_signs_alike_and_nobody_else_does() {
        let store = MemoryStore::new();
        let (one, two) = (Keys::read(&store).await.expect("keys"), Keys::read(&store).await.expect("keys"));
        assert!(one.kid() == two.kid() && one.kid().starts_with("ds_"));
        let bearer = Bearer { scope: scope("acme", "ann"), id: "sub\n1".into(), generation: 7 };
        let token = one.token(&bearer);
        assert_eq!(two.bearer(&token), Some(bearer));
        let other = Keys::read(&MemoryStore::new()).await.expect("keys");
        for forged in [
            other.token(&two.bearer(&token).expect("valid")),
            token.replace('.', ""),
            format!("x{token}"),
            String::new(),
        ] {
            assert_eq!(two.bearer(&forged), None, "{forged}");
        }
        let signed = one.sign(5_999, "{}");
        let signature = signed.rsplit_once("ed25519=").expect("a signature").1;
        assert!(signed.starts_with(&format!("t=5,kid={},", one.kid())));
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64");
        let public = BASE64_URL_SAFE_NO_PAD.decode(one.public()).expect("base64");
        UnparsedPublicKey::new(&ED25519, public).verify(b"5.{}", &signature).expect("it is signed");
    }
}
