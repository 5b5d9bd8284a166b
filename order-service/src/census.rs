//! Counting the orders that are not over, for operators: in one replica at a time.

use std::sync::Arc;
use std::time::Duration;

use chassis::db::Election;
use chassis::error::Chain;
use chassis::grpc::context::{self, CallContext};
use tokio_util::sync::CancellationToken;

use crate::service::{Census, OrderService};

/// The lock of whoever counts.
pub const LOCK: &str = "census";

/// Counts every `pace` until `stop`, while elected. Who is not shows nothing, so that sums over
/// replicas are right; who cannot count leaves the last figures.
pub async fn run(
    service: Arc<OrderService>,
    mut election: Election,
    pace: Duration,
    stop: CancellationToken,
) {
    let work = async {
        loop {
            match election.stand().await {
                Ok(true) => count(&service, pace).await,
                Ok(false) => Census::default().show(),
                Err(error) => {
                    Census::default().show();
                    tracing::warn!(error = %Chain(&error), "nobody was elected to count orders");
                }
            }
            tokio::time::sleep(pace).await;
        }
    };
    let _stopped: Option<()> = stop.run_until_cancelled(work).await;
    election.resign().await;
}

async fn count(service: &OrderService, limit: Duration) {
    match context::scope(CallContext::with_timeout(limit), service.take_census()).await {
        Ok(census) => census.show(),
        Err(error) => tracing::warn!(error = %Chain(&error), "open orders not counted"),
    }
}
