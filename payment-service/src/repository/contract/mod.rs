//! What every [`PaymentRepository`](super::PaymentRepository) does, run against each adapter.

mod books;
mod callbacks;
mod looking_back;
mod surplus;

use std::time::Duration;

use chassis::outbox::Outbox;
use chassis::testing::mysql::TestDatabase;
use chrono::{DateTime, TimeDelta, Utc};

use self::books::{Books, MySqlBooks};
use self::callbacks::{
    a_callback_moves_one_payment_once, callbacks_are_counted_by_ruling,
    old_callbacks_are_forgotten_a_few_at_a_time,
};
use self::looking_back::{
    booked_payments_come_with_their_balance, callbacks_of_an_order_are_listed,
    payments_are_listed_by_their_provider_references,
    payments_without_a_reference_are_listed_by_their_ids,
};
use self::surplus::{
    a_surplus_capture_is_stored_in_two_steps, of_two_that_find_a_surplus_capture_one_books_it,
    what_has_not_failed_takes_no_surplus,
};
use super::memory::MemoryPaymentRepository;
use super::mysql::MySqlPaymentRepository;
use super::{Cause, Pauses, Save, Saved};
use crate::app::MIGRATOR;
use crate::model::{
    CallbackRecord, Change, Charge, Outcome, Payment, PaymentError, PaymentId, PaymentStatus,
    Reason, RefundId, RefundStatus, Ruling, Terms, Verdict,
};
use crate::testing::terms;

const PAUSES: Pauses = Pauses { first: Duration::from_secs(5), max: Duration::from_secs(12) };

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_767_323_045_006).unwrap()
}

fn charge(outcome: Outcome) -> Charge {
    Charge { provider_reference: format!("ch_{}", PaymentId::generate()), outcome }
}

fn hear(payment: &Payment, outcome: Outcome) -> Change {
    match payment.hear(&charge(outcome), now() + TimeDelta::seconds(1)) {
        Verdict::Moves(change) => *change,
        other => panic!("{other:?}"),
    }
}

fn save(change: &Change) -> Save<'_> {
    Save { change, cause: Cause::Answer, check_at: None, callback: None }
}

fn record(id: &str, ruling: Ruling) -> CallbackRecord {
    CallbackRecord {
        id: id.to_owned(),
        payment_id: None,
        body: b"{\"id\":1}".to_vec(),
        ruling,
        received_at: now(),
    }
}

async fn initiated(books: &dyn Books) -> Payment {
    let payment = Payment::initiate(PaymentId::generate(), terms("pm_ok"), now());
    assert_eq!(books.insert(&payment, Some(now())).await.unwrap(), None);
    payment
}

async fn captured(books: &dyn Books) -> Payment {
    let change = hear(&initiated(books).await, Outcome::Captured);
    assert_eq!(books.save(save(&change)).await.unwrap(), Saved::Stored);
    change.payment
}

async fn a_payment_reads_back_as_it_was_stored(books: &dyn Books) {
    let payment = initiated(books).await;
    assert_eq!(books.find(payment.id()).await.unwrap(), Some(payment.clone()));
    let declined = Outcome::Declined(Reason::from_provider("card_declined"));
    let change = hear(&payment, declined);
    books.save(save(&change)).await.unwrap();
    assert_eq!(books.find(payment.id()).await.unwrap(), Some(change.payment));
    assert_eq!(books.find(PaymentId::generate()).await.unwrap(), None);
}

async fn a_second_insert_answers_with_the_first(books: &dyn Books) {
    let payment = initiated(books).await;
    let again = Payment::initiate(payment.id(), terms("pm_never"), now());
    assert_eq!(books.insert(&again, Some(now())).await.unwrap(), Some(payment.clone()));
    assert_eq!(books.history(payment.id()).await.len(), 1);
    assert_eq!(books.audit(payment.id()).await, ["payment.attempted"]);
}

async fn a_payment_that_begins_at_its_end_is_told_and_left_alone(books: &dyn Books) {
    let closed = Payment::close(PaymentId::generate(), terms("pm_ok"), now());
    assert_eq!(books.insert(&closed, None).await.unwrap(), None);
    assert_eq!(books.insert(&closed, None).await.unwrap(), Some(closed.clone()));
    assert_eq!(books.find(closed.id()).await.unwrap(), Some(closed.clone()));
    let first = (1, None, "FAILED".to_owned(), "request".to_owned());
    assert_eq!(books.history(closed.id()).await, [first]);
    assert_eq!(books.events(closed.id()).await, [("payment.failed".to_owned(), 1)]);
    let later = now() + TimeDelta::days(1);
    assert_eq!(books.claim_due(later, PAUSES, 10).await.unwrap(), []);
}

