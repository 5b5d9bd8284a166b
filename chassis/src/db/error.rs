//! What can go wrong with the database, in the terms that callers act on.

use std::borrow::Cow;
use std::error::Error;
use std::io;

use sqlx::mysql::MySqlDatabaseError;

use crate::error::{ErrorCode, Kind, ServiceError, codes};
use crate::grpc::context::DeadlineExceeded;

/// Server errors by number; the names are those of MySQL's manual.
mod number {
    /// Deadlock and lock wait timeout: the transaction was, or is to be, rolled back.
    pub(super) const CONFLICTS: [u16; 2] = [1213, 1205];
    /// Duplicate key.
    pub(super) const DUPLICATE: u16 = 1062;
    /// The server became read-only, goes away or is not in its cluster (1047 of Galera): another
    /// connection may reach its successor.
    pub(super) const GOING_AWAY: [u16; 7] = [1290, 1792, 1836, 1053, 1927, 1317, 1047];
    /// The server does not serve this account or this host: 1044, 1045 and 1698 at the door (3118
    /// and 4151 for a locked account, 1820 and 1862 for an expired password), 1129 and 1130 for
    /// the host, 1142, 1143, 1227 and 1370 for a right. A password that is changed, or rights that
    /// are granted too late, are repaired by an operator, and no request is to blame.
    pub(super) const DENIED: [u16; 13] =
        [1044, 1045, 1698, 1820, 1862, 3118, 4151, 1129, 1130, 1142, 1143, 1227, 1370];
    /// The server is there and cannot serve now: connection limits, full disk or table, statement
    /// timeout (1969 on MariaDB, 3024 on MySQL).
    pub(super) const BUSY: [u16; 10] = [1040, 1203, 1226, 1021, 1114, 1030, 1180, 1206, 1969, 3024];
}

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// It cannot be reached, cannot serve now, or did not answer in time. After a write the
    /// outcome is unknown.
    #[error("the database is unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// A concurrent transaction won, and went on winning when this one was repeated.
    #[error("a concurrent transaction was in the way")]
    Conflict(#[source] sqlx::Error),
    /// The caller's deadline passed; nothing was committed.
    #[error("the deadline of the call has passed")]
    DeadlineExceeded,
    /// The statement or the schema is wrong, or a row cannot be decoded.
    #[error("the database refused the statement")]
    Internal(#[source] sqlx::Error),
}

impl DbError {
    /// Classifies the failure of a COMMIT: unless the server says that it rolled back, nobody
    /// knows whether the transaction took place.
    pub(super) fn of_commit(error: sqlx::Error) -> Self {
        match Self::from(error) {
            Self::Internal(error) => Self::Unavailable(error),
            // Whether it was in time, too.
            Self::DeadlineExceeded => Self::Unavailable(statement_timeout()),
            known => known,
        }
    }

    /// Returns the kind under which a service reports this.
    pub fn kind(&self) -> Kind {
        self.code().kind
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(cause) if is_deadline(cause) => Self::DeadlineExceeded,
            _ if is_unavailable(&error) || numbers_match(&error, &number::DENIED) => {
                Self::Unavailable(error)
            }
            _ if numbers_match(&error, &number::CONFLICTS) => Self::Conflict(error),
            _ => Self::Internal(error),
        }
    }
}

impl From<DeadlineExceeded> for DbError {
    fn from(_: DeadlineExceeded) -> Self {
        Self::DeadlineExceeded
    }
}

impl ServiceError for DbError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Unavailable(_) | Self::Conflict(_) => codes::SERVICE_UNAVAILABLE,
            Self::DeadlineExceeded => codes::DEADLINE_EXCEEDED,
            Self::Internal(_) => codes::INTERNAL,
        }
    }

    fn detail(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::Unavailable(_) | Self::Conflict(_) => "The service cannot answer now.",
            Self::DeadlineExceeded => "The operation did not finish before its deadline.",
            Self::Internal(_) => "The service failed.",
        })
    }
}

/// Returns the name of the unique key that a statement violated; `None` for every other error.
///
/// The driver does not report it, so it is read from the server's message: MySQL writes
/// `for key 'table.key'`, MariaDB `for key 'key'`; both are answered by `key`.
pub fn violated_key(error: &sqlx::Error) -> Option<&str> {
    let sqlx::Error::Database(cause) = error else {
        return None;
    };
    if server_number(cause.as_error()) != Some(number::DUPLICATE) {
        return None;
    }
    key_in(cause.message())
}

/// Reads the key from the message of a duplicate. The value comes before it and may hold anything,
/// so the search starts at the end.
fn key_in(message: &str) -> Option<&str> {
    const MARK: &str = "for key '";
    let start = message.rfind(MARK)? + MARK.len();
    let name = message.get(start..)?.strip_suffix('\'')?;
    Some(name.rsplit_once('.').map_or(name, |(_, key)| key))
}

