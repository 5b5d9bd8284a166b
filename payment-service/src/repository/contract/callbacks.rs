//! Callbacks in every adapter.

use super::*;
use crate::repository::contract::books::Books;

pub(super) async fn a_callback_moves_one_payment_once(books: &dyn Books) {
    let (first, second) = (initiated(books).await, initiated(books).await);
    let applied = record("evt_1", Ruling::Applied);
    let (one, other) = (hear(&first, Outcome::Captured), hear(&second, Outcome::Captured));
    let by = |change| Save { callback: Some(&applied), cause: Cause::Callback, ..save(change) };
    assert_eq!(books.save(by(&one)).await.unwrap(), Saved::Stored);
    assert_eq!(books.save(by(&other)).await.unwrap(), Saved::Replayed);
    assert_eq!(books.find(second.id()).await.unwrap(), Some(second.clone()));
    assert_eq!(books.history(second.id()).await.len(), 1);
    assert_eq!(books.entries(second.id()).await, []);
    assert_eq!(books.deliveries("evt_1", Ruling::Applied).await, 1);
}

pub(super) async fn callbacks_are_counted_by_ruling(books: &dyn Books) {
    for _ in 0..3 {
        books.record_callback(&record("evt_1", Ruling::Duplicate)).await.unwrap();
    }
    books.record_callback(&record("evt_1", Ruling::Mismatch)).await.unwrap();
    assert_eq!(books.deliveries("evt_1", Ruling::Duplicate).await, 3);
    assert_eq!(books.deliveries("evt_1", Ruling::Mismatch).await, 1);
    assert_eq!(books.deliveries("evt_1", Ruling::Applied).await, 0);
}

pub(super) async fn old_callbacks_are_forgotten_a_few_at_a_time(books: &dyn Books) {
    let at = |days| now() + TimeDelta::days(days);
    let payment = initiated(books).await;
    let applied = record("evt_applied", Ruling::Applied);
    let capture = hear(&payment, Outcome::Captured);
    let by = Save { callback: Some(&applied), cause: Cause::Callback, ..save(&capture) };
    books.save(by).await.unwrap();
    for (id, days) in [("evt_1", 0), ("evt_2", 0), ("evt_2", 9), ("evt_3", 9)] {
        let record = CallbackRecord { received_at: at(days), ..record(id, Ruling::Ignored) };
        books.record_callback(&record).await.unwrap();
    }
    assert_eq!(books.forget_callbacks(at(0), 10).await.unwrap(), 0);
    // A callback, and the mark of the one that moved the payment.
    assert_eq!(books.forget_callbacks(at(1), 1).await.unwrap(), 2);
    assert_eq!(books.forget_callbacks(at(1), 10).await.unwrap(), 1);
    assert_eq!(books.forget_callbacks(at(1), 10).await.unwrap(), 0);
    assert_eq!(books.deliveries("evt_applied", Ruling::Applied).await, 0);
    assert_eq!(books.deliveries("evt_1", Ruling::Ignored).await, 0);
    assert_eq!(books.deliveries("evt_2", Ruling::Ignored).await, 2, "it came again since");
    assert_eq!(books.deliveries("evt_3", Ruling::Ignored).await, 1);
    assert_eq!(books.find(payment.id()).await.unwrap(), Some(capture.payment));
}
