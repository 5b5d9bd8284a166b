//! Orders: the transactions that place and change them, and the queries.

use async_trait::async_trait;
use chassis::db::{self, Tx};
use chassis::{failpoint, inbox};
use chrono::{DateTime, Utc};
use tracing::instrument;

use super::write::{self, Interrupt, saved};
use super::{CONSUMER, MySqlRepository, claim, planted, read, stock};
use crate::model::{
    Change, Claim, KeyUse, Order, OrderError, OrderId, OrderStatus, PaymentCase, PaymentId,
    Placement, StoredClaim, Timeline,
};
use crate::repository::{
    EventEffect, OrderQuery, OrderRepository, Placed, Saved, audit, envelope, tally,
};

#[async_trait]
impl OrderRepository for MySqlRepository {
    #[instrument(name = "db.order.place", skip_all, fields(order.id = %placement.order_id))]
    async fn place(&self, placement: &Placement) -> Result<Placed, OrderError> {
        let placed = db::transaction(&self.pool, |tx| Box::pin(self.place_in(tx, placement))).await;
        if let Ok(change) = &placed {
            tally::committed([change]);
            failpoint!("order.place.committed");
            planted::claim_of_placement(&self.pool, placement).await?;
            planted::events(&self.pool, &[change]).await?;
        }
        match placed {
            Ok(Change { order, .. }) => {
                self.outbox.wake();
                let attempt = placement.attempt();
                Ok(Placed::Fresh(Box::new(PaymentCase { order, attempt, refund: None })))
            }
            Err(Interrupt::Stale) => Ok(Placed::Stale),
            Err(Interrupt::KeyTaken) => Ok(Placed::KeyTaken),
            Err(Interrupt::Failed(error)) => Err(error),
        }
    }

    #[instrument(name = "db.order.save", skip_all, fields(order.id = %change.order.id))]
    async fn save(&self, change: &Change, key: KeyUse<'_>) -> Result<Saved, OrderError> {
        if change.is_empty() && matches!(key, KeyUse::None) {
            return Ok(Saved::Done);
        }
        let outcome = db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                if !planted::claims_late() {
                    claim::begin(tx, key, &change.order, change.at).await?;
                }
                self.store(tx, &[change]).await?;
                let used = claim::complete(tx, key, &change.order).await?;
                crash_before_commit(change);
                Ok(used)
            })
        })
        .await;
        if outcome.is_ok() {
            tally::committed([change]);
            crash_after_commit(change);
            planted::claim(&self.pool, change, key).await?;
            planted::events(&self.pool, &[change]).await?;
        }
        let done = saved(outcome)?;
        if done == Saved::Stale {
            planted::stock(&self.pool, change).await?;
        }
        self.outbox.wake();
        Ok(done)
    }

    #[instrument(name = "db.order.save_events", skip_all, fields(events = effects.len()))]
    async fn save_events(
        &self,
        effects: &[EventEffect],
        now: DateTime<Utc>,
    ) -> Result<Saved, OrderError> {
        let ids: Vec<&str> = effects.iter().map(|effect| effect.event_id.as_str()).collect();
        let ids = ids.as_slice();
        let outcome = db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                let firsts = inbox::record(tx, CONSUMER, ids, now).await?;
                let fresh = effects.iter().zip(firsts).filter(|(_, first)| *first);
                let changes: Vec<&Change> =
                    fresh.filter_map(|(effect, _)| effect.change.as_ref()).collect();
                self.store(tx, &changes).await?;
                Ok(changes)
            })
        })
        .await;
        if let Ok(changes) = &outcome {
            tally::committed(changes.iter().copied());
            planted::events(&self.pool, changes).await?;
        }
        let done = saved(outcome.map(|_| Saved::Done))?;
        self.outbox.wake();
        Ok(done)
    }

    #[instrument(name = "db.order.find", skip_all, fields(order.id = %id))]
    async fn find_order(&self, id: OrderId) -> Result<Option<Order>, OrderError> {
        db::session(&self.pool, |tx| Box::pin(read::order(tx, id))).await
    }

    #[instrument(name = "db.order.list", skip_all)]
    async fn list_orders(&self, query: &OrderQuery) -> Result<Vec<Order>, OrderError> {
        db::session(&self.pool, |tx| Box::pin(read::list(tx, query))).await
    }

    #[instrument(name = "db.order.timeline", skip_all, fields(order.id = %id))]
    async fn find_timeline(&self, id: OrderId, limit: u32) -> Result<Timeline, OrderError> {
        db::session(&self.pool, |tx| Box::pin(read::timeline(tx, id, limit))).await
    }

    #[instrument(name = "db.order.find_cases", skip_all)]
    async fn find_cases(&self, ids: &[PaymentId]) -> Result<Vec<PaymentCase>, OrderError> {
        let ids: Vec<_> = ids.iter().map(PaymentId::as_uuid).collect();
        let ids = ids.as_slice();
        db::session(&self.pool, |tx| Box::pin(read::cases(tx, ids))).await
    }

    #[instrument(name = "db.claim.find", skip_all)]
    async fn find_claim(&self, claim: &Claim) -> Result<Option<StoredClaim>, OrderError> {
        claim::find(&self.pool, claim).await
    }

    #[instrument(name = "db.claim.take_over", skip_all)]
    async fn take_over(
        &self,
        claim: &Claim,
        expired: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> Result<bool, OrderError> {
        claim::take_over(&self.pool, claim, expired, lease_until).await
    }
}