/// Says whether `error` is one of the server's absence, overload or departure, which waiting helps
/// against. A refused account is none: a start must say so instead of waiting.
pub(super) fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => numbers_match(error, &number::GOING_AWAY) || numbers_match(error, &number::BUSY),
    }
}

/// Says whether `error`, or what it came from, is a deadlock or a lock wait timeout.
pub(super) fn is_conflict(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|cause| match cause.downcast_ref::<DbError>() {
        Some(known) => matches!(known, DbError::Conflict(_)),
        None => numbers_match(cause, &number::CONFLICTS),
    })
}

/// Says whether the connection must not be used again after `error`: the wire is broken or out of
/// step, or the server behind it is no longer the one to talk to.
pub(super) fn spoils_connection(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|cause| {
        let wire = cause.downcast_ref::<sqlx::Error>().is_some_and(|error| {
            matches!(error, sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_))
        });
        // Rights on a schema are read when a session begins.
        wire || numbers_match(cause, &number::GOING_AWAY) || numbers_match(cause, &number::DENIED)
    })
}

fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

fn numbers_match(cause: &(dyn Error + 'static), numbers: &[u16]) -> bool {
    let found = match cause.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Database(inner)) => server_number(inner.as_error()),
        _ => server_number(cause),
    };
    found.is_some_and(|code| numbers.contains(&code))
}

fn server_number(cause: &(dyn Error + 'static)) -> Option<u16> {
    cause.downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
}

/// The answer did not come within the statement timeout.
#[derive(Debug, thiserror::Error)]
#[error("no answer within the statement timeout")]
struct StatementTimeout;

/// Builds the driver error of a statement that was given up.
pub(super) fn statement_timeout() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, StatementTimeout))
}

/// Builds the driver error of a statement whose caller no longer waits.
pub(super) fn deadline_exceeded() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, DeadlineExceeded))
}

fn is_deadline(error: &io::Error) -> bool {
    matches!(error.get_ref(), Some(inner) if inner.is::<DeadlineExceeded>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum OrderError {
        #[error("unavailable")]
        Unavailable { source: Box<dyn Error + Send + Sync> },
        #[error(transparent)]
        Database(DbError),
    }

    #[test]
    fn the_key_is_read_in_both_dialects() {
        let mysql = "Duplicate entry 'a@b.example' for key 'users.users_email'";
        let mariadb = "Duplicate entry 'a@b.example' for key 'users_email'";
        assert_eq!(key_in(mysql), Some("users_email"));
        assert_eq!(key_in(mariadb), Some("users_email"));
    }

    #[test]
    fn a_value_cannot_pose_as_the_key() {
        let message = "Duplicate entry 'x' for key 'users_name'' for key 'users_email'";
        assert_eq!(key_in(message), Some("users_email"));
        assert_eq!(key_in("Column 'x' cannot be null"), None);
    }

    #[test]
    fn a_lost_connection_is_unavailable_and_spoils_it() {
        let error = sqlx::Error::Io(io::ErrorKind::ConnectionReset.into());
        assert!(spoils_connection(&error));
        assert_eq!(DbError::from(error).kind(), Kind::Unavailable);
    }

    #[test]
    fn a_passed_deadline_keeps_its_meaning_through_the_driver_error() {
        assert_eq!(DbError::from(deadline_exceeded()).kind(), Kind::DeadlineExceeded);
        assert_eq!(DbError::from(statement_timeout()).kind(), Kind::Unavailable);
    }

    #[test]
    fn an_unclear_commit_is_unavailable() {
        let error = DbError::of_commit(sqlx::Error::Protocol("out of step".into()));
        assert_eq!(error.kind(), Kind::Unavailable);
        assert_eq!(DbError::of_commit(deadline_exceeded()).kind(), Kind::Unavailable);
    }

    #[test]
    fn a_defect_is_internal_and_keeps_the_connection() {
        let error = sqlx::Error::ColumnNotFound("total".into());
        assert!(!spoils_connection(&error));
        assert_eq!(DbError::from(error).kind(), Kind::Internal);
    }

    #[test]
    fn conflicts_are_found_below_the_errors_of_services() {
        let conflict = || DbError::Conflict(sqlx::Error::PoolTimedOut);
        let boxed = OrderError::Unavailable { source: Box::new(conflict()) };
        assert!(is_conflict(&boxed));
        assert!(is_conflict(&conflict()));
        assert!(!is_conflict(&DbError::DeadlineExceeded));
        let transparent = OrderError::Database(DbError::Unavailable(statement_timeout()));
        assert!(!is_conflict(&transparent));
        assert!(spoils_connection(&transparent));
    }
}