async fn a_move_is_stored_with_all_that_belongs_to_it(books: &dyn Books) {
    let payment = captured(books).await;
    let id = payment.id();
    let line = |version, from: Option<&str>, to: &str, cause: &str| {
        (version, from.map(str::to_owned), to.to_owned(), cause.to_owned())
    };
    assert_eq!(
        books.history(id).await,
        [line(1, None, "INITIATED", "request"), line(2, Some("INITIATED"), "SUCCEEDED", "answer"),]
    );
    let posting = format!("capture:{id}");
    assert_eq!(
        books.entries(id).await,
        [
            (posting.clone(), "order_funds".to_owned(), -19_900),
            (posting, "provider_clearing".to_owned(), 19_900),
        ]
    );
    assert_eq!(books.events(id).await, [("payment.succeeded".to_owned(), 2)]);
    assert_eq!(books.audit(id).await, ["payment.attempted", "payment.captured"]);
}

async fn only_the_first_of_two_moves_counts(books: &dyn Books) {
    let payment = initiated(books).await;
    let capture = hear(&payment, Outcome::Captured);
    let decline = hear(&payment, Outcome::Declined(Reason::from_provider("late")));
    assert_eq!(books.save(save(&capture)).await.unwrap(), Saved::Stored);
    assert_eq!(books.save(save(&decline)).await.unwrap(), Saved::Stale);
    assert_eq!(books.save(save(&capture)).await.unwrap(), Saved::Stale);
    assert_eq!(books.find(payment.id()).await.unwrap(), Some(capture.payment));
    assert_eq!(books.history(payment.id()).await.len(), 2);
    assert_eq!(books.entries(payment.id()).await.len(), 2);
    assert_eq!(books.events(payment.id()).await.len(), 1);
    assert_eq!(books.audit(payment.id()).await.len(), 2);
}

async fn a_refund_is_stored_in_two_moves(books: &dyn Books) {
    let payment = captured(books).await;
    let reason = "late_capture".to_owned();
    let asked = payment.request_refund(RefundId::generate(), reason, now()).unwrap();
    books.save(save(&asked)).await.unwrap();
    let stored = books.find(payment.id()).await.unwrap().unwrap();
    assert_eq!(stored, asked.payment);
    let done = stored.complete_refund(now()).unwrap();
    books.save(save(&done)).await.unwrap();
    let stored = books.find(payment.id()).await.unwrap().unwrap();
    assert_eq!(stored.refund().unwrap().status, RefundStatus::Succeeded);
    assert_eq!(stored, done.payment);
    let entries = books.entries(payment.id()).await;
    assert_eq!(entries.len(), 4);
    assert_eq!(entries.iter().map(|(_, _, amount)| amount).sum::<i64>(), 0);
    assert_eq!(books.events(payment.id()).await.last().unwrap().0, "payment.refunded");
    let told = books.audit(payment.id()).await;
    assert_eq!(told[2..], ["payment.refund_requested", "payment.refunded"]);
}

async fn a_refund_id_of_another_payment_is_refused(books: &dyn Books) {
    let (first, second) = (captured(books).await, captured(books).await);
    let id = RefundId::generate();
    let ask = |payment: &Payment| payment.request_refund(id, "twice".to_owned(), now()).unwrap();
    books.save(save(&ask(&first))).await.unwrap();
    let error = books.save(save(&ask(&second))).await.unwrap_err();
    assert!(matches!(error, PaymentError::RefundIdTaken));
    assert_eq!(books.audit(second.id()).await.len(), 2, "what is refused leaves no row");
    assert_eq!(books.find(second.id()).await.unwrap(), Some(second));
}

async fn attempts_of_an_order_come_oldest_first(books: &dyn Books) {
    let of_order = terms("pm_ok");
    let mut expected = Vec::new();
    for seconds in 0..3 {
        let at = now() + TimeDelta::seconds(seconds);
        let payment = Payment::initiate(PaymentId::generate(), Terms { ..of_order.clone() }, at);
        books.insert(&payment, Some(at)).await.unwrap();
        expected.push(payment.id());
    }
    initiated(books).await;
    let attempts = books.list_attempts(of_order.order_id).await.unwrap();
    assert_eq!(attempts.iter().map(Payment::id).collect::<Vec<_>>(), expected);
}

async fn due_payments_are_claimed_once_per_pause(books: &dyn Books) {
    let payment = initiated(books).await;
    let claim = |seconds| books.claim_due(now() + TimeDelta::seconds(seconds), PAUSES, 10);
    assert_eq!(claim(-1).await.unwrap(), []);
    assert_eq!(claim(0).await.unwrap(), std::slice::from_ref(&payment));
    for (seconds, claimed) in [(4, 0), (5, 1), (14, 0), (15, 1), (26, 0), (27, 1), (38, 0), (39, 1)]
    {
        assert_eq!(claim(seconds).await.unwrap().len(), claimed, "after {seconds} s");
    }
    let change = hear(&payment, Outcome::Captured);
    books.save(save(&change)).await.unwrap();
    assert_eq!(claim(10_000).await.unwrap(), []);
}

