//! How many orders are under way.

use chassis::census::Figures;
use tracing::instrument;

use super::OrderService;
use crate::model::{OrderError, OrderStatus};

/// The orders that are not over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// How many are in each state; states without any may be missing.
    pub open: Vec<(OrderStatus, u32)>,
    /// How many have a payment that is unsettled for too long.
    pub stuck: u32,
    /// How many refunds were asked for and are not made yet.
    pub owed: u32,
}

impl Figures for Census {
    fn show(&self) {
        for status in OrderStatus::ALL.into_iter().filter(|status| !status.is_over()) {
            let found = self.open.iter().find(|(counted, _)| *counted == status);
            metrics::gauge!("eh_orders_open", "status" => status.as_str())
                .set(found.map_or(0, |(_, count)| *count));
        }
        metrics::gauge!("eh_orders_stuck").set(self.stuck);
        metrics::gauge!("eh_refunds_owed").set(self.owed);
    }
}

impl OrderService {
    /// Counts the orders that are not over, no further than is worth knowing.
    #[instrument(name = "order.take_census", skip_all)]
    pub async fn take_census(&self) -> Result<Census, OrderError> {
        let open = self.ports.work.count_open(self.policy.census_max).await?;
        let since = self.now() - self.policy.stuck_after;
        let stuck = self.ports.work.list_stuck(since, None, self.policy.batch).await?;
        let owed = self.ports.work.count_owed(self.policy.census_max).await?;
        Ok(Census { open, stuck: u32::try_from(stuck.len()).unwrap_or(u32::MAX), owed })
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::service::RefundOrder;
    use crate::service::testing::{World, create, key, owner_of};

    #[tokio::test]
    async fn orders_are_counted_until_they_are_over() {
        let world = World::with_product("TEA", 1990, 10).await;
        assert_eq!(world.service.take_census().await.unwrap(), Census::default());
        world.service.create_order(create("TEA", 1, "pm_ok")).await.unwrap();
        let census = world.service.take_census().await.unwrap();
        assert_eq!(census, Census { open: vec![(OrderStatus::Paid, 1)], ..Census::default() });
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || census.show());
        let text = recorder.handle().render();
        assert!(text.contains("eh_orders_open{status=\"PAID\"} 1\n"), "{text}");
        assert!(text.contains("eh_orders_open{status=\"REFUNDING\"} 0\n"), "{text}");
        assert!(!text.contains("COMPLETED") && text.contains("eh_orders_stuck 0\n"), "{text}");
    }

    #[tokio::test]
    async fn a_refund_is_owed_until_the_money_is_back() {
        let world = World::with_product("TEA", 1990, 10).await;
        let order = world.service.create_order(create("TEA", 1, "pm_ok")).await.unwrap().order;
        let (requester, order_id) = (owner_of(&order), order.id);
        let command = RefundOrder { requester, order_id, key: key() };
        world.service.refund_order(command).await.unwrap();
        let census = world.service.take_census().await.unwrap();
        assert_eq!((census.open.as_slice(), census.owed), (&[(OrderStatus::Refunding, 1)][..], 1));
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || census.show());
        let text = recorder.handle().render();
        assert!(text.contains("eh_refunds_owed 1\n"), "{text}");
        world.service.request_refunds().await.unwrap();
        world.service.request_refunds().await.unwrap();
        assert_eq!(world.service.take_census().await.unwrap(), Census::default());
    }
}
