//! The ports on MySQL or MariaDB.
//!
//! Locks are taken in one order everywhere: the claim, the order, its attempt and refund, then
//! products by SKU. The audit log is appended to behind the first three; its rows are waited for by
//! nobody. Guards are in the `WHERE` of the update, never in a read before it.

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

use chassis::audit::AuditLog;
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
    audit: AuditLog,
}

impl MySqlRepository {
    /// Stores in the schema of `pool`, leaves events in `outbox` and tells changes to `audit`.
    pub fn new(pool: Pool, outbox: Outbox, audit: AuditLog) -> Self {
        Self { pool, outbox, audit }
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
    use std::time::Duration;

    use chassis::config::DatabaseConfig;
    use chassis::db;
    use chassis::testing::mysql::TestDatabase;
    use chrono::DateTime;

    use super::*;
    use crate::model::{Sku, fixtures};
    use crate::repository::memory::MemoryRepository;
    use crate::repository::{OrderRepository as _, Placed, ProductRepository as _, contract};

    /// How long a test waits for what must happen.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// A statement in this schema that has come to the outbox, and is not done; needs the account of
    /// an administrator.
    const WAITING: &str = "SELECT COUNT(*) FROM information_schema.processlist \
         WHERE db = DATABASE() AND info LIKE 'INSERT INTO outbox%'";

    #[tokio::test]
    #[ignore = "needs MySQL: cargo ehub test"]
    async fn the_ports_hold_on_mysql() {
        let database = TestDatabase::create(&MIGRATOR).await;
        let (pool, audit) = (database.pool(), chassis::testing::audit::log("order-service"));
        contract::holds(&MySqlRepository::new(pool.clone(), Outbox::new(), audit)).await;
        let told = chassis::testing::audit::counts(&pool).await;
        let memory = MemoryRepository::default();
        contract::holds(&memory).await;
        assert_eq!(told, memory.audit(), "every change has its row, and nothing else has");
        database.finish().await;
    }

    async fn until_one_waits(pool: &Pool) {
        let looking = async {
            while sqlx::query_scalar::<_, i64>(WAITING).fetch_one(pool).await.unwrap() == 0 {}
        };
        tokio::time::timeout(PATIENCE, looking).await.expect("nobody waits");
    }

    #[tokio::test]
    #[ignore = "needs MySQL: cargo ehub test"]
    async fn an_order_that_is_held_up_before_its_reservation_holds_up_no_other() {
        let database = TestDatabase::create(&MIGRATOR).await;
        let repository = |statement_timeout_ms| {
            let config = DatabaseConfig { statement_timeout_ms, ..database.config() };
            let audit = chassis::testing::audit::log("order-service");
            MySqlRepository::new(db::connect(&config).unwrap(), Outbox::new(), audit)
        };
        // The one that is held up keeps what it has for longer than the other one can wait for it.
        let (held_up, beside) = (repository(120_000), repository(2_000));
        let tea = fixtures::draft("TEA", 1_990, 10);
        beside.put_product(&tea, DateTime::UNIX_EPOCH).await.unwrap();
        let [first, second] = [(); 2].map(|()| fixtures::placement(&[("TEA", 1)]));

        // The event is written last before the reservation; its place is taken by somebody who neither
        // commits nor leaves.
        let mut holder = database.pool().dedicated().await.unwrap();
        sqlx::raw_sql("BEGIN").execute(&mut holder).await.unwrap();
        let taken = "INSERT INTO outbox (event_id, routing_key, payload, created_at) \
             VALUES (?, '', '', UTC_TIMESTAMP(6))";
        let event = format!("order.created:{}:1", first.order_id);
        sqlx::query(taken).bind(event).execute(&mut holder).await.unwrap();
        let meanwhile = async {
            until_one_waits(&database.pool()).await;
            let placed = beside.place(&second).await;
            sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
            placed
        };
        let (first, second) = tokio::join!(held_up.place(&first), meanwhile);
        for placed in [second, first] {
            assert!(matches!(placed, Ok(Placed::Fresh(_))), "{placed:?}");
        }
        let sku = Sku::parse("TEA", "sku").unwrap();
        assert_eq!(beside.find_product(&sku).await.unwrap().unwrap().stock, 8);
        database.finish().await;
    }
}
