//! Whether a refused request is sent again, and when.

use std::time::Duration;

use threadmill_proto::ErrorCode;

use crate::error::Error;

/// A server that names a longer pause is not believed.
const LONGEST: Duration = Duration::from_secs(60);

/// How often a request is sent again that the server refuses for now: it has too much to do, the rate of its user is used
/// up, or the body came too slowly. Whatever else goes wrong is the caller's at once. A request that is sent again is the
/// same one and has one effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Times after the first.
    pub times: u32,
    /// The pause before each, unless the server names a longer one.
    pub pause: Duration,
}

impl Retry {
    /// Never: the caller hears of every refusal.
    pub const NEVER: Self = Self { times: 0, pause: Duration::ZERO };

    /// The pause before the request is sent once more, if `tried` is how often it was refused before this.
    pub(crate) fn after(&self, error: &Error, tried: u32) -> Option<Duration> {
        let Error::Problem(problem) = error else { return None };
        let passes = match problem.code {
            ErrorCode::Overloaded | ErrorCode::RateLimited | ErrorCode::TooSlow => tried < self.times,
            _ => false,
        };
        let named = Duration::from_millis(problem.retry_after.unwrap_or_default().into()).min(LONGEST);
        passes.then(|| self.pause.max(named))
    }
}

#[cfg(test)]
mod tests {
    use threadmill_proto::Problem;

    use super::*;

    #[test]
    fn what_passes_is_tried_again_so_often() {
        let retry = Retry { times: 2, pause: Duration::from_secs(1) };
        let busy = |after| {
            Error::Problem(Problem { retry_after: after, ..Problem::new(ErrorCode::RateLimited, "Too many requests.") })
        };
        assert_eq!(retry.after(&busy(None), 0), Some(Duration::from_secs(1)));
        assert_eq!(retry.after(&busy(Some(1_500)), 1), Some(Duration::from_millis(1_500)));
        assert_eq!(retry.after(&busy(Some(u32::MAX)), 1), Some(LONGEST));
        assert_eq!(retry.after(&busy(None), 2), None);
        for other in [Error::Problem(Problem::new(ErrorCode::InvalidRequest, "No.")), Error::Status(503), Error::Closed]
        {
            assert_eq!(retry.after(&other, 0), None, "{other}");
        }
    }
}
