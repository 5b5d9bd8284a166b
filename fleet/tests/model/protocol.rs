//! The protocol as the services follow it, one atomic step after the other.
//!
//! A step is a local transaction, an act of the provider, the arrival of a call, or a fault. What
//! reads and stores in one guarded transaction is one step; what reads first and stores later is
//! two, because anything may come in between. Answers are not kept: a payment's outcome never
//! changes, so whoever hears it late hears the same.
//!
//! Moves of orders and payments come from the services' own transition tables.

use order_service::model::{OrderStatus, TRANSITIONS, Trigger};
use payment_service::model::{PaymentStatus, Trigger as News};

use crate::search::Model;
use crate::state::{ATTEMPTS, Charge, Ending, Errand, Mover, Payer, Refund, Snapshot, State};
use crate::step::{Bug, Step};

/// The checkout, with a bug or without.
pub(crate) struct Checkout {
    pub(crate) crashes: u8,
    /// Whether a client asks for the money of a paid order back.
    pub(crate) refunds: bool,
    pub(crate) bug: Option<Bug>,
}

type Found = Vec<(Step, State)>;

impl Model for Checkout {
    type State = State;
    type Step = Step;

    fn initial(&self) -> Vec<State> {
        let refunder = if self.refunds { Mover::Ready } else { Mover::Done };
        [State::placed(self.crashes), State::declined(self.crashes)]
            .map(|state| State { refunder, ..state })
            .to_vec()
    }

    fn steps(&self, state: &State, found: &mut Found) {
        for number in 0..ATTEMPTS {
            self.pay(state, number, found);
            self.recover(state, number, found);
            Self::call(state, number, found);
            self.provide(state, number, found);
            self.refund(state, number, found);
        }
        self.cancel(state, found);
        self.expire(state, found);
        self.ask_refund(state, found);
        crash(state, found);
    }

    fn is_optional(step: Step) -> bool {
        step.is_optional()
    }

    fn broken(&self, state: &State) -> Option<&'static str> {
        state.broken()
    }

    fn unfinished(&self, state: &State) -> Option<&'static str> {
        state.unfinished()
    }
}

impl Checkout {
    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Whether a change that was decided on `read` may be stored.
    fn holds(&self, state: &State, read: Snapshot) -> bool {
        self.has(Bug::GuardDropped) || state.snapshot() == read
    }

    /// A call that pays, from the client's wish to the stored decision.
    fn pay(&self, state: &State, number: usize, found: &mut Found) {
        let mut after = *state;
        match state.payers[number] {
            Payer::Ready if self.may_start(state) => {
                after.payers[number] = Payer::Starting(state.snapshot());
                found.push((Step::PayerReads(number), after));
            }
            Payer::Ready | Payer::Done => {}
            Payer::Starting(read) => {
                self.start(&mut after, number, read);
                found.push((Step::PayerStores(number), after));
            }
            Payer::Waiting(read) => {
                if let Some(ending) = ending(state.attempts[number].payment) {
                    after.payers[number] = Payer::Settling(read, ending);
                    found.push((Step::PayerHears(number), after));
                }
                after.payers[number] = if self.has(Bug::SilenceIsDecline) {
                    Payer::Settling(read, Ending::Declined)
                } else {
                    Payer::Done
                };
                found.push((Step::PayerGivesUp(number), after));
            }
            Payer::Settling(read, ending) => {
                after.payers[number] = if self.settle(&mut after, number, (read, ending)) {
                    Payer::Done
                } else {
                    Payer::Settling(state.snapshot(), ending)
                };
                found.push((Step::PayerSettles(number), after));
            }
        }
    }

    fn may_start(&self, state: &State) -> bool {
        let is_open = state.status == OrderStatus::Created && !self.has(Bug::AttemptsOverlap);
        state.status.awaits_payment() && !is_open && !state.is_overdue
    }

    /// Stores an attempt, unless the order moved or another attempt is open.
    fn start(&self, after: &mut State, number: usize, read: Snapshot) {
        let is_open = after.attempts.iter().any(|other| other.exists && other.ending.is_none());
        let may = self.holds(after, read) && (!is_open || self.has(Bug::AttemptsOverlap));
        if !may {
            after.payers[number] = Payer::Ready;
            return;
        }
        after.latest = number;
        after.attempts[number].exists = true;
        after.attempts[number].sent.start = true;
        after.payers[number] = Payer::Waiting(after.snapshot());
    }

    /// Stores how an attempt ended, and what follows for the order; false when the order is not any
    /// more what the decision was made on.
    fn settle(&self, after: &mut State, number: usize, news: (Snapshot, Ending)) -> bool {
        let (read, ending) = news;
        if after.attempts[number].ending.is_some() {
            return true;
        }
        let is_latest = read.latest == number;
        let next = match ending {
            Ending::Captured => read.status.after(Trigger::Capture),
            Ending::Declined if is_latest => read.status.after(Trigger::Decline),
            Ending::Declined => None,
        };
        if let Some(next) = next {
            if !self.holds(after, read) {
                return false;
            }
            move_order(after, next);
            if ending == Ending::Captured {
                after.latest = number;
            }
        } else if ending == Ending::Captured && !self.has(Bug::LateCaptureKept) {
            after.attempts[number].refund = Refund::Requested;
        }
        after.attempts[number].ending = Some(ending);
        true
    }

