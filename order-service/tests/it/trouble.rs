//! What callers are told when the service cannot work.

use chassis::error::Kind;
use chassis::messaging::{HandleError, Handler};
use chassis::testing::mysql::TestDatabase;
use order_service::api::consumer::PaymentEvents;
use order_service::repository::mysql::MIGRATOR;

use crate::calls::{cancel_of, cart, code};
use crate::harness::{Harness, TEA, User};
use crate::notices::event;

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn without_a_database_the_service_is_unavailable() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let order = harness.place(alice, "pm_never").await;
    let calls = harness.payments.calls();
    harness.pool.close().await;
    let refusal = harness.create(alice, cart(&[(TEA, 1)], "pm_ok")).await.unwrap_err();
    assert_eq!((refusal.reason.as_str(), refusal.kind), ("SERVICE_UNAVAILABLE", Kind::Unavailable));
    assert_eq!(code(harness.cancel(alice, cancel_of(&order)).await), "SERVICE_UNAVAILABLE");
    assert_eq!(code(harness.read(alice, &order.id).await), "SERVICE_UNAVAILABLE");
    assert_eq!(code(harness.product(TEA).await), "SERVICE_UNAVAILABLE");
    assert!(harness.service.recover_payments().await.is_err());
    assert_eq!(harness.payments.calls(), calls);
    harness.discard().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn without_a_database_an_event_is_to_be_delivered_again() {
    let harness = Harness::start().await;
    let order = harness.place(User::customer(), "pm_never").await;
    harness.pool.close().await;
    let consumer = PaymentEvents::new(harness.service.clone());
    let refused = consumer.handle(&[event("payment.succeeded", &order, 3)]).await;
    assert!(matches!(refused, Err(HandleError::Retry(_))), "{refused:?}");
    harness.discard().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_migration_that_was_cut_off_may_run_again() {
    let database = TestDatabase::create(&MIGRATOR).await;
    for migration in MIGRATOR.iter() {
        let again = sqlx::raw_sql(migration.sql.clone()).execute(&database.pool()).await;
        assert!(again.is_ok(), "{}: {again:?}", migration.description);
    }
    database.finish().await;
}
