//! What callers are told when the service cannot work.

use std::time::Duration;

use chassis::db::{self, DbError};
use chassis::error::Kind;
use chassis::messaging::{HandleError, Handler};
use chassis::testing::mysql::TestDatabase;
use order_service::api::consumer::PaymentEvents;
use order_service::repository::mysql::MIGRATOR;
use tokio::sync::Notify;

use crate::calls::{cancel_of, cart, code, refused};
use crate::harness::{Harness, STOCK, TEA, User};
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

/// The order waits for a piece of tea that another transaction holds until it is too late.
#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_request_whose_deadline_has_passed_leaves_nothing() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let (held, release) = (&Notify::new(), &Notify::new());
    let holding = db::transaction(&harness.pool, |tx| {
        Box::pin(async move {
            let lock = "SELECT stock FROM products WHERE sku = ? FOR UPDATE";
            sqlx::query(lock).bind(TEA).fetch_one(&mut **tx).await?;
            held.notify_one();
            release.notified().await;
            Ok::<_, DbError>(())
        })
    });
    let late = async {
        held.notified().await;
        let mut request = harness.by(alice, cart(&[(TEA, 1)], "pm_ok"));
        request.set_timeout(Duration::from_millis(300));
        let code = code(refused(harness.client().create_order(request).await));
        release.notify_one();
        code
    };
    let (released, code) = tokio::join!(holding, late);
    released.unwrap();
    assert_eq!(code, "DEADLINE_EXCEEDED");
    assert_eq!(harness.place(alice, "pm_ok").await.version, 2);
    assert_eq!(harness.count("SELECT COUNT(*) FROM orders").await, 1);
    assert_eq!(harness.count("SELECT COUNT(*) FROM idempotency_claims").await, 1);
    assert_eq!(harness.stock(TEA).await, STOCK - 1);
    harness.finish().await;
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
