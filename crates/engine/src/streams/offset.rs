//! Offsets as they are written: opaque to clients, growing as texts do.

/// Digits of each half.
const DIGITS: usize = 16;

/// An offset as clients see it. The first half is for a history that begins anew, and 0.
#[must_use]
pub fn written(offset: u64) -> String {
    format!("{:0DIGITS$}_{offset:0DIGITS$}", 0)
}

/// Reads an offset that this server has written.
#[must_use]
pub fn read(text: &str) -> Option<u64> {
    let (first, second) = text.split_once('_')?;
    let plain = |half: &str| half.len() == DIGITS && half.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(first) || !plain(second) || first.bytes().any(|byte| byte != b'0') {
        return None;
    }
    second.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_as_they_are_written_and_nothing_else_is() {
        for offset in [0, 1, 99, 1 << 40] {
            assert_eq!(read(&written(offset)), Some(offset));
        }
        assert!(written(9) < written(10) && written(999) < written(1000));
        let foreign =
            ["", "1", "-1_0", "0_0", "0000000000000000_000000000000000a", "0000000000000000_+000000000000001"];
        for text in
            foreign.into_iter().chain(["9999999999999999_9999999999999999", "0000000000000000-0000000000000000"])
        {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
