//! What callers are told when the service cannot work.

use chassis::error::Kind;
use futures::future::join_all;

use crate::harness::{ADMIN, Harness, PASSWORD};

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn without_a_database_the_service_is_unavailable() {
    let harness = Harness::start().await;
    harness.pool.close().await;
    let refusal = harness.identify(ADMIN, PASSWORD).await.unwrap_err();
    assert_eq!((refusal.reason.as_str(), refusal.kind), ("SERVICE_UNAVAILABLE", Kind::Unavailable));
    harness.discard().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_flood_of_logins_is_refused_in_part_and_told_when_to_come_back() {
    let harness = Harness::with(&[("PASSWORDS__WAITING_MAX", "0")]).await;
    let cores = std::thread::available_parallelism().unwrap().get();
    let answers = join_all((0..cores * 8).map(|_| harness.identify(ADMIN, PASSWORD))).await;
    let (served, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert!(!served.is_empty() && !refused.is_empty());
    for refusal in refused.into_iter().map(Result::unwrap_err) {
        assert_eq!(refusal.reason, "SERVICE_UNAVAILABLE");
        assert_eq!(refusal.retry_after.map(|pause| pause.as_secs()), Some(20));
    }
    harness.identify(ADMIN, PASSWORD).await.unwrap();
    harness.finish().await;
}
