//! Figures of what is under way in a schema, counted for operators by one replica at a time.

use std::error::Error;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::db::{Election, Pool};
use crate::error::Chain;
use crate::grpc::context::{CallContext, scope};

/// The lock of whoever counts.
const LOCK: &str = "census";

/// What is counted. The default is what replicas show that do not count.
pub trait Figures: Default {
    /// Shows the figures to operators.
    fn show(&self);
}

/// Counts every `pace` until `stop`, while elected. Who is not, or has stopped, shows nothing, so
/// that sums over replicas are right; who cannot count leaves the last figures.
pub async fn run<F, Fut, C, E>(pool: Pool, pace: Duration, stop: CancellationToken, count: F)
where
    F: Fn() -> Fut + Send + Sync,
    Fut: Future<Output = Result<C, E>> + Send,
    C: Figures,
    E: Error + 'static,
{
    let mut election = Election::new(pool, LOCK, pace);
    let work = async {
        loop {
            match election.stand().await {
                Ok(true) => match scope(CallContext::with_timeout(pace), count()).await {
                    Ok(figures) => figures.show(),
                    Err(error) => tracing::warn!(error = %Chain(&error), "census not taken"),
                },
                Ok(false) => C::default().show(),
                Err(error) => {
                    C::default().show();
                    tracing::warn!(error = %Chain(&error), "nobody was elected for the census");
                }
            }
            tokio::time::sleep(pace).await;
        }
    };
    let _stopped: Option<()> = stop.run_until_cancelled(work).await;
    // Before another one is let: what both showed would be counted twice.
    C::default().show();
    election.resign().await;
}
