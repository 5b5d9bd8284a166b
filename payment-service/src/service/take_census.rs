//! How many payments are under way.

use chassis::census::Figures;
use tracing::instrument;

use super::PaymentService;
use crate::model::{PaymentError, PaymentStatus};

/// What a payment may stand at while somebody has to ask the provider. One that failed is among them
/// while its money, which the provider took all the same, goes back.
const OPEN: [PaymentStatus; 4] = [
    PaymentStatus::Initiated,
    PaymentStatus::Pending,
    PaymentStatus::Refunding,
    PaymentStatus::Failed,
];

/// The payments that are not at rest, by status; those without any may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census(pub Vec<(PaymentStatus, u32)>);

impl Figures for Census {
    fn show(&self) {
        for status in OPEN {
            let found = self.0.iter().find(|(counted, _)| *counted == status);
            metrics::gauge!("eh_payments_open", "status" => status.as_str())
                .set(found.map_or(0, |(_, count)| *count));
        }
    }
}

impl PaymentService {
    /// Counts the payments that are not at rest, no further than is worth knowing.
    #[instrument(name = "payment.take_census", skip_all)]
    pub async fn take_census(&self) -> Result<Census, PaymentError> {
        Ok(Census(self.repository.count_open(self.policy.census_max).await?))
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::client::scripted::Step;
    use crate::model::Outcome;
    use crate::testing::{Bench, callback, create};

    #[tokio::test]
    async fn payments_are_counted_until_they_are_settled() {
        let bench = Bench::new([Step::Answer(Outcome::Pending)]);
        assert_eq!(bench.service.take_census().await.unwrap(), Census::default());
        let payment = bench.service.create_payment(create("pm_pending_then_ok")).await.unwrap();
        let census = bench.service.take_census().await.unwrap();
        assert_eq!(census, Census(vec![(PaymentStatus::Pending, 1)]));
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || census.show());
        let text = recorder.handle().render();
        for (status, count) in [("INITIATED", 0), ("PENDING", 1), ("REFUNDING", 0), ("FAILED", 0)] {
            let line = format!("eh_payments_open{{status=\"{status}\"}} {count}\n");
            assert!(text.contains(&line), "{text}");
        }
        let body = callback("evt_1", "payment.succeeded", &payment).to_string().into_bytes();
        bench.service.handle_callback(bench.signed(body)).await.unwrap();
        assert_eq!(bench.service.take_census().await.unwrap(), Census::default());
    }
}
