//! The follower, over a feed in memory and a clock that a test moves.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use chrono::TimeDelta;
use uuid::Uuid;

use super::super::{FeedPage, TokenFacts};
use super::*;
use crate::auth::AuthError;
use crate::id::new_id;
use crate::testing::clock::FixedClock;
use crate::testing::tokens::TestIssuer;

/// A feed of sessions that a test ends, in pages of two, and that can be out of order.
#[derive(Default)]
struct Feed {
    ended: Mutex<Vec<Uuid>>,
    down: AtomicBool,
    /// Answers nothing until its caller gives up.
    silent: AtomicBool,
    /// Refuses every cursor but the beginning.
    forgetful: AtomicBool,
    /// Of so many reads one fails; 0: none does.
    one_fails_of: AtomicUsize,
    /// Time for a page.
    page_ms: AtomicU64,
    reads: AtomicUsize,
    full_reads: AtomicUsize,
    /// The longest time that a read was given.
    given: Mutex<Option<Duration>>,
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

    fn full_reads(&self) -> usize {
        self.full_reads.load(Ordering::SeqCst)
    }

    async fn fail(&self, cursor: &str) -> anyhow::Result<()> {
        let reads = self.reads.fetch_add(1, Ordering::SeqCst) + 1;
        *self.given.lock().unwrap() = context::remaining();
        if self.silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_millis(self.page_ms.load(Ordering::SeqCst))).await;
        let one_fails_of = self.one_fails_of.load(Ordering::SeqCst);
        if self.down.load(Ordering::SeqCst)
            || (one_fails_of > 0 && reads.is_multiple_of(one_fails_of))
        {
            anyhow::bail!("connection refused");
        }
        if self.forgetful.load(Ordering::SeqCst) && !cursor.is_empty() {
            return Err(InvalidCursor.into());
        }
        Ok(())
    }
}

#[async_trait]
impl RevocationFeed for Feed {
    async fn read(&self, cursor: &str) -> anyhow::Result<FeedPage> {
        self.full_reads.fetch_add(usize::from(cursor.is_empty()), Ordering::SeqCst);
        self.fail(cursor).await?;
        let ended = self.ended.lock().unwrap();
        let start: usize = cursor.parse().unwrap_or(0);
        let sessions = ended.iter().skip(start).take(2).map(|id| (*id, 900)).collect::<Vec<_>>();
        let end = start + sessions.len();
        let (cursor, more) = (end.to_string(), end < ended.len());
        Ok(FeedPage { sessions, cursor, more, ..FeedPage::default() })
    }
}

struct World {
    feed: Arc<Feed>,
    revocations: Arc<Revocations>,
    clock: Arc<FixedClock>,
    bell: Arc<Notify>,
    stop: CancellationToken,
}

impl World {
    fn start() -> (Self, impl Future<Output = ()>) {
        Self::with(Arc::new(FixedClock::default()), None)
    }

    /// Starts a process with a folder; it ends when everything is written.
    fn with(
        clock: Arc<FixedClock>,
        last_good: Option<Arc<LastGood>>,
    ) -> (Self, impl Future<Output = ()>) {
        let feed = Arc::new(Feed::default());
        let revocations = Arc::new(Revocations::new(clock.clone()));
        let (bell, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let issuer = TestIssuer::new();
        let source = Arc::new(issuer.clone());
        let parts = FollowerParts {
            revocations: revocations.clone(),
            verifier: Arc::new(Verifier::new(issuer.config(), source, clock.clone())),
            feed: feed.clone(),
            bell: bell.clone(),
            last_good: last_good.clone(),
            config: RevocationConfig::default(),
        };
        let (follower, followed) = (Follower::new(parts).run(stop.clone()), stop.clone());
        let run = async move {
            let written = CancellationToken::new();
            let follow = async {
                follower.await;
                written.cancel();
            };
            match last_good {
                Some(last_good) => {
                    tokio::join!(follow, last_good.keep(written.clone()));
                }
                None => follow.await,
            }
            assert!(followed.is_cancelled(), "it ends by order only");
        };
        (Self { feed, revocations, clock, bell, stop }, run)
    }

    /// Waits until what the paused clock allows has happened.
    async fn pass(&self, time_ms: u64) {
        tokio::time::sleep(Duration::from_millis(time_ms)).await;
    }

    /// The same, for all clocks.
    async fn live(&self, seconds: u32) {
        for _ in 0..seconds {
            self.clock.advance(TimeDelta::seconds(1));
            self.pass(1_000).await;
        }
    }

    fn refuses(&self, token: &TokenFacts) -> bool {
        self.revocations.check(token) == Err(AuthError::Revoked)
    }
}

/// A folder that goes with the test.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("eh-follow-{}", new_id())))
    }

    fn open(&self, max_age_s: u32, clock: &Arc<FixedClock>) -> Arc<LastGood> {
        Arc::new(LastGood::open(&self.0, max_age_s, clock.clone()).unwrap())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_feed_is_read_whole_at_the_start_and_then_at_its_pace() {
    let (world, run) = World::start();
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
        assert_eq!(world.feed.full_reads(), 2, "once a minute");
        world.stop.cancel();
    };
    tokio::join!(run, observe);
}

