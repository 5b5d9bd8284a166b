//! Bugs that a test plants around the transaction; see [`chassis::mutant!`]. Without the feature
//! `mutants` nothing here does anything.

use chassis::db::{self, Pool};
use chassis::mutant;
use chassis::outbox::Outbox;

use super::write::Interrupt;
use super::{claim, stock};
use crate::model::{Change, Effect, KeyUse, OrderError, Placement};
use crate::repository::envelope;

/// Whether claims are stored in a transaction of their own, after the effect of their call.
pub(super) fn claims_late() -> bool {
    mutant!("idempotency_answer_outside_transaction")
}

/// Whether events are stored in a transaction of their own, after the change that they tell of.
pub(super) fn tells_late() -> bool {
    mutant!("outbox_row_outside_transaction")
}

/// Stores the late claim of a placement.
pub(super) async fn claim_of_placement(
    pool: &Pool,
    placement: &Placement,
) -> Result<(), OrderError> {
    if !claims_late() {
        return Ok(());
    }
    done(db::transaction(pool, |tx| Box::pin(claim::open(tx, placement))).await)
}

/// Stores the late claim of a change.
pub(super) async fn claim(pool: &Pool, change: &Change, key: KeyUse<'_>) -> Result<(), OrderError> {
    if !claims_late() {
        return Ok(());
    }
    let stored =
        db::transaction(pool, |tx| Box::pin(claim::begin(tx, key, &change.order, change.at)));
    done(stored.await)
}

/// Stores the late events of changes.
pub(super) async fn events(pool: &Pool, changes: &[&Change]) -> Result<(), OrderError> {
    if !tells_late() {
        return Ok(());
    }
    let told = db::transaction(pool, |tx| {
        Box::pin(async move {
            for change in changes {
                Outbox::new().append(tx, &envelope::envelopes(change)?).await?;
            }
            Ok(())
        })
    });
    done(told.await)
}

/// Gives the pieces of a change back although its guard did not hold.
pub(super) async fn stock(pool: &Pool, change: &Change) -> Result<(), OrderError> {
    if !(change.effects.contains(&Effect::ReleaseStock) && mutant!("stock_released_twice")) {
        return Ok(());
    }
    let released =
        db::transaction(pool, |tx| Box::pin(async move { stock::release(tx, &[change]).await }));
    done(released.await)
}

/// Who claims late finds the key taken by who was faster, and does not care.
fn done(outcome: Result<(), Interrupt>) -> Result<(), OrderError> {
    match outcome {
        Err(Interrupt::Failed(error)) => Err(error),
        Ok(()) | Err(Interrupt::Stale | Interrupt::KeyTaken) => Ok(()),
    }
}
