//! Clients that take their time: with heads, with bodies, with everything.

use std::time::Duration;

use anyhow::{Result, ensure};
use fleet::bench::slow::{Crowd, Manner, well_behaved};

use crate::support::stage::Stage;

use super::memory::Memory;

/// Slow clients at once.
const CROWD: usize = 1_000;
/// How long they stay, unless `EH_TEST_SLOW_S` says otherwise.
const STAY: Duration = Duration::from_secs(15);
/// The longest that any of them may hold its connection: what it may take, and what a busy machine
/// adds.
const HELD_MAX: Duration = Duration::from_secs(10 + 5);

fn stay() -> Duration {
    let seconds = fleet::environment::find("EH_TEST_SLOW_S").and_then(|text| text.parse().ok());
    seconds.map_or(STAY, Duration::from_secs)
}

pub(super) async fn a121_slow_and_silent_clients(stage: &Stage) -> Result<()> {
    let stay = stay();
    let memory = Memory::of(stage).await?;
    let crowd = Crowd::new(&Manner::SENDERS, HELD_MAX);
    let mut members = crowd.gather(stage.gateway(0), CROWD, stay);
    // Whoever behaves well is served throughout; how fast is measured by `ehub bench slow-clients`.
    let served = well_behaved(&stage.visitor()?, stay).await?.count();
    let growth = memory.growth_kb()?;
    while let Some(member) = members.join_next().await {
        member??;
    }
    let (connected, held) = (crowd.connected(), crowd.held_longest_ms());
    println!(
        "{CROWD} slow clients for {} s, {connected} connections: {served} good answers meanwhile; \
         longest held, in ms: {held:?}; {growth} KiB more",
        stay.as_secs(),
    );
    let most = usize::try_from(HELD_MAX.as_millis())?;
    ensure!(held.iter().all(|(_, held)| *held <= most), "held too long, in ms: {held:?}");
    memory.check("slow clients")
}
