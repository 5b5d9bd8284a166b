//! A flood of logins, and how others are served beside it.
//!
//! Each login has a wrong password and is for another account. They come in an open loop
//! ([`crate::load`]), to a fleet that keeps the limits with which it is shipped: what these are good for
//! is what is measured. Others look at products and at their orders, before the flood and beside it.

mod measured;
mod source;

use std::future::pending;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;
use futures::future::try_join_all;
use serde_json::json;
use tokio::time::{Instant, timeout};

pub use self::measured::{Bounds, Measured, Turn};
pub use self::source::Source;
use super::good::{PRODUCTS, Served, well_behaved};
use crate::harness::Api;
use crate::harness::api::new_email;
use crate::harness::raw::{exchange, parse, request};
use crate::load::{self, Ask, Mix, Outcome, Plan};
use crate::ui::Progress;

/// Logins under way at most: fewer than the connections that the gateway takes from one address, so
/// that each of them is answered.
pub const IN_FLIGHT_MAX: usize = 1_000;

/// What others ask for, each of them one thing.
const ROUTES: [&str; 2] = [PRODUCTS, "/api/v1/orders"];
/// For how long they ask before anything counts: connections are made, and keys are read.
const WARM_UP: Duration = Duration::from_secs(1);
/// Longer than the gateway gives a request: that there is no answer in time has to be seen.
const PATIENCE: Duration = Duration::from_secs(20);

/// How it is measured.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Logins in a second.
    pub rate: u32,
    /// How long each flood lasts, and for how long others are looked at before.
    pub length: Duration,
}

impl Options {
    fn plan(self) -> Plan {
        let Self { rate, length } = self;
        Plan { rate, length, mix: Mix::Login, in_flight_max: IN_FLIGHT_MAX, patience: PATIENCE }
    }
}

/// Looks at others alone, and then beside a flood from each source.
pub async fn measure(base: &str, options: Options, progress: &Progress) -> Result<Measured> {
    let step = progress.step("Asking without a flood");
    let visitor = Api::new(base)?;
    let others = try_join_all(ROUTES.map(|_| visitor.new_customer())).await?;
    ask(&others, WARM_UP).await?;
    let before = ask(&others, options.length).await?;
    step.done("");
    let mut turns = Vec::new();
    for source in Source::ALL {
        let announced = format!("Asking beside a flood from {source}");
        let step = progress.step(&announced);
        let (logins, beside) = tokio::try_join!(
            Box::pin(flood(base, source, options)),
            Box::pin(ask(&others, options.length))
        )?;
        step.done("");
        turns.push(Turn { source, logins, beside });
    }
    Ok(Measured { before, turns })
}

/// How the others are served, in the order of what they ask for.
async fn ask(others: &[Api], time: Duration) -> Result<Vec<Served>> {
    let asking = others.iter().zip(ROUTES).map(|(api, route)| well_behaved(api, route, time));
    try_join_all(asking).await
}

async fn flood(base: &str, source: Source, options: Options) -> Result<load::Report> {
    let mut address = source.addresses();
    load::offer(
        options.plan(),
        |start, due| Ok(login(base.to_owned(), address(), start, due)),
        pending(),
    )
    .await
}

/// A login that is due so long after the start.
async fn login(base: String, address: IpAddr, start: Instant, due: Duration) -> Outcome {
    let answer = match timeout(PATIENCE, guess(&base, address)).await {
        Ok(Ok(status)) => Ok(status),
        Ok(Err(_)) => Err("no answer"),
        Err(_) => Err("timeout"),
    };
    Outcome { ask: Ask::Login, due, answer, code: None, elapsed: (start + due).elapsed() }
}

/// Tries a password, on a connection that is made for it.
async fn guess(base: &str, address: IpAddr) -> Result<u16> {
    let body = json!({"email": new_email(), "password": "a wrong password"}).to_string();
    let headers: [(&str, &[u8]); 1] = [("content-type", b"application/json")];
    let bytes = request("POST /api/v1/auth/login", &headers, body.as_bytes());
    Ok(parse(&exchange(base, address, &bytes).await?)?.status)
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::routing::post;
    use axum::{Json, Router};
    use serde_json::Value;
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;

    const OPTIONS: Options = Options { rate: 100, length: Duration::from_millis(200) };

    async fn refuse(Json(login): Json<Value>) -> StatusCode {
        let is_login = login["email"].is_string() && login["password"].is_string();
        if is_login { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST }
    }

    #[tokio::test]
    async fn a_flood_is_of_logins_and_each_answer_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/api/v1/auth/login", post(refuse));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        for source in Source::ALL {
            let report = flood(&base, source, OPTIONS).await.unwrap();
            assert_eq!(report.answers().get("401"), Some(&20), "{}", report.render());
            assert_eq!((report.arrivals, report.not_started), (20, 0));
        }
    }

    #[tokio::test]
    async fn a_login_without_an_answer_is_counted_as_such() {
        // Bound, so that nobody else listens there, and nobody does.
        let nobody = tokio::net::TcpSocket::new_v4().unwrap();
        nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let base = format!("http://{}", nobody.local_addr().unwrap());
        let report = flood(&base, Source::OneAddress, OPTIONS).await.unwrap();
        assert_eq!(report.answers().get("no answer"), Some(&20), "{}", report.render());
    }
}
