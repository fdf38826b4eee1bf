//! The pages of the checks, made from their tables. A test holds each page to what is made here.
#![cfg(test)]

use std::fmt::Write as _;

use super::Check;

/// A heading for each check, with what it does and what to do.
pub(crate) fn sections<S>(checks: &[&Check<S>]) -> String {
    let mut out = String::new();
    for Check { id, title, does, todo, .. } in checks {
        let _ = write!(out, "### {id}\n\n{title}.\n\n- **Does:** {does}.\n- **If it fails:** {todo}.\n\n");
    }
    out
}
