//! The ports on MySQL or MariaDB.
//!
//! Locks are taken in one order everywhere: the claim, the order, its attempt and refund, then
//! products by SKU. Guards are in the `WHERE` of the update, never in a read before it.

mod claim;
mod history;
mod order;
mod past;
mod planted;
mod product;
mod read;
mod rows;
mod stock;
mod work;
mod write;

use chassis::db::{DbError, Pool};
use chassis::error::{Kind, ServiceError as _};
use chassis::outbox::Outbox;

use crate::model::OrderError;

/// The schema of the service.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// The consumer under which events are recorded in the inbox.
const CONSUMER: &str = "order-service";

/// Everything that the service stores.
#[derive(Clone, Debug)]
pub struct MySqlRepository {
    pool: Pool,
    outbox: Outbox,
}

impl MySqlRepository {
    /// Stores in the schema of `pool` and leaves events in `outbox`.
    pub fn new(pool: Pool, outbox: Outbox) -> Self {
        Self { pool, outbox }
    }
}

impl From<DbError> for OrderError {
    fn from(error: DbError) -> Self {
        match error.code().kind {
            Kind::DeadlineExceeded => Self::DeadlineExceeded,
            Kind::Unavailable | Kind::Aborted => Self::Unavailable { source: Box::new(error) },
            _ => Self::Internal { source: Box::new(error) },
        }
    }
}

impl From<sqlx::Error> for OrderError {
    fn from(error: sqlx::Error) -> Self {
        DbError::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use chassis::testing::mysql::TestDatabase;

    use super::*;
    use crate::repository::contract;

    #[tokio::test]
    #[ignore = "needs MySQL: cargo ehub test"]
    async fn the_ports_hold_on_mysql() {
        let database = TestDatabase::create(&MIGRATOR).await;
        let repository = MySqlRepository::new(database.pool(), Outbox::new());
        contract::holds(&repository).await;
        database.finish().await;
    }
}
