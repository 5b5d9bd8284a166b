//! Floods of HTTP/2 frames, each within seconds and a few megabytes.

use std::iter::repeat_n;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, PING, RST_STREAM, SETTINGS, Said,
    WINDOW_UPDATE, frame, head,
};
use crate::support::stage::{Stage, new_address};

use super::LOGIN;
use super::memory::Memory;

/// How long a connection may go on under attack.
const LIMIT: Duration = Duration::from_secs(40);
/// Connections that do the same at once.
const AT_ONCE: usize = 4;

type Flood = Box<dyn Iterator<Item = Vec<u8>> + Send>;

/// Begins one.
type Begin = fn() -> Flood;

/// Odd numbers: those of streams that a client opens.
fn streams(count: u32) -> impl Iterator<Item = u32> + Send {
    (0..count).map(|number| 2 * number + 1)
}

fn get(stream: u32, flags: u8) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, &head("GET", "/livez"))
}

/// Opens streams and takes them back at once (CVE-2023-44487).
fn rapid_reset() -> Flood {
    Box::new(streams(20_000).map(|stream| {
        [get(stream, END_STREAM), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    }))
}

/// Opens streams and makes the server take them back (CVE-2025-8671).
fn made_you_reset() -> Flood {
    Box::new(streams(20_000).map(|stream| {
        // An increment of nothing is an error of the stream.
        [get(stream, 0), frame(WINDOW_UPDATE, 0, stream, &[0; 4])].concat()
    }))
}

/// A head that never ends (CVE-2024-27316).
fn continuations() -> Flood {
    let first = frame(HEADERS, 0, 1, &head("GET", "/livez"));
    let more =
        frame(CONTINUATION, 0, 1, &[[0x00, 0x01, b'x', 0x01, b'y'].as_slice(); 200].concat());
    Box::new(std::iter::once(first).chain(repeat_n(more, 20_000)))
}

/// As above with nothing in it.
fn empty_continuations() -> Flood {
    let first = frame(HEADERS, 0, 1, &head("GET", "/livez"));
    Box::new(std::iter::once(first).chain(repeat_n(frame(CONTINUATION, 0, 1, b""), 200_000)))
}

/// A body of nothing (CVE-2019-9518).
fn empty_data() -> Flood {
    let post = frame(HEADERS, END_HEADERS, 1, &head("POST", LOGIN));
    Box::new(std::iter::once(post).chain(repeat_n(frame(DATA, 0, 1, b"").repeat(100), 2_000)))
}

/// Settings, each of which has to be acknowledged (CVE-2019-9515).
fn settings() -> Flood {
    Box::new(repeat_n(frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]).repeat(100), 2_000))
}

/// Pings, each of which has to be answered (CVE-2019-9512).
fn pings() -> Flood {
    Box::new(repeat_n(frame(PING, 0, 0, &[0; 8]).repeat(100), 2_000))
}

/// Fills the table of the decompressor, then names its largest entry again and again.
fn hpack_bomb() -> Flood {
    let mut fill = head("GET", "/livez");
    // An entry of a new name, into the table: 4,000 bytes.
    fill.extend([0x40, 0x01, b'x', 0x7f, 0xa1, 0x1e]);
    fill.extend([b'a'; 4_000]);
    let first = frame(HEADERS, END_HEADERS | END_STREAM, 1, &fill);
    // 62 is the first entry of that table.
    let bomb = [head("GET", "/livez"), vec![0x80 | 0x3e; 15_000]].concat();
    let bombs = streams(2_000)
        .map(move |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream + 2, &bomb));
    Box::new(std::iter::once(first).chain(bombs))
}

/// Streams that stay open, more than anybody may have.
fn many_streams() -> Flood {
    let post = |stream| frame(HEADERS, END_HEADERS, stream, &head("POST", LOGIN));
    Box::new(streams(10_000).map(post))
}

/// Frames of types that nobody knows, and of changed priorities.
fn unknown_frames() -> Flood {
    let both = [frame(0xbe, 0, 0, &[0; 64]), frame(2, 0, 1, &[0, 0, 0, 0, 9])].concat();
    Box::new(repeat_n(both.repeat(100), 1_000))
}

/// The same flood on some connections at once; how each of them ended.
async fn attack(stage: &Stage, name: &str, flood: Begin) -> Result<Vec<Said>> {
    let base = stage.gateway(0);
    let connections = (0..AT_ONCE).map(|_| async {
        let frames = Frames::open(base, new_address()).await?;
        let late = || format!("{name}: the connection goes on");
        tokio::time::timeout(LIMIT, frames.flood(flood())).await.with_context(late)
    });
    futures::future::try_join_all(connections).await
}

pub(super) async fn a123_floods_of_frames(stage: &Stage) -> Result<()> {
    let memory = Memory::of(stage).await?;
    let floods: [(&str, Begin); 10] = [
        ("rapid reset", rapid_reset),
        ("MadeYouReset", made_you_reset),
        ("CONTINUATION", continuations),
        ("empty CONTINUATION", empty_continuations),
        ("empty DATA", empty_data),
        ("SETTINGS", settings),
        ("PING", pings),
        ("HPACK bomb", hpack_bomb),
        ("10,000 streams", many_streams),
        ("unknown frames", unknown_frames),
    ];
    for (name, flood) in floods {
        let ends = attack(stage, name, flood).await?;
        println!("{name}: {} KiB more, {:?}", memory.growth_kb()?, ends[0].goaways);
        // A peer that does not read may lose it; not all of them.
        let told = ends.iter().filter(|said| !said.goaways.is_empty()).count();
        ensure!(told > 0, "{name}: no GOAWAY");
        memory.check(name)?;
    }
    // Who behaves is served, on the same protocol.
    let frames = Frames::open(stage.gateway(0), new_address()).await?;
    let said = tokio::time::timeout(LIMIT, frames.flood(std::iter::once(get(1, END_STREAM)))).await;
    let said = said.context("a quiet connection goes on")?;
    ensure!(said.answered == [1], "{said:?}");
    stage.visitor()?.get("/api/v1/products").await?.require(200)?;
    Ok(())
}
