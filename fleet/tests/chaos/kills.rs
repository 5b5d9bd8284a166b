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
    // A process that another replica's work left alone has kept its promises: it is no violation of
    // them, only a kill that did not happen, of which there may be a few.
    let (unreached, broken): (Vec<_>, Vec<_>) =
        report.violations.iter().partition(|one| one.detail.contains("nobody died within"));
    assert!(broken.is_empty(), "{}", report.summary());
    assert!(report.new_work.is_some_and(|work| work.served > 0), "{}", report.summary());
    let expected: usize = report.kills.iter().map(|row| row.times).sum();
    assert!(unreached.len() <= expected / 20, "{}", report.summary());
    let died = report.deaths.len() + 3 * unreached.len();
    assert!(died >= expected, "{died} of {expected} died");
    Ok(())
}
