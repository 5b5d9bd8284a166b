//! Feeds: what changed in a table, read bit by bit by others, so that nothing is missed.
//!
//! Rows bear the database's time of their writing and are read in its order, page by page, until
//! there is no more: that is a pass. A row may be committed some time after it was written, behind
//! what was read meanwhile, so the next pass begins [`OVERLAP`] before the first page of this one
//! was read, however long the pass took, and gets some rows twice.
//!
//! The overlap is more than a transaction takes by its own bound
//! ([`transaction`](crate::db::transaction)), and yet a COMMIT can come later: a server that stalled
//! carries it out when nobody waits for it any more, and one that takes over may have another clock.
//! So whoever follows a feed also reads everything in force anew at a steady pace, and at once when
//! its cursor is refused ([`Progress`]).
//!
//! ```
//! # use chassis::feed::{self, Cursor, Position};
//! # let rows: Vec<Position> = Vec::new();
//! # let (now_us, limit, start) = (0, 100, Cursor::since(0));
//! // SELECT … WHERE at >= ? AND (at > ? OR id > ?) ORDER BY at, id LIMIT ?
//! let (cursor, more) = start.after(feed::end_of_full(&rows, limit, |row| *row), now_us);
//! ```

mod progress;

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime};
use uuid::Uuid;

pub use progress::{Part, Progress};

/// How far before the first page of a pass the next pass begins.
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
pub struct Cursor {
    position: Position,
    /// When the first page of the pass was read, by the database's clock, in microseconds since the
    /// epoch; `None` between two passes.
    began_us: Option<i64>,
}

/// A text that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cursor was not made by this service")]
pub struct InvalidCursor;

impl Cursor {
    /// The beginning of everything written since `at_us`, microseconds since the epoch.
    pub fn since(at_us: i64) -> Self {
        Self { position: Position { at_us, id: Uuid::nil() }, began_us: None }
    }

    /// Where to go on after a page that was read from here, and whether there is more already.
    /// `full` is the end of the page if it was full ([`end_of_full`]), and `now_us` the database's
    /// time before the page was read, in microseconds since the epoch.
    #[must_use]
    pub fn after(self, full: Option<Position>, now_us: i64) -> (Self, bool) {
        let began_us = self.began_us.map_or(now_us, |began_us| began_us.min(now_us));
        match full {
            Some(position) => (Self { position, began_us: Some(began_us) }, true),
            None => (Self::since(began_us.saturating_sub(OVERLAP_US)), false),
        }
    }

    /// Reads what [`Cursor`]'s `Display` wrote.
    pub fn parse(text: &str) -> Result<Self, InvalidCursor> {
        let mut parts = text.split('.');
        let mut part = || parts.next().ok_or(InvalidCursor);
        let at_us = time(part()?)?;
        let id = crate::id::parse("cursor", part()?).map_err(|_| InvalidCursor)?;
        let began_us = parts.next().map(time).transpose()?;
        match parts.next() {
            None => Ok(Self { position: Position { at_us, id }, began_us }),
            Some(_) => Err(InvalidCursor),
        }
    }

    /// The row behind which it goes on.
    pub fn position(&self) -> Position {
        self.position
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.position.at_us, self.position.id)?;
        self.began_us.map_or(Ok(()), |began_us| write!(f, ".{began_us}"))
    }
}

/// The place of the last row of a page that has as many rows as were asked for, so that there may be
/// more of them; `None` for a page with fewer.
pub fn end_of_full<R>(
    rows: &[R],
    limit: u32,
    position: impl FnOnce(&R) -> Position,
) -> Option<Position> {
    let last = rows.last()?;
    (rows.len() >= limit as usize).then(|| position(last))
}

/// Reads microseconds since the epoch that a date of this time and age can have.
fn time(text: &str) -> Result<i64, InvalidCursor> {
    let at_us = text.parse().map_err(|_| InvalidCursor)?;
    DateTime::from_timestamp_micros(at_us)
        .filter(|at| (0..4_000_000_000).contains(&at.timestamp()))
        .map(|_| at_us)
        .ok_or(InvalidCursor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_767_323_045_006_000;

    fn place(at_us: i64) -> Position {
        Position { at_us, id: Uuid::from_u128(7) }
    }

    #[test]
    fn a_full_page_goes_on_behind_its_last_row_and_another_one_ends_the_pass() {
        let rows = [place(NOW - 9), place(NOW - 5)];
        assert_eq!(end_of_full(&rows, 2, |row| *row), Some(rows[1]));
        assert_eq!(end_of_full(&rows, 3, |row| *row), None);
        assert_eq!(end_of_full(&[], 0, |row: &Position| *row), None);
        let (next, more) = Cursor::since(0).after(Some(rows[1]), NOW);
        assert!(more);
        assert_eq!(next.position(), rows[1]);
        let (end, more) = Cursor::since(0).after(None, NOW);
        assert!(!more);
        assert_eq!(end, Cursor::since(NOW - OVERLAP_US));
        assert_eq!(i64::try_from(OVERLAP.as_micros()), Ok(OVERLAP_US));
    }

    #[test]
    fn a_pass_of_many_pages_is_followed_from_before_its_first_one() {
        let mut cursor = Cursor::since(0);
        for page in 0..40 {
            let now_us = NOW + page * 1_000_000;
            let (next, more) = cursor.after(Some(place(now_us - 1)), now_us);
            assert!(more);
            cursor = Cursor::parse(&next.to_string()).unwrap();
        }
        let (end, _) = cursor.after(None, NOW + 40_000_000);
        assert_eq!(end, Cursor::since(NOW - OVERLAP_US), "not of the last page's time");
        let (next, _) = end.after(None, NOW + 42_000_000);
        assert_eq!(next, Cursor::since(NOW + 42_000_000 - OVERLAP_US), "a pass of its own");
    }

    #[test]
    fn a_database_whose_clock_stepped_back_is_read_from_there() {
        let (cursor, _) = Cursor::since(0).after(Some(place(NOW)), NOW);
        let (end, _) = cursor.after(None, NOW - 60_000_000);
        assert_eq!(end, Cursor::since(NOW - 60_000_000 - OVERLAP_US));
    }

    #[test]
    fn a_cursor_reads_back_and_nothing_else_does() {
        let cursor = Cursor::since(NOW);
        for cursor in [cursor, cursor.after(Some(place(NOW)), NOW + 1).0] {
            assert_eq!(Cursor::parse(&cursor.to_string()), Ok(cursor));
            assert_eq!(cursor.position().at().and_utc().timestamp_micros(), NOW);
        }
        let nil = Uuid::nil();
        for odd in [
            "",
            ".",
            "1",
            "x.y",
            &format!("9223372036854775807.{nil}"),
            &format!("1.{nil}."),
            &format!("1.{nil}.-1"),
            &format!("1.{nil}.1.1"),
        ] {
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
