//! Keeps the set of revocations current.
//!
//! The feed is read every `resync_ms`, and at once when the doorbell rings; a bell that somebody
//! rings all the time makes for one read per `min_interval_ms`, no more. Everything is read anew
//! `full_resync_s` after the last time, which heals whatever a cursor may have missed; news come
//! first, and a set that takes many pages is read bit by bit ([`Progress`]). A page that fails keeps
//! the set and what was read of it, and is tried again after a short pause.
//!
//! The set is saved when it changed, whenever everything was read, so that the saved one is never
//! much older than the issuer's last answer, and at the end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{FeedPage, RevocationFeed, Revocations};
use crate::auth::Verifier;
use crate::auth::last_good::LastGood;
use crate::backoff::Backoff;
use crate::config::RevocationConfig;
use crate::feed::{InvalidCursor, Part, Progress};
use crate::grpc::context::{self, CallContext};

/// The first pause after a failed read; it doubles up to `resync_ms`.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How long a changed set may wait until it is saved: one write serves many changes.
const SAVE_PAUSE: Duration = Duration::from_secs(2);
/// How long a failure goes on until the set of an earlier process is taken over.
const LAST_GOOD_AFTER: Duration = Duration::from_secs(3);
/// How long beyond its deadline a call is waited for. It ends by itself, and is then held against
/// the instance that let it wait; a call that is just dropped is held against nobody.
const DEADLINE_MARGIN: Duration = Duration::from_millis(250);

/// What a [`Follower`] works with.
pub struct FollowerParts {
    /// The set.
    pub revocations: Arc<Revocations>,
    /// Who has to learn of keys that came or went.
    pub verifier: Arc<Verifier>,
    /// Where the truth is read.
    pub feed: Arc<dyn RevocationFeed>,
    /// Rung when there may be news.
    pub bell: Arc<Notify>,
    /// Where the set of an earlier process lies, if it may.
    pub last_good: Option<Arc<LastGood>>,
    /// How often.
    pub config: RevocationConfig,
}

/// Keeps a set of revocations current; see the module.
pub struct Follower {
    parts: FollowerParts,
    progress: Progress,
    /// When the issuer last told all that was new to a set of which nothing is missing, in seconds
    /// since the epoch.
    read_at: Option<i64>,
    /// When the set is to be saved, if it must.
    save_at: Option<Instant>,
    failing_since: Option<Instant>,
}

impl Follower {
    /// Returns a follower that has read nothing yet.
    pub fn new(parts: FollowerParts) -> Self {
        let progress = Progress::new(parts.config.full_resync());
        Self { parts, progress, read_at: None, save_at: None, failing_since: None }
    }

    /// Follows the feed until `stop` is cancelled, and saves the set then.
    pub async fn run(mut self, stop: CancellationToken) {
        let _stopped: Option<()> = stop.run_until_cancelled(self.follow()).await;
        self.save();
    }

    async fn follow(&mut self) {
        let longest = self.parts.config.resync();
        let mut backoff = Backoff::new(RETRY_PAUSE, longest);
        let mut cause = "start";
        loop {
            let begun = Instant::now();
            let outcome = self.read_turn().await;
            metrics::counter!("eh_revocation_reads_total", "cause" => cause,
                "outcome" => if outcome.is_ok() { "ok" } else { "error" })
            .increment(1);
            let wait = match outcome {
                Ok(()) => {
                    backoff.reset();
                    self.failing_since = None;
                    (begun + self.parts.config.min_interval(), longest)
                }
                Err(error) => {
                    self.failed(&error, begun).await;
                    let pause = backoff.step();
                    (Instant::now() + pause.min(RETRY_PAUSE), pause)
                }
            };
            self.parts.revocations.forget();
            cause = self.wait(wait).await;
        }
    }

    /// Waits `longest`, or until the bell rings, which is not listened to before `earliest`, and saves
    /// the set meanwhile if it must. Returns what ended the wait.
    async fn wait(&mut self, (earliest, longest): (Instant, Duration)) -> &'static str {
        let end = Instant::now() + longest;
        sleep_until(earliest.min(end)).await;
        if self.save_at.is_some_and(|at| at <= Instant::now()) {
            self.save();
        }
        tokio::select! {
            () = self.parts.bell.notified() => "bell",
            () = sleep_until(end) => "pace",
        }
    }

    /// Reads what is due now, page by page, and then the keys if others are published.
    async fn read_turn(&mut self) -> anyhow::Result<()> {
        let now = self.parts.revocations.now();
        let mut key_ids = Vec::new();
        self.progress.begin();
        while let Some((part, cursor)) = self.progress.due() {
            let (feed, cursor) = (Arc::clone(&self.parts.feed), cursor.to_owned());
            let outcome = self.bounded(feed.read(&cursor)).await;
            match outcome {
                Ok(page) => key_ids = self.take(part, page),
                Err(error) if error.is::<InvalidCursor>() && self.progress.refused(part) => {
                    tracing::warn!("cursor refused, reading all revocations anew");
                }
                Err(error) => return Err(error),
            }
        }
        if self.progress.is_complete() {
            self.read_at = Some(now);
        }
        if !key_ids.is_empty() && !self.parts.verifier.has_exactly(&key_ids) {
            let verifier = Arc::clone(&self.parts.verifier);
            self.bounded(verifier.refresh_now()).await?;
        }
        Ok(())
    }

    /// Takes over a page. Returns the ids of the keys that are published.
    fn take(&mut self, part: Part, page: FeedPage) -> Vec<String> {
        let has_changed = self.parts.revocations.apply(&page);
        if has_changed && self.save_at.is_none() {
            self.save_at = Some(Instant::now() + SAVE_PAUSE);
        }
        if self.progress.advance(part, page.cursor, page.more) {
            self.save_at = Some(Instant::now());
        }
        page.key_ids
    }

    /// Awaits a call within the time for one.
    async fn bounded<T>(&self, call: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let limit = self.parts.config.timeout();
        let call = context::scope(CallContext::with_timeout(limit), call);
        timeout(limit + DEADLINE_MARGIN, call).await?
    }

    /// The set stays as it is. A process that has none yet takes over that of an earlier one, but not
    /// at the first failure: the issuer may just be starting too.
    async fn failed(&mut self, error: &anyhow::Error, begun: Instant) {
        let since = *self.failing_since.get_or_insert(begun);
        tracing::warn!(error = format!("{error:#}"), "revocations not read, keeping those known");
        if self.parts.revocations.is_loaded() || since.elapsed() < LAST_GOOD_AFTER {
            return;
        }
        let Some(last_good) = &self.parts.last_good else { return };
        if let Some(set) = last_good.revocations().await {
            tracing::warn!("going on with the revocations of an earlier process");
            self.parts.revocations.restore(set);
        }
    }

    /// Saves what the issuer told. What only an earlier process was told lies there already, with
    /// its own age.
    fn save(&mut self) {
        self.save_at = None;
        if let (Some(last_good), Some(read_at)) = (&self.parts.last_good, self.read_at) {
            last_good.save_revocations(self.parts.revocations.snapshot(), read_at);
        }
    }
}

#[cfg(test)]
mod tests;
