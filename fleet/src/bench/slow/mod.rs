//! Clients that take their time, beside others that do not.

mod descriptors;
mod manner;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::task::JoinSet;

pub use self::descriptors::require_descriptors_for;
pub use self::manner::Manner;
use crate::harness::raw::{connect_from, new_address};

/// Pause between two bytes of a slow client.
const PACE: Duration = Duration::from_secs(1);
/// The most that is read at a time.
const PIECE: usize = 4_096;

/// Many slow clients, and what they went through.
#[derive(Debug)]
pub struct Crowd {
    manners: &'static [Manner],
    /// How long one of them stays after the end, if nobody hangs up on it.
    overtime: Duration,
    connected: AtomicUsize,
    /// By manner, in milliseconds.
    held_longest: Vec<AtomicUsize>,
}

impl Crowd {
    /// Clients of these manners, in turn.
    pub fn new(manners: &'static [Manner], overtime: Duration) -> Arc<Self> {
        let held_longest = manners.iter().map(|_| AtomicUsize::new(0)).collect();
        Arc::new(Self { manners, overtime, connected: AtomicUsize::new(0), held_longest })
    }

    /// Sends so many of them to the gateway at `base`, each from an address of its own.
    pub fn gather(
        self: &Arc<Self>,
        base: &str,
        count: usize,
        stay: Duration,
    ) -> JoinSet<Result<()>> {
        let end = Instant::now() + stay;
        let mut members = JoinSet::new();
        for number in 0..count {
            let at = number % self.manners.len();
            members.spawn(Arc::clone(self).member(base.to_owned(), at, end));
        }
        members
    }

    /// Connections that were made in all.
    pub fn connected(&self) -> usize {
        self.connected.load(Ordering::Relaxed)
    }

    /// How long one of each manner held its connection at most, in milliseconds.
    pub fn held_longest_ms(&self) -> Vec<(Manner, usize)> {
        let held = self.held_longest.iter().map(|held| held.load(Ordering::Relaxed));
        self.manners.iter().copied().zip(held).collect()
    }

    /// Connects again and again until `end`: whoever is closed makes room for nobody else.
    async fn member(self: Arc<Self>, base: String, at: usize, end: Instant) -> Result<()> {
        while Instant::now() < end {
            let mut stream = connect_from(&base, new_address()).await?;
            self.connected.fetch_add(1, Ordering::Relaxed);
            let start = Instant::now();
            waste(&mut stream, self.manners[at], end + self.overtime).await;
            let held = usize::try_from(start.elapsed().as_millis())?;
            self.held_longest[at].fetch_max(held, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Behaves in this manner until the other side closes.
async fn waste(stream: &mut TcpStream, manner: Manner, end: Instant) {
    let (mut reading, mut writing) = stream.split();
    let closed = async {
        tokio::select! {
            _broken = speak(&mut writing, manner) => {}
            _closed = listen(&mut reading, manner) => {}
        }
    };
    let _stayed = tokio::time::timeout_at(end.into(), closed).await;
}

/// Says what there is to say, for as long as it is listened to.
async fn speak(writing: &mut WriteHalf<'_>, manner: Manner) -> io::Result<()> {
    writing.write_all(manner.opening().as_bytes()).await?;
    let mut pace = tokio::time::interval(PACE);
    loop {
        pace.tick().await;
        if manner.is_dripping() {
            writing.write_all(b"a").await?;
        }
    }
}

/// Takes what comes until nothing comes any more.
async fn listen(reading: &mut ReadHalf<'_>, manner: Manner) -> io::Result<()> {
    let mut piece = [0; PIECE];
    loop {
        let taken = if manner.is_reluctant() {
            tokio::time::sleep(PACE).await;
            reading.read(&mut piece[..1]).await?
        } else {
            reading.read(&mut piece).await?
        };
        if taken == 0 {
            return Ok(());
        }
    }
}
