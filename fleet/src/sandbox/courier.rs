//! Decides charges when their time has come and delivers callbacks until they are taken.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use chrono::{DateTime, Utc};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode, Url, redirect};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::entry::Delivery;
use super::ledger::{Closed, Ledger};
use super::now;
use super::outbox::{Outcome, Retries};
use super::script::Faults;
use super::signature::{self, SigningKey};

/// Deliveries under way at once; further ones wait for these.
const UNDER_WAY_MAX: usize = 64;
/// Longest wait for an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Looks at least so often, so that a clock that was set is noticed.
const LOOK_AT_LEAST: Duration = Duration::from_secs(1);

/// What the courier needs.
#[derive(Debug)]
pub(super) struct Courier {
    pub(super) ledger: Ledger,
    pub(super) faults: Arc<Faults>,
    pub(super) key: Arc<SigningKey>,
    /// Tried in turn, so that one that is away holds up nothing.
    pub(super) urls: Vec<Url>,
    pub(super) retries: Retries,
    /// Told when there may be something new to do.
    pub(super) wake: Arc<Notify>,
}

impl Courier {
    /// Works until it is told to stop, or until the ledger is closed; what is under way then is
    /// delivered again after the next start.
    pub(super) async fn run(self, stop: CancellationToken) -> Result<()> {
        let client = client()?;
        let mut under_way = JoinSet::new();
        let mut turn = 0;
        loop {
            let room = UNDER_WAY_MAX - under_way.len();
            let Ok((deliveries, next_at)) = self.due(room).await else { return Ok(()) };
            for delivery in deliveries {
                let url = self.urls[turn % self.urls.len()].clone();
                turn += 1;
                let (client, key) = (client.clone(), self.key.clone());
                under_way.spawn(attempt(client, url, key, delivery));
            }
            let is_full = under_way.len() == UNDER_WAY_MAX;
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(done) = under_way.join_next() => {
                    // A delivery that panicked stays under way until the next start.
                    let Ok((key, outcome)) = done else { continue };
                    if self.tried(key, outcome).await.is_err() {
                        return Ok(());
                    }
                }
                () = self.wake.notified(), if !is_full => {}
                () = tokio::time::sleep(pause(next_at)), if !is_full => {}
            }
        }
    }

    async fn due(&self, room: usize) -> Result<(Vec<Delivery>, Option<DateTime<Utc>>), Closed> {
        let faults = Arc::clone(&self.faults);
        let job = move |book: &mut super::book::Book| {
            let now = now();
            book.decide_due(&faults, now);
            (book.outbox().take_due(now, room), book.next_at())
        };
        self.ledger.run(job).await
    }

    async fn tried(&self, key: String, outcome: Outcome) -> Result<(), Closed> {
        let retries = self.retries.clone();
        self.ledger.run(move |book| book.tried(&key, outcome, &retries, now())).await
    }
}

fn pause(next_at: Option<DateTime<Utc>>) -> Duration {
    let until = |at: DateTime<Utc>| (at - now()).to_std().unwrap_or_default();
    // A millisecond at least: what is due and has no room is not asked for in a hot loop.
    next_at.map_or(LOOK_AT_LEAST, until).clamp(Duration::from_millis(1), LOOK_AT_LEAST)
}

fn client() -> Result<Client> {
    let client = crate::http::client()
        .timeout(ANSWER_LIMIT)
        // Where a callback goes is configured, not answered.
        .redirect(redirect::Policy::none());
    Ok(client.build()?)
}

async fn attempt(
    client: Client,
    url: Url,
    key: Arc<SigningKey>,
    delivery: Delivery,
) -> (String, Outcome) {
    let signature = key.sign(delivery.body.as_bytes(), now());
    let request = client
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .header(signature::HEADER, signature)
        .body(delivery.body);
    let outcome = match request.send().await.map(|reply| reply.status()) {
        Ok(StatusCode::OK) => Outcome::Taken,
        Ok(status) if speaks_of_the_callback(status) => Outcome::Refused,
        _ => Outcome::Failed,
    };
    (delivery.key, outcome)
}

/// Whether the same callback will hardly fare better another time.
fn speaks_of_the_callback(status: StatusCode) -> bool {
    let of_the_moment = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    status.is_client_error() && !of_the_moment.contains(&status)
}
