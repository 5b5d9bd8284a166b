//! A flood of logins, as `ehub bench login-flood` has it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fleet::bench::flood::{Bounds, Options, Source, measure};
use fleet::ui::Progress;
use fleet::{Fleet, FleetOptions};

/// The gateway's `rate_limits.login.requests`, in a minute.
const QUOTA: u64 = 30;

/// How long others wait is not held here: that depends on the machine.
#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn the_quota_of_an_address_holds_a_flood_from_it_and_none_from_many() -> Result<()> {
    let fleet = Fleet::start(FleetOptions::default()).await?;
    fleet.seed().await?;
    let base = fleet.gateway_urls().into_iter().next().context("no gateway")?;
    let options = Options { rate: 40, length: Duration::from_secs(2) };
    let measured = Box::pin(measure(&base, options, &Progress::silent())).await?;
    ensure!(measured.before.iter().all(|served| served.times.count() > 0), "{measured:?}");
    assert_eq!(measured.turns.len(), Source::ALL.len());
    // So few answers are told as such, alone and beside each flood, and nobody judges by them.
    let missed = measured.missed(Bounds { p99_times: 0.0, rate: options.rate });
    let count = |words: &str| missed.iter().filter(|missed| missed.contains(words)).count();
    assert_eq!(count("too few"), measured.before.len() * (1 + Source::ALL.len()), "{missed:?}");
    assert_eq!(count("times as long"), 0, "{missed:?}");
    for turn in &measured.turns {
        let answers = turn.logins.answers();
        // 504 where the machine has so much to do that a hash is not done within its deadline.
        let is_refusal = |answer: &String| ["401", "429", "503", "504"].contains(&answer.as_str());
        ensure!(answers.keys().all(is_refusal), "{answers:?}");
        assert_eq!(turn.logins.ended(), 80, "{answers:?}");
        let count = |status: &str| answers.get(status).copied().unwrap_or_default();
        match turn.source {
            Source::OneAddress => {
                ensure!(count("401") <= QUOTA && count("429") > 0, "{answers:?}");
            }
            Source::ManyAddresses => {
                ensure!(count("401") > 0 && count("429") == 0, "{answers:?}");
            }
        }
    }
    fleet.finish().await
}