impl MySqlRepository {
    async fn place_in(&self, tx: &mut Tx<'_>, placement: &Placement) -> Result<Change, Interrupt> {
        failpoint!("order.place.before_insert");
        if !planted::claims_late() {
            claim::open(tx, placement).await?;
        }
        let products = stock::read_products(tx, &placement.cart).await?;
        let change = placement.price(&products)?;
        write::insert_order(tx, &change.order).await?;
        self.store_effects(tx, &change).await?;
        self.tell(tx, &[&change]).await?;
        stock::reserve(tx, placement, &products).await?;
        // Behind the lock, so that what was ordered at the same time is seen; one more than there may
        // be is enough to know.
        let limit = placement.open_max.saturating_add(1);
        placement.check_open(read::count_open(tx, placement.user_id, limit).await?)?;
        failpoint!("order.place.before_commit");
        Ok(change)
    }

    async fn store(&self, tx: &mut Tx<'_>, changes: &[&Change]) -> Result<(), Interrupt> {
        for change in changes {
            if change.touches_order() {
                write::update_order(tx, change).await?;
            }
            self.store_effects(tx, change).await?;
        }
        self.tell(tx, changes).await?;
        stock::release(tx, changes).await
    }

    async fn store_effects(&self, tx: &mut Tx<'_>, change: &Change) -> Result<(), Interrupt> {
        for effect in &change.effects {
            write::apply(tx, change, effect).await?;
        }
        if !planted::tells_late() {
            self.outbox.append(tx, &envelope::envelopes(change)?).await?;
        }
        Ok(())
    }
}

impl MySqlRepository {
    /// Writes what was done into the audit log: the orders are locked by now.
    async fn tell(&self, tx: &mut Tx<'_>, changes: &[&Change]) -> Result<(), Interrupt> {
        let entries: Vec<_> = changes.iter().filter_map(|change| audit::of_order(change)).collect();
        Ok(self.audit.append_all(tx, &entries).await?)
    }
}

/// Where a test makes the process die with everything written and nothing committed.
fn crash_before_commit(change: &Change) {
    if change.moves_to(OrderStatus::Cancelled) {
        failpoint!("order.cancel.before_commit");
    }
    if change.moves_to(OrderStatus::Expired) {
        failpoint!("order.expire.before_commit");
    }
}

/// Where a test makes the process die with a change committed that nobody was told of.
fn crash_after_commit(change: &Change) {
    if change.moves_to(OrderStatus::Cancelled) {
        failpoint!("order.cancel.committed");
    }
    if change.requests_refund() {
        failpoint!("order.refund.committed");
    }
    if change.settles_attempt() {
        failpoint!("order.settled");
    }
}
