//! The audit log: who changed what that concerns money or identity, in the transaction of the change.
//!
//! Table `audit_log` of each schema; rows are inserted and never changed. Every object (a user, an
//! order, a product) has a chain of its own: a row carries the seal of the row before it, and its
//! own seal covers that one. So writers of different objects do not wait for each other, and those
//! of one object wait for that object's own row anyway. The seal is an HMAC under a key that the
//! database does not know (docs/adr/0010 says why): whoever may write the schema can destroy rows
//! and cannot forge them.
//!
//! ```
//! # use chassis::{audit::{AuditLog, Entry}, db::{self, DbError, Pool}};
//! # use uuid::Uuid;
//! async fn rename(pool: &Pool, log: &AuditLog, id: Uuid, name: &str) -> Result<(), DbError> {
//!     let entry = &Entry::new("user.renamed", "user", id)
//!         .about(id)
//!         .after(&[("name", name.into())]);
//!     db::transaction(pool, |tx| {
//!         Box::pin(async move {
//!             sqlx::query("UPDATE users SET name = ? WHERE id = ?")
//!                 .bind(name)
//!                 .bind(id)
//!                 .execute(&mut **tx)
//!                 .await?;
//!             log.append(tx, entry).await
//!         })
//!     })
//!     .await
//! }
//! ```
//!
//! What a row says must be neither a secret nor more of a person than the purpose needs: no
//! password, no token, no hash of either, no e-mail address.

mod entry;
mod seal;
mod store;

pub use entry::{Actor, Entry};
pub use seal::SealKey;
pub use serde_json::Value;
pub use store::AuditLog;
