//! Requests on connections of their own, for what no client library would send.

use std::time::Instant;

use anyhow::Result;
use fleet::harness::Reply;
use fleet::harness::raw;
pub(crate) use fleet::harness::raw::{connect_from, parse, request};

use super::stage::new_address;

/// Sends these bytes to a gateway from a new address and returns everything that comes until the
/// other side closes the connection.
pub(crate) async fn exchange(base: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    raw::exchange(base, new_address(), bytes).await
}

/// Sends one request as it is and reads its answer.
pub(crate) async fn ask(base: &str, bytes: &[u8]) -> Result<Reply> {
    let start = Instant::now();
    let answer = exchange(base, bytes).await?;
    let mut reply = parse(&answer)?;
    reply.elapsed = start.elapsed();
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    reply.request = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
    Ok(reply)
}
