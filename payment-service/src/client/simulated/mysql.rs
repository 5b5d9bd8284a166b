//! The simulated provider's charges in MySQL or MariaDB.

use async_trait::async_trait;
use chassis::db::{self, Pool};
use chrono::NaiveDateTime;
use sqlx::mysql::MySql;
use sqlx::{FromRow, QueryBuilder};
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

const SELECT: &str = "SELECT reference, amount, currency, captured, decline_reason, created_at, \
    due_at, refund_id FROM provider_charges ";

#[derive(FromRow)]
struct Row {
    reference: Uuid,
    amount: i64,
    currency: String,
    captured: Option<bool>,
    decline_reason: Option<String>,
    created_at: Option<NaiveDateTime>,
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
            created_at: self.created_at.unwrap_or(self.due_at).and_utc(),
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
             (reference, amount, currency, captured, decline_reason, created_at, due_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(row.reference.as_uuid())
        .bind(row.amount.amount())
        .bind(row.amount.currency().to_string())
        .bind(captured)
        .bind(reason)
        .bind(row.created_at.naive_utc())
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
        let mut query = QueryBuilder::<MySql>::new(SELECT);
        query.push("WHERE reference = ").push_bind(reference.as_uuid());
        let row: Option<Row> = query
            .build_query_as()
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

    #[instrument(name = "db.provider_charge.list", skip_all)]
    async fn list(
        &self,
        after: Option<PaymentId>,
        limit: u32,
    ) -> Result<Vec<ChargeRow>, ProviderError> {
        let mut query = QueryBuilder::<MySql>::new(SELECT);
        query.push("WHERE reference > ").push_bind(after.map_or_else(Uuid::nil, |id| id.as_uuid()));
        query.push(" ORDER BY reference LIMIT ").push_bind(limit);
        let rows: Vec<Row> =
            query.build_query_as().fetch_all(&self.pool).await.map_err(ProviderError::unknown)?;
        rows.into_iter().map(Row::into_charge).collect()
    }
}
