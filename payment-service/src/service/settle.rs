//! What every use case does with news about a charge: weigh it, and store what it changes.

use chassis::mutant;

use crate::model::{CallbackRecord, Charge, Outcome, Payment, PaymentError, Verdict};
use crate::repository::{Cause, Save, Saved};
use crate::service::{PaymentService, contended};

/// Moves that another worker may make before ours is given up. A payment has fewer than this in all
/// its life.
const ATTEMPTS: u32 = 8;

/// Where news comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    /// The provider's answer to a capture.
    Answer,
    /// A callback.
    Callback(&'a CallbackRecord),
    /// The provider's answer to our question.
    Reconciliation,
}

/// What the news came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The payment moved.
    Moved,
    /// Nothing new.
    Nothing,
    /// The opposite of what is settled, which stays.
    Contradiction,
}

impl Source<'_> {
    /// Whether the provider was asked before.
    pub(super) const fn is_later(&self) -> bool {
        matches!(self, Self::Reconciliation)
    }

    const fn cause(&self) -> Cause {
        match self {
            Self::Answer => Cause::Answer,
            Self::Callback(_) => Cause::Callback,
            Self::Reconciliation => Cause::Reconciliation,
        }
    }

    const fn callback(&self) -> Option<&CallbackRecord> {
        match self {
            Self::Callback(record) => Some(record),
            Self::Answer | Self::Reconciliation => None,
        }
    }
}

impl PaymentService {
    /// Applies news to `payment`, however often somebody else moves it meanwhile. Returns the
    /// payment as it stands then.
    pub(super) async fn settle(
        &self,
        mut payment: Payment,
        charge: &Charge,
        source: Source<'_>,
    ) -> Result<(Payment, Effect), PaymentError> {
        for _ in 0..ATTEMPTS {
            let now = self.clock.now();
            let step = match payment.hear(charge, now) {
                Verdict::Moves(step) => step,
                Verdict::Known => return Ok((payment, Effect::Nothing)),
                Verdict::Contradicts if is_surplus(&payment, charge) => {
                    return self.take_surplus(payment, source.cause()).await;
                }
                Verdict::Contradicts => {
                    alert(&payment, charge, source);
                    return Ok((payment, Effect::Contradiction));
                }
            };
            let check_at = self.first_check(&step.payment, now);
            let (cause, callback) = (source.cause(), source.callback());
            let save = Save { change: &step, cause, check_at, callback };
            match self.repository.save(save).await? {
                Saved::Stored => return Ok((step.payment, Effect::Moved)),
                Saved::Replayed => return Ok((payment, Effect::Nothing)),
                Saved::Stale => payment = self.load(payment.id()).await?,
            }
        }
        Err(contended())
    }
}

/// Whether the provider took money for a payment that has failed: nobody awaits it any more.
fn is_surplus(payment: &Payment, charge: &Charge) -> bool {
    let taken = charge.outcome == Outcome::Captured && payment.makes_surplus();
    taken && !mutant!("late_capture_ignored")
}

/// Tells people: money moved at the provider in another way than is settled here.
fn alert(payment: &Payment, charge: &Charge, source: Source<'_>) {
    tracing::error!(
        payment.id = %payment.id(),
        payment.status = %payment.status(),
        provider.outcome = ?charge.outcome,
        source = source.cause().as_str(),
        "provider contradicts a settled payment"
    );
}
