//! Clients that ask for much and take nothing.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::support::frames::{END_HEADERS, END_STREAM, Frames, HEADERS, Said, frame, head};
use crate::support::raw::connect_from;
use crate::support::stage::{Stage, new_address};

use super::memory::Memory;

/// Connections of which nobody reads the answers.
const DEAF: usize = 20;
/// Answers that each of them asks for: more than the buffers of the system hold, and no more than
/// `rate_limits.docs` lets through.
const ASKED: usize = 120;
/// The longest that an answer may wait, and what a busy machine adds.
const UNREAD_MAX: Duration = Duration::from_secs(30 + 15);
/// Streams of one connection: as many as there may be.
const STREAMS: u32 = 100;
/// When all that was asked for has been answered.
const SETTLED: Duration = Duration::from_secs(10);

/// `accept-encoding: gzip, deflate`, which has a number of its own.
const GZIP: u8 = 0x80 | 16;

pub(super) async fn a122_clients_that_do_not_read(stage: &Stage) -> Result<()> {
    over_http1(stage).await?;
    over_http2(stage).await
}

async fn over_http1(stage: &Stage) -> Result<()> {
    let memory = Memory::of(stage).await?;
    let ask = "GET /openapi.json HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".repeat(ASKED);
    let mut streams = Vec::new();
    for _ in 0..DEAF {
        let mut stream = connect_from(stage.gateway(0), new_address()).await?;
        stream.write_all(ask.as_bytes()).await?;
        streams.push(stream);
    }
    let whole = stage.visitor()?.get("/openapi.json").await?.body.to_string().len() * ASKED;
    // It is the passing of this time that is tried.
    tokio::time::sleep(UNREAD_MAX).await;
    memory.check("answers that nobody takes")?;
    for stream in &mut streams {
        let mut held = Vec::new();
        let read = stream.read_to_end(&mut held);
        let _reset = tokio::time::timeout(Duration::from_secs(20), read).await?;
        ensure!(held.len() < whole / 2, "{} bytes were still coming", held.len());
    }
    Ok(())
}

/// Answers of HTTP/2 wait in the process, not in the buffers of the system, while a client has no
/// window for them, or one of a byte.
async fn over_http2(stage: &Stage) -> Result<()> {
    let memory = Memory::of(stage).await?;
    let mut clients = JoinSet::new();
    for number in 0..DEAF {
        let path = ["/docs/swagger-ui-bundle.js", "/api/v1/products"][number % 2];
        let mut block = head("GET", path);
        if number / 2 % 2 == 1 {
            block.push(GZIP);
        }
        let window = u8::try_from(number / 4 % 2)?;
        let base = stage.gateway(0).to_owned();
        clients.spawn(async move { take_nothing(&base, block, window).await });
    }
    // It is the passing of this time that is tried.
    tokio::time::sleep(SETTLED).await;
    memory.check("answers that no window is open for")?;
    while let Some(client) = clients.join_next().await {
        let said = client??;
        ensure!(!said.answered.is_empty(), "nothing was answered: {said:?}");
    }
    memory.check("answers that no window was open for")
}

/// Asks on as many streams as there may be, with windows of `window` bytes, and waits for the end.
async fn take_nothing(base: &str, block: Vec<u8>, window: u8) -> Result<Said> {
    let frames = Frames::with_settings(base, new_address(), &[0, 4, 0, 0, 0, window]).await?;
    let ends = END_HEADERS | END_STREAM;
    let asks = (0..STREAMS).map(move |number| frame(HEADERS, ends, 2 * number + 1, &block));
    let flood = tokio::time::timeout(UNREAD_MAX, frames.flood(asks));
    flood.await.context("an answer that nobody takes is kept")
}
