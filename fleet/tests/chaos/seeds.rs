//! Five seeds, a minute each.

use std::time::Duration;

use anyhow::Result;
use fleet::chaos::run::{self, Options};
use fleet::ui::Progress;

use crate::{report_folder, turn};

const LENGTH: Duration = Duration::from_mins(1);
/// That the fleet comes to rest is the promise; how fast depends on who else uses the machine.
const REST: Duration = Duration::from_mins(2);
/// Fewer than by hand: the machines that run tests are small and busy.
const RATE: u32 = 10;

async fn run_seed(seed: u64) -> Result<()> {
    let _turn = turn().await;
    let folder = report_folder(&format!("seed-{seed}"))?;
    let options =
        Options { rate: RATE, users: 10, rest: REST, ..Options::of_seed(seed, LENGTH, folder) };
    let report = Box::pin(run::run(&options, &Progress::silent())).await?;
    assert!(report.is_clean(), "{}", report.to_markdown()?);
    assert!(!report.schedule.episodes.is_empty() && report.arrivals > 0);
    Ok(())
}

macro_rules! seeds {
    ($($name:ident: $seed:literal),*) => {$(
        #[tokio::test]
        #[ignore = "needs the middleware: cargo ehub test"]
        async fn $name() -> Result<()> {
            run_seed($seed).await
        }
    )*};
}

seeds! {
    every_promise_is_kept_under_the_faults_of_seed_1: 1,
    every_promise_is_kept_under_the_faults_of_seed_2: 2,
    every_promise_is_kept_under_the_faults_of_seed_3: 3,
    every_promise_is_kept_under_the_faults_of_seed_4: 4,
    every_promise_is_kept_under_the_faults_of_seed_5: 5
}
