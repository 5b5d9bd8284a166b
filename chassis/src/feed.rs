//! Feeds: what changed in a table, read bit by bit by others, so that nothing is missed.
//!
//! Rows bear the database's time of their writing and are read in its order. A row may be committed
//! some time after it was written, so whoever has read to the end begins [`OVERLAP`] before that the
//! next time and gets some rows twice. That is more than any transaction takes
//! ([`transaction`](crate::db::transaction) bounds it by the statement timeout).
//!
//! ```
//! # use chassis::feed::{Cursor, Position};
//! # let rows: Vec<(i64, uuid::Uuid)> = Vec::new();
//! # let (now_us, limit) = (0, 100);
//! // SELECT … WHERE at >= ? AND (at > ? OR id > ?) ORDER BY at, id LIMIT ?
//! let last = rows.last().map(|&(at_us, id)| Position { at_us, id });
//! let (cursor, more) = Cursor::after(rows.len(), limit, last, now_us);
//! ```

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime};
use uuid::Uuid;

/// How far before the end of what was read the next read begins.
pub const OVERLAP: Duration = Duration::from_secs(15);
/// The same in microseconds.
const OVERLAP_US: i64 = 15_000_000;

/// A place in a feed: behind the row with this time and identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Microseconds since the epoch, by the database's clock.
    pub at_us: i64,
    /// The row's identity.
    pub id: Uuid,
}

impl Position {
    /// The time, for a statement.
    pub fn at(&self) -> NaiveDateTime {
        DateTime::from_timestamp_micros(self.at_us).unwrap_or_default().naive_utc()
    }
}

/// Where a reader goes on; opaque to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(Position);

/// A text that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cursor was not made by this service")]
pub struct InvalidCursor;

impl Cursor {
    /// The beginning of everything written since `at_us`, microseconds since the epoch.
    pub fn since(at_us: i64) -> Self {
        Self(Position { at_us, id: Uuid::nil() })
    }

    /// Where to go on after a read that began at `now_us` and found `count` rows of at most `limit`,
    /// and whether there is more already.
    pub fn after(count: usize, limit: u32, last: Option<Position>, now_us: i64) -> (Self, bool) {
        match last {
            Some(last) if count >= limit as usize => (Self(last), true),
            _ => (Self::since(now_us.saturating_sub(OVERLAP_US)), false),
        }
    }

    /// Reads what [`Cursor`]'s `Display` wrote.
    pub fn parse(text: &str) -> Result<Self, InvalidCursor> {
        let (at, id) = text.split_once('.').ok_or(InvalidCursor)?;
        let at_us = at.parse().map_err(|_| InvalidCursor)?;
        let id = crate::id::parse("cursor", id).map_err(|_| InvalidCursor)?;
        if DateTime::from_timestamp_micros(at_us)
            .is_none_or(|at| !(0..4_000_000_000).contains(&at.timestamp()))
        {
            return Err(InvalidCursor);
        }
        Ok(Self(Position { at_us, id }))
    }

    /// The row behind which it goes on.
    pub fn position(&self) -> Position {
        self.0
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0.at_us, self.0.id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_767_323_045_006_000;

    #[test]
    fn a_full_page_goes_on_behind_its_last_row_and_another_one_with_an_overlap() {
        let last = Position { at_us: NOW - 5, id: Uuid::from_u128(7) };
        assert_eq!(Cursor::after(2, 2, Some(last), NOW), (Cursor(last), true));
        let (end, more) = Cursor::after(1, 2, Some(last), NOW);
        assert!(!more);
        assert_eq!(end, Cursor::since(NOW - OVERLAP_US));
        assert_eq!(i64::try_from(OVERLAP.as_micros()), Ok(OVERLAP_US));
        assert_eq!(Cursor::after(0, 2, None, NOW).0, end);
    }

    #[test]
    fn a_cursor_reads_back_and_nothing_else_does() {
        let cursor = Cursor::since(NOW);
        assert_eq!(Cursor::parse(&cursor.to_string()), Ok(cursor));
        assert_eq!(cursor.position().at().and_utc().timestamp_micros(), NOW);
        for odd in ["", ".", "1", "x.y", "9223372036854775807.00000000-0000-0000-0000-000000000000"]
        {
            assert_eq!(Cursor::parse(odd), Err(InvalidCursor), "{odd}");
        }
    }

    proptest! {
        #[test]
        fn no_input_makes_the_parser_panic(text in "(?s).{0,60}") {
            let _ = Cursor::parse(&text);
        }
    }
}
