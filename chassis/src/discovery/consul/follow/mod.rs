//! Keeps the endpoints of one service current, whatever becomes of the agent.
//!
//! The rules, by what is answered:
//! - No answer, or an empty one: the last good set stays. Whether its instances live is found out by
//!   calling them; those that fail are left out by the channel.
//! - Another set than before: it replaces the last one. For a while after an outage, or after the
//!   agent has lost its state, it only adds to it, because instances come back one after the other
//!   and the first one must not have to bear the load of all. That while begins with the first
//!   answer; a query that fails meanwhile does not begin it anew, unless instances were not told of
//!   for as long: else one who breaks off every query could keep dead instances known for ever. Lost
//!   state, which only the agent itself can tell of, always does.
//! - No set is known yet: what an earlier process has saved is used until there is an answer.
//!
//! An index that goes backwards starts the queries over, as the reference of blocking queries
//! demands (<https://developer.hashicorp.com/consul/api-docs/features/blocking>); so does an outage,
//! after which the agent may have lost its state and would keep a query for an index that it has not
//! reached yet.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{BACKOFF, BACKOFF_MAX, OutageLog};
use crate::backoff::Backoff;
use crate::discovery::cache::EndpointCache;
use crate::discovery::{Endpoint, RegistryError, count_endpoints};

/// Shortest wait of a query: none at all would mean the agent's own default, which is minutes.
const WAIT_MIN: Duration = Duration::from_millis(100);

/// How often a set that stays is saved anew, so that its age on disk says when it was last told.
const SAVE_AGAIN: Duration = Duration::from_mins(1);

/// Who answers queries for endpoints.
#[async_trait]
pub(super) trait Answers: Send + Sync {
    /// Returns the passing instances and their index: at once for index 0, else when they differ
    /// from those at `index` or `wait` is over.
    async fn passing(
        &self,
        service: &str,
        index: u64,
        wait: Duration,
    ) -> Result<(u64, Vec<Endpoint>), RegistryError>;
}

/// How a service is followed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// Length of one blocking query.
    pub(super) wait: Duration,
    /// For how long after an outage answers only add, from the first one on.
    pub(super) relearn: Duration,
}

/// Whether answers only add to what is known.
#[derive(Debug, Clone, Copy)]
enum Relearning {
    /// They replace it.
    Over,
    /// They will, from the next one on.
    Due,
    /// They do, since that one.
    Since(Instant),
}

/// What is known of a service and how it is kept.
pub(super) struct Follower<'f> {
    service: &'f str,
    endpoints: &'f watch::Sender<Arc<[Endpoint]>>,
    cache: Option<&'f EndpointCache>,
    terms: Terms,
    relearning: Relearning,
    /// Index of the last answer. A lower one tells of lost state even if queries have failed since,
    /// after which they start at 0.
    highest: u64,
    /// When instances were last told of.
    told: Option<Instant>,
    recalled: bool,
    saved: Option<Instant>,
}

impl<'f> Follower<'f> {
    pub(super) fn new(
        service: &'f str,
        endpoints: &'f watch::Sender<Arc<[Endpoint]>>,
        cache: Option<&'f EndpointCache>,
        terms: Terms,
    ) -> Self {
        Self {
            service,
            endpoints,
            cache,
            terms,
            relearning: Relearning::Over,
            highest: 0,
            told: None,
            recalled: false,
            saved: None,
        }
    }

    /// Follows for ever.
    pub(super) async fn run(mut self, answers: &dyn Answers) {
        let mut index = 0;
        let mut backoff = Backoff::new(BACKOFF, BACKOFF_MAX);
        let mut log = OutageLog::default();
        loop {
            match answers.passing(self.service, index, self.wait()).await {
                Ok((answered_index, found)) => {
                    log.answered();
                    backoff.reset();
                    self.notice_loss(answered_index);
                    self.learn(found).await;
                    index = next_index(index, answered_index);
                }
                Err(error) => {
                    metrics::counter!("eh_discovery_failures_total").increment(1);
                    log.failed(self.service, &error);
                    self.relearn();
                    self.recall().await;
                    index = 0;
                    backoff.pause().await;
                }
            }
        }
    }

