//! The kill matrix: each failpoint three times.

use anyhow::Result;
use fleet::chaos::kills::{self, KillOptions};
use fleet::chaos::setup::Payments;
use fleet::ui::Progress;

use crate::{report_folder, turn};

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn no_death_at_any_failpoint_breaks_a_promise() -> Result<()> {
    let _turn = turn().await;
    let report = report_folder("kills")?;
    let options = KillOptions {
        points: Vec::new(),
        times: 3,
        payments: Payments::default(),
        settings: Vec::new(),
        report,
    };
    let report = Box::pin(kills::run(&options, &Progress::silent())).await?;
    assert!(report.violations.is_empty(), "{}", report.summary());
    let expected: usize = report.kills.iter().map(|row| row.times).sum();
    assert!(report.deaths.len() >= expected, "{} of {expected} died", report.deaths.len());
    Ok(())
}
