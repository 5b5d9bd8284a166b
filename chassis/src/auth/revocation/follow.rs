//! Keeps the set of revocations current.
//!
//! The feed is read every `resync_ms`, and at once when the doorbell rings; a bell that somebody
//! rings all the time makes for one read per `min_interval_ms`, no more. Everything is read anew
//! every `full_resync_s`, which heals whatever a cursor may have missed. A failed read keeps the set
//! and is tried again after a short pause.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{RevocationFeed, Revocations};
use crate::auth::Verifier;
use crate::auth::last_good::LastGood;
use crate::backoff::Backoff;
use crate::config::RevocationConfig;

/// The first pause after a failed read; it doubles up to `resync_ms`.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How long a changed set may wait until it is on disk: one write serves many changes.
const SAVE_PAUSE: Duration = Duration::from_secs(2);
/// How long a failure goes on until the set of an earlier process is taken over.
const LAST_GOOD_AFTER: Duration = Duration::from_secs(3);

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
    cursor: String,
    /// When everything has to be read anew.
    full_at: Instant,
    /// When the changed set is to be on disk, if it changed.
    save_at: Option<Instant>,
    failing_since: Option<Instant>,
}

impl Follower {
    /// Returns a follower that has read nothing yet.
    pub fn new(parts: FollowerParts) -> Self {
        let full_at = Instant::now();
        Self { parts, cursor: String::new(), full_at, save_at: None, failing_since: None }
    }

    /// Follows the feed until `stop` is cancelled, and saves the set then if it must.
    pub async fn run(mut self, stop: CancellationToken) {
        let _stopped: Option<()> = stop.run_until_cancelled(self.follow()).await;
        if self.save_at.is_some() {
            self.save();
        }
    }

    async fn follow(&mut self) {
        let longest = self.parts.config.resync();
        let mut backoff = Backoff::new(RETRY_PAUSE, longest);
        let mut cause = "start";
        loop {
            let begun = Instant::now();
            let outcome = self.read_all().await;
            metrics::counter!("eh_revocation_reads_total", "cause" => cause,
                "outcome" => if outcome.is_ok() { "ok" } else { "error" })
            .increment(1);
            match outcome {
                Ok(()) => {
                    backoff.reset();
                    self.failing_since = None;
                    cause = self.wait(begun + self.parts.config.min_interval(), longest).await;
                }
                Err(error) => {
                    self.failed(&error, begun);
                    let pause = backoff.step();
                    cause = self.wait(Instant::now() + pause.min(RETRY_PAUSE), pause).await;
                }
            }
            self.parts.revocations.forget();
            self.save_if_due();
        }
    }

