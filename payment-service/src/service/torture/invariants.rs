//! What must hold whenever one looks, and what must hold once everything has calmed down.

use std::collections::HashSet;

use crate::model::{
    Account, BEGINNINGS, EventKind, Outcome, Payment, PaymentStatus, RefundStatus, TRANSITIONS,
};
use crate::service::torture::bench::Bench;
use crate::service::torture::provider::TrueCharge;
use crate::service::{Actor, Cursor, GetReconciliation};

/// What holds at any moment.
pub(super) fn always(bench: &Bench) {
    legal_path(bench);
    one_posting_each(bench);
    one_event_each(bench);
    one_charge(bench);
}

fn legal_path(bench: &Bench) {
    let history = bench.repository.history(bench.id());
    for (at, (version, from, to, _)) in history.iter().enumerate() {
        assert_eq!(*version, at as u64 + 1, "{history:?}");
        let legal = match from {
            None => at == 0 && BEGINNINGS.contains(to),
            Some(from) => TRANSITIONS.iter().any(|(f, _, t)| (f, t) == (from, to)),
        };
        assert!(legal, "{history:?}");
        let before = at.checked_sub(1).map(|before| history[before].2);
        assert_eq!(*from, before, "{history:?}");
    }
}

fn one_posting_each(bench: &Bench) {
    let postings = bench.repository.postings(bench.id());
    let ids: HashSet<_> = postings.iter().map(crate::model::Posting::id).collect();
    assert_eq!(ids.len(), postings.len(), "a posting was made twice");
    for posting in &postings {
        assert_eq!(posting.entries().iter().map(|entry| entry.amount).sum::<i64>(), 0);
    }
    let takes = |kind: &str| ids.iter().filter(|id| id.starts_with(kind)).count();
    assert!(takes("capture:") + takes("surplus:") <= 1, "money was booked twice");
    assert!(takes("refund:") <= 1, "money was given back twice");
}

fn one_event_each(bench: &Bench) {
    let events = bench.repository.events(bench.id());
    let count =
        |kinds: &[EventKind]| events.iter().filter(|event| kinds.contains(&event.kind())).count();
    let decided = bench
        .repository
        .history(bench.id())
        .iter()
        .any(|line| matches!(line.2, PaymentStatus::Succeeded | PaymentStatus::Failed));
    let decisions = count(&[EventKind::Succeeded, EventKind::Failed]);
    assert_eq!(decisions, usize::from(decided), "the outcome is told once");
    assert!(count(&[EventKind::Refunded]) <= 1);
}

fn one_charge(bench: &Bench) {
    let charges = bench.provider.charges();
    assert!(charges.len() <= 1, "charged under another reference");
    assert!(charges.keys().all(|reference| *reference == bench.id()));
    assert!(charges.values().all(|charge| charge.refunds.len() <= 1), "refunded twice");
}

/// What holds in the end: the books say what the provider says.
pub(super) async fn at_the_end(bench: &Bench) {
    let charge = bench.provider.charges().remove(&bench.id());
    let Some(payment) = bench.payment().await else {
        assert!(charge.is_none(), "charged without an intent");
        return;
    };
    let held = charge.as_ref().map_or(0, held);
    assert_eq!(balance(bench, Account::ProviderClearing), held, "{payment:?} {charge:?}");
    let Some(charge) = charge else {
        assert_eq!(payment.status(), PaymentStatus::Failed, "nobody asked for the charge");
        return;
    };
    says_the_same(&payment, &charge);
    if payment.status() == PaymentStatus::Failed {
        assert_eq!(held, 0, "a failed payment keeps no money");
        assert_eq!(balance(bench, Account::SurplusCaptures), 0);
    }
    // A callback called it failed, and the provider never decides: that remains a difference.
    if charge.outcome != Outcome::Pending {
        no_difference(bench).await;
    }
}

fn says_the_same(payment: &Payment, charge: &TrueCharge) {
    let refund = payment.refund().filter(|refund| refund.status == RefundStatus::Succeeded);
    let refunds: Vec<_> = refund.map(|refund| refund.id).into_iter().collect();
    assert_eq!(refunds, charge.refunds, "{payment:?}");
    let allowed: &[PaymentStatus] = match (&charge.outcome, charge.refunds.is_empty()) {
        (Outcome::Pending, _) => &[PaymentStatus::Pending, PaymentStatus::Failed],
        (Outcome::Captured, true) => &[PaymentStatus::Succeeded],
        (Outcome::Captured, false) => &[PaymentStatus::Refunded, PaymentStatus::Failed],
        (Outcome::Declined(_), _) => &[PaymentStatus::Failed],
    };
    assert!(allowed.contains(&payment.status()), "{payment:?} {charge:?}");
}

async fn no_difference(bench: &Bench) {
    let query = GetReconciliation { actor: Actor::Admin, after: Cursor::START };
    let report = bench.service.get_reconciliation(query).await.unwrap();
    assert_eq!((report.differences(), report.in_flight), (0, 0), "{report:?}");
}

fn held(charge: &TrueCharge) -> i64 {
    let taken = i64::from(charge.outcome == Outcome::Captured);
    let given = i64::try_from(charge.refunds.len()).unwrap();
    (taken - given) * charge.amount.amount()
}

fn balance(bench: &Bench, account: Account) -> i64 {
    let postings = bench.repository.postings(bench.id());
    let entries = postings.iter().flat_map(|posting| posting.entries().to_vec());
    entries.filter(|entry| entry.account == account).map(|entry| entry.amount).sum()
}
