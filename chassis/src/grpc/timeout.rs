//! The `grpc-timeout` header: a number of at most eight digits and a unit.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries how long the caller goes on waiting.
pub(super) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The largest number that fits the header.
const DIGITS_MAX: u128 = 99_999_999;

/// Reads the timeout of a request; a malformed one counts as none.
pub(super) fn read(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// Writes `timeout` in the finest unit that holds it, microseconds at the finest.
pub(super) fn write(timeout: Duration) -> HeaderValue {
    let text = if timeout.as_micros() <= DIGITS_MAX {
        format!("{}u", timeout.as_micros())
    } else if timeout.as_millis() <= DIGITS_MAX {
        format!("{}m", timeout.as_millis())
    } else {
        format!("{}S", u128::from(timeout.as_secs()).min(DIGITS_MAX))
    };
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("0u"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(GRPC_TIMEOUT, HeaderValue::from_str(text).unwrap());
        read(&headers)
    }

    #[test]
    fn every_unit_of_the_protocol_is_understood() {
        assert_eq!(parse("1H"), Some(Duration::from_hours(1)));
        assert_eq!(parse("2M"), Some(Duration::from_mins(2)));
        assert_eq!(parse("3S"), Some(Duration::from_secs(3)));
        assert_eq!(parse("4m"), Some(Duration::from_millis(4)));
        assert_eq!(parse("5u"), Some(Duration::from_micros(5)));
        assert_eq!(parse("6n"), Some(Duration::from_nanos(6)));
    }

    #[test]
    fn a_malformed_timeout_counts_as_none() {
        for text in ["", "1", "m", "1x", "-1m", "+1m", "123456789m", "1.5S"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_is_written_is_read_back_and_never_longer(micros in 0_u64..1_000_000_000_000) {
            let timeout = Duration::from_micros(micros);
            let mut headers = HeaderMap::new();
            headers.insert(GRPC_TIMEOUT, write(timeout));
            let read = read(&headers).unwrap();
            prop_assert!(read <= timeout);
            prop_assert!(timeout < read + Duration::from_secs(1));
        }

        #[test]
        fn one_to_eight_digits_and_a_unit_are_a_timeout_and_nothing_else_is(
            text in "([+-]|0x)?[0-9]{0,10}[.e ]?[0-9]?[HMSmunhs\u{e9}]{0,2}",
        ) {
            let mut headers = HeaderMap::new();
            headers.insert(GRPC_TIMEOUT, HeaderValue::try_from(&text).unwrap());
            let digits = text.trim_end_matches(['H', 'M', 'S', 'm', 'u', 'n']);
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            let is_timeout =
                is_number && (1..=8).contains(&digits.len()) && text.len() == digits.len() + 1;
            let read = super::read(&headers);
            prop_assert_eq!(read.is_some(), is_timeout, "{:?}", text);
            if let Some(timeout) = read {
                prop_assert!(timeout <= Duration::from_hours(99_999_999));
                // It is passed on, never longer.
                headers.insert(GRPC_TIMEOUT, write(timeout));
                prop_assert!(super::read(&headers).is_some_and(|passed_on| passed_on <= timeout));
            }
        }
    }
}
