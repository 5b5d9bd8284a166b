//! Clients that take their time: with heads, with bodies, with everything.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fleet::bench::good::{PRODUCTS, well_behaved};
use fleet::bench::slow::{Crowd, Manner};

use crate::support::stage::Stage;

use super::memory::Memory;

/// Slow clients at once.
const CROWD: usize = 1_000;
/// How long they stay, unless `EH_TEST_SLOW_S` says otherwise.
const STAY: Duration = Duration::from_secs(15);
/// How long the end of a connection is waited for: what it may take, and what a busy machine adds.
const PATIENCE: Duration = Duration::from_secs(10 + 5);
/// How long slow clients would stay after the end: none hangs up before the gateway does.
const OVERTIME: Duration = Duration::from_hours(1);

fn stay() -> Duration {
    let seconds = fleet::environment::find("EH_TEST_SLOW_S").and_then(|text| text.parse().ok());
    seconds.map_or(STAY, Duration::from_secs)
}

pub(super) async fn a121_slow_and_silent_clients(stage: &Stage) -> Result<()> {
    let stay = stay();
    let memory = Memory::of(stage).await?;
    let crowd = Crowd::new(&Manner::SENDERS, OVERTIME);
    let mut members = crowd.gather(stage.gateway(0), CROWD, stay);
    // Whoever behaves well is served throughout; how fast is measured by `ehub bench slow-clients`.
    let served = well_behaved(&stage.visitor()?, PRODUCTS, stay).await?.throughout()?.count();
    let growth = memory.growth_kb()?;
    let closing = async {
        while let Some(member) = members.join_next().await {
            member??;
        }
        Ok::<_, anyhow::Error>(())
    };
    tokio::time::timeout(PATIENCE, closing).await.context("slow clients are still connected")??;
    let connected = crowd.connected();
    println!(
        "{CROWD} slow clients for {} s, {connected} connections: {served} good answers meanwhile; \
         {growth} KiB more",
        stay.as_secs(),
    );
    // Whoever is hung up on in time comes again.
    let times = usize::try_from(stay.as_secs() / PATIENCE.as_secs())? + 1;
    ensure!(connected >= CROWD * times, "{connected} connections of {CROWD} clients");
    memory.check("slow clients")
}
