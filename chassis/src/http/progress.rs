//! What goes on on one connection, and since when: the base of every time limit that it has.
//!
//! A server speaks only when it is asked, so a connection is either *quiet* (nothing asked, nothing
//! being answered), or *working*. Quiet time is bounded by the time for a head, the time in which
//! an answer must be taken by its own limit, and the time in between by whoever works.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::pieces::Pieces;

/// Why a connection is ended from this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// No whole head arrived in time.
    Head,
    /// An answer was not taken in time.
    Answer,
    /// More control frames came than any client needs.
    Flood,
}

/// The time limits of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// From the end of one answer to the end of the next head.
    pub(super) head: Duration,
    /// From the beginning of an answer until the peer has taken all of it.
    pub(super) answer: Duration,
}

/// The state of one connection.
pub(super) struct Progress {
    state: Mutex<State>,
    alarm: Notify,
}

struct State {
    /// Requests that came so far.
    begun: u64,
    /// Requests whose answer has not ended.
    working: usize,
    /// Since when each answer is being given.
    answers: BTreeMap<u64, Instant>,
    /// Since when an answer that has ended waits to leave.
    unflushed: Option<Instant>,
    /// Since when the oldest stream that has not ended on the wire is being answered.
    streaming: Option<Instant>,
    quiet_since: Instant,
    is_flooded: bool,
    /// The first request whose head can be understood in two ways.
    doubtful_from: Option<u64>,
}

