//! Idempotency claims.

use chassis::{db, mutant};
use chrono::{DateTime, Utc};
use sqlx::MySql;
use sqlx::mysql::{MySqlArguments, MySqlConnection};
use sqlx::query::Query;
use uuid::Uuid;

use super::rows::{ClaimRow, to_snapshot};
use super::write::Interrupt;
use crate::model::{Claim, KeyUse, Order, OrderError, OrderId, PaymentId, Placement, StoredClaim};
use crate::repository::Saved;

/// A claim about to be stored.
struct NewClaim<'a> {
    claim: &'a Claim,
    order_id: OrderId,
    payment_id: Option<PaymentId>,
    lease_until: DateTime<Utc>,
    answer: Option<&'a Order>,
    at: DateTime<Utc>,
}

/// Stores the claim of a placement.
pub(super) async fn open(
    connection: &mut MySqlConnection,
    placement: &Placement,
) -> Result<(), Interrupt> {
    let new = NewClaim {
        claim: &placement.claim,
        order_id: placement.order_id,
        payment_id: Some(placement.payment_id),
        lease_until: placement.lease_until,
        answer: None,
        at: placement.now,
    };
    insert(connection, new).await
}

/// Does to the claim of a call what its change says. A claim is stored before any effect, so that
/// the second of two calls waits here, with nothing in hand.
pub(super) async fn begin(
    connection: &mut MySqlConnection,
    key: KeyUse<'_>,
    order: &Order,
    at: DateTime<Utc>,
) -> Result<(), Interrupt> {
    let (claim, lease_until, answer) = match key {
        KeyUse::None | KeyUse::Complete(_) => return Ok(()),
        KeyUse::Open { claim, lease_until } => (claim, lease_until, None),
        KeyUse::Answer(claim) => (claim, at, Some(order)),
    };
    let (order_id, payment_id) = (order.id, order.payment_id);
    insert(connection, NewClaim { claim, order_id, payment_id, lease_until, answer, at }).await
}

/// Stores the answer of a call whose claim is open; tells when another one was stored before.
pub(super) async fn complete(
    connection: &mut MySqlConnection,
    key: KeyUse<'_>,
    order: &Order,
) -> Result<Saved, OrderError> {
    let KeyUse::Complete(claim) = key else { return Ok(Saved::Done) };
    let update = sqlx::query(
        "UPDATE idempotency_claims SET answer = ? \
         WHERE answer IS NULL AND user_id = ? AND operation = ? AND claim_key = ?",
    )
    .bind(to_snapshot(order)?);
    let done = bind_key(update, claim).execute(connection).await?;
    Ok(if done.rows_affected() == 1 { Saved::Done } else { Saved::KeyTaken })
}

/// Finds what is stored under the key of a claim.
pub(super) async fn find(
    pool: &db::Pool,
    claim: &Claim,
) -> Result<Option<StoredClaim>, OrderError> {
    let row: Option<ClaimRow> = sqlx::query_as(
        "SELECT fingerprint, order_id, payment_id, lease_until, answer FROM idempotency_claims \
         WHERE user_id = ? AND operation = ? AND claim_key = ?",
    )
    .bind(owner(claim))
    .bind(claim.operation.as_str())
    .bind(claim.key.as_str())
    .fetch_optional(pool)
    .await?;
    row.map(StoredClaim::try_from).transpose()
}

/// Takes over a claim whose lease is `expired`.
pub(super) async fn take_over(
    pool: &db::Pool,
    claim: &Claim,
    expired: DateTime<Utc>,
    lease_until: DateTime<Utc>,
) -> Result<bool, OrderError> {
    let update = sqlx::query(
        "UPDATE idempotency_claims SET lease_until = ? WHERE answer IS NULL AND lease_until = ? \
         AND user_id = ? AND operation = ? AND claim_key = ?",
    )
    .bind(lease_until.naive_utc())
    .bind(expired.naive_utc());
    let done = bind_key(update, claim).execute(pool).await?;
    Ok(done.rows_affected() == 1)
}

async fn insert(connection: &mut MySqlConnection, new: NewClaim<'_>) -> Result<(), Interrupt> {
    let insert = sqlx::query(
        "INSERT INTO idempotency_claims (fingerprint, order_id, payment_id, lease_until, answer, \
         created_at, user_id, operation, claim_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(new.claim.fingerprint.as_bytes().as_slice())
    .bind(new.order_id.as_uuid())
    .bind(new.payment_id.map(|id| id.as_uuid()))
    .bind(new.lease_until.naive_utc())
    .bind(new.answer.map(to_snapshot).transpose()?)
    .bind(new.at.naive_utc());
    match bind_key(insert, new.claim).execute(connection).await {
        Ok(_) => Ok(()),
        Err(error) if db::violated_key(&error).is_some() => Err(Interrupt::KeyTaken),
        Err(error) => Err(error.into()),
    }
}

/// Whose key it is.
fn owner(claim: &Claim) -> Uuid {
    if mutant!("idempotency_key_not_bound_to_user") { Uuid::nil() } else { claim.user_id.as_uuid() }
}

fn bind_key<'q>(
    query: Query<'q, MySql, MySqlArguments>,
    claim: &'q Claim,
) -> Query<'q, MySql, MySqlArguments> {
    query.bind(owner(claim)).bind(claim.operation.as_str()).bind(claim.key.as_str())
}
