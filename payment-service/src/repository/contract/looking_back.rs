//! What is kept of payments, read from every adapter.

use super::*;
use crate::model::{Booked, UserId};
use crate::repository::contract::books::Books;
use crate::repository::review::{CallbackFilter, Stretch};

pub(super) async fn callbacks_of_an_order_are_listed(books: &dyn Books) {
    let (payment, other) = (initiated(books).await, initiated(books).await);
    let body = br#"{"type": "payment.pending", "id": "evt_1"}"#.to_vec();
    let about = |id: &str, payment: Option<&Payment>, seconds| CallbackRecord {
        payment_id: payment.map(Payment::id),
        body: body.clone(),
        received_at: now() + TimeDelta::seconds(seconds),
        ..record(id, Ruling::Duplicate)
    };
    for record in [
        about("evt_2", Some(&payment), 1),
        about("evt_1", Some(&payment), 2),
        about("evt_2", Some(&payment), 3),
        about("evt_3", Some(&other), 4),
        about("evt_4", None, 5),
    ] {
        books.record_callback(&record).await.unwrap();
    }
    let filter = CallbackFilter { order_id: payment.terms().order_id, user_id: None };
    let found = books.list_callbacks(filter, 10).await.unwrap();
    let ids: Vec<_> = found.iter().map(|receipt| receipt.id.as_str()).collect();
    assert_eq!(ids, ["evt_2", "evt_1"]);
    let first = &found[0];
    assert_eq!((first.payment_id, first.deliveries), (payment.id(), 2));
    assert_eq!(first.kind.as_deref(), Some("payment.pending"));
    assert_eq!(first.ruling, "DUPLICATE");
    assert_eq!(first.received_at, now() + TimeDelta::seconds(1));
    assert_eq!(first.last_received_at, now() + TimeDelta::seconds(3));
    assert_eq!(books.list_callbacks(filter, 1).await.unwrap(), found[1..], "the latest");

    let own = CallbackFilter { user_id: Some(payment.terms().user_id), ..filter };
    assert_eq!(books.list_callbacks(own, 10).await.unwrap(), found);
    let foreign = CallbackFilter { user_id: Some(UserId::generate()), ..filter };
    assert_eq!(books.list_callbacks(foreign, 10).await.unwrap(), []);
}

pub(super) async fn booked_payments_come_with_their_balance(books: &dyn Books) {
    let (open, taken) = (initiated(books).await, captured(books).await);
    let ids = [open.id(), taken.id(), PaymentId::generate()];
    let mut found = books.find_booked(&ids).await.unwrap();
    found.sort_by_key(|booked| booked.held);
    let expected =
        [Booked { payment: open, held: 0 }, Booked { payment: taken.clone(), held: 19_900 }];
    assert_eq!(found, expected);
    assert_eq!(books.find_booked(&[]).await.unwrap(), []);

    let asked = taken.request_refund(RefundId::generate(), "late".to_owned(), now()).unwrap();
    books.save(save(&asked)).await.unwrap();
    let done = asked.payment.complete_refund(now()).unwrap();
    books.save(save(&done)).await.unwrap();
    let found = books.find_booked(&[done.payment.id()]).await.unwrap();
    assert_eq!(found, [Booked { payment: done.payment, held: 0 }]);
}

/// Settles a new payment with this provider reference, or without one.
async fn settled(books: &dyn Books, reference: &str, outcome: Outcome) -> PaymentId {
    let payment = initiated(books).await;
    let charge = Charge { provider_reference: reference.to_owned(), outcome };
    let Verdict::Moves(change) = payment.hear(&charge, now()) else { panic!("it moves") };
    books.save(save(&change)).await.unwrap();
    payment.id()
}

fn ids(booked: &[Booked]) -> Vec<PaymentId> {
    booked.iter().map(|booked| booked.payment.id()).collect()
}

pub(super) async fn payments_are_listed_by_their_provider_references(books: &dyn Books) {
    let mut expected = Vec::new();
    for reference in ["ch_3", "ch_1", "ch_2", "ch_B", "ch_a"] {
        expected.push((reference, settled(books, reference, Outcome::Captured).await));
    }
    settled(books, "ch_0", Outcome::Declined(Reason::from_provider("no"))).await;
    settled(books, "", Outcome::Captured).await;
    expected.sort_unstable();
    let expected: Vec<_> = expected.into_iter().map(|(_, id)| id).collect();
    let stretch = |after: Option<&str>, upto: Option<&str>| Stretch {
        after: after.map(str::to_owned),
        upto: upto.map(str::to_owned),
    };
    for (after, upto, limit, range) in [
        (None, None, 10, 0..5),
        (None, Some("ch_2"), 10, 0..2),
        (Some("ch_1"), Some("ch_3"), 10, 1..3),
        (Some("ch_3"), None, 10, 3..5),
        (Some("ch_1"), None, 2, 1..3),
        (Some("ch_z"), None, 10, 0..0),
    ] {
        let found = books.list_referenced(&stretch(after, upto), limit).await.unwrap();
        assert_eq!(ids(&found), expected[range], "{after:?} to {upto:?}");
    }
}

pub(super) async fn payments_without_a_reference_are_listed_by_their_ids(books: &dyn Books) {
    let mut expected = Vec::new();
    for _ in 0..3 {
        expected.push(settled(books, "", Outcome::Captured).await);
    }
    settled(books, "", Outcome::Declined(Reason::from_provider("no"))).await;
    settled(books, "ch_1", Outcome::Captured).await;
    initiated(books).await;
    expected.sort_unstable();
    let found = books.list_unreferenced(None, None, 2).await.unwrap();
    assert_eq!(ids(&found), expected[..2]);
    assert!(found.iter().all(|booked| booked.held == 19_900));
    let rest = books.list_unreferenced(Some(expected[1]), None, 2).await.unwrap();
    assert_eq!(ids(&rest), expected[2..]);
    let made_at = found[0].payment.snapshot().created_at;
    for (since, count) in [(made_at, 3), (made_at + TimeDelta::seconds(1), 0)] {
        assert_eq!(books.list_unreferenced(None, Some(since), 9).await.unwrap().len(), count);
    }
}
