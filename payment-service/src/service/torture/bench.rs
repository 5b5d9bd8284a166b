//! One payment, its true provider, and a process that dies.

use std::sync::Arc;

use chassis::clock::Clock;
use chassis::testing::clock::FixedClock;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::model::{CallbackKeys, Outcome, Payment, PaymentError, PaymentId, RefundId};
use crate::repository::PaymentRepository;
use crate::repository::memory::MemoryPaymentRepository;
use crate::service::torture::provider::TrueProvider;
use crate::service::torture::schedule::{Disturbance, Happening, Plan, Says};
use crate::service::{Actor, CreatePayment, HandleCallback, PaymentService, RefundPayment, Walk};
use crate::testing::{callback_keys, create, policy};

/// Rounds after which everything must have calmed down.
const ROUNDS: usize = 6;

pub(super) struct Bench {
    pub(super) service: PaymentService,
    pub(super) repository: Arc<MemoryPaymentRepository>,
    pub(super) provider: Arc<TrueProvider>,
    pub(super) command: CreatePayment,
    clock: Arc<FixedClock>,
    keys: CallbackKeys,
    refunds: [RefundId; 2],
}

impl Bench {
    pub(super) fn new(plan: Plan) -> Self {
        let repository = Arc::new(MemoryPaymentRepository::new());
        let provider = Arc::new(TrueProvider::new(plan));
        let clock = Arc::new(FixedClock::default());
        let keys = callback_keys();
        let service = PaymentService::new(
            repository.clone(),
            provider.clone(),
            clock.clone(),
            (keys.clone(), policy()),
        );
        let refunds = [RefundId::generate(), RefundId::generate()];
        Self { service, repository, provider, command: create("pm_x"), clock, keys, refunds }
    }

    pub(super) fn id(&self) -> PaymentId {
        self.command.attempt_id
    }

    pub(super) async fn payment(&self) -> Option<Payment> {
        self.repository.find(self.id()).await.unwrap()
    }

    pub(super) async fn play(&mut self, happening: &Happening) {
        self.clock.advance(TimeDelta::seconds(7));
        match happening {
            Happening::Create(disturbance) => {
                self.provider.disturb(*disturbance);
                self.mortally(|service, this| service.create_payment(this.command.clone())).await;
            }
            Happening::Decide => self.provider.decide(),
            Happening::CaptureAfterAll => self.provider.capture_after_all(),
            Happening::Callback { says, id, copies } => {
                for _ in 0..*copies {
                    self.call_back(*says, *id).await;
                }
            }
            Happening::Refund { id, disturbance } => {
                self.provider.disturb(*disturbance);
                let refund = self.refund(*id);
                self.mortally(|service, _| service.refund_payment(refund.clone())).await;
            }
            Happening::Reconcile(disturbance) => {
                self.clock.advance(TimeDelta::seconds(61));
                self.provider.disturb(*disturbance);
                self.mortally(|service, _| service.reconcile()).await;
            }
            Happening::Walk => {
                self.service.walk_ledger(&mut Walk::default()).await.unwrap();
            }
            Happening::Race { says, id } => {
                self.clock.advance(TimeDelta::seconds(61));
                let ((), round) =
                    tokio::join!(self.call_back(*says, *id), self.service.reconcile());
                round.unwrap();
            }
            Happening::Restart => self.restart(),
        }
        self.provider.disturb(Disturbance::None);
    }

    /// Lets the provider decide, and everybody work, until nothing is left to be done.
    pub(super) async fn calm_down(&mut self) {
        for _ in 0..ROUNDS {
            self.provider.decide();
            self.clock.advance(TimeDelta::minutes(3));
            self.service.reconcile().await.unwrap();
            self.service.walk_ledger(&mut Walk::default()).await.unwrap();
        }
        self.clock.advance(TimeDelta::minutes(3));
    }

    /// Does something during which the process may die. What it was refused is its own business.
    async fn mortally<'s, T, F>(&'s mut self, work: impl FnOnce(&'s PaymentService, &'s Self) -> F)
    where
        F: Future<Output = Result<T, PaymentError>> + 's,
    {
        let this: &'s Self = self;
        tokio::select! {
            biased;
            () = this.provider.death.notified() => {}
            _ = work(&this.service, this) => {}
        }
    }

    fn restart(&mut self) {
        self.service = PaymentService::new(
            self.repository.clone(),
            self.provider.clone(),
            self.clock.clone(),
            (self.keys.clone(), policy()),
        );
    }

    fn refund(&self, id: u8) -> RefundPayment {
        RefundPayment {
            actor: Actor::Service,
            payment_id: self.id(),
            refund_id: self.refunds[usize::from(id)],
            reason: "customer_request".to_owned(),
        }
    }

    /// Delivers a callback, if the provider would send such a one.
    async fn call_back(&self, says: Says, id: u8) {
        let Some(body) = self.body(says, id) else { return };
        let body = body.to_string().into_bytes();
        let signature = self.keys.sign(&body, self.clock.now());
        let answer = self.service.handle_callback(HandleCallback { body, signature }).await;
        let expected = match (says, self.payment().await) {
            (Says::Other, _) => answer.is_ok(),
            (_, None) => matches!(answer, Err(PaymentError::NotFound)),
            (Says::WrongAmount, _) => matches!(answer, Err(PaymentError::AmountMismatch { .. })),
            (_, Some(_)) => answer.is_ok(),
        };
        assert!(expected, "{says:?}: {answer:?}");
    }

    fn body(&self, says: Says, id: u8) -> Option<Value> {
        let charge = self.provider.charges().remove(&self.id())?;
        let truth = match charge.outcome {
            Outcome::Pending => "payment.pending",
            Outcome::Captured => "payment.succeeded",
            Outcome::Declined(_) => "payment.failed",
        };
        let kind = match says {
            Says::Truth | Says::WrongAmount => truth,
            Says::Pending => "payment.pending",
            Says::Failed => "payment.failed",
            Says::Other => "payment.disputed",
        };
        let more = i64::from(says == Says::WrongAmount);
        Some(json!({
            "id": format!("evt_{id}"),
            "type": kind,
            "reference": self.id(),
            "amount": charge.amount.amount() + more,
            "currency": charge.amount.currency().as_str(),
            "reason": "card_declined",
        }))
    }
}
