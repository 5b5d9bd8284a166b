//! A neighbour that is away, as `ehub bench neighbours` has it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fleet::bench::neighbours::{Callers, Neighbour, Options, measure};
use fleet::load;
use fleet::ui::Progress;
use fleet::{Fleet, FleetOptions};

/// How long anything takes is not held here: that depends on the machine.
#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn the_absence_of_auth_service_costs_logins_and_nothing_else() -> Result<()> {
    let options =
        FleetOptions::default().setting("EH_GATEWAY__RATE_LIMITS__LOGIN__REQUESTS", "1000000");
    let mut fleet = Fleet::start(options).await?;
    fleet.seed().await?;
    let base = fleet.gateway_urls().into_iter().next().context("no gateway")?;
    let registered = load::register(&base, 4).await?;
    let (customers, guests) = registered.split_at(2);
    let options = Options {
        rate: 4,
        before: Duration::from_secs(2),
        away: Duration::from_secs(5),
        recovery: Duration::from_secs(20),
    };
    let (callers, progress) = (Callers { customers, guests }, Progress::silent());
    let absent = [Neighbour::AuthServiceKilled];
    let measured = measure(&mut fleet, callers, &absent, (&options, &progress));
    let turn = Box::pin(measured).await?.pop().context("nobody was away")?;
    ensure!(turn.away.reads.calls > 0 && turn.away.reads.failed == 0, "{turn:?}");
    ensure!(turn.away.checkouts.calls > 0 && turn.away.checkouts.failed == 0, "{turn:?}");
    let answers: Vec<(&str, u64)> =
        turn.away.login_answers.iter().map(|(answer, count)| (answer.as_str(), *count)).collect();
    assert_eq!(answers, [("503", 10)], "two logins a second");
    ensure!(turn.after.logins.failed < turn.after.logins.calls, "{turn:?}");
    fleet.finish().await
}
