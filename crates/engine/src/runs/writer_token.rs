//! What a program outside shows to write a run: on whose behalf, under which fencing token, and a proof of both that is made
//! with the run's secret. The secret itself is never shown, and what was edited is no token of the run.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use threadmill_proto::{JsonText, Scope, TenantId, UserId};
use threadmill_store::RunRead;

use crate::threads::outside::secret_of;

/// What proofs are made for. Frozen for as long as runs last.
const CONTEXT: &str = "threadmill 2026-11 tokens of writers";

/// What a writer shows: whose run it writes, and that it may. It is no credential for anything else.
#[derive(Clone, PartialEq, Eq)]
pub struct WriterToken {
    /// On whose behalf.
    pub scope: Scope,
    /// The right to write, for as long as nobody seals the run.
    pub fence: u64,
    proof: blake3::Hash,
}

impl std::fmt::Debug for WriterToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriterToken").field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl WriterToken {
    /// As it is handed out.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { scope, fence, proof } = self;
        BASE64_URL_SAFE_NO_PAD.encode(format!("{}\0{}", said(scope, *fence), proof.to_hex()))
    }

    /// Reads one. None if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let mut fields = std::str::from_utf8(&bytes).ok()?.split('\0');
        let (tenant, user) = (TenantId::parse(fields.next()?).ok()?, UserId::parse(fields.next()?).ok()?);
        let (fence, proof) = (fields.next()?.parse().ok()?, blake3::Hash::from_hex(fields.next()?).ok()?);
        fields.next().is_none().then_some(Self { scope: Scope { tenant, user }, fence, proof })
    }

    /// The one of a run that was just begun under this fencing token.
    pub(crate) fn of(scope: &Scope, run: &RunRead, fence: u64) -> Option<Self> {
        let proof = proof(&secret_of(&run.request)?, scope, fence);
        Some(Self { scope: scope.clone(), fence, proof })
    }

    /// Whether it is the token of the run that has this record. Hashes are compared, so how long it takes says nothing.
    pub(crate) fn is_of(&self, record: &JsonText) -> bool {
        secret_of(record).is_some_and(|secret| proof(&secret, &self.scope, self.fence) == self.proof)
    }
}

fn said(scope: &Scope, fence: u64) -> String {
    format!("{}\0{}\0{fence}", scope.tenant, scope.user)
}

fn proof(secret: &str, scope: &Scope, fence: u64) -> blake3::Hash {
    blake3::keyed_hash(&blake3::derive_key(CONTEXT, secret.as_bytes()), said(scope, fence).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::outside::record;

    #[test]
    fn what_was_edited_is_no_token() {
        let scope = Scope { tenant: TenantId::parse("t").expect("an id"), user: UserId::parse("u").expect("an id") };
        let token = WriterToken { proof: proof("s", &scope, 7), scope, fence: 7 };
        let read = WriterToken::parse(&token.text()).expect("a token");
        assert!(read == token && read.is_of(&record("s")));
        assert!(!read.is_of(&record("another")) && !read.is_of(&JsonText("{}".into())));
        let other = Scope { user: UserId::parse("v").expect("an id"), ..token.scope.clone() };
        for edited in [WriterToken { fence: 8, ..token.clone() }, WriterToken { scope: other, ..token.clone() }] {
            assert!(!WriterToken::parse(&edited.text()).expect("it has the form").is_of(&record("s")));
        }
        assert!(!format!("{token:?}").contains(&token.proof.to_string()));
    }
}
