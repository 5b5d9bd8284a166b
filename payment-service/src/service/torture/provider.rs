//! A provider that keeps the truth, however its calls are disturbed.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::DateTime;
use tokio::sync::Notify;

use crate::client::{ChargeRequest, PaymentProvider, ProviderError, RefundRequest};
use crate::model::{
    Charge, ChargePage, ListedCharge, ListedRefund, Money, Outcome, PaymentId, Reason, RefundId,
};
use crate::service::torture::schedule::{Disturbance, Plan};

/// A charge as it is.
#[derive(Clone, Debug)]
pub(super) struct TrueCharge {
    pub(super) outcome: Outcome,
    pub(super) amount: Money,
    pub(super) refunds: Vec<RefundId>,
    last: Outcome,
}

struct World {
    charges: BTreeMap<PaymentId, TrueCharge>,
    plan: Plan,
    disturbance: Disturbance,
}

/// See the module.
pub(super) struct TrueProvider {
    world: Mutex<World>,
    /// Rings when the process is to die.
    pub(super) death: Notify,
}

pub(super) fn declined() -> Outcome {
    Outcome::Declined(Reason::from_provider("card_declined"))
}

fn lost() -> ProviderError {
    ProviderError::unknown("connection reset")
}

impl TrueProvider {
    pub(super) fn new(plan: Plan) -> Self {
        let disturbance = Disturbance::None;
        let world = World { charges: BTreeMap::new(), plan, disturbance };
        Self { world: Mutex::new(world), death: Notify::new() }
    }

    pub(super) fn disturb(&self, disturbance: Disturbance) {
        self.world().disturbance = disturbance;
    }

    pub(super) fn decide(&self) {
        for charge in self.world().charges.values_mut() {
            if charge.outcome == Outcome::Pending {
                charge.outcome = charge.last.clone();
            }
        }
    }

    pub(super) fn capture_after_all(&self) {
        for charge in self.world().charges.values_mut() {
            if charge.outcome == declined() {
                charge.outcome = Outcome::Captured;
            }
        }
    }

    pub(super) fn charges(&self) -> BTreeMap<PaymentId, TrueCharge> {
        self.world().charges.clone()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries a call out, under the disturbance that is set for it.
    async fn call<T>(
        &self,
        work: impl FnOnce(&mut World) -> Result<T, ProviderError> + Send,
    ) -> Result<T, ProviderError> {
        // Others get a turn between the question and its effect, and between that and the answer.
        tokio::task::yield_now().await;
        let disturbance = std::mem::replace(&mut self.world().disturbance, Disturbance::None);
        if disturbance == Disturbance::LoseCall {
            return Err(lost());
        }
        if disturbance == Disturbance::DieBefore {
            self.die().await;
        }
        let done = work(&mut self.world());
        if disturbance == Disturbance::DieAfter {
            self.die().await;
        }
        tokio::task::yield_now().await;
        if disturbance == Disturbance::LoseAnswer { Err(lost()) } else { done }
    }

    async fn die(&self) {
        self.death.notify_one();
        std::future::pending::<()>().await;
    }
}

impl World {
    fn charge(&self, reference: PaymentId) -> Option<Charge> {
        let outcome = self.charges.get(&reference)?.outcome.clone();
        Some(Charge { provider_reference: format!("ch_{reference}"), outcome })
    }
}

#[async_trait]
impl PaymentProvider for TrueProvider {
    async fn capture(&self, request: &ChargeRequest) -> Result<Charge, ProviderError> {
        self.call(|world| {
            let Plan { first, last } = world.plan.clone();
            world.charges.entry(request.reference).or_insert_with(|| TrueCharge {
                outcome: first,
                amount: request.amount,
                refunds: Vec::new(),
                last,
            });
            world.charge(request.reference).ok_or_else(lost)
        })
        .await
    }

    async fn query(&self, request: &ChargeRequest) -> Result<Option<Charge>, ProviderError> {
        self.call(|world| Ok(world.charge(request.reference))).await
    }

    async fn refund(&self, request: &RefundRequest) -> Result<(), ProviderError> {
        self.call(|world| {
            let charge = world.charges.get_mut(&request.reference).ok_or_else(lost)?;
            if charge.outcome != Outcome::Captured {
                return Err(ProviderError::Refused { reason: "not_captured".to_owned() });
            }
            // A careless provider: it gives back again under every new id.
            if !charge.refunds.contains(&request.refund_id) {
                charge.refunds.push(request.refund_id);
            }
            Ok(())
        })
        .await
    }

    async fn list_charges(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<ChargePage, ProviderError> {
        let listed = |(reference, charge): (&PaymentId, &TrueCharge)| ListedCharge {
            reference: reference.to_string(),
            provider_reference: format!("ch_{reference}"),
            amount: charge.amount.amount(),
            currency: charge.amount.currency().to_string(),
            outcome: charge.outcome.clone(),
            created_at: DateTime::UNIX_EPOCH,
            refunds: charge
                .refunds
                .iter()
                .map(|id| ListedRefund { id: id.to_string(), amount: charge.amount.amount() })
                .collect(),
        };
        self.call(|world| {
            let behind = world.charges.iter().map(listed).filter(|charge| {
                after.is_none_or(|after| charge.provider_reference.as_str() > after)
            });
            let charges = behind.take(limit as usize).collect();
            Ok(ChargePage { charges, ..ChargePage::default() })
        })
        .await
    }
}
