//! What can happen in the model, and which bugs can be planted in it.

use std::fmt;

use crate::state::Charge;

/// What happens in a step; the number is that of the attempt, which is also that of its payer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    PayerReads(usize),
    PayerStores(usize),
    PayerHears(usize),
    PayerGivesUp(usize),
    PayerSettles(usize),
    CancellerReads,
    CancellerStores,
    TimeRunsOut,
    RefunderReads,
    RefunderStores,
    ExpiryReads,
    ExpiryStores,
    RecoverySends(usize),
    OrderServiceLearns(usize),
    OrderServiceLearnsOfRefund(usize),
    StartArrives(usize),
    CloseArrives(usize),
    CallIsLost(usize),
    ProviderAnswers(usize, Charge),
    ProviderIsTooSlow(usize),
    StrayCaptureArrives(usize, Charge),
    StrayCaptureIsLost(usize),
    AnswerIsStored(usize),
    ProviderDecides(usize, Charge),
    CallbackOrReconciliation(usize),
    ReconciliationCaptures(usize),
    RefundIsBegun(usize),
    RefundIsAskedAgain(usize),
    ProviderRefunds(usize),
    RefundAnswerIsLost(usize),
    RefundIsStored(usize),
    OrderServiceCrashes,
    PaymentServiceCrashes,
}

impl Step {
    /// Faults, and what a client does of its own accord: they may never happen.
    pub(crate) fn is_optional(self) -> bool {
        matches!(
            self,
            Self::PayerReads(_)
                | Self::PayerGivesUp(_)
                | Self::CancellerReads
                | Self::RefunderReads
                | Self::CallIsLost(_)
                | Self::ProviderIsTooSlow(_)
                | Self::StrayCaptureIsLost(_)
                | Self::RefundAnswerIsLost(_)
                | Self::OrderServiceCrashes
                | Self::PaymentServiceCrashes
        )
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{self:?}");
        let (mut words, details) = (String::new(), text.find('(').unwrap_or(text.len()));
        for letter in text[..details].chars() {
            if letter.is_uppercase() && !words.is_empty() {
                words.push(' ');
            }
            words.extend(letter.to_lowercase());
        }
        write!(f, "{words} {}", text[details..].trim_matches(['(', ')']))
    }
}

/// A bug that is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A change of an order is stored whatever happened since it was read.
    GuardDropped,
    /// A payment that does not answer in time is taken as declined.
    SilenceIsDecline,
    /// payment-service takes a provider that does not answer in time as one that declined.
    ProviderSilenceIsDecline,
    /// Money that comes when the order is over is kept.
    LateCaptureKept,
    /// An order may have any number of open attempts.
    AttemptsOverlap,
    /// Reconciliation captures again under another reference instead of asking.
    CaptureUnderNewReference,
    /// Nobody asks about attempts whose call was lost.
    NoRecovery,
    /// Nobody asks the provider about payments whose answer was lost.
    NoReconciliation,
    /// A refund whose answer was lost is asked for under another id.
    RefundUnderNewId,
    /// A cancellation and an expiry both put the pieces back, whoever came first.
    StockReleasedByBoth,
}
