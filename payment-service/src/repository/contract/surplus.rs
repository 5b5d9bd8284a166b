//! Surplus captures in every adapter.

use super::*;
use crate::repository::contract::books::Books;

async fn failed(books: &dyn Books) -> Payment {
    let declined = Outcome::Declined(Reason::from_provider("card_declined"));
    let change = hear(&initiated(books).await, declined);
    assert_eq!(books.save(save(&change)).await.unwrap(), Saved::Stored);
    change.payment
}

pub(super) async fn a_surplus_capture_is_stored_in_two_steps(books: &dyn Books) {
    let payment = failed(books).await;
    let id = payment.id();
    let taken = payment.take_surplus(now()).unwrap();
    assert_eq!(books.save_surplus(&taken, Some(now())).await.unwrap(), Saved::Stored);
    assert_eq!(books.find(id).await.unwrap(), Some(taken.payment.clone()));
    let due = books.claim_due(now(), PAUSES, 10).await.unwrap();
    assert_eq!(due, std::slice::from_ref(&taken.payment));

    let returned = taken.payment.return_surplus(now()).unwrap();
    assert_eq!(books.save_surplus(&returned, None).await.unwrap(), Saved::Stored);
    assert_eq!(books.find(id).await.unwrap(), Some(returned.payment));
    assert_eq!(books.claim_due(now() + TimeDelta::days(1), PAUSES, 10).await.unwrap(), []);
    let line = |posting: &str, account: &str, amount| {
        (format!("{posting}:{id}"), account.to_owned(), amount)
    };
    assert_eq!(
        books.entries(id).await,
        [
            line("refund", "provider_clearing", -19_900),
            line("refund", "surplus_captures", 19_900),
            line("surplus", "provider_clearing", 19_900),
            line("surplus", "surplus_captures", -19_900),
        ]
    );
    // The payment itself did not move, and nobody is told again.
    assert_eq!(books.history(id).await.len(), 2);
    assert_eq!(books.events(id).await, [("payment.failed".to_owned(), 2)]);
    let told = books.audit(id).await;
    assert_eq!(told[2..], ["payment.surplus_captured", "payment.surplus_refunded"]);
}

pub(super) async fn of_two_that_find_a_surplus_capture_one_books_it(books: &dyn Books) {
    let payment = failed(books).await;
    let change = payment.take_surplus(now()).unwrap();
    let (one, other) = futures::future::join(
        books.save_surplus(&change, Some(now())),
        books.save_surplus(&change, Some(now())),
    )
    .await;
    let mut saved = [one.unwrap(), other.unwrap()];
    saved.sort_by_key(|saved| *saved != Saved::Stored);
    assert_eq!(saved, [Saved::Stored, Saved::Stale]);
    assert_eq!(books.entries(payment.id()).await.len(), 2);
    assert_eq!(books.audit(payment.id()).await.len(), 3);

    let change = change.payment.return_surplus(now()).unwrap();
    assert_eq!(books.save_surplus(&change, None).await.unwrap(), Saved::Stored);
    assert_eq!(books.save_surplus(&change, None).await.unwrap(), Saved::Stale);
    assert_eq!(books.entries(payment.id()).await.len(), 4);
}

pub(super) async fn what_has_not_failed_takes_no_surplus(books: &dyn Books) {
    let payment = initiated(books).await;
    // Somebody read the payment as failed; it was stored otherwise.
    let declined = Outcome::Declined(Reason::from_provider("card_declined"));
    let change = hear(&payment, declined).payment.take_surplus(now()).unwrap();
    assert_eq!(books.save_surplus(&change, Some(now())).await.unwrap(), Saved::Stale);
    assert_eq!(books.find(payment.id()).await.unwrap(), Some(payment.clone()));
    assert_eq!(books.entries(payment.id()).await, []);
}
