//! What clients notice while a part that others use is away, and how soon all is well after its return.
//!
//! One after the other, neighbours go away and return, under calls in an open loop ([`crate::load`]):
//! customers look and order, with tokens that they have, and beside them others log in. Nobody
//! restarts anything. What is counted while a neighbour is away is apart from what is counted from the
//! moment of its return on.
//!
//! The database is not among them: nothing is read or written without it. What is promised of its
//! absence is proven by [`crate::chaos`].

mod measured;
mod neighbour;
mod report;

use std::future::pending;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep_until};

pub use self::measured::{Bounds, Figures, Phase, Turn};
pub use self::neighbour::Neighbour;
pub use self::report::Report;
use super::overload::WELL_S;
use crate::harness::{Fleet, FleetOptions};
use crate::load::{self, Customer, Mix, Plan};
use crate::ui::Progress;

/// Time that the gateway gives each request, which is its default.
const DEADLINE: Duration = Duration::from_secs(10);
/// A call is given up long after its answer was due: that it is late has to be seen.
const PATIENCE: Duration = Duration::from_secs(20);
/// Logins in a second: each costs a password hash.
const LOGIN_RATE: u32 = 2;
/// Seconds in which calls may pile up that are not answered; they are answered in time, or it is told.
const PILE_S: u32 = 12;

/// How it is measured.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Calls of customers in a second.
    pub rate: u32,
    /// For how long the fleet has to be well before a neighbour goes away.
    pub before: Duration,
    /// For how long each neighbour is away; more than the two seconds in which that is made sure of.
    pub away: Duration,
    /// How long the fleet may take until it is well again; it is watched for a little longer.
    pub recovery: Duration,
}

impl Options {
    /// What is allowed: an answer within 1.1 times its deadline.
    pub fn bounds(&self) -> Bounds {
        let answer = DEADLINE + DEADLINE / 10;
        Bounds {
            answer_ms: u64::try_from(answer.as_millis()).unwrap_or(u64::MAX),
            recovery_s: self.recovery.as_secs(),
        }
    }

    /// Calls under way at most.
    pub fn in_flight_max(&self) -> u32 {
        self.rate.saturating_add(LOGIN_RATE).saturating_mul(PILE_S)
    }

    fn watched(&self) -> Duration {
        self.recovery.saturating_add(Duration::from_secs(WELL_S as u64))
    }

    fn plan(rate: u32, mix: Mix, length: Duration) -> Result<Plan> {
        let in_flight_max = usize::try_from(rate.saturating_mul(PILE_S))?;
        Ok(Plan { rate, length, mix, in_flight_max, patience: PATIENCE })
    }
}

/// Who puts the load on the fleet.
#[derive(Clone, Copy, Debug)]
pub struct Callers<'a> {
    /// Customers who look and order.
    pub customers: &'a [Customer],
    /// Others, who log in again and again. With so many sessions the older ones end, and a customer's
    /// token with them.
    pub guests: &'a [Customer],
}

/// The fleet that this is measured on: one process of each service and a payment provider.
pub fn options() -> FleetOptions {
    let deadline = DEADLINE.as_millis().to_string();
    let options = super::options().sandbox_provider();
    options.setting("EH_GATEWAY__SERVER__REQUEST_TIMEOUT_MS", &deadline)
}

/// Has each neighbour go away and return.
pub async fn measure(
    fleet: &mut Fleet,
    callers: Callers<'_>,
    neighbours: &[Neighbour],
    (options, progress): (&Options, &Progress),
) -> Result<Vec<Turn>> {
    let mut turns = Vec::new();
    for neighbour in neighbours {
        let announced = format!("Without {neighbour}");
        let step = progress.step(&announced);
        let turn = Box::pin(take_turn(fleet, callers, *neighbour, options)).await?;
        let is_well = turn.missed(options.bounds()).is_empty();
        step.done(if is_well { "within the bounds" } else { "bounds MISSED" });
        turns.push(turn);
    }
    Ok(turns)
}

async fn take_turn(
    fleet: &mut Fleet,
    callers: Callers<'_>,
    neighbour: Neighbour,
    options: &Options,
) -> Result<Turn> {
    let before = Box::pin(callers.call(options.rate, options.before)).await?;
    neighbour.leave(fleet)?;
    let left = Instant::now();
    let away = callers.call(options.rate, options.away);
    let after = async {
        ensure!(neighbour.is_away(fleet).await?, "{neighbour}: it still answers");
        sleep_until(left + options.away).await;
        neighbour.come_back(fleet)?;
        // Not when the last call of its absence has ended: that would be a rest.
        callers.call(options.rate, options.watched()).await
    };
    let (away, after) = tokio::try_join!(Box::pin(away), Box::pin(after))?;
    Ok(Turn {
        neighbour,
        before: before.phase(),
        away: away.phase(),
        after: after.phase(),
        recovered_after_s: measured::recovered(&after.shop, &after.logins, options.watched()),
    })
}

/// What came of a while of calls.
struct Called {
    shop: load::Report,
    logins: load::Report,
}

impl Called {
    fn phase(&self) -> Phase {
        Phase::of(&self.shop, &self.logins)
    }
}

impl Callers<'_> {
    /// Calls for so long, and waits for the answers.
    async fn call(self, rate: u32, length: Duration) -> Result<Called> {
        let shop = Options::plan(rate, Mix::Shop, length)?;
        let logins = Options::plan(LOGIN_RATE, Mix::Login, length)?;
        let (shop, logins) = tokio::try_join!(
            Box::pin(load::run(shop, self.customers, pending())),
            Box::pin(load::run(logins, self.guests, pending()))
        )?;
        Ok(Called { shop, logins })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: Options = Options {
        rate: 20,
        before: Duration::from_secs(5),
        away: Duration::from_secs(20),
        recovery: Duration::from_secs(30),
    };

    #[test]
    fn a_late_answer_is_waited_for() {
        let bounds = OPTIONS.bounds();
        assert_eq!((bounds.answer_ms, bounds.recovery_s), (11_000, 30));
        assert!(PATIENCE > Duration::from_millis(bounds.answer_ms));
    }

    #[test]
    fn the_last_seconds_that_may_be_well_are_watched() {
        assert_eq!(OPTIONS.watched(), Duration::from_secs(35));
    }

    #[test]
    fn all_calls_may_pile_up_until_their_deadline() {
        let plan = Options::plan(20, Mix::Shop, OPTIONS.away).unwrap();
        assert_eq!((plan.in_flight_max, OPTIONS.in_flight_max()), (240, 264));
        assert!(
            Duration::from_secs(PILE_S.into()) > Duration::from_millis(OPTIONS.bounds().answer_ms)
        );
    }
}
