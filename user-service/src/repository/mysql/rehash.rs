//! Another hash of the same password: no version of the account, and a row in the audit log.

use chassis::db;

use super::MySqlUserRepository;
use crate::model::{PasswordHash, UserError, UserId};
use crate::repository::audit::rehashed;

impl MySqlUserRepository {
    pub(super) async fn exchange_hash(
        &self,
        id: UserId,
        outdated: &PasswordHash,
        renewed: &PasswordHash,
    ) -> Result<bool, UserError> {
        db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                let done = sqlx::query(
                    "UPDATE users SET password_hash = ? WHERE id = ? AND password_hash = ?",
                )
                .bind(renewed.as_str())
                .bind(id.as_uuid())
                .bind(outdated.as_str())
                .execute(&mut **tx)
                .await?;
                let is_done = done.rows_affected() == 1;
                if is_done {
                    self.audit.append(tx, &rehashed(id)).await?;
                }
                Ok::<_, UserError>(is_done)
            })
        })
        .await
    }
}
