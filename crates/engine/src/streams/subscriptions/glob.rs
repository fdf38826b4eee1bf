//! Patterns over paths: `*` is one segment, `**` any number of them, also none.

/// Segments of a pattern, so that what is matched costs little.
pub(super) const MOST_SEGMENTS: usize = 32;

/// Whether a path is one that a pattern means. Costs the product of their segments at the most.
pub(super) fn is_match(pattern: &str, path: &str) -> bool {
    let path: Vec<&str> = path.split('/').collect();
    // For each place in the path: whether the pattern so far may end before it.
    let mut at = vec![false; path.len() + 1];
    at[0] = true;
    for part in pattern.split('/') {
        let mut next = vec![false; path.len() + 1];
        if part == "**" {
            let mut reached = false;
            for (place, known) in at.iter().enumerate() {
                reached |= known;
                next[place] = reached;
            }
        } else {
            for (place, segment) in path.iter().enumerate() {
                next[place + 1] = at[place] && (part == "*" || part == *segment);
            }
        }
        at = next;
    }
    at[path.len()]
}

#[cfg(test)]
mod tests {
    use super::is_match;

    #[test]
    fn stars_are_segments() {
        for (pattern, path) in [
            ("a/*", "a/b"),
            ("**", "a"),
            ("**", "a/b/c"),
            ("a/**", "a"),
            ("a/**/z", "a/z"),
            ("a/**/z", "a/b/c/z"),
            ("*/*", "a/b"),
            ("a", "a"),
        ] {
            assert!(is_match(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in
            [("a/*", "a"), ("a/*", "a/b/c"), ("*", "a/b"), ("a/**/z", "a/b"), ("a*", "ab"), ("", "a"), ("A", "a")]
        {
            assert!(!is_match(pattern, path), "{pattern} {path}");
        }
        let hostile = vec!["**"; 32].join("/");
        assert!(
            is_match(&hostile, &vec!["a"; 256].join("/"))
                && !is_match(&format!("{hostile}/b"), &vec!["a"; 256].join("/"))
        );
    }
}
