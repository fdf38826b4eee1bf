//! Error codes: stable words that clients may branch on, with the HTTP status and a hint for each.

use alloc::string::String;
use minicbor::encode::{self, Write};
use minicbor::{Decode, Encode, Encoder};

macro_rules! codes {
    ($($(#[$doc:meta])* $n:literal $name:ident $code:literal $status:literal $hint:literal)*) => {
        /// What went wrong, as a stable word. Codes are added, never renamed or reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
        #[cbor(index_only)]
        pub enum ErrorCode {
            $($(#[$doc])* #[n($n)] $name,)*
        }

        impl ErrorCode {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The word on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }

            /// The HTTP status it travels with.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status),* }
            }

            /// What to do about it.
            #[must_use]
            pub fn hint(self) -> &'static str {
                match self { $(Self::$name => $hint),* }
            }
        }
    };
}

codes! {
    /// The body is not what the route takes.
    0 InvalidRequest "invalid_request" 400 "Compare the request with the route's description."
    /// The body is not JSON.
    1 InvalidJson "invalid_json" 400 "Send one JSON value, UTF-8 encoded."
    /// An id breaks the rule for ids.
    2 InvalidId "invalid_id" 400 "Ids have 1 to 128 characters of A-Z a-z 0-9 . _ : @ + ~ - and are not dots alone."
    /// A cursor that this server did not issue for this thread.
    3 InvalidCursor "invalid_cursor" 400 "Drop the cursor and read a fresh window."
    /// A query parameter is out of range or malformed.
    4 InvalidParameter "invalid_parameter" 400 "Check the parameter's unit and range."
    /// The frame is not CBOR of this protocol.
    5 InvalidFrame "invalid_frame" 400 "Send one CBOR frame of threadmill.v1 in one binary message."
    /// No protocol version in common.
    6 VersionUnsupported "version_unsupported" 400 "Upgrade the older side."
    /// A message is larger than the limit.
    7 MessageTooLarge "message_too_large" 413 "Split the message or store the large part elsewhere and refer to it."
    /// A request body is larger than the limit.
    8 BodyTooLarge "body_too_large" 413 "Send less in one request."
    /// A frame is larger than the limit.
    9 FrameTooLarge "frame_too_large" 413 "Send less in one frame."
    /// A message without parts, or with too many.
    10 InvalidParts "invalid_parts" 400 "A message has 1 to 256 parts, each an object with a `type`."
    /// The Host header names another server.
    11 HostRefused "host_refused" 403 "Use an address the server was told to answer to (`--allow-host`)."
    /// The Origin header names a page that may not talk to this server.
    12 OriginRefused "origin_refused" 403 "Allow the page's origin (`--allow-origin`)."
    /// The caller is not who the route needs.
    13 Unauthorized "unauthorized" 401 "Send valid credentials."
    /// No such thread for this user.
    14 ThreadNotFound "thread_not_found" 404 "It may have been deleted, or belong to somebody else."
    /// No such branch in the thread.
    15 BranchNotFound "branch_not_found" 404 "List the thread's branches."
    /// No such message in the thread, or not on the branch asked for.
    16 MessageNotFound "message_not_found" 404 "Ask without a branch to find the message where it is."
    /// No such run for this user.
    17 RunNotFound "run_not_found" 404 "It may have been deleted with its thread."
    /// No such route.
    18 RouteNotFound "route_not_found" 404 "See /docs for the routes there are."
    /// The route does not take this method.
    19 MethodNotAllowed "method_not_allowed" 405 "See the Allow header."
    /// The body's media type is not the one the route takes.
    20 UnsupportedMediaType "unsupported_media_type" 415 "Send application/json."
    /// The idempotency key was used for another request.
    21 KeyReused "idempotency_key_reused" 422 "Use a new key for a new request; repeat a request byte for byte."
    /// The client-minted id is taken.
    22 IdTaken "id_taken" 409 "Mint a new id."
    /// The branch moved on since `after`.
    23 TipMoved "tip_moved" 409 "Read the new messages and send again, or ask for `append` or `fork`."
    /// A run is live on the branch.
    24 RunInProgress "run_in_progress" 409 "Wait for it, stop it, or ask for the message to be queued."
    /// The run has ended or is being stopped.
    25 RunEnded "run_ended" 409 "Start a new run."
    /// The writer's lease, or the lock it names, has passed to another.
    26 Fenced "fenced" 409 "Acquire the lease again before writing."
    /// The message cannot be changed this way.
    27 MessageNotEditable "message_not_editable" 409 "Removed and streaming messages cannot be edited."
    /// The provider is not configured.
    28 ProviderUnknown "provider_unknown" 422 "Name one of the configured providers."
    /// The provider failed.
    29 ProviderFailed "provider_failed" 502 "Try again, or check the provider's status and key."
    /// Too much at once.
    30 Overloaded "overloaded" 503 "Wait for the time in Retry-After and try again."
    /// The durable tier refuses writes.
    31 ReadOnly "read_only" 503 "Reads go on. If the disk is full, make room; else see the log, repair the disk and restart the node."
    /// The node cannot answer now.
    32 Unavailable "unavailable" 503 "Try again."
    /// A defect of the server.
    33 Internal "internal" 500 "Report it with the time it happened; the log has the details."
    /// The imported record is not one this format has.
    34 InvalidImport "invalid_import" 422 "The detail says where and why. The thread was skipped whole."
    /// The connection did not begin with `Hello`.
    35 HelloExpected "hello_expected" 400 "Send Hello as the first frame."
    /// Too many subscriptions on one connection.
    36 TooManySubscriptions "too_many_subscriptions" 429 "Unsubscribe what is no longer shown."
    /// The idempotency key is empty or too long.
    37 InvalidKey "invalid_key" 400 "A key has 1 to 256 visible ASCII characters."
    /// The title is too long.
    38 TitleTooLong "title_too_long" 422 "A title has at most 512 bytes."
    /// The message is not on the branch named.
    39 NotOnBranch "not_on_branch" 409 "Name a branch the message is on, or none."
    /// The other side reads too slowly.
    40 TooSlow "too_slow" 408 "Reconnect and resume from the cursor."
    /// `--auth dev` trusts whoever reaches the port, so it does not answer through a proxy.
    41 ProxyRefused "proxy_refused" 403 "Dev identity is for this machine alone: configure authentication before putting a proxy in front."
    /// A field that the route does not know.
    42 UnknownField "unknown_field" 400 "Check the field's spelling."
    /// Somebody else holds the lock.
    43 LockHeld "lock_held" 409 "Ask again after Retry-After, or with a longer `wait`."
    /// The header Threadmill-Fence is malformed, or the route checks none.
    44 InvalidFence "invalid_fence" 400 "Send NAME:TOKEN, the `fence` of the grant, on routes that write to threads."
    /// The message is not what an edit was made from.
    45 MessageChanged "message_changed" 409 "Read the message again, and make the edit from what it says now."
    /// The caller does too much at once, or too often.
    46 RateLimited "rate_limited" 429 "Wait for the time in Retry-After, or ask the operator for a larger share."
    /// The thread to be made was made before, by you, and deleted.
    47 ThreadDeleted "thread_deleted" 410 "A repeated request: it had its effect. Mint a new id for a new thread."
    /// Operators may look here, and change nothing.
    48 OpsReadOnly "ops_read_only" 403 "Start the server with --ops-write to let actions pass."
    /// No such rollout.
    49 RolloutNotFound "rollout_not_found" 404 "List the rollouts, or start one."
    /// The rollout cannot be moved so as it stands.
    50 RolloutRefused "rollout_refused" 409 "Look how it stands, and what may be done from there."
    /// A budget has no room for what the run may cost.
    51 BudgetExhausted "budget_exhausted" 402 "Wait for the next period (Retry-After), or ask the operator for a larger budget."
    /// Money is limited, and nobody knows what the model costs.
    52 PriceUnknown "price_unknown" 422 "Choose another model, or have the operator name its price."
    /// No such stream for this user, or it has expired.
    53 StreamNotFound "stream_not_found" 404 "It may have expired, been deleted, or belong to somebody else."
    /// The stream was deleted, and is kept for its forks.
    54 StreamDeleted "stream_deleted" 410 "Use another path, or delete its forks."
    /// Another stream is at the path, or what is asked is not for one like it.
    55 StreamMismatch "stream_mismatch" 409 "Compare the request with what HEAD says of the stream."
    /// The stream takes nothing any more.
    56 StreamClosed "stream_closed" 409 "Read it to its end, at Stream-Next-Offset."
    /// The writer's order is not kept, or appends of a producer are missing.
    57 StreamOrder "stream_order" 409 "Send what is missing first; see Producer-Expected-Seq."
    /// The producer was restarted, or its name was taken.
    58 ProducerFenced "producer_fenced" 403 "Begin a greater epoch than Producer-Epoch, with Producer-Seq 0."
    /// A bound of streams is reached.
    59 StreamFull "stream_full" 413 "Begin another stream, or delete what is no longer needed."
}

/// An error as it travels: RFC 9457 in JSON, the same fields in a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The stable word.
    pub code: ErrorCode,
    /// What is wrong here, in words for a person. Never a secret, never another user's data.
    pub detail: String,
    /// When to try again, in milliseconds.
    pub retry_after: Option<u32>,
    /// What to do about it. None is the code's own, which is filled in where the problem is sent: the
    /// browser, which has no room for the hints, shows what the server gave.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without a time to try again.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after: None, hint: None }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &str {
        self.hint.as_deref().unwrap_or_else(|| self.code.hint())
    }
}

impl<C> Encode<C> for Problem {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, c: &mut C) -> Result<(), encode::Error<W::Error>> {
        (self.code, &self.detail, self.retry_after, self.hint()).encode(e, c)
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorCode;

    #[test]
    fn words_are_unique_and_plain() {
        let mut words: Vec<_> = ErrorCode::ALL.iter().map(|c| c.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), ErrorCode::ALL.len());
        assert!(words.iter().all(|w| w.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
        assert!(ErrorCode::ALL.iter().all(|c| (400..600).contains(&c.status()) && c.hint().ends_with('.')));
    }
}
