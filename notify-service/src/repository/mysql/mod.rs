//! The adapter over MySQL and MariaDB.

mod dead_letters;
mod dead_mails;
mod mails;
mod muted_notices;
mod notifications;
mod receipts;

use chassis::audit::AuditLog;
use chassis::db::{DbError, Pool};
use chassis::error::{Kind, ServiceError};
use sqlx::migrate::Migrator;

use crate::model::NotifyError;

/// The schema's history.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// All repositories over one pool.
#[derive(Debug, Clone)]
pub struct MySqlRepository {
    pool: Pool,
    audit: AuditLog,
}

impl MySqlRepository {
    /// Works on a migrated schema, and tells decisions to `audit`.
    pub fn new(pool: Pool, audit: AuditLog) -> Self {
        Self { pool, audit }
    }
}

impl From<DbError> for NotifyError {
    fn from(error: DbError) -> Self {
        match error.code().kind {
            Kind::DeadlineExceeded => Self::DeadlineExceeded,
            Kind::Internal => Self::Internal { source: Box::new(error) },
            _ => Self::Unavailable { source: Box::new(error) },
        }
    }
}

impl From<sqlx::Error> for NotifyError {
    fn from(error: sqlx::Error) -> Self {
        DbError::from(error).into()
    }
}

/// A stored value that this version of the code does not know.
fn unknown(column: &'static str, value: &str) -> NotifyError {
    NotifyError::Internal {
        source: format!("column {column} holds the unknown value {value:?}").into(),
    }
}
