//! What every [`ChargeBook`] does, run against each adapter.

use chassis::testing::mysql::TestDatabase;
use chrono::DateTime;

use super::memory::MemoryChargeBook;
use super::mysql::MySqlChargeBook;
use super::{ChargeBook, ChargeRow, Verdict};
use crate::app::MIGRATOR;
use crate::model::{Money, PaymentId, Reason, RefundId};

fn row(verdict: Option<Verdict>) -> ChargeRow {
    ChargeRow {
        reference: PaymentId::generate(),
        amount: Money::parse("amount", 700, "CNY").unwrap(),
        verdict,
        created_at: DateTime::from_timestamp_millis(1_767_323_044_006).unwrap(),
        due_at: DateTime::from_timestamp_millis(1_767_323_045_006).unwrap(),
        refund_id: None,
    }
}

async fn a_charge_reads_back_as_it_was_opened(book: &dyn ChargeBook) {
    let declined = Verdict::Declined(Reason::from_provider("card_declined"));
    for verdict in [Some(Verdict::Captured), Some(declined), None] {
        let row = row(verdict);
        assert_eq!(book.open(&row).await.unwrap(), None);
        assert_eq!(book.find(row.reference).await.unwrap(), Some(row));
    }
    assert_eq!(book.find(PaymentId::generate()).await.unwrap(), None);
}

async fn the_first_charge_under_a_reference_stays(book: &dyn ChargeBook) {
    let first = row(Some(Verdict::Captured));
    book.open(&first).await.unwrap();
    let second = ChargeRow { verdict: None, ..first.clone() };
    assert_eq!(book.open(&second).await.unwrap(), Some(first));
}

async fn a_captured_charge_is_refunded_under_one_id(book: &dyn ChargeBook) {
    let captured = row(Some(Verdict::Captured));
    let undecided = row(None);
    for row in [&captured, &undecided] {
        book.open(row).await.unwrap();
    }
    let id = RefundId::generate();
    assert!(book.refund(captured.reference, id).await.unwrap());
    assert!(book.refund(captured.reference, id).await.unwrap());
    assert!(!book.refund(captured.reference, RefundId::generate()).await.unwrap());
    assert!(!book.refund(undecided.reference, id).await.unwrap());
    assert!(!book.refund(PaymentId::generate(), id).await.unwrap());
    assert_eq!(book.find(captured.reference).await.unwrap().unwrap().refund_id, Some(id));
}

async fn charges_are_listed_in_the_order_of_their_references(book: &dyn ChargeBook) {
    let mut rows: Vec<_> = (0..3).map(|_| row(Some(Verdict::Captured))).collect();
    for row in rows.iter().rev() {
        book.open(row).await.unwrap();
    }
    rows.sort_by_key(|row| row.reference);
    assert_eq!(book.list(None, 2).await.unwrap(), rows[..2]);
    assert_eq!(book.list(Some(rows[1].reference), 2).await.unwrap(), rows[2..]);
    assert_eq!(book.list(Some(rows[2].reference), 2).await.unwrap(), []);
}

macro_rules! contract {
    ($($case:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $case() {
                super::$case(&super::MemoryChargeBook::default()).await;
            })+
        }

        mod mysql {
            use super::*;

            $(#[tokio::test]
            #[ignore = "needs MySQL: cargo ehub test"]
            async fn $case() {
                let database = TestDatabase::create(&MIGRATOR).await;
                super::$case(&MySqlChargeBook::new(database.pool())).await;
                database.finish().await;
            })+
        }
    };
}

contract!(
    a_charge_reads_back_as_it_was_opened,
    the_first_charge_under_a_reference_stays,
    a_captured_charge_is_refunded_under_one_id,
    charges_are_listed_in_the_order_of_their_references,
);
