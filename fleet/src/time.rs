//! The time of the machine, and durations as people write them.

use std::ops::RangeInclusive;
use std::time::Duration;

use chrono::{DateTime, Utc};

/// The time of the machine, for records and for what is told by them; what is measured is measured
/// by the monotonic clock.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Reads a duration such as `500ms`, `30s`, `10m`, `2h` or `1d`.
pub fn parse(text: &str) -> Result<Duration, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(unreadable()),
    };
    let number: u64 = number.parse().map_err(|_| unreadable())?;
    let product = number.checked_mul(milliseconds);
    product.map(Duration::from_millis).ok_or_else(|| "that is longer than time".to_owned())
}

fn unreadable() -> String {
    "expected a whole number and a unit, such as 500ms, 30s, 10m, 2h or 1d".to_owned()
}

/// Reads a duration that is longer than none.
pub fn parse_positive(text: &str) -> Result<Duration, String> {
    parse(text).and_then(|duration| {
        if duration.is_zero() {
            Err("has to be more than nothing".to_owned())
        } else {
            Ok(duration)
        }
    })
}

/// Reads a duration that has its bounds, which are whole seconds.
pub fn parse_within(text: &str, bounds: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let duration = parse(text)?;
    if bounds.contains(&duration) {
        Ok(duration)
    } else {
        Err(format!("from {} s to {} s", bounds.start().as_secs(), bounds.end().as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, seconds) in [("30s", 30), ("10m", 600), ("2h", 7_200), ("1d", 86_400)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("0s"), Ok(Duration::ZERO));
        assert!(parse_positive("0s").is_err() && parse_positive("1ms").is_ok());
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_with_them() {
        let bounds = Duration::from_secs(5)..=Duration::from_mins(5);
        for (text, seconds) in [("5s", 5), ("5m", 300)] {
            assert_eq!(parse_within(text, &bounds), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["4999ms", "301s"] {
            assert_eq!(parse_within(text, &bounds), Err("from 5 s to 300 s".to_owned()), "{text}");
        }
        assert!(parse_within("5", &bounds).unwrap_err().contains("10m"));
    }

    #[test]
    fn what_is_no_duration_is_refused_with_the_form() {
        for text in ["", "10", "s", "-1s", "1.5s", "1 s", "10x", "é"] {
            assert!(parse(text).unwrap_err().contains("10m"), "{text}");
        }
        assert!(parse("99999999999999999999s").is_err());
        assert!(parse("18446744073709551615d").is_err());
    }
}
