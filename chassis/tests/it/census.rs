//! Figures of a schema: one of its replicas counts.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chassis::census::{self, Figures};
use chassis::testing::mysql::TestDatabase;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::eventually;
use crate::transactions::MIGRATIONS;

const PACE: Duration = Duration::from_millis(50);

/// How often somebody showed nothing.
static NOTHING: AtomicUsize = AtomicUsize::new(0);

#[derive(Default)]
struct Found(usize);

impl Figures for Found {
    fn show(&self) {
        if self.0 == 0 {
            NOTHING.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A replica that counts, how often it did, and what stops it.
fn replica(database: &TestDatabase) -> (JoinHandle<()>, Arc<AtomicUsize>, CancellationToken) {
    let (pool, stop, counted) = (database.pool(), CancellationToken::new(), Arc::default());
    let (stopping, counting) = (stop.clone(), Arc::<AtomicUsize>::clone(&counted));
    let replica = tokio::spawn(async move {
        let count =
            || async { Ok::<_, fmt::Error>(Found(1 + counting.fetch_add(1, Ordering::Relaxed))) };
        census::run(pool, PACE, stopping, count).await;
    });
    (replica, counted, stop)
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn one_replica_counts_and_another_one_after_it() {
    let database = TestDatabase::create(&MIGRATIONS).await;
    let times = |counted: &Arc<AtomicUsize>| counted.load(Ordering::Relaxed);
    let (first, by_first, stop) = replica(&database);
    eventually("the first one counting", || async { times(&by_first) > 1 }).await;
    assert_eq!(NOTHING.load(Ordering::Relaxed), 0);
    let (second, by_second, stop_second) = replica(&database);
    eventually("the second one showing nothing", || async { NOTHING.load(Ordering::Relaxed) > 1 })
        .await;
    assert_eq!(times(&by_second), 0);
    stop.cancel();
    first.await.unwrap();
    eventually("the second one counting", || async { times(&by_second) > 1 }).await;
    let before = NOTHING.load(Ordering::Relaxed);
    stop_second.cancel();
    second.await.unwrap();
    assert_eq!(NOTHING.load(Ordering::Relaxed), before + 1, "who has stopped shows nothing");
    database.finish().await;
}
