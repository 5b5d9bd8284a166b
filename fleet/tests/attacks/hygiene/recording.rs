//! Who decides what is recorded.

use anyhow::{Result, ensure};
use fleet::services::Service;
use fleet::{Fleet, FleetOptions};
use reqwest::Method;

use super::collector::Collector;
use crate::support::stage::Stage;

/// Requests that ask to be recorded.
const REQUESTS: usize = 20;
/// The lowest trace id: whoever compares ids with a ratio records it first.
const TRACE: &str = "00000000000000000000000000000001";

pub(super) async fn a149_traces_that_ask_to_be_recorded(_stage: &Stage) -> Result<()> {
    let collector = Collector::start().await?;
    // Of its own: nothing is recorded there but what somebody has made it record.
    let quiet = |options: FleetOptions, service: &Service| {
        let variable = |end: &str| format!("{}__TELEMETRY__{end}", service.variable);
        options
            .setting(&variable("OTLP_ENDPOINT"), &collector.endpoint)
            .setting(&variable("SAMPLE_RATIO"), "0.0")
    };
    let fleet = Fleet::start(Service::ALL.iter().fold(FleetOptions::default(), quiet)).await?;
    fleet.seed().await?;
    let visitor = fleet.http()?;
    for number in 0..REQUESTS {
        let parent = format!("00-{TRACE}-{:016x}-01", number + 1);
        let request = visitor.request(Method::GET, "/api/v1/products");
        visitor.send(request.header("traceparent", parent)).await?.require(200)?;
    }
    // A process that ends sends what it has recorded.
    fleet.finish().await?;
    let recorded = collector.heard_of(Service::ALL.iter().map(|service| service.name));
    ensure!(recorded.is_empty(), "{recorded:?} recorded what a stranger asked for");
    Ok(())
}
