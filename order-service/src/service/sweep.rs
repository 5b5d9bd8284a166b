//! Forgetting what nobody will ask for again.

use tracing::instrument;

use super::{OrderService, Progress};
use crate::model::OrderError;

/// Rows forgotten per statement: few enough that nobody waits for their locks.
const ROWS: u32 = 500;

impl OrderService {
    /// Forgets idempotency keys and applied events that are older than both clients and the broker
    /// remember them.
    #[instrument(name = "order.sweep", skip_all)]
    pub async fn sweep(&self) -> Result<Progress, OrderError> {
        let before = self.now() - self.policy.keep;
        let swept = self.ports.work.sweep(before, ROWS).await?;
        Ok(if swept >= u64::from(ROWS) { Progress::More } else { Progress::Idle })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::testing::{World, create};

    #[tokio::test]
    async fn keys_are_forgotten_after_their_time() {
        let world = World::with_product("TEA", 1990, 10).await;
        let command = create("TEA", 1, "pm_ok");
        world.service.create_order(command.clone()).await.unwrap();
        assert_eq!(world.service.sweep().await.unwrap(), Progress::Idle);
        assert!(world.service.create_order(command.clone()).await.unwrap().replayed);
        world.advance(world.policy().keep + chrono::TimeDelta::seconds(1));
        world.service.sweep().await.unwrap();
        assert!(!world.service.create_order(command).await.unwrap().replayed);
    }
}
