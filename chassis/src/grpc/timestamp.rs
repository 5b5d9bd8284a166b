//! Times on the wire.

use chrono::{DateTime, Utc};
use prost_types::Timestamp;

/// The protobuf form of a time.
pub fn timestamp(at: DateTime<Utc>) -> Timestamp {
    // Below 2^31 but during a leap second, which chrono counts on top of the second before.
    let nanos = at.timestamp_subsec_nanos().min(999_999_999);
    Timestamp { seconds: at.timestamp(), nanos: i32::try_from(nanos).unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_fraction_are_kept() {
        let at = DateTime::from_timestamp_millis(1_767_323_045_678).unwrap();
        let sent = timestamp(at);
        assert_eq!((sent.seconds, sent.nanos), (1_767_323_045, 678_000_000));
        let before_epoch = DateTime::from_timestamp_millis(-1).unwrap();
        assert_eq!(timestamp(before_epoch), Timestamp { seconds: -1, nanos: 999_000_000 });
    }
}