#[tokio::test(start_paused = true)]
async fn the_bell_makes_for_a_read_at_once_and_a_flood_of_rings_for_few() {
    let (world, run) = World::start();
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
    let (world, run) = World::start();
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

/// Fifty pages of 100 ms are five times the time for one read.
#[tokio::test(start_paused = true)]
async fn a_large_set_is_read_to_its_end_and_news_do_not_wait_for_it() {
    let (world, run) = World::start();
    let tokens: Vec<_> = (0..100).map(|_| world.feed.end()).collect();
    world.feed.page_ms.store(100, Ordering::SeqCst);
    let observe = async {
        world.pass(4_900).await;
        assert!(!world.revocations.is_loaded(), "half a set is none");
        world.pass(200).await;
        assert!(tokens.iter().all(|token| world.refuses(token)));
        world.pass(60_000).await;
        while world.feed.full_reads() < 2 {
            world.pass(10).await;
        }
        world.pass(150).await;
        let late = world.feed.end();
        world.bell.notify_one();
        world.pass(1_500).await;
        assert!(world.refuses(&late), "the pass over everything takes longer");
        world.pass(60_000).await;
        assert_eq!(world.feed.full_reads(), 2, "it went on where it was");
        world.pass(30_000).await;
        assert_eq!(world.feed.full_reads(), 3, "and came to its end");
        world.stop.cancel();
    };
    tokio::join!(run, observe);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_fails_costs_no_page_before_it() {
    let (world, run) = World::start();
    let tokens: Vec<_> = (0..40).map(|_| world.feed.end()).collect();
    world.feed.one_fails_of.store(3, Ordering::SeqCst);
    let observe = async {
        while !world.revocations.is_loaded() {
            world.pass(10).await;
        }
        assert!(tokens.iter().all(|token| world.refuses(token)));
        assert_eq!((world.feed.full_reads(), world.feed.reads()), (1, 29), "20 pages, 9 failures");
        world.stop.cancel();
    };
    tokio::join!(run, observe);
}

#[tokio::test(start_paused = true)]
async fn a_silent_issuer_is_given_its_time_by_the_call_itself() {
    let (world, run) = World::start();
    world.feed.silent.store(true, Ordering::SeqCst);
    let observe = async {
        world.pass(10_000).await;
        let given = world.feed.given.lock().unwrap().unwrap();
        assert!(given <= RevocationConfig::default().timeout(), "{given:?}");
        assert!(world.feed.reads() > 2, "it is asked again");
        world.feed.silent.store(false, Ordering::SeqCst);
        world.pass(5_000).await;
        assert!(world.revocations.is_loaded());
        world.stop.cancel();
    };
    tokio::join!(run, observe);
}

#[tokio::test(start_paused = true)]
async fn a_refused_cursor_makes_for_reading_everything_at_once() {
    let (world, run) = World::start();
    let observe = async {
        world.pass(1).await;
        let token = world.feed.end();
        world.feed.forgetful.store(true, Ordering::SeqCst);
        world.pass(2_001).await;
        assert!(world.refuses(&token));
        assert_eq!(world.feed.full_reads(), 2);
        world.stop.cancel();
    };
    tokio::join!(run, observe);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_cannot_read_takes_over_what_an_earlier_one_knew() {
    let (place, clock) = (Place::new(), Arc::new(FixedClock::default()));
    let (first, run) = World::with(clock.clone(), Some(place.open(60, &clock)));
    let token = first.feed.end();
    let observe = async {
        first.pass(1).await;
        first.stop.cancel();
    };
    tokio::join!(run, observe);
    clock.advance(TimeDelta::seconds(-5));
    let (second, run) = World::with(clock.clone(), Some(place.open(60, &clock)));
    second.feed.down.store(true, Ordering::SeqCst);
    let observe = async {
        second.pass(1_000).await;
        let accepted = second.revocations.check(&token);
        assert_eq!(accepted, Err(AuthError::Unavailable), "the issuer may just be starting");
        second.pass(6_000).await;
        assert!(second.refuses(&token), "also when the clock was put back a little");
        second.stop.cancel();
    };
    tokio::join!(run, observe);
}

/// In a quiet fleet nothing changes, and what is saved stays young all the same.
#[tokio::test(start_paused = true)]
async fn a_set_in_which_nothing_changes_is_saved_whenever_it_was_read() {
    let (place, clock) = (Place::new(), Arc::new(FixedClock::default()));
    let (world, run) = World::with(clock.clone(), Some(place.open(120, &clock)));
    let observe = async {
        world.live(600).await;
        assert!(place.open(120, &clock).revocations().await.is_some());
        world.stop.cancel();
    };
    tokio::join!(run, observe);
}

/// Else processes that follow each other without the issuer would believe an old set for ever.
#[tokio::test(start_paused = true)]
async fn a_set_that_was_only_taken_over_does_not_become_younger() {
    let (place, clock) = (Place::new(), Arc::new(FixedClock::default()));
    let (first, run) = World::with(clock.clone(), Some(place.open(120, &clock)));
    let observe = async {
        first.live(1).await;
        first.stop.cancel();
    };
    tokio::join!(run, observe);
    let (second, run) = World::with(clock.clone(), Some(place.open(120, &clock)));
    second.feed.down.store(true, Ordering::SeqCst);
    let observe = async {
        second.live(100).await;
        assert!(second.revocations.is_loaded());
        second.stop.cancel();
    };
    tokio::join!(run, observe);
    clock.advance(TimeDelta::seconds(21));
    assert!(place.open(120, &clock).revocations().await.is_none());
}
