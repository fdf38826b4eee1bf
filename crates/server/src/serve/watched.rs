//! Paths that say nothing of anybody: probes and monitoring, which nothing may keep from an answer.

pub(crate) const WATCHED: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// Whether a path is of those.
pub(crate) fn is_watched(path: &str) -> bool {
    WATCHED.contains(&path)
}
