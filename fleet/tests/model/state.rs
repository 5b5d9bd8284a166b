//! The state of one checkout: what two services have committed, what the provider did, and what is
//! under way between them. And what must be so in every state, and in the last.

use std::fmt;

use order_service::model::OrderStatus;
use payment_service::model::PaymentStatus;

/// Attempts that the model has room for: one per payer.
pub(crate) const ATTEMPTS: usize = 2;
/// Stands for an attempt from before the search, which was declined and holds no money.
pub(crate) const EARLIER: usize = 9;

/// What an order looked like when somebody read it; a change holds only if it still does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Snapshot {
    pub(crate) status: OrderStatus,
    pub(crate) latest: usize,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ending {
    Captured,
    Declined,
}

/// A call of a client that pays, in order-service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Payer {
    /// Not called yet.
    Ready,
    /// Has read the order and is about to store an attempt.
    Starting(Snapshot),
    /// Has called payment-service.
    Waiting(Snapshot),
    /// Knows how the payment ended and is about to store it.
    Settling(Snapshot, Ending),
    /// Was answered, or died.
    Done,
}

/// Whoever moves an order in one step: the client that cancels, the worker that lets it expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mover {
    Ready,
    Read(Snapshot),
    Done,
}

/// A call of payment-service to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Errand {
    Idle,
    /// The provider was asked.
    Asked,
    /// The provider has answered; nothing is stored yet.
    Heard(Charge),
}

/// What the provider knows of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Charge {
    Unknown,
    Pending,
    Captured,
    Declined,
}

/// Order-service's request to give money back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Refund {
    None,
    Requested,
    Done,
}

/// Calls on their way from order-service to payment-service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Sent {
    /// To start the payment.
    pub(crate) start: bool,
    /// To close it, because its order no longer awaits it.
    pub(crate) close: bool,
}

/// One attempt to pay, across both services and the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Attempt {
    /// Whether order-service has stored it.
    pub(crate) exists: bool,
    /// How it ended, as order-service has stored it.
    pub(crate) ending: Option<Ending>,
    pub(crate) refund: Refund,
    pub(crate) sent: Sent,
    /// As payment-service has stored it.
    pub(crate) payment: Option<PaymentStatus>,
    pub(crate) capture: Errand,
    pub(crate) refunding: Errand,
    /// A capture that nobody waits for any more may still reach the provider.
    pub(crate) stray: bool,
    pub(crate) charge: Charge,
    /// How often the provider took the money, and gave it back.
    pub(crate) captures: u8,
    pub(crate) refunds: u8,
}

/// Everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) status: OrderStatus,
    /// The payment that settled the order, or the latest attempt.
    pub(crate) latest: usize,
    pub(crate) attempts: [Attempt; ATTEMPTS],
    pub(crate) payers: [Payer; ATTEMPTS],
    pub(crate) canceller: Mover,
    pub(crate) expiry: Mover,
    /// The client that wants the money of the paid order back.
    pub(crate) refunder: Mover,
    /// Whether the order's time to be paid is over.
    pub(crate) is_overdue: bool,
    /// How often the order's pieces went back on the shelf.
    pub(crate) released: u8,
    /// Whether the order made a step that is not declared.
    pub(crate) is_derailed: bool,
    /// Crashes that may still happen.
    pub(crate) crashes_left: u8,
}

const NO_ATTEMPT: Attempt = Attempt {
    exists: false,
    ending: None,
    refund: Refund::None,
    sent: Sent { start: false, close: false },
    payment: None,
    capture: Errand::Idle,
    refunding: Errand::Idle,
    stray: false,
    charge: Charge::Unknown,
    captures: 0,
    refunds: 0,
};

impl State {
    /// An order whose last attempt was declined: two clients want to pay it.
    pub(crate) fn declined(crashes_left: u8) -> Self {
        Self {
            status: OrderStatus::PaymentFailed,
            latest: EARLIER,
            attempts: [NO_ATTEMPT; ATTEMPTS],
            payers: [Payer::Ready; ATTEMPTS],
            canceller: Mover::Ready,
            expiry: Mover::Ready,
            refunder: Mover::Done,
            is_overdue: false,
            released: 0,
            is_derailed: false,
            crashes_left,
        }
    }

