//! The adapters of [`PaymentRepository`], each with a view of what it keeps beside the payments.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::model::{
    Booked, CallbackReceipt, CallbackRecord, Entry, OrderId, Payment, PaymentError, PaymentId,
    PaymentStatus, Ruling, SurplusChange,
};
use crate::repository::memory::MemoryPaymentRepository;
use crate::repository::mysql::MySqlPaymentRepository;
use crate::repository::review::{CallbackFilter, ReviewRepository, Stretch};
use crate::repository::{Pauses, PaymentRepository, Save, Saved};

/// A line of the history: version, from, to, cause.
pub(super) type Line = (u64, Option<String>, String, String);

/// An adapter with a view of what it keeps beside the payments.
#[async_trait]
pub(super) trait Books: PaymentRepository {
    async fn history(&self, id: PaymentId) -> Vec<Line>;
    /// Posting, account and amount of every entry, in this order.
    async fn entries(&self, id: PaymentId) -> Vec<(String, String, i64)>;
    /// Names and versions of the events.
    async fn events(&self, id: PaymentId) -> Vec<(String, u64)>;
    /// What the audit log says was done.
    async fn audit(&self, id: PaymentId) -> Vec<String>;
    async fn deliveries(&self, id: &str, ruling: Ruling) -> u64;
}

#[async_trait]
impl Books for MemoryPaymentRepository {
    async fn history(&self, id: PaymentId) -> Vec<Line> {
        let text = |status: PaymentStatus| status.as_str().to_owned();
        let lines = Self::history(self, id).into_iter();
        lines
            .map(|(version, from, to, cause)| {
                (version, from.map(text), text(to), cause.as_str().to_owned())
            })
            .collect()
    }

    async fn entries(&self, id: PaymentId) -> Vec<(String, String, i64)> {
        let mut entries: Vec<_> = self
            .postings(id)
            .iter()
            .flat_map(|posting| {
                let line = |entry: &Entry| {
                    (posting.id().to_owned(), entry.account.as_str().to_owned(), entry.amount)
                };
                posting.entries().iter().map(line).collect::<Vec<_>>()
            })
            .collect();
        entries.sort_unstable();
        entries
    }

    async fn events(&self, id: PaymentId) -> Vec<(String, u64)> {
        let events = Self::events(self, id).into_iter();
        events.map(|event| (event.kind().as_str().to_owned(), event.version())).collect()
    }

    async fn audit(&self, id: PaymentId) -> Vec<String> {
        Self::audit(self, id).into_iter().map(str::to_owned).collect()
    }

    async fn deliveries(&self, id: &str, ruling: Ruling) -> u64 {
        Self::deliveries(self, id, ruling)
    }
}

/// The MySQL adapter, and the schema it works on.
pub(super) struct MySqlBooks {
    pub(super) repository: MySqlPaymentRepository,
    pub(super) pool: chassis::db::Pool,
}

#[async_trait]
impl PaymentRepository for MySqlBooks {
    async fn insert(
        &self,
        payment: &Payment,
        check_at: Option<DateTime<Utc>>,
    ) -> Result<Option<Payment>, PaymentError> {
        self.repository.insert(payment, check_at).await
    }

    async fn find(&self, id: PaymentId) -> Result<Option<Payment>, PaymentError> {
        self.repository.find(id).await
    }

    async fn list_attempts(&self, order: OrderId) -> Result<Vec<Payment>, PaymentError> {
        self.repository.list_attempts(order).await
    }

    async fn save(&self, save: Save<'_>) -> Result<Saved, PaymentError> {
        self.repository.save(save).await
    }

    async fn save_surplus(
        &self,
        change: &SurplusChange,
        check_at: Option<DateTime<Utc>>,
    ) -> Result<Saved, PaymentError> {
        self.repository.save_surplus(change, check_at).await
    }

    async fn record_callback(&self, record: &CallbackRecord) -> Result<(), PaymentError> {
        self.repository.record_callback(record).await
    }

    async fn claim_due(
        &self,
        now: DateTime<Utc>,
        pauses: Pauses,
        limit: u32,
    ) -> Result<Vec<Payment>, PaymentError> {
        self.repository.claim_due(now, pauses, limit).await
    }

    async fn count_open(&self, limit: u32) -> Result<Vec<(PaymentStatus, u32)>, PaymentError> {
        self.repository.count_open(limit).await
    }

    async fn forget_callbacks(
        &self,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, PaymentError> {
        self.repository.forget_callbacks(before, limit).await
    }
}

#[async_trait]
impl ReviewRepository for MySqlBooks {
    async fn list_callbacks(
        &self,
        filter: CallbackFilter,
        limit: u32,
    ) -> Result<Vec<CallbackReceipt>, PaymentError> {
        self.repository.list_callbacks(filter, limit).await
    }

    async fn find_booked(&self, ids: &[PaymentId]) -> Result<Vec<Booked>, PaymentError> {
        self.repository.find_booked(ids).await
    }

    async fn list_referenced(
        &self,
        stretch: &Stretch,
        limit: u32,
    ) -> Result<Vec<Booked>, PaymentError> {
        self.repository.list_referenced(stretch, limit).await
    }

    async fn list_unreferenced(
        &self,
        after: Option<PaymentId>,
        since: Option<DateTime<Utc>>,
        limit: u32,
    ) -> Result<Vec<Booked>, PaymentError> {
        self.repository.list_unreferenced(after, since, limit).await
    }
}

#[async_trait]
impl Books for MySqlBooks {
    async fn history(&self, id: PaymentId) -> Vec<Line> {
        sqlx::query_as(
            "SELECT version, from_status, to_status, cause FROM payment_history \
             WHERE payment_id = ? ORDER BY version",
        )
        .bind(id.as_uuid())
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    async fn entries(&self, id: PaymentId) -> Vec<(String, String, i64)> {
        sqlx::query_as(
            "SELECT posting_id, account, amount FROM ledger_entries \
             WHERE payment_id = ? ORDER BY posting_id, account",
        )
        .bind(id.as_uuid())
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    async fn events(&self, id: PaymentId) -> Vec<(String, u64)> {
        let payloads: Vec<String> = sqlx::query_scalar("SELECT payload FROM outbox ORDER BY id")
            .fetch_all(&self.pool)
            .await
            .unwrap();
        let read = |text: String| chassis::messaging::Envelope::from_json(text.as_bytes()).unwrap();
        let events = payloads.into_iter().map(read).filter(|event| event.subject == id.as_uuid());
        events.map(|event| (event.event().to_owned(), event.version().unwrap())).collect()
    }

    async fn audit(&self, id: PaymentId) -> Vec<String> {
        chassis::testing::audit::actions(&self.pool, &format!("payment:{id}")).await
    }

    async fn deliveries(&self, id: &str, ruling: Ruling) -> u64 {
        let count: Option<u32> = sqlx::query_scalar(
            "SELECT deliveries FROM callbacks WHERE callback_id = ? AND ruling = ?",
        )
        .bind(id)
        .bind(ruling.as_str())
        .fetch_optional(&self.pool)
        .await
        .unwrap();
        count.unwrap_or_default().into()
    }
}
