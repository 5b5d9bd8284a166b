//! The simulated provider's charges in MySQL or MariaDB.

use async_trait::async_trait;
use chassis::db::{self, Pool};
use chrono::NaiveDateTime;
use sqlx::FromRow;
use tracing::instrument;
use uuid::Uuid;

use super::{ChargeBook, ChargeRow, Verdict};
use crate::client::ProviderError;
use crate::model::{Money, PaymentId, Reason, RefundId};

/// A [`ChargeBook`] in a table of its own.
///
/// Trouble with the database is an answer that does not come, as it would be with a provider that
/// has a database of its own.
#[derive(Clone)]
pub struct MySqlChargeBook {
    pool: Pool,
}

impl MySqlChargeBook {
    /// Creates a book in the schema behind `pool`.
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }
}

#[derive(FromRow)]
struct Row {
    reference: Uuid,
    amount: i64,
    currency: String,
    captured: Option<bool>,
    decline_reason: Option<String>,
    due_at: NaiveDateTime,
    refund_id: Option<Uuid>,
}

impl Row {
    fn into_charge(self) -> Result<ChargeRow, ProviderError> {
        let verdict = self.captured.map(|captured| {
            let reason = self.decline_reason.as_deref().unwrap_or_default();
            if captured {
                Verdict::Captured
            } else {
                Verdict::Declined(Reason::from_provider(reason))
            }
        });
        Ok(ChargeRow {
            reference: PaymentId::from_uuid(self.reference),
            amount: Money::parse("amount", self.amount, &self.currency)
                .map_err(ProviderError::unknown)?,
            verdict,
            due_at: self.due_at.and_utc(),
            refund_id: self.refund_id.map(RefundId::from_uuid),
        })
    }
}

#[async_trait]
impl ChargeBook for MySqlChargeBook {
    #[instrument(name = "db.provider_charge.open", skip_all)]
    async fn open(&self, row: &ChargeRow) -> Result<Option<ChargeRow>, ProviderError> {
        let (captured, reason) = match &row.verdict {
            Some(Verdict::Captured) => (Some(true), None),
            Some(Verdict::Declined(reason)) => (Some(false), Some(reason.as_str())),
            None => (None, None),
        };
        let done = sqlx::query(
            "INSERT INTO provider_charges \
             (reference, amount, currency, captured, decline_reason, due_at) \
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(row.reference.as_uuid())
        .bind(row.amount.amount())
        .bind(row.amount.currency().to_string())
        .bind(captured)
        .bind(reason)
        .bind(row.due_at.naive_utc())
        .execute(&self.pool)
        .await;
        match done {
            Ok(_) => Ok(None),
            Err(error) if db::violated_key(&error).is_some() => self.find(row.reference).await,
            Err(error) => Err(ProviderError::unknown(error)),
        }
    }

    #[instrument(name = "db.provider_charge.find", skip_all)]
    async fn find(&self, reference: PaymentId) -> Result<Option<ChargeRow>, ProviderError> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT reference, amount, currency, captured, decline_reason, due_at, refund_id \
             FROM provider_charges WHERE reference = ?",
        )
        .bind(reference.as_uuid())
        .fetch_optional(&self.pool)
        .await
        .map_err(ProviderError::unknown)?;
        row.map(Row::into_charge).transpose()
    }

    #[instrument(name = "db.provider_charge.refund", skip_all)]
    async fn refund(&self, reference: PaymentId, id: RefundId) -> Result<bool, ProviderError> {
        // The driver counts the rows that match, also those that had this refund id already.
        let done = sqlx::query(
            "UPDATE provider_charges SET refund_id = ? \
             WHERE reference = ? AND captured AND (refund_id IS NULL OR refund_id = ?)",
        )
        .bind(id.as_uuid())
        .bind(reference.as_uuid())
        .bind(id.as_uuid())
        .execute(&self.pool)
        .await
        .map_err(ProviderError::unknown)?;
        Ok(done.rows_affected() == 1)
    }
}
