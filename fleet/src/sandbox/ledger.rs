//! The ledger: the books and their file, worked on by one thread, one job after the other.
//!
//! Nobody hears of a change before it is on disk: the answers of jobs are given out after the
//! entries they made were synced. Jobs that arrive meanwhile share the next sync. Since a job runs
//! to its end whatever becomes of the caller, a client that hangs up leaves nothing half done.

use std::path::Path;
use std::thread;

use anyhow::{Context, Result};
use tokio::sync::{mpsc, oneshot};

use super::book::Book;
use super::journal::Journal;

/// Jobs that wait; further callers wait for room.
const QUEUE: usize = 1_024;
/// Jobs that share one sync at most, so that the first of them is not kept waiting.
const BATCH: usize = 128;

type Answer = Box<dyn FnOnce() + Send>;
type Job = Box<dyn FnOnce(&mut Book) -> Answer + Send>;

/// A handle of the ledger.
#[derive(Clone, Debug)]
pub struct Ledger {
    jobs: mpsc::Sender<Job>,
}

/// The ledger cannot be written any more, and takes no further jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl Ledger {
    /// Opens the file, reads it, and starts the thread. The receiver tells why the thread ended.
    pub fn open(path: &Path) -> Result<(Self, oneshot::Receiver<Result<()>>)> {
        let mut book = Book::default();
        let mut journal = Journal::open(path, |entry| book.apply(entry))?;
        Self::start(book, move |lines| journal.append(lines))
    }

    fn start(
        book: Book,
        append: impl FnMut(&[u8]) -> Result<()> + Send + 'static,
    ) -> Result<(Self, oneshot::Receiver<Result<()>>)> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (end, ended) = oneshot::channel();
        let work = move || {
            let _ = end.send(work(book, append, queue));
        };
        thread::Builder::new().name("ledger".to_owned()).spawn(work).context("no thread")?;
        Ok((Self { jobs }, ended))
    }

    /// Has a job done; returns when what it did is on disk.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Book) -> T + Send + 'static,
    ) -> Result<T, Closed> {
        let (give, given) = oneshot::channel();
        let job: Job = Box::new(move |book| {
            let value = job(book);
            Box::new(move || {
                let _ = give.send(value);
            })
        });
        self.jobs.send(job).await.map_err(|_| Closed)?;
        given.await.map_err(|_| Closed)
    }
}

/// Works until every handle is gone, or until an entry cannot be written: from there on memory and
/// disk differ, and only a new start can tell what is true.
fn work(
    mut book: Book,
    mut append: impl FnMut(&[u8]) -> Result<()>,
    mut queue: mpsc::Receiver<Job>,
) -> Result<()> {
    let mut jobs = Vec::with_capacity(BATCH);
    while queue.blocking_recv_many(&mut jobs, BATCH) > 0 {
        let answers: Vec<Answer> = jobs.drain(..).map(|job| job(&mut book)).collect();
        let mut lines = Vec::new();
        for entry in book.take_unwritten() {
            serde_json::to_writer(&mut lines, &entry)?;
            lines.push(b'\n');
        }
        if !lines.is_empty() {
            append(&lines).context("the ledger cannot be written")?;
        }
        for answer in answers {
            answer();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Barrier};

    use anyhow::bail;
    use chrono::TimeDelta;
    use futures::future::join_all;
    use uuid::Uuid;

    use super::super::charge::NewCharge;
    use super::super::now;
    use super::super::script::{Faults, Script};
    use super::*;

    async fn charge(ledger: &Ledger, number: u128) -> Result<(), Closed> {
        let new = NewCharge {
            reference: Uuid::from_u128(number),
            amount: 1,
            currency: "CNY".to_owned(),
            method: "pm_ok".to_owned(),
        };
        let faults = Faults::new(Script::default(), 0);
        let job = move |book: &mut Book| book.charge(&new, &faults, now(), TimeDelta::zero());
        ledger.run(job).await.map(|made| assert!(made.is_ok()))
    }

    #[tokio::test]
    async fn nobody_hears_of_what_is_not_on_disk() {
        let gate = Arc::new(Barrier::new(2));
        let passed = Arc::clone(&gate);
        let (enter, mut entered) = mpsc::channel(1);
        let append = move |_: &[u8]| {
            enter.blocking_send(())?;
            passed.wait();
            Ok(())
        };
        let (ledger, _ended) = Ledger::start(Book::default(), append).unwrap();
        let mut call = Box::pin(charge(&ledger, 1));
        assert!(futures::poll!(&mut call).is_pending());
        entered.recv().await.unwrap();
        let mut reading = Box::pin(ledger.run(|book| book.pending().deliveries));
        assert!(futures::poll!(&mut call).is_pending());
        assert!(futures::poll!(&mut reading).is_pending(), "not by looking either");
        gate.wait();
        call.await.unwrap();
        assert_eq!(reading.await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_ledger_that_cannot_be_written_answers_nobody() {
        let append = |_: &[u8]| bail!("the disk is full");
        let (ledger, ended) = Ledger::start(Book::default(), append).unwrap();
        assert_eq!(charge(&ledger, 1).await, Err(Closed));
        let cause = ended.await.unwrap().unwrap_err();
        assert_eq!(format!("{cause:#}"), "the ledger cannot be written: the disk is full");
        assert_eq!(ledger.run(|book| book.pending()).await, Err(Closed));
    }

    #[tokio::test]
    async fn jobs_that_arrive_together_share_a_sync() {
        let syncs = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&syncs);
        let append = move |_: &[u8]| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        let (ledger, _ended) = Ledger::start(Book::default(), append).unwrap();
        // Keeps the thread busy until all others wait.
        let gate = Arc::new(Barrier::new(2));
        let held = Arc::clone(&gate);
        let hold = ledger.run(move |_| held.wait().is_leader());
        let all = join_all((0..100).map(|number| charge(&ledger, number)));
        let release = async {
            tokio::task::yield_now().await;
            gate.wait();
        };
        let (_, charged, ()) = tokio::join!(hold, all, release);
        assert!(charged.into_iter().all(|one| one.is_ok()));
        assert!(syncs.load(Ordering::Relaxed) <= 10, "{syncs:?} syncs for 100 charges");
    }
}
