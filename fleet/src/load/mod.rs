//! Load on a fleet as an open loop: calls are due by a schedule, whatever the fleet does.
//!
//! A closed loop waits for an answer before it asks again, so that a slow fleet is asked less: the
//! calls that would have shown how slow it is are never made. Gil Tene named that *coordinated
//! omission*. Here a call's time begins when it was due, not when it was sent, and what could not be
//! started because too many calls were under way is counted, and has failed.

mod customers;
mod histogram;
mod mix;
mod report;
mod timeline;

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

pub(crate) use self::customers::is_loopback;
pub use self::customers::{Customer, register};
pub use self::histogram::Histogram;
pub use self::mix::{Ask, Class, Mix};
pub(crate) use self::report::counts;
pub use self::report::{Outcome, Report, Tally};
pub use self::timeline::{Second, Timeline};
use crate::chaos::draw::Draw;
use crate::seed::DEMO_SKU;

/// What is asked for how long.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Calls that are due in a second.
    pub rate: u32,
    /// For how long.
    pub length: Duration,
    /// What is asked.
    pub mix: Mix,
    /// Calls under way at most.
    pub in_flight_max: usize,
    /// After how long a call is given up.
    pub patience: Duration,
}

impl Plan {
    /// How many calls there are.
    fn arrivals(&self) -> u64 {
        let milliseconds = u64::try_from(self.length.as_millis()).unwrap_or(u64::MAX);
        milliseconds.saturating_mul(u64::from(self.rate)) / 1_000
    }

    /// When a call is due, after the first one.
    fn due(&self, number: u64) -> Duration {
        let rate = u64::from(self.rate.max(1));
        let (seconds, rest) = (number / rate, number % rate);
        Duration::from_secs(seconds) + Duration::from_nanos(rest * 1_000_000_000 / rate)
    }
}

/// Fails where the calls of a mix could not succeed.
pub async fn check(customer: &Customer, mix: Mix) -> Result<()> {
    if mix != Mix::Login {
        let product = customer.api.get(&format!("/api/v1/products/{DEMO_SKU}")).await?;
        product.require(200).context("no products are on sale; run cargo ehub seed")?;
    }
    Ok(())
}

/// Puts the load on the fleet until the plan is over or somebody wants it to end, and then waits for
/// the calls under way, none of which lasts longer than the plan's patience.
pub async fn run(
    plan: Plan,
    customers: &[Customer],
    stop: impl Future<Output = ()>,
) -> Result<Report> {
    let mut draw = Draw::new(1);
    offer(
        plan,
        |start, due| {
            let customer = draw.pick(customers).context("there are no customers")?.clone();
            let ask = plan.mix.next(&mut draw);
            Ok(Call { customer, ask, start, due, patience: plan.patience }.make())
        },
        stop,
    )
    .await
}

/// As [`run`], with calls that others make: each is told when the first one was due, and how long
/// after that it is. The plan's mix and patience are left to them.
pub async fn offer<C>(
    plan: Plan,
    mut make: impl FnMut(Instant, Duration) -> Result<C>,
    stop: impl Future<Output = ()>,
) -> Result<Report>
where
    C: Future<Output = Outcome> + Send + 'static,
{
    let (mut report, mut calls) = (Report::default(), JoinSet::new());
    let start = Instant::now();
    tokio::pin!(stop);
    for number in 0..plan.arrivals() {
        let due = plan.due(number);
        tokio::select! {
            () = &mut stop => break,
            () = sleep_until(start + due) => {}
        }
        while let Some(ended) = calls.try_join_next() {
            report.add(&ended?);
        }
        report.arrive(due);
        if calls.len() >= plan.in_flight_max {
            report.not_started += 1;
            continue;
        }
        report.latest = report.latest.max((start + due).elapsed());
        calls.spawn(make(start, due)?);
    }
    report.elapsed = start.elapsed();
    while let Some(ended) = calls.join_next().await {
        report.add(&ended?);
    }
    Ok(report)
}

/// A call that is due so long after the start.
struct Call {
    customer: Customer,
    ask: Ask,
    start: Instant,
    due: Duration,
    patience: Duration,
}

