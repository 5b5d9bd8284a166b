//! Rows of what happened to orders: attempts, refunds and transitions, as the use cases decide on
//! them and as the timeline shows them.

use chrono::NaiveDateTime;
use sqlx::FromRow;
use uuid::Uuid;

use super::rows::corrupt;
use crate::model::{
    Actor, Attempt, Mark, OrderError, OrderId, Outcome, PaymentId, PaymentMethod, Refund, RefundId,
    RefundReason, TimelineEntry, TimelineKind,
};

#[derive(FromRow)]
pub(super) struct AttemptRow {
    id: Uuid,
    pub(super) order_id: Uuid,
    method: String,
    actor: String,
    outcome: Option<String>,
    failure_reason: Option<String>,
    checks: u32,
    check_at: Option<NaiveDateTime>,
    trace_id: String,
    created_at: NaiveDateTime,
    settled_at: Option<NaiveDateTime>,
    settled_by: Option<String>,
    settle_trace_id: Option<String>,
}

impl AttemptRow {
    /// The entries of the attempt in the timeline: its start and, once there is one, its end.
    pub(super) fn into_entries(mut self) -> Result<Vec<TimelineEntry>, OrderError> {
        let trace_id = std::mem::take(&mut self.trace_id);
        let (by, trace) = (self.settled_by.take(), self.settle_trace_id.take());
        let settled = mark(self.settled_at, by, trace)?;
        let attempt = Attempt::try_from(self)?;
        let end = attempt.outcome.as_ref().zip(settled);
        let end = end.map(|(out, mark)| TimelineEntry::attempt_settled(attempt.id, out, mark));
        let start = TimelineEntry::attempt_started(&attempt, trace_id);
        Ok([Some(start), end].into_iter().flatten().collect())
    }
}

/// What is known of a moment; rows that were written before its actor was kept name the service.
fn mark(
    at: Option<NaiveDateTime>,
    actor: Option<String>,
    trace_id: Option<String>,
) -> Result<Option<Mark>, OrderError> {
    let Some(at) = at else { return Ok(None) };
    let actor = match actor {
        None => Actor::system("order-service"),
        Some(text) => Actor::parse(&text).ok_or_else(|| corrupt("actor"))?,
    };
    Ok(Some(Mark { at: at.and_utc(), actor, trace_id: trace_id.unwrap_or_default() }))
}

impl TryFrom<AttemptRow> for Attempt {
    type Error = OrderError;

    fn try_from(row: AttemptRow) -> Result<Self, OrderError> {
        let reason = row.failure_reason.unwrap_or_default();
        let outcome = match row.outcome.as_deref() {
            None => None,
            Some("SUCCEEDED") => Some(Outcome::Captured),
            Some("FAILED") => Some(Outcome::Declined { reason }),
            Some(_) => return Err(corrupt("outcome")),
        };
        Ok(Self {
            id: PaymentId::from_uuid(row.id),
            order_id: OrderId::from_uuid(row.order_id),
            method: PaymentMethod::parse(&row.method).map_err(|_| corrupt("method"))?,
            actor: Actor::parse(&row.actor).ok_or_else(|| corrupt("actor"))?,
            outcome,
            checks: row.checks,
            check_at: row.check_at.unwrap_or(row.created_at).and_utc(),
            created_at: row.created_at.and_utc(),
        })
    }
}

#[derive(FromRow)]
pub(super) struct RefundRow {
    id: Uuid,
    order_id: Uuid,
    pub(super) payment_id: Uuid,
    reason: String,
    checks: u32,
    trace_id: String,
    created_at: NaiveDateTime,
    asked_by: Option<String>,
    done_at: Option<NaiveDateTime>,
    done_by: Option<String>,
    done_trace_id: Option<String>,
}

impl RefundRow {
    /// The entries of the refund in the timeline: the request and, once it is made, its end.
    pub(super) fn into_entries(mut self) -> Result<Vec<TimelineEntry>, OrderError> {
        let (by, trace) = (self.asked_by.take(), std::mem::take(&mut self.trace_id));
        let asked = mark(Some(self.created_at), by, Some(trace))?;
        let (by, trace) = (self.done_by.take(), self.done_trace_id.take());
        let done = mark(self.done_at, by, trace)?;
        let refund = Refund::try_from(self)?;
        let asked = asked.map(|mark| TimelineEntry::refund_asked(&refund, mark));
        let done = done.map(|mark| TimelineEntry::refund_done(&refund, mark));
        Ok([asked, done].into_iter().flatten().collect())
    }
}

impl TryFrom<RefundRow> for Refund {
    type Error = OrderError;

    fn try_from(row: RefundRow) -> Result<Self, OrderError> {
        Ok(Self {
            id: RefundId::from_uuid(row.id),
            order_id: OrderId::from_uuid(row.order_id),
            payment_id: PaymentId::from_uuid(row.payment_id),
            reason: RefundReason::from_name(&row.reason).ok_or_else(|| corrupt("reason"))?,
            done: row.done_at.is_some(),
            checks: row.checks,
        })
    }
}

#[derive(FromRow)]
pub(super) struct HistoryRow {
    from_status: Option<String>,
    to_status: String,
    cause: String,
    actor: String,
    payment_id: Option<Uuid>,
    trace_id: String,
    occurred_at: NaiveDateTime,
}

impl From<HistoryRow> for TimelineEntry {
    fn from(row: HistoryRow) -> Self {
        Self {
            time: row.occurred_at.and_utc(),
            kind: TimelineKind::Transition,
            actor: row.actor,
            from: row.from_status,
            to: row.to_status,
            cause: row.cause,
            payment_id: row.payment_id.map(PaymentId::from_uuid),
            trace_id: row.trace_id,
        }
    }
}
