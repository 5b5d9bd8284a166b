//! Transactions: bounded, repeated after deadlocks, never begun or committed past the deadline.

use std::error::Error;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use futures::future::BoxFuture;
use rand::Rng as _;
use sqlx::mysql::MySqlConnection;

use super::error::{DbError, is_conflict, spoils_connection};
use super::lease::Lease;
use super::pool::{Limit, Pool};
use crate::grpc::context;

/// How often a transaction that lost against another one is repeated.
const RETRIES: u32 = 3;

/// The first pause before a repetition; doubled each time, drawn between half and the whole.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// The connection inside a [`transaction`] or [`session`].
///
/// `&mut **tx` is the executor, and a `&mut Tx` coerces to `&mut MySqlConnection`. The lifetime
/// `'e` is that of what the closure borrows: because `&'c mut Tx<'e>` can only exist while `'e`
/// outlives `'c`, the boxed future may hold those borrows without further bounds.
#[derive(Debug)]
pub struct Tx<'e> {
    lease: Lease,
    /// COMMIT was sent: from here on, no answer means an unknown outcome.
    committing: bool,
    borrowed: PhantomData<&'e ()>,
}

impl Deref for Tx<'_> {
    type Target = MySqlConnection;

    fn deref(&self) -> &Self::Target {
        &self.lease
    }
}

impl DerefMut for Tx<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.lease
    }
}

/// Runs `work` in a transaction at READ COMMITTED and commits when it succeeds.
///
/// - An error from `work` rolls back and is returned as it is.
/// - A deadlock or lock wait timeout, found anywhere in the error's sources, repeats `work` up to
///   three times; so `work` must have no effect outside the transaction.
/// - The call's deadline is checked before BEGIN, once the connection is there, and before COMMIT.
/// - One attempt, from BEGIN to COMMIT's answer, takes at most the statement timeout.
/// - When the answer to COMMIT is lost, or does not come before the deadline, the outcome is
///   unknown, and that is reported as [`DbError::Unavailable`]: the caller finds out by asking
///   again with the same identity.
pub async fn transaction<'e, T, E, F>(pool: &Pool, mut work: F) -> Result<T, E>
where
    F: for<'c> FnMut(&'c mut Tx<'e>) -> BoxFuture<'c, Result<T, E>>,
    E: Error + From<DbError> + 'static,
{
    let mut retries = 0;
    loop {
        match attempt(pool, &mut work).await {
            Err(error) if retries < RETRIES && is_conflict(&error) => {
                metrics::counter!("eh_db_transaction_retries_total").increment(1);
                tokio::time::sleep(retry_pause(retries)).await;
                retries += 1;
            }
            outcome => return outcome,
        }
    }
}

/// Runs `work` on one connection without a transaction: several reads, one way to the pool.
///
/// The whole of it takes at most the statement timeout.
pub async fn session<'e, T, E, F>(pool: &Pool, work: F) -> Result<T, E>
where
    F: for<'c> FnOnce(&'c mut Tx<'e>) -> BoxFuture<'c, Result<T, E>>,
    E: Error + From<DbError> + 'static,
{
    let (mut tx, limit) = open(pool).await?;
    let outcome = limit.bound(work(&mut tx)).await;
    tx.lease.settle(outcome.map_err(DbError::from)?)
}

async fn attempt<'e, T, E, F>(pool: &Pool, work: &mut F) -> Result<T, E>
where
    F: for<'c> FnMut(&'c mut Tx<'e>) -> BoxFuture<'c, Result<T, E>>,
    E: Error + From<DbError> + 'static,
{
    let (mut tx, limit) = open(pool).await?;
    let outcome = limit.bound(in_transaction(&mut tx, work)).await;
    let classify = if tx.committing { DbError::of_commit } else { DbError::from };
    tx.lease.settle(outcome.map_err(classify)?)
}

async fn open<'e>(pool: &Pool) -> Result<(Tx<'e>, Limit), DbError> {
    let (lease, limit) = pool.lease().await?;
    Ok((Tx { lease, committing: false, borrowed: PhantomData }, limit))
}

async fn in_transaction<'e, T, E, F>(tx: &mut Tx<'e>, work: &mut F) -> Result<T, E>
where
    F: for<'c> FnMut(&'c mut Tx<'e>) -> BoxFuture<'c, Result<T, E>>,
    E: Error + From<DbError> + 'static,
{
    execute(tx, "BEGIN").await.map_err(DbError::from)?;
    let done = match work(tx).await {
        Ok(done) => done,
        Err(error) => return Err(roll_back(tx, error).await),
    };
    if let Err(late) = context::check_deadline() {
        return Err(roll_back(tx, DbError::from(late).into()).await);
    }
    tx.committing = true;
    execute(tx, "COMMIT").await.map_err(DbError::of_commit)?;
    Ok(done)
}

/// Rolls back after `error`, which stays the answer: it says why, whatever becomes of the
/// connection. A broken connection needs no rollback, the server does it.
async fn roll_back<E: Error + From<DbError> + 'static>(tx: &mut Tx<'_>, error: E) -> E {
    if !spoils_connection(&error)
        && let Err(failure) = execute(tx, "ROLLBACK").await
    {
        tracing::debug!(error = %failure, "rollback failed");
    }
    error
}

async fn execute(tx: &mut Tx<'_>, statement: &'static str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(statement).execute(&mut **tx).await.map(|_| ())
}

/// The pause before repetition number `retries`; never past the deadline, where the next attempt
/// is refused anyway.
fn retry_pause(retries: u32) -> Duration {
    let most = RETRY_PAUSE.saturating_mul(1 << retries.min(8));
    let pause = most.mul_f64(rand::rng().random_range(0.5..=1.0));
    context::remaining().map_or(pause, |left| pause.min(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_within_their_bounds() {
        for retries in 0..RETRIES {
            let most = RETRY_PAUSE * 2_u32.pow(retries);
            let pause = retry_pause(retries);
            assert!(pause >= most / 2 && pause <= most, "{pause:?} of {most:?}");
        }
    }

    #[tokio::test]
    async fn a_pause_ends_with_the_deadline() {
        let call = context::CallContext::with_timeout(Duration::from_millis(1));
        let pause = context::scope(call, async { retry_pause(3) }).await;
        assert!(pause <= Duration::from_millis(1));
    }
}
