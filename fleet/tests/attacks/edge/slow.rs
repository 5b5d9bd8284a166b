//! Clients that take their time: with heads, with bodies, with everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use fleet::harness::Api;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::raw::connect_from;
use crate::support::stage::{Stage, new_address};

use super::LOGIN;
use super::memory::Memory;

/// Slow clients at once.
const CROWD: usize = 1_000;
/// How long they stay, unless `EH_TEST_SLOW_S` says otherwise.
const STAY: Duration = Duration::from_secs(15);
/// The longest that any of them may hold its connection: what it may take, and what a busy machine
/// adds.
const HELD_MAX: Duration = Duration::from_secs(10 + 5);

/// How a client wastes time.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// Sends a head byte by byte.
    Head,
    /// Sends a body byte by byte.
    Body,
    /// Says nothing.
    Silent,
    /// Asks once, and then nothing more.
    Idle,
    /// Begins HTTP/2, and asks nothing.
    Http2,
}

const MANNERS: [Manner; 5] =
    [Manner::Head, Manner::Body, Manner::Silent, Manner::Idle, Manner::Http2];

impl Manner {
    fn opening(self) -> String {
        let head = "HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n";
        match self {
            Self::Head => format!("GET /livez {head}x-slow: "),
            Self::Body => format!("POST {LOGIN} {head}content-length: 1000\r\n\r\n{{"),
            Self::Silent => String::new(),
            Self::Idle => format!("GET /livez {head}\r\n"),
            Self::Http2 => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_owned(),
        }
    }

    fn is_dripping(self) -> bool {
        matches!(self, Self::Head | Self::Body)
    }
}

/// What the crowd went through.
#[derive(Default)]
struct Crowd {
    connected: AtomicUsize,
    /// By manner, in milliseconds.
    held_longest: [AtomicUsize; MANNERS.len()],
}

impl Crowd {
    /// Connects again and again until `end`: whoever is closed makes room for nobody else.
    async fn member(self: Arc<Self>, base: String, manner: Manner, end: Instant) -> Result<()> {
        while Instant::now() < end {
            let mut stream = connect_from(&base, new_address()).await?;
            self.connected.fetch_add(1, Ordering::Relaxed);
            let start = Instant::now();
            waste(&mut stream, manner, end + HELD_MAX).await;
            let held = usize::try_from(start.elapsed().as_millis())?;
            self.held_longest[manner as usize].fetch_max(held, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Behaves in this manner until the other side closes.
async fn waste(stream: &mut TcpStream, manner: Manner, end: Instant) {
    if stream.write_all(manner.opening().as_bytes()).await.is_err() {
        return;
    }
    let mut pace = tokio::time::interval(Duration::from_secs(1));
    let mut answer = [0; 4_096];
    loop {
        tokio::select! {
            read = stream.read(&mut answer) => match read {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            },
            _ = pace.tick() => {
                if Instant::now() > end {
                    return;
                }
                // Whoever has been answered is not listened to any more.
                if manner.is_dripping() && stream.write_all(b"a").await.is_err() {
                    return;
                }
            }
        }
    }
}

/// The time that 99 of 100 answers take within `time`, one asked after another.
async fn p99(api: &Api, time: Duration) -> Result<(Duration, usize)> {
    let end = Instant::now() + time;
    let mut taken = Vec::new();
    while Instant::now() < end {
        let reply = api.get("/api/v1/products").await?;
        ensure!(reply.status == 200, "{}: {}", reply.request, reply.status);
        taken.push(reply.elapsed);
        // A pace that stays within the quota of an address.
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    taken.sort_unstable();
    let place = (taken.len() * 99).div_ceil(100).saturating_sub(1);
    Ok((taken[place], taken.len()))
}

fn stay() -> Duration {
    let seconds = fleet::environment::find("EH_TEST_SLOW_S").and_then(|text| text.parse().ok());
    seconds.map_or(STAY, Duration::from_secs)
}

pub(super) async fn a121_slow_and_silent_clients(stage: &Stage) -> Result<()> {
    let stay = stay();
    let (before, _) = p99(&stage.visitor()?, stay.min(STAY)).await?;
    let memory = Memory::of(stage).await?;
    let (crowd, end) = (Arc::new(Crowd::default()), Instant::now() + stay);
    let mut members = JoinSet::new();
    for number in 0..CROWD {
        let base = stage.gateway(0).to_owned();
        let manner = MANNERS[number % MANNERS.len()];
        members.spawn(Arc::clone(&crowd).member(base, manner, end));
    }
    let good = stage.visitor()?;
    let (during, answers) = p99(&good, stay).await?;
    let growth = memory.growth_kb()?;
    while let Some(member) = members.join_next().await {
        member??;
    }
    let connected = crowd.connected.load(Ordering::Relaxed);
    let held: Vec<_> = MANNERS
        .iter()
        .map(|manner| (*manner, crowd.held_longest[*manner as usize].load(Ordering::Relaxed)))
        .collect();
    println!(
        "{CROWD} slow clients for {} s, {connected} connections: p99 of {answers} good answers \
         {} ms before, {} ms meanwhile; longest held, in ms: {held:?}; {growth} KiB more",
        stay.as_secs(),
        before.as_millis(),
        during.as_millis(),
    );
    let most = usize::try_from(HELD_MAX.as_millis())?;
    ensure!(held.iter().all(|(_, held)| *held <= most), "held too long, in ms: {held:?}");
    memory.check("slow clients")
}
