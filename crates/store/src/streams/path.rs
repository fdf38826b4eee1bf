//! What the path of a stream may look like.

use std::fmt;

/// Bytes that a path may have.
pub const PATH_BYTES: usize = 512;

/// The path of a stream, relative to where streams are served: `chat/7/run/1`. One that was made is valid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamPath(String);

impl StreamPath {
    /// Takes a path. What follows a slash is never empty, `.` or `..`, and nothing in it is a control character or a
    /// backslash: so no proxy and no client makes another path of it.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() || text.len() > PATH_BYTES {
            return Err("a path has 1 to 512 bytes");
        }
        if text.chars().any(|c| c.is_control() || matches!(c, '\\' | '\u{2028}' | '\u{2029}')) {
            return Err("a path has no control characters and no backslashes");
        }
        if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err("between the slashes of a path is something that is neither `.` nor `..`");
        }
        Ok(Self(text.to_owned()))
    }

    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_paths_are_refused() {
        for path in
            ["", "/", "a/", "/a", "a//b", ".", "..", "a/../b", "a/.", "a\\b", "a\nb", "a\tb", "a\0b", "a\u{2028}b"]
        {
            assert!(StreamPath::parse(path).is_err(), "{path:?}");
        }
        assert!(StreamPath::parse(&"a".repeat(PATH_BYTES + 1)).is_err());
        for path in ["a", "chat/7/run/1", "größe/名", "a b", "...", "__proto__", &"a".repeat(PATH_BYTES)] {
            assert!(StreamPath::parse(path).is_ok(), "{path:?}");
        }
    }
}