    /// How long to wait for news: not past the time at which endpoints may be removed again.
    fn wait(&self) -> Duration {
        let left = match self.relearning {
            Relearning::Since(begun) => self.terms.relearn.saturating_sub(begun.elapsed()),
            Relearning::Over | Relearning::Due => Duration::ZERO,
        };
        if left.is_zero() { self.terms.wait } else { left.min(self.terms.wait).max(WAIT_MIN) }
    }

    /// What knew more before has begun anew, and may not know all instances again.
    fn notice_loss(&mut self, answered_index: u64) {
        if answered_index < self.highest {
            tracing::warn!(service = self.service, "Consul has lost its state");
            self.relearning = Relearning::Due;
        }
        self.highest = answered_index;
    }

    /// The registry failed, and may not know all instances when it answers again.
    fn relearn(&mut self) {
        let is_recent = |told: Instant| told.elapsed() < self.terms.relearn;
        let is_under_way = matches!(self.relearning, Relearning::Since(_));
        if !(is_under_way && self.told.is_some_and(is_recent)) {
            self.relearning = Relearning::Due;
        }
    }

    /// Whether the answer that has come only adds.
    fn only_adds(&mut self) -> bool {
        let begun = match self.relearning {
            Relearning::Over => return false,
            Relearning::Due => Instant::now(),
            Relearning::Since(begun) => begun,
        };
        let is_over = begun.elapsed() >= self.terms.relearn;
        self.relearning = if is_over { Relearning::Over } else { Relearning::Since(begun) };
        !is_over
    }

    async fn learn(&mut self, mut found: Vec<Endpoint>) {
        found.sort();
        found.dedup();
        count_passing(self.service, found.len());
        if found.is_empty() {
            self.recall().await;
            self.keep();
            return;
        }
        self.recalled = true;
        self.told = Some(Instant::now());
        let told = found.clone();
        if self.only_adds() {
            found.extend(self.endpoints.borrow().iter().cloned());
        }
        let is_news = publish(self.service, self.endpoints, found);
        self.save(is_news, &told).await;
    }

    /// An answer without instances takes none away: there may be many reasons for it, and addresses
    /// that may be stale beat none at all.
    fn keep(&self) {
        if !self.endpoints.borrow().is_empty() {
            let service = self.service;
            tracing::warn!(service, "no instance is passing, the last known endpoints stay");
        }
    }

    /// Takes up what an earlier process has saved, once, and only if nothing is known.
    async fn recall(&mut self) {
        let Some(cache) = self.cache.filter(|_| !self.recalled) else {
            return;
        };
        self.recalled = true;
        if let Some(saved) = cache.recall(self.service).await {
            tracing::warn!(
                service = self.service,
                "saved endpoints used until Consul tells others"
            );
            publish(self.service, self.endpoints, saved);
            self.relearn();
        }
    }

    /// Saves what was told, without what is only kept: its age would begin anew.
    async fn save(&mut self, is_news: bool, told: &[Endpoint]) {
        let is_due = |saved: Instant| is_news || saved.elapsed() >= SAVE_AGAIN;
        if let Some(cache) = self.cache.filter(|_| self.saved.is_none_or(is_due)) {
            cache.save(self.service, told).await;
            self.saved = Some(Instant::now());
        }
    }
}

/// An index that goes backwards means that the agent lost its state: ask from the start.
fn next_index(asked: u64, answered: u64) -> u64 {
    if answered < asked { 0 } else { answered }
}

/// Publishes a set if it differs from the last one; returns whether it does.
fn publish(
    service: &str,
    sender: &watch::Sender<Arc<[Endpoint]>>,
    mut found: Vec<Endpoint>,
) -> bool {
    found.sort();
    found.dedup();
    sender.send_if_modified(|current| {
        if **current == *found {
            return false;
        }
        tracing::info!(service, endpoints.count = found.len(), "endpoints changed");
        count_endpoints(service, found.len());
        *current = Arc::from(found);
        true
    })
}

/// Shows operators how many instances are well, which may be none while the last good ones are kept.
fn count_passing(service: &str, count: usize) {
    let gauge = metrics::gauge!("eh_discovery_passing", "peer" => service.to_owned());
    gauge.set(u32::try_from(count).unwrap_or(u32::MAX));
}

#[cfg(test)]
mod tests;