    /// Waits `longest`, or until the bell rings, which is not listened to before `earliest`. Returns
    /// what ended the wait.
    async fn wait(&self, earliest: Instant, longest: Duration) -> &'static str {
        let end = Instant::now() + longest;
        sleep_until(earliest.min(end)).await;
        tokio::select! {
            () = self.parts.bell.notified() => "bell",
            () = sleep_until(end) => "pace",
        }
    }

    /// Reads page by page until there is no more, within the time for one read.
    async fn read_all(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let is_full = now >= self.full_at || self.cursor.is_empty();
        let cursor = if is_full { String::new() } else { self.cursor.clone() };
        let limit = self.parts.config.timeout();
        let (cursor, key_ids) = timeout(limit, self.read_pages(cursor)).await??;
        self.cursor = cursor;
        if is_full {
            self.full_at = now + self.parts.config.full_resync();
        }
        if !key_ids.is_empty() && !self.parts.verifier.has_exactly(&key_ids) {
            timeout(limit, self.parts.verifier.refresh_now()).await??;
        }
        Ok(())
    }

    async fn read_pages(&mut self, mut cursor: String) -> anyhow::Result<(String, Vec<String>)> {
        loop {
            let page = self.parts.feed.read(&cursor).await?;
            if self.parts.revocations.apply(&page) && self.save_at.is_none() {
                self.save_at = Some(Instant::now() + SAVE_PAUSE);
            }
            cursor = page.cursor;
            if !page.more {
                return Ok((cursor, page.key_ids));
            }
        }
    }

    /// The set stays as it is. A process that has none yet takes over that of an earlier one, but not
    /// at the first failure: the issuer may just be starting too.
    fn failed(&mut self, error: &anyhow::Error, begun: Instant) {
        let since = *self.failing_since.get_or_insert(begun);
        tracing::warn!(error = format!("{error:#}"), "revocations not read, keeping those known");
        if self.parts.revocations.is_loaded() || since.elapsed() < LAST_GOOD_AFTER {
            return;
        }
        let Some(last_good) = &self.parts.last_good else { return };
        if let Some(set) = last_good.revocations() {
            tracing::warn!("going on with the revocations of an earlier process");
            self.parts.revocations.restore(set);
        }
    }

    fn save_if_due(&mut self) {
        if self.save_at.is_some_and(|at| at <= Instant::now()) {
            self.save();
        }
    }

    fn save(&mut self) {
        self.save_at = None;
        if let Some(last_good) = &self.parts.last_good {
            last_good.save_revocations(&self.parts.revocations.snapshot());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use async_trait::async_trait;
    use uuid::Uuid;

    use super::super::{FeedPage, TokenFacts};
    use super::*;
    use crate::auth::AuthError;
    use crate::clock::SystemClock;
    use crate::id::new_id;
    use crate::testing::tokens::TestIssuer;

    /// A feed of sessions that a test ends, and that can be switched off.
    #[derive(Default)]
    struct Feed {
        ended: Mutex<Vec<Uuid>>,
        down: AtomicBool,
        reads: AtomicUsize,
        full_reads: AtomicUsize,
    }

    impl Feed {
        fn end(&self) -> TokenFacts {
            let session_id = new_id();
            self.ended.lock().unwrap().push(session_id);
            TokenFacts { user_id: new_id(), session_id, version: 1 }
        }

        fn reads(&self) -> usize {
            self.reads.load(Ordering::SeqCst)
        }
    }

    #[async_trait]
    impl RevocationFeed for Feed {
        async fn read(&self, cursor: &str) -> anyhow::Result<FeedPage> {
            self.reads.fetch_add(1, Ordering::SeqCst);
            self.full_reads.fetch_add(usize::from(cursor.is_empty()), Ordering::SeqCst);
            if self.down.load(Ordering::SeqCst) {
                anyhow::bail!("connection refused");
            }
            let ended = self.ended.lock().unwrap();
            let start: usize = cursor.parse().unwrap_or(0);
            let sessions =
                ended.iter().skip(start).take(2).map(|id| (*id, 900)).collect::<Vec<_>>();
            let end = start + sessions.len();
            let (cursor, more) = (end.to_string(), end < ended.len());
            Ok(FeedPage { sessions, cursor, more, ..FeedPage::default() })
        }
    }

    struct World {
        feed: Arc<Feed>,
        revocations: Arc<Revocations>,
        bell: Arc<Notify>,
        stop: CancellationToken,
    }

    impl World {
        fn start(last_good: Option<Arc<LastGood>>) -> (Self, impl Future<Output = ()>) {
            let feed = Arc::new(Feed::default());
            let revocations = Arc::new(Revocations::new(Arc::new(SystemClock)));
            let (bell, stop) = (Arc::new(Notify::new()), CancellationToken::new());
            let issuer = TestIssuer::new();
            let source = Arc::new(issuer.clone());
            let parts = FollowerParts {
                revocations: revocations.clone(),
                verifier: Arc::new(Verifier::new(issuer.config(), source, Arc::new(SystemClock))),
                feed: feed.clone(),
                bell: bell.clone(),
                last_good,
                config: RevocationConfig::default(),
            };
            let run = Follower::new(parts).run(stop.clone());
            (Self { feed, revocations, bell, stop }, run)
        }

        /// Waits until what the paused clock allows has happened.
        async fn pass(&self, time_ms: u64) {
            tokio::time::sleep(Duration::from_millis(time_ms)).await;
        }

        fn refuses(&self, token: &TokenFacts) -> bool {
            self.revocations.check(token) == Err(AuthError::Revoked)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_feed_is_read_whole_at_the_start_and_then_at_its_pace() {
        let (world, run) = World::start(None);
        let tokens: Vec<_> = (0..5).map(|_| world.feed.end()).collect();
        let observe = async {
            world.pass(1).await;
            assert!(tokens.iter().all(|token| world.refuses(token)), "page by page");
            let late = world.feed.end();
            world.pass(1_000).await;
            assert!(!world.refuses(&late));
            world.pass(1_001).await;
            assert!(world.refuses(&late), "within one pace");
            world.pass(59_000).await;
            assert_eq!(world.feed.full_reads.load(Ordering::SeqCst), 2, "once a minute");
            world.stop.cancel();
        };
        tokio::join!(run, observe);
    }

    #[tokio::test(start_paused = true)]
    async fn the_bell_makes_for_a_read_at_once_and_a_flood_of_rings_for_few() {
        let (world, run) = World::start(None);
        let observe = async {
            world.pass(500).await;
            let token = world.feed.end();
            world.bell.notify_one();
            world.pass(1).await;
            assert!(world.refuses(&token));
            let before = world.feed.reads();
            for _ in 0..1_000 {
                world.bell.notify_one();
                world.pass(1).await;
            }
            let reads = world.feed.reads() - before;
            assert!((9..=11).contains(&reads), "{reads} reads in a second");
            world.stop.cancel();
        };
        tokio::join!(run, observe);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_feed_changes_nothing_and_is_asked_again_soon() {
        let (world, run) = World::start(None);
        let token = world.feed.end();
        let observe = async {
            world.pass(1).await;
            world.feed.down.store(true, Ordering::SeqCst);
            world.pass(600_000).await;
            assert!(world.refuses(&token), "the set is kept");
            let missed = world.feed.end();
            world.feed.down.store(false, Ordering::SeqCst);
            world.pass(2_001).await;
            assert!(world.refuses(&missed), "nothing is missed");
            world.stop.cancel();
        };
        tokio::join!(run, observe);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_cannot_read_takes_over_what_an_earlier_one_knew() {
        let folder = std::env::temp_dir().join(format!("eh-follow-{}", new_id()));
        let open = || Some(Arc::new(LastGood::open(&folder, 60, Arc::new(SystemClock)).unwrap()));
        let (first, run) = World::start(open());
        let token = first.feed.end();
        let observe = async {
            first.pass(1).await;
            first.stop.cancel();
        };
        tokio::join!(run, observe);
        let (second, run) = World::start(open());
        second.feed.down.store(true, Ordering::SeqCst);
        let observe = async {
            second.pass(1_000).await;
            let accepted = second.revocations.check(&token);
            assert_eq!(accepted, Err(AuthError::Unavailable), "the issuer may just be starting");
            second.pass(6_000).await;
            assert!(second.refuses(&token));
            second.stop.cancel();
        };
        tokio::join!(run, observe);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
