//! How long an endpoint asks to wait, in the forms there are: `Retry-After` in seconds or as a date (RFC 9110, 10.2.3), and
//! `retry-after-ms` of OpenAI and Azure, which is the finer of the two where both are.
//!
//! A date is taken against the `Date` of the same answer, so no clock of this machine is asked, nor has to be right; without
//! one it says nothing. One in the past is no wait.

use jiff::fmt::rfc2822;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

const MILLIS: &str = "retry-after-ms";

/// The seconds that an answer's headers ask for, rounded up.
pub(crate) fn asked(headers: &HeaderMap) -> Option<u64> {
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let millis = said(MILLIS).and_then(number).map(|millis| millis / 1000.0);
    let seconds = || said(RETRY_AFTER.as_str()).and_then(number);
    if let Some(seconds) = millis.or_else(seconds) {
        return Some(whole(seconds));
    }
    let date = |name: &str| said(name).and_then(date);
    let until = date(RETRY_AFTER.as_str())?;
    Some(until.saturating_sub(date(DATE.as_str())?))
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
fn whole(seconds: f64) -> u64 {
    seconds.ceil() as u64
}

/// A date in seconds since the Unix epoch.
fn date(text: &str) -> Option<u64> {
    let date = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    u64::try_from(date.as_second()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_in_each_of_its_forms() {
        let check = |said: &[(&'static str, &str)], want: Option<u64>| {
            let headers = said
                .iter()
                .map(|(name, value)| (reqwest::header::HeaderName::from_static(name), value.parse().expect("a value")));
            assert_eq!(asked(&headers.collect()), want, "{said:?}");
        };
        let (now, soon) = (("date", "Wed, 21 Oct 2099 07:28:00 GMT"), "Wed, 21 Oct 2099 07:29:30 GMT");
        check(&[("retry-after", "7")], Some(7));
        check(&[("retry-after", " 1.2 ")], Some(2));
        check(&[("retry-after-ms", "1500")], Some(2));
        check(&[("retry-after", "7"), ("retry-after-ms", "250")], Some(1));
        check(&[("retry-after", "7"), ("retry-after-ms", "soon")], Some(7));
        check(&[("retry-after", soon), now], Some(90));
        check(&[("retry-after", now.1), ("date", soon)], Some(0));
        for odd in ["-5", "NaN", "inf", "", "tomorrow", "Wed, 99 Oct 2099 07:28:00 GMT"] {
            check(&[("retry-after", odd), now], None);
        }
        check(&[("retry-after", soon)], None);
        check(&[("retry-after", &"9".repeat(300)), now], Some(u64::MAX));
    }
}
