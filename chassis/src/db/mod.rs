//! Database access: the pool, transactions, migrations and the reading of MySQL's errors.
//!
//! Invariants: sessions run at READ COMMITTED and in UTC; no statement, and no attempt of a
//! transaction, occupies its caller longer than the statement timeout or the call's deadline,
//! even if the server has stopped answering without closing the connection.
//!
//! A single statement runs on the [`Pool`] directly, in autocommit:
//!
//! ```
//! # async fn find(pool: &chassis::db::Pool, id: uuid::Uuid) -> Result<Option<i64>, sqlx::Error> {
//! sqlx::query_scalar("SELECT total_minor FROM orders WHERE id = ?")
//!     .bind(id)
//!     .fetch_optional(pool)
//!     .await
//! # }
//! ```
//!
//! What belongs together runs in a [`transaction`]. Its closure may run again after a deadlock,
//! so it captures references and `Copy` values only, and has no effect but on the database:
//!
//! ```
//! # use chassis::{db::{self, DbError, Pool}, messaging::Envelope, outbox::Outbox};
//! async fn rename(
//!     pool: &Pool,
//!     outbox: &Outbox,
//!     id: uuid::Uuid,
//!     name: &str,
//!     events: &[Envelope],
//! ) -> Result<(), DbError> {
//!     db::transaction(pool, |tx| {
//!         Box::pin(async move {
//!             sqlx::query("UPDATE users SET name = ? WHERE id = ?")
//!                 .bind(name)
//!                 .bind(id)
//!                 .execute(&mut **tx)
//!                 .await?;
//!             outbox.append(tx, events).await
//!         })
//!     })
//!     .await?;
//!     outbox.wake();
//!     Ok(())
//! }
//! ```

mod arity;
mod election;
mod error;
mod lease;
mod migrate;
mod pool;
mod transaction;
mod usage;

pub use arity::{chunks, push_list};
pub use election::Election;
pub use error::{DbError, violated_key};
pub use migrate::{MigrationError, connect_and_migrate};
pub use pool::{Pool, connect};
pub use transaction::{Tx, session, transaction};