    /// An order that was placed this moment: its call waits for payment-service.
    pub(crate) fn placed(crashes_left: u8) -> Self {
        let mut state =
            Self { status: OrderStatus::Created, latest: 0, ..Self::declined(crashes_left) };
        state.attempts[0].exists = true;
        state.attempts[0].sent.start = true;
        state.payers[0] = Payer::Waiting(state.snapshot());
        state
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot { status: self.status, latest: self.latest }
    }

    /// What must not be, whatever comes next.
    pub(crate) fn broken(&self) -> Option<&'static str> {
        if self.is_derailed {
            return Some("the order made a step that no transition declares");
        }
        if self.attempts.iter().filter(|attempt| attempt.is_kept()).count() > 1 {
            return Some("two captures of one order are kept");
        }
        if self.attempts.iter().any(|attempt| attempt.captures > 1) {
            return Some("one attempt was captured twice");
        }
        if self.attempts.iter().any(|attempt| attempt.refunds > attempt.captures) {
            return Some("more was given back than was taken");
        }
        let is_closed = matches!(
            self.status,
            OrderStatus::Cancelled | OrderStatus::Expired | OrderStatus::Refunded
        );
        if self.released != u8::from(is_closed) {
            return Some("the stock does not fit the order");
        }
        let paying = self.attempts.get(self.latest);
        let is_paid_for = paying.is_some_and(|attempt| {
            attempt.is_kept()
                && attempt.refund == Refund::None
                && attempt.payment == Some(PaymentStatus::Succeeded)
        });
        if self.status == OrderStatus::Paid && !is_paid_for {
            return Some("the order is PAID without a capture that is kept");
        }
        None
    }

    /// What must be so when nothing happens any more.
    pub(crate) fn unfinished(&self) -> Option<&'static str> {
        use OrderStatus::{Cancelled, Expired, Paid, Refunded};
        if !matches!(self.status, Paid | Cancelled | Expired | Refunded) {
            return Some("the order came to no end");
        }
        let kept = self.attempts.iter().filter(|attempt| attempt.is_kept()).count();
        if kept != usize::from(self.status == Paid) {
            return Some("the money kept does not fit the order's end");
        }
        self.attempts.iter().filter(|attempt| attempt.exists).find_map(Attempt::unfinished)
    }
}

impl Attempt {
    /// Whether the provider holds money for it.
    pub(crate) fn is_kept(&self) -> bool {
        self.captures > self.refunds
    }

    fn unfinished(&self) -> Option<&'static str> {
        if self.ending.is_none() {
            return Some("an attempt is not settled");
        }
        if self.refund == Refund::Requested {
            return Some("a refund is not made");
        }
        let agrees = match (self.ending, self.payment) {
            (Some(Ending::Captured), Some(PaymentStatus::Succeeded)) => self.refund == Refund::None,
            (Some(Ending::Captured), Some(PaymentStatus::Refunded)) => self.refund == Refund::Done,
            (Some(Ending::Declined), Some(PaymentStatus::Failed)) => self.captures == 0,
            _ => false,
        };
        (!agrees).then_some("order-service, payment-service and the provider disagree")
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "order {}, latest attempt {}", self.status, self.latest)?;
        if self.released > 0 {
            write!(f, ", stock released {} times", self.released)?;
        }
        for (number, attempt) in (0..).zip(&self.attempts).filter(|(_, one)| one.exists) {
            write!(f, "; attempt {number}: {attempt}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payment = self.payment.map_or("not received", PaymentStatus::as_str);
        let Self { ending, refund, charge, captures, refunds, .. } = self;
        write!(f, "payment {payment}, ending {ending:?}, refund {refund:?}, provider {charge:?}")?;
        write!(f, " (captured {captures}, refunded {refunds} times)")
    }
}