impl Call {
    async fn make(self) -> Outcome {
        let Self { customer, ask, start, due, patience } = self;
        let request = ask.request(&customer).timeout(patience);
        let reply = customer.api.send(request).await;
        let elapsed = (start + due).elapsed();
        match reply {
            Ok(reply) => {
                let code = Some(reply.code().to_owned()).filter(|code| !code.is_empty());
                Outcome { ask, due, answer: Ok(reply.status), code, elapsed }
            }
            Err(error) => {
                let cause = error.chain().find_map(|cause| cause.downcast_ref::<reqwest::Error>());
                let reason = cause.map_or("not sent", crate::http::reason);
                Outcome { ask, due, answer: Err(reason), code: None, elapsed }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::get;
    use tokio::net::TcpListener;

    use super::*;
    use crate::harness::Api;

    fn plan(rate: u32, length: Duration) -> Plan {
        let patience = Duration::from_secs(30);
        Plan { rate, length, mix: Mix::Read, in_flight_max: 1_000, patience }
    }

    /// A server that answers everything in the same way, and a customer of it.
    async fn shop(router: Router) -> (Customer, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let api = Api::new(base).unwrap();
        (Customer { api, email: "load@example.com".to_owned() }, server)
    }

    #[test]
    fn arrivals_keep_their_times_to_the_nanosecond() {
        let plan = plan(3, Duration::from_secs(2));
        assert_eq!(plan.arrivals(), 6);
        let due: Vec<u128> = (0..4).map(|number| plan.due(number).as_millis()).collect();
        assert_eq!(due, [0, 333, 666, 1_000]);
        assert_eq!(plan.due(3 * 86_400), Duration::from_hours(24));
    }

    #[tokio::test]
    async fn every_arrival_is_made_and_counted() {
        let router = Router::new().fallback(|| async { "{}" });
        let (customer, _server) = shop(router).await;
        let length = Duration::from_millis(200);
        let report = run(plan(200, length), &[customer], std::future::pending()).await.unwrap();
        assert_eq!((report.arrivals, report.not_started, report.ended()), (40, 0, 40));
        let seconds = report.timeline.seconds();
        assert_eq!(seconds.first().map(|second| (second.due, second.good)), Some((40, 40)));
        assert_eq!(seconds.iter().map(|second| second.reads).sum::<u64>(), 40);
        assert!(report.failed_share().abs() < 1e-9, "{}", report.render());
    }

    #[tokio::test]
    async fn a_refusal_is_counted_by_its_code() {
        let busy = || async { (StatusCode::SERVICE_UNAVAILABLE, "{\"code\":\"OVERLOADED\"}") };
        let (customer, _server) = shop(Router::new().fallback(busy)).await;
        let length = Duration::from_millis(50);
        let report = run(plan(200, length), &[customer], std::future::pending()).await.unwrap();
        assert!((report.failed_share() - 1.0).abs() < 1e-9);
        assert!(report.render().contains("OVERLOADED x 10"), "{}", report.render());
    }

    /// A closed loop would have asked once.
    #[tokio::test]
    async fn a_fleet_that_does_not_answer_is_asked_all_the_same_up_to_the_bound() {
        let silent = || std::future::pending::<&str>();
        let (customer, _server) = shop(Router::new().fallback(silent)).await;
        let plan = Plan {
            in_flight_max: 7,
            patience: Duration::from_secs(2),
            ..plan(200, Duration::from_millis(100))
        };
        let report = run(plan, &[customer], std::future::pending()).await.unwrap();
        assert_eq!(report.arrivals, 20);
        assert!(report.ended() >= 7 && report.not_started > 0, "{}", report.render());
        assert_eq!(report.ended() + report.not_started, 20);
        let due = report.timeline.seconds().first().map(|second| (second.due, second.good));
        assert_eq!(due, Some((20, 0)), "what was not started was due");
        assert!(report.render().contains("timeout x"), "{}", report.render());
    }

    #[tokio::test]
    async fn nobody_there_is_a_failure_with_its_reason() {
        let port = crate::port::free().unwrap();
        let api = Api::new(format!("http://127.0.0.1:{port}")).unwrap();
        let customer = Customer { api, email: String::new() };
        let length = Duration::from_millis(20);
        let report = run(plan(100, length), &[customer], std::future::pending()).await.unwrap();
        assert!(report.render().contains("no connection x 2"), "{}", report.render());
    }

    #[tokio::test]
    async fn a_run_ends_when_it_is_told_to() {
        let router = Router::new().route("/", get(|| async { "{}" }));
        let (customer, _server) = shop(router).await;
        let plan = plan(1, Duration::from_hours(1));
        let report = run(plan, &[customer], std::future::ready(())).await.unwrap();
        assert!(report.arrivals <= 1);
    }
}
