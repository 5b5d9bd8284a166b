//! payment-service and the provider, as far as the checkout can tell.

use order_service::model::Trigger;
use payment_service::model::{BEGINNINGS, PaymentStatus, Trigger as News};

use crate::protocol::{Checkout, move_order, news};
use crate::state::{Attempt, Charge, Errand, Refund, Sent, State};
use crate::step::{Bug, Step};

type Found = Vec<(Step, State)>;

/// What the provider may make of a charge that it takes on.
const DECISIONS: [Charge; 3] = [Charge::Captured, Charge::Declined, Charge::Pending];

impl Checkout {
    /// Calls of order-service arrive, or do not. One about a payment that exists changes nothing.
    pub(crate) fn call(state: &State, number: usize, found: &mut Found) {
        let attempt = state.attempts[number];
        if attempt.payment.is_some() {
            return;
        }
        let mut arrived = |step, change: fn(&mut Attempt)| {
            let mut after = *state;
            change(&mut after.attempts[number]);
            found.push((step, after));
        };
        if attempt.sent.start {
            arrived(Step::StartArrives(number), |attempt| {
                begin(attempt, BEGINNINGS[0]);
                attempt.capture = Errand::Asked;
            });
        }
        if attempt.sent.close {
            arrived(Step::CloseArrives(number), |attempt| begin(attempt, BEGINNINGS[1]));
        }
        if attempt.sent != Sent::default() {
            arrived(Step::CallIsLost(number), |attempt| {
                attempt.sent = Sent::default();
            });
        }
    }

    /// The provider charges and decides, and payment-service finds out.
    pub(crate) fn provide(&self, state: &State, number: usize, found: &mut Found) {
        let attempt = state.attempts[number];
        let mut push = |step, change: &dyn Fn(&mut Attempt)| {
            let mut after = *state;
            change(&mut after.attempts[number]);
            found.push((step, after));
        };
        if attempt.capture == Errand::Asked {
            for charge in taken(attempt.charge) {
                push(Step::ProviderAnswers(number, charge), &|attempt| {
                    decide(attempt, charge);
                    attempt.capture = Errand::Heard(charge);
                });
            }
            push(Step::ProviderIsTooSlow(number), &|attempt| self.time_out(attempt));
        }
        if attempt.stray {
            for charge in taken(attempt.charge) {
                push(Step::StrayCaptureArrives(number, charge), &|attempt| {
                    decide(attempt, charge);
                    attempt.stray = false;
                });
            }
            push(Step::StrayCaptureIsLost(number), &|attempt| attempt.stray = false);
        }
        if let Errand::Heard(charge) = attempt.capture {
            push(Step::AnswerIsStored(number), &|attempt| {
                hear(attempt, charge);
                attempt.capture = Errand::Idle;
            });
        }
        if attempt.charge == Charge::Pending {
            for charge in [Charge::Captured, Charge::Declined] {
                push(Step::ProviderDecides(number, charge), &|attempt| decide(attempt, charge));
            }
        }
        if !self.has(Bug::NoReconciliation) {
            push(Step::CallbackOrReconciliation(number), &|attempt| hear(attempt, attempt.charge));
        }
        if attempt.capture == Errand::Idle && self.must_capture(&attempt) {
            push(Step::ReconciliationCaptures(number), &capture_again);
        }
    }

    fn time_out(&self, attempt: &mut Attempt) {
        attempt.capture = Errand::Idle;
        // A second arrival at the provider changes nothing.
        attempt.stray = attempt.charge == Charge::Unknown;
        if self.has(Bug::ProviderSilenceIsDecline) {
            hear(attempt, Charge::Declined);
        }
    }

    fn must_capture(&self, attempt: &Attempt) -> bool {
        let is_open = attempt.payment == Some(PaymentStatus::Initiated);
        let is_unknown = attempt.charge == Charge::Unknown
            || self.has(Bug::CaptureUnderNewReference) && attempt.charge == Charge::Captured;
        is_open && is_unknown && !self.has(Bug::NoReconciliation)
    }

    /// Money goes back: order-service asks, the provider refunds, both store it.
    pub(crate) fn refund(&self, state: &State, number: usize, found: &mut Found) {
        let attempt = state.attempts[number];
        let mut push = |step, change: &dyn Fn(&mut Attempt)| {
            let mut after = *state;
            change(&mut after.attempts[number]);
            found.push((step, after));
        };
        let (is_wanted, payment) = (attempt.refund == Refund::Requested, attempt.payment);
        let begun = payment.and_then(|status| status.after(News::RefundRequested));
        if is_wanted && let Some(begun) = begun {
            push(Step::RefundIsBegun(number), &|attempt| {
                attempt.payment = Some(begun);
                attempt.refunding = Errand::Asked;
            });
        }
        if payment == Some(PaymentStatus::Refunding) && attempt.refunding == Errand::Idle {
            push(Step::RefundIsAskedAgain(number), &|attempt| attempt.refunding = Errand::Asked);
        }
        match attempt.refunding {
            Errand::Asked => {
                push(Step::ProviderRefunds(number), &|attempt| {
                    self.give_back(attempt);
                    attempt.refunding = Errand::Heard(attempt.charge);
                });
                push(Step::RefundAnswerIsLost(number), &|attempt| {
                    self.give_back(attempt);
                    attempt.refunding = Errand::Idle;
                });
            }
            Errand::Heard(_) => push(Step::RefundIsStored(number), &|attempt| {
                let done = payment.and_then(|status| status.after(News::RefundCompleted));
                attempt.payment = done.or(payment);
                attempt.refunding = Errand::Idle;
            }),
            Errand::Idle => {}
        }
        if is_wanted && payment == Some(PaymentStatus::Refunded) {
            let mut after = *state;
            learn_of_refund(&mut after, number);
            found.push((Step::OrderServiceLearnsOfRefund(number), after));
        }
    }

    /// The provider refunds once per id.
    fn give_back(&self, attempt: &mut Attempt) {
        if attempt.refunds == 0 || self.has(Bug::RefundUnderNewId) {
            attempt.refunds += 1;
        }
    }
}

/// Under another reference, the provider takes the money again.
fn capture_again(attempt: &mut Attempt) {
    if attempt.charge == Charge::Captured {
        attempt.captures += 1;
    } else {
        attempt.capture = Errand::Asked;
    }
}

/// order-service settles its request. Only the refund that the customer asked for moves the order.
fn learn_of_refund(after: &mut State, number: usize) {
    after.attempts[number].refund = Refund::Done;
    let next = after.status.after(Trigger::Refund);
    if let Some(next) = next.filter(|_| after.latest == number) {
        move_order(after, next);
        after.released += u8::from(Trigger::Refund.releases_stock());
    }
}

/// The payment exists from here on; calls about it that are still on their way change nothing.
fn begin(attempt: &mut Attempt, status: PaymentStatus) {
    attempt.payment = Some(status);
    attempt.sent = Sent::default();
}

/// What a capture finds: a charge that is known stays as it is.
fn taken(charge: Charge) -> Vec<Charge> {
    if charge == Charge::Unknown { DECISIONS.to_vec() } else { vec![charge] }
}

fn decide(attempt: &mut Attempt, charge: Charge) {
    if attempt.charge != Charge::Captured && charge == Charge::Captured {
        attempt.captures += 1;
    }
    attempt.charge = charge;
}

/// Stores news about a charge, if the payment takes it.
fn hear(attempt: &mut Attempt, charge: Charge) {
    let next = attempt.payment.zip(news(charge)).and_then(|(status, news)| status.after(news));
    attempt.payment = next.or(attempt.payment);
}