async fn payments_that_are_looked_at_are_counted(books: &dyn Books) {
    let (one, _other) = (initiated(books).await, initiated(books).await);
    let failing = initiated(books).await;
    let pending = hear(&one, Outcome::Pending);
    books.save(Save { check_at: Some(now()), ..save(&pending) }).await.unwrap();
    captured(books).await;
    let declined = hear(&failing, Outcome::Declined(Reason::from_provider("card_declined")));
    books.save(save(&declined)).await.unwrap();
    let mut counts = books.count_open(10).await.unwrap();
    counts.sort_by_key(|(status, _)| status.as_str());
    assert_eq!(counts, [(PaymentStatus::Initiated, 1), (PaymentStatus::Pending, 1)]);
    // Money of a failed payment that goes back is under way, although the payment stays where it is.
    let taken = declined.payment.take_surplus(now()).unwrap();
    books.save_surplus(&taken, Some(now())).await.unwrap();
    let mut counts = books.count_open(10).await.unwrap();
    counts.retain(|(status, _)| *status == PaymentStatus::Failed);
    assert_eq!(counts, [(PaymentStatus::Failed, 1)]);
    let bounded = books.count_open(1).await.unwrap();
    assert_eq!(bounded.iter().map(|(_, count)| count).sum::<u32>(), 1);
}

async fn a_move_starts_the_pauses_anew(books: &dyn Books) {
    let payment = initiated(books).await;
    let claim = |seconds| books.claim_due(now() + TimeDelta::seconds(seconds), PAUSES, 10);
    claim(0).await.unwrap();
    let change = hear(&payment, Outcome::Pending);
    let check_at = Some(now() + TimeDelta::seconds(3));
    books.save(Save { check_at, ..save(&change) }).await.unwrap();
    for (seconds, claimed) in [(2, 0), (3, 1), (7, 0), (8, 1)] {
        assert_eq!(claim(seconds).await.unwrap().len(), claimed, "after {seconds} s");
    }
}

async fn the_longest_due_are_claimed_first(books: &dyn Books) {
    let mut ids = Vec::new();
    for seconds in [3, 1, 2] {
        let payment = Payment::initiate(PaymentId::generate(), terms("pm_ok"), now());
        books.insert(&payment, Some(now() + TimeDelta::seconds(seconds))).await.unwrap();
        ids.push(payment.id());
    }
    let at = now() + TimeDelta::seconds(3);
    let first = books.claim_due(at, PAUSES, 2).await.unwrap();
    assert_eq!(first.iter().map(Payment::id).collect::<Vec<_>>(), [ids[1], ids[2]]);
    let rest = books.claim_due(at, PAUSES, 2).await.unwrap();
    assert_eq!(rest.iter().map(Payment::id).collect::<Vec<_>>(), [ids[0]]);
}

macro_rules! contract {
    ($($case:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $case() {
                super::$case(&super::MemoryPaymentRepository::new()).await;
            })+
        }

        mod mysql {
            use super::*;

            $(#[tokio::test]
            #[ignore = "needs MySQL: cargo ehub test"]
            async fn $case() {
                let database = TestDatabase::create(&MIGRATOR).await;
                let pool = database.pool();
                let audit = chassis::testing::audit::log("payment-service");
                let repository = MySqlPaymentRepository::new(pool.clone(), Outbox::new(), audit);
                super::$case(&MySqlBooks { repository, pool }).await;
                database.finish().await;
            })+
        }
    };
}

contract!(
    a_payment_reads_back_as_it_was_stored,
    a_second_insert_answers_with_the_first,
    a_payment_that_begins_at_its_end_is_told_and_left_alone,
    a_move_is_stored_with_all_that_belongs_to_it,
    only_the_first_of_two_moves_counts,
    a_refund_is_stored_in_two_moves,
    a_refund_id_of_another_payment_is_refused,
    a_callback_moves_one_payment_once,
    callbacks_are_counted_by_ruling,
    old_callbacks_are_forgotten_a_few_at_a_time,
    attempts_of_an_order_come_oldest_first,
    due_payments_are_claimed_once_per_pause,
    payments_that_are_looked_at_are_counted,
    a_move_starts_the_pauses_anew,
    the_longest_due_are_claimed_first,
    a_surplus_capture_is_stored_in_two_steps,
    of_two_that_find_a_surplus_capture_one_books_it,
    what_has_not_failed_takes_no_surplus,
    callbacks_of_an_order_are_listed,
    booked_payments_come_with_their_balance,
    payments_are_listed_by_their_provider_references,
    payments_without_a_reference_are_listed_by_their_ids,
);