impl Progress {
    pub(super) fn new() -> Arc<Self> {
        let state = State {
            begun: 0,
            working: 0,
            answers: BTreeMap::new(),
            unflushed: None,
            streaming: None,
            quiet_since: Instant::now(),
            is_flooded: false,
            doubtful_from: None,
        };
        Arc::new(Self { state: Mutex::new(state), alarm: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is complete when the lock is given back.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request has arrived.
    pub(super) fn begin(self: &Arc<Self>) -> Work {
        let mut state = self.state();
        state.begun += 1;
        state.working += 1;
        Work { progress: Arc::clone(self), number: state.begun }
    }

    /// How many requests have arrived.
    pub(super) fn begun(&self) -> u64 {
        self.state().begun
    }

    /// Whether nothing was asked that has not been answered to the last byte.
    pub(super) fn is_quiet(&self) -> bool {
        let state = self.state();
        state.working == 0 && state.unflushed.is_none()
    }

    /// Everything that was written has left.
    pub(super) fn flushed(&self) {
        let mut state = self.state();
        if state.unflushed.take().is_some() {
            state.rest();
        }
    }

    /// Since when the oldest answer of HTTP/2 whose end has not left is being given.
    pub(super) fn stream(&self, since: Option<Instant>) {
        let mut state = self.state();
        if std::mem::replace(&mut state.streaming, since).is_some() && since.is_none() {
            state.rest();
        }
    }

    /// The request of this number can be understood in two ways.
    pub(super) fn doubt(&self, number: u64) {
        self.state().doubtful_from = Some(number);
    }

    /// The peer sends more control frames than any client needs.
    pub(super) fn flood(&self) {
        self.state().is_flooded = true;
        self.alarm.notify_one();
    }

    /// Waits until one of the limits is passed.
    pub(super) async fn overdue(&self, limits: Limits) -> Late {
        loop {
            let (due, _) = self.state().due(limits);
            // An answer that begins meanwhile may be due before.
            let look = due.min(Instant::now() + limits.answer);
            tokio::select! {
                () = tokio::time::sleep_until(look) => {}
                () = self.alarm.notified() => {}
            }
            let state = self.state();
            if state.is_flooded {
                return Late::Flood;
            }
            if let (due, Some(late)) = state.due(limits)
                && due <= Instant::now()
            {
                return late;
            }
        }
    }
}

impl State {
    /// When the next limit is passed and which one; without one, when to look again.
    fn due(&self, limits: Limits) -> (Instant, Option<Late>) {
        let waiting = self.unflushed.into_iter().chain(self.streaming);
        let oldest = self.answers.values().copied().chain(waiting).min();
        match oldest {
            Some(since) => (since + limits.answer, Some(Late::Answer)),
            None if self.working == 0 => (self.quiet_since + limits.head, Some(Late::Head)),
            None => (Instant::now() + limits.head, None),
        }
    }

    /// The time for the next head begins, if nothing is worked on.
    fn rest(&mut self) {
        if self.working == 0 {
            self.quiet_since = Instant::now();
        }
    }
}

/// One request, from its arrival to the end of its answer.
pub(super) struct Work {
    progress: Arc<Progress>,
    number: u64,
}

impl Work {
    /// Whether the request can be understood in two ways, or comes after one that can.
    pub(super) fn is_doubtful(&self) -> bool {
        self.progress.state().doubtful_from.is_some_and(|first| first <= self.number)
    }

    /// From now on the peer has its answer to take, which carries this on.
    pub(super) fn answer(self, body: Body) -> Answer {
        self.progress.state().answers.insert(self.number, Instant::now());
        Answer { body: Pieces::new(body), _work: self }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let mut state = self.progress.state();
        state.working -= 1;
        if let Some(since) = state.answers.remove(&self.number) {
            state.unflushed.get_or_insert(since);
        }
        state.rest();
    }
}

/// The body of an answer; its end is the end of the work.
pub(super) struct Answer {
    body: Pieces,
    _work: Work,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { head: Duration::from_secs(10), answer: Duration::from_secs(30) };

    async fn elapsed(progress: &Progress) -> (Late, u64) {
        let start = Instant::now();
        let late = progress.overdue(LIMITS).await;
        (late, start.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_connection_is_late_with_its_next_head() {
        let progress = Progress::new();
        assert_eq!(elapsed(&progress).await, (Late::Head, 10));
        let work = progress.begin();
        assert!(!progress.is_quiet());
        tokio::time::advance(Duration::from_mins(1)).await;
        drop(work.answer(Body::empty()));
        assert!(!progress.is_quiet(), "the answer has not left");
        progress.flushed();
        assert!(progress.is_quiet());
        assert_eq!(elapsed(&progress).await, (Late::Head, 10), "counted from the last answer");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_must_be_taken_in_time() {
        let progress = Progress::new();
        let work = progress.begin();
        tokio::time::advance(Duration::from_secs(20)).await;
        let answer = work.answer(Body::empty());
        assert_eq!(elapsed(&progress).await, (Late::Answer, 30));
        drop(answer);
        let (late, _) = elapsed(&progress).await;
        assert_eq!(late, Late::Answer, "ended, and still not on its way");
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_for_the_next_head_begins_when_the_answer_has_left() {
        let progress = Progress::new();
        drop(progress.begin().answer(Body::empty()));
        tokio::time::advance(Duration::from_secs(20)).await;
        progress.flushed();
        progress.flushed();
        assert_eq!(elapsed(&progress).await, (Late::Head, 10));
        drop(progress.begin().answer(Body::empty()));
        progress.stream(Some(Instant::now()));
        progress.flushed();
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(elapsed(&progress).await, (Late::Answer, 10), "a stream has not ended");
        progress.stream(None);
        assert_eq!(elapsed(&progress).await, (Late::Head, 10));
    }

    #[test]
    fn a_request_is_doubtful_by_its_number() {
        let progress = Progress::new();
        progress.doubt(2);
        let requests = [progress.begin(), progress.begin(), progress.begin()];
        assert_eq!(requests.map(|request| request.is_doubtful()), [false, true, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_told_at_once() {
        let progress = Progress::new();
        let work = progress.begin();
        let flood = async { progress.flood() };
        let (found, ()) = tokio::join!(elapsed(&progress), flood);
        assert_eq!(found, (Late::Flood, 0));
        drop(work);
    }
}
