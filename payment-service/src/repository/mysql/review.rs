//! What is kept of payments, read from MySQL or MariaDB.

use async_trait::async_trait;
use chrono::{DateTime, NaiveDateTime, Utc};
use sqlx::mysql::MySql;
use sqlx::{FromRow, QueryBuilder};
use tracing::instrument;
use uuid::Uuid;

use super::row::PaymentRow;
use super::{COLUMNS, MySqlPaymentRepository, TABLES};
use crate::model::{Booked, Callback, CallbackReceipt, PaymentError, PaymentId};
use crate::repository::review::{CallbackFilter, ReviewRepository, Stretch};

/// What the provider holds of a payment by the ledger, as a further column.
const HELD: &str = ", (SELECT CAST(COALESCE(SUM(e.amount), 0) AS SIGNED) FROM ledger_entries e \
    WHERE e.payment_id = p.id AND e.account = 'provider_clearing') AS held ";

/// Payments whose money counts as taken; a failed one owes a refund only of a surplus capture.
const TAKEN: &str = "(p.status IN ('SUCCEEDED', 'REFUNDING', 'REFUNDED') OR r.id IS NOT NULL)";

#[derive(FromRow)]
struct BookedRow {
    #[sqlx(flatten)]
    payment: PaymentRow,
    held: i64,
}

impl BookedRow {
    fn into_booked(self) -> Result<Booked, PaymentError> {
        Ok(Booked { payment: self.payment.into_payment()?, held: self.held })
    }
}

#[derive(FromRow)]
struct ReceiptRow {
    callback_id: String,
    payment_id: Uuid,
    ruling: String,
    body: Vec<u8>,
    deliveries: u32,
    received_at: NaiveDateTime,
    last_received_at: NaiveDateTime,
}

impl From<ReceiptRow> for CallbackReceipt {
    fn from(row: ReceiptRow) -> Self {
        Self {
            id: row.callback_id,
            payment_id: PaymentId::from_uuid(row.payment_id),
            kind: Callback::kind_of(&row.body),
            ruling: row.ruling,
            deliveries: row.deliveries,
            received_at: row.received_at.and_utc(),
            last_received_at: row.last_received_at.and_utc(),
        }
    }
}

#[async_trait]
impl ReviewRepository for MySqlPaymentRepository {
    #[instrument(name = "db.callback.list", skip_all)]
    async fn list_callbacks(
        &self,
        filter: CallbackFilter,
        limit: u32,
    ) -> Result<Vec<CallbackReceipt>, PaymentError> {
        let mut query = QueryBuilder::<MySql>::new(
            "SELECT c.callback_id, c.payment_id, c.ruling, c.body, c.deliveries, c.received_at, \
             c.last_received_at FROM callbacks c JOIN payments p ON p.id = c.payment_id \
             WHERE p.order_id = ",
        );
        query.push_bind(filter.order_id.as_uuid());
        if let Some(user) = filter.user_id {
            query.push(" AND p.user_id = ").push_bind(user.as_uuid());
        }
        query.push(" ORDER BY c.received_at DESC, c.callback_id DESC, c.ruling DESC LIMIT ");
        query.push_bind(limit);
        let rows: Vec<ReceiptRow> = query.build_query_as().fetch_all(&self.pool).await?;
        Ok(rows.into_iter().rev().map(CallbackReceipt::from).collect())
    }

    #[instrument(name = "db.payment.find_booked", skip_all)]
    async fn find_booked(&self, ids: &[PaymentId]) -> Result<Vec<Booked>, PaymentError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = booked("p.id IN (");
        let mut list = query.separated(", ");
        for id in ids {
            list.push_bind(id.as_uuid());
        }
        query.push(")");
        self.fetch_booked(query).await
    }

    #[instrument(name = "db.payment.list_referenced", skip_all)]
    async fn list_referenced(
        &self,
        stretch: &Stretch,
        limit: u32,
    ) -> Result<Vec<Booked>, PaymentError> {
        let mut query = booked("p.provider_reference > ");
        query.push_bind(stretch.after.clone().unwrap_or_default());
        if let Some(upto) = &stretch.upto {
            query.push(" AND p.provider_reference <= ").push_bind(upto.clone());
        }
        query.push(" AND ").push(TAKEN);
        query.push(" ORDER BY p.provider_reference LIMIT ").push_bind(limit);
        self.fetch_booked(query).await
    }

    #[instrument(name = "db.payment.list_unreferenced", skip_all)]
    async fn list_unreferenced(
        &self,
        after: Option<PaymentId>,
        since: Option<DateTime<Utc>>,
        limit: u32,
    ) -> Result<Vec<Booked>, PaymentError> {
        let mut query = booked("p.provider_reference IS NULL AND p.id > ");
        query.push_bind(after.map_or_else(Uuid::nil, |id| id.as_uuid()));
        if let Some(since) = since {
            query.push(" AND p.created_at >= ").push_bind(since.naive_utc());
        }
        query.push(" AND ").push(TAKEN).push(" ORDER BY p.id LIMIT ").push_bind(limit);
        self.fetch_booked(query).await
    }
}

fn booked(condition: &'static str) -> QueryBuilder<MySql> {
    let mut query = QueryBuilder::new(COLUMNS);
    query.push(HELD).push(TABLES).push("WHERE ").push(condition);
    query
}

impl MySqlPaymentRepository {
    async fn fetch_booked(
        &self,
        mut query: QueryBuilder<MySql>,
    ) -> Result<Vec<Booked>, PaymentError> {
        let rows: Vec<BookedRow> = query.build_query_as().fetch_all(&self.pool).await?;
        rows.into_iter().map(BookedRow::into_booked).collect()
    }
}