    /// What order-service does by itself about an attempt: it asks, and it learns by answers and
    /// events, however often they come.
    fn recover(&self, state: &State, number: usize, found: &mut Found) {
        let attempt = state.attempts[number];
        if !attempt.exists || attempt.ending.is_some() {
            return;
        }
        if let Some(ending) = ending(attempt.payment) {
            let mut after = *state;
            self.settle(&mut after, number, (state.snapshot(), ending));
            found.push((Step::OrderServiceLearns(number), after));
        }
        if attempt.payment.is_none() && !self.has(Bug::NoRecovery) {
            let mut after = *state;
            if state.status.awaits_payment() {
                after.attempts[number].sent.start = true;
            } else {
                after.attempts[number].sent.close = true;
            }
            found.push((Step::RecoverySends(number), after));
        }
    }

    fn cancel(&self, state: &State, found: &mut Found) {
        let (mover, step) = self.mover(state, state.canceller, Trigger::Cancel);
        let Some((after, is_stored)) = mover else { return };
        let after = State { canceller: step, ..after };
        found.push((if is_stored { Step::CancellerStores } else { Step::CancellerReads }, after));
    }

    fn expire(&self, state: &State, found: &mut Found) {
        if !state.is_overdue {
            found.push((Step::TimeRunsOut, State { is_overdue: true, ..*state }));
            return;
        }
        let (mover, step) = self.mover(state, state.expiry, Trigger::Expire);
        let Some((after, is_stored)) = mover else { return };
        let after = State { expiry: step, ..after };
        found.push((if is_stored { Step::ExpiryStores } else { Step::ExpiryReads }, after));
    }

    fn ask_refund(&self, state: &State, found: &mut Found) {
        let (mover, step) = self.mover(state, state.refunder, Trigger::AskRefund);
        let Some((mut after, is_stored)) = mover else { return };
        if after.status == OrderStatus::Refunding && step == Mover::Done {
            after.attempts[after.latest].refund = Refund::Requested;
        }
        let after = State { refunder: step, ..after };
        found.push((if is_stored { Step::RefunderStores } else { Step::RefunderReads }, after));
    }

    /// Reads the order, and stores its move if it still is what was read.
    fn mover(
        &self,
        state: &State,
        mover: Mover,
        trigger: Trigger,
    ) -> (Option<(State, bool)>, Mover) {
        match mover {
            Mover::Ready if state.status.after(trigger).is_some() => {
                (Some((*state, false)), Mover::Read(state.snapshot()))
            }
            Mover::Ready | Mover::Done => (None, mover),
            Mover::Read(read) => {
                let mut after = *state;
                let next = read.status.after(trigger).filter(|_| self.holds(state, read));
                if trigger.releases_stock()
                    && (next.is_some() || self.has(Bug::StockReleasedByBoth))
                {
                    after.released += 1;
                }
                let Some(next) = next else { return (Some((after, true)), Mover::Ready) };
                move_order(&mut after, next);
                (Some((after, true)), Mover::Done)
            }
        }
    }
}

/// Moves the order, and notes when that is no declared step from where it stands.
pub(crate) fn move_order(state: &mut State, next: OrderStatus) {
    let is_declared = TRANSITIONS.iter().any(|(from, _, to)| (*from, *to) == (state.status, next));
    state.is_derailed |= !is_declared;
    state.status = next;
}

/// What order-service makes of a payment's status.
pub(crate) fn ending(payment: Option<PaymentStatus>) -> Option<Ending> {
    match payment? {
        PaymentStatus::Succeeded | PaymentStatus::Refunding | PaymentStatus::Refunded => {
            Some(Ending::Captured)
        }
        PaymentStatus::Failed => Some(Ending::Declined),
        PaymentStatus::Initiated | PaymentStatus::Pending => None,
    }
}

/// What payment-service makes of a charge.
pub(crate) fn news(charge: Charge) -> Option<News> {
    match charge {
        Charge::Unknown => None,
        Charge::Pending => Some(News::Accepted),
        Charge::Captured => Some(News::Captured),
        Charge::Declined => Some(News::Declined),
    }
}

/// A process dies: what it had in hand is gone, what it had committed or sent is not.
fn crash(state: &State, found: &mut Found) {
    if state.crashes_left == 0 {
        return;
    }
    let alive = State { crashes_left: state.crashes_left - 1, ..*state };
    let mut after = alive;
    for payer in &mut after.payers {
        *payer = match payer {
            // The client tries again.
            Payer::Ready | Payer::Starting(_) => Payer::Ready,
            Payer::Waiting(_) | Payer::Settling(..) | Payer::Done => Payer::Done,
        };
    }
    for mover in [&mut after.canceller, &mut after.expiry, &mut after.refunder] {
        if matches!(mover, Mover::Read(_)) {
            *mover = Mover::Ready;
        }
    }
    if (State { crashes_left: state.crashes_left, ..after }) != *state {
        found.push((Step::OrderServiceCrashes, after));
    }
    let mut after = alive;
    for attempt in &mut after.attempts {
        attempt.stray |= attempt.capture == Errand::Asked;
        (attempt.capture, attempt.refunding) = (Errand::Idle, Errand::Idle);
    }
    if (State { crashes_left: state.crashes_left, ..after }) != *state {
        found.push((Step::PaymentServiceCrashes, after));
    }
}
