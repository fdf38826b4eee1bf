//! What callers are told: the one place where a store's error becomes an error code.

use threadmill_proto::{ErrorCode, Problem};
use threadmill_store::{Conflict, Missing, StoreError};

/// The result of asking the engine.
pub type Answer<T> = Result<T, Problem>;

/// How long to wait before trying a busy store again, in milliseconds.
const RETRY_MS: u32 = 1000;

/// What a caller is told about a store's error. Details of defects go to the log and no further.
#[must_use]
#[allow(clippy::needless_pass_by_value, reason = "it is what `map_err` calls")]
pub fn problem_of(error: StoreError) -> Problem {
    let detail = error.to_string();
    match error {
        StoreError::NotFound(missing) => Problem::new(missing_code(missing), format!("There is {detail} for you.")),
        StoreError::Conflict(why) => Problem::new(conflict_code(why), sentence(&detail)),
        StoreError::Fenced | StoreError::Superseded => Problem::new(ErrorCode::Fenced, sentence(&detail)),
        StoreError::Deleted => Problem::new(ErrorCode::ThreadDeleted, sentence(&detail)),
        StoreError::OverBudget { .. } => Problem::new(ErrorCode::BudgetExhausted, sentence(&detail)),
        StoreError::Invalid(_) => Problem::new(ErrorCode::InvalidRequest, sentence(&detail)),
        StoreError::ReadOnly(_) => {
            tracing::warn!(%detail, "write refused");
            Problem::new(ErrorCode::ReadOnly, "The store refuses writes; reads are answered.")
        }
        StoreError::Unavailable { .. } => {
            tracing::warn!(%detail, "store unavailable");
            Problem {
                code: ErrorCode::Unavailable,
                detail: "The store did not answer; whether a write took effect is unknown.".into(),
                retry_after: Some(RETRY_MS),
                hint: None,
            }
        }
        _ => {
            tracing::error!(%detail, "store error");
            Problem::new(ErrorCode::Internal, "The server failed. The log has the details.")
        }
    }
}

fn missing_code(missing: Missing) -> ErrorCode {
    match missing {
        Missing::Thread => ErrorCode::ThreadNotFound,
        Missing::Branch => ErrorCode::BranchNotFound,
        Missing::Message => ErrorCode::MessageNotFound,
        Missing::Run => ErrorCode::RunNotFound,
    }
}

fn conflict_code(why: Conflict) -> ErrorCode {
    match why {
        Conflict::IdTaken => ErrorCode::IdTaken,
        Conflict::TipMoved => ErrorCode::TipMoved,
        Conflict::RunInProgress => ErrorCode::RunInProgress,
        Conflict::RunEnded => ErrorCode::RunEnded,
        Conflict::KeyReused => ErrorCode::KeyReused,
        Conflict::NotEditable => ErrorCode::MessageNotEditable,
        Conflict::NotOnBranch => ErrorCode::NotOnBranch,
        Conflict::MessageChanged => ErrorCode::MessageChanged,
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{stop}", chars.as_str())
}
