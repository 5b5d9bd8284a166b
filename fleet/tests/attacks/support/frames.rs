//! HTTP/2 frame by frame (RFC 9113), for what no client library would send.

use std::net::IpAddr;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::raw::connect_from;

/// Types of frames.
pub(crate) const DATA: u8 = 0x0;
pub(crate) const HEADERS: u8 = 0x1;
pub(crate) const RST_STREAM: u8 = 0x3;
pub(crate) const SETTINGS: u8 = 0x4;
pub(crate) const PING: u8 = 0x6;
pub(crate) const GOAWAY: u8 = 0x7;
pub(crate) const WINDOW_UPDATE: u8 = 0x8;
pub(crate) const CONTINUATION: u8 = 0x9;

/// Flags of frames.
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame as it is on the wire.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The head of a request, compressed without a table.
pub(crate) fn head(method: &str, path: &str) -> Vec<u8> {
    let mut block = vec![0x86]; // :scheme http
    for (index, value) in [(0x02, method), (0x04, path), (0x01, "127.0.0.1")] {
        literal(&mut block, index, value);
    }
    block
}

/// Adds a header that stands under this number in the static table.
fn literal(block: &mut Vec<u8>, index: u8, value: &str) {
    block.push(index);
    block.push(u8::try_from(value.len()).unwrap_or(0x7e).min(0x7e));
    block.extend(value.as_bytes());
}

/// A connection that speaks frames.
pub(crate) struct Frames {
    reader: OwnedReadHalf,
    pub(crate) writer: OwnedWriteHalf,
}

/// What a server said until it closed.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// The reasons of its GOAWAYs.
    pub(crate) goaways: Vec<u32>,
    /// How many frames it sent.
    pub(crate) frames: usize,
    /// The streams that it answered with HEADERS.
    pub(crate) answered: Vec<u32>,
}

impl Frames {
    /// Opens a connection with its preface and no settings of its own.
    pub(crate) async fn open(base: &str, address: IpAddr) -> Result<Self> {
        Self::with_settings(base, address, b"").await
    }

    /// As above with these settings, six bytes each (RFC 9113, section 6.5.1).
    pub(crate) async fn with_settings(
        base: &str,
        address: IpAddr,
        settings: &[u8],
    ) -> Result<Self> {
        let (reader, mut writer) = connect_from(base, address).await?.into_split();
        writer.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, settings)].concat()).await?;
        Ok(Self { reader, writer })
    }

    /// Sends each of `bytes` until the server does not take more, and listens meanwhile until it
    /// closes.
    pub(crate) async fn flood(self, bytes: impl Iterator<Item = Vec<u8>>) -> Said {
        let Self { mut reader, mut writer } = self;
        let writing = async {
            for chunk in bytes {
                if writer.write_all(&chunk).await.is_err() {
                    break;
                }
            }
            let _ = writer.flush().await;
            // Keeps its side open: it is the server that has to close, and what it said is heard
            // to the end.
            std::future::pending().await
        };
        tokio::select! {
            said = listen(&mut reader) => said,
            never = writing => never,
        }
    }
}

async fn listen(reader: &mut OwnedReadHalf) -> Said {
    let mut said = Said::default();
    while let Some((kind, stream, payload)) = next(reader).await {
        said.frames += 1;
        match kind {
            GOAWAY => {
                let reason = payload.get(4..8).and_then(|bytes| bytes.try_into().ok());
                said.goaways.push(u32::from_be_bytes(reason.unwrap_or_default()));
            }
            HEADERS => said.answered.push(stream),
            _ => {}
        }
    }
    said
}

/// The next frame; `None` at the end of the connection.
async fn next(reader: &mut OwnedReadHalf) -> Option<(u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    reader.read_exact(&mut head).await.ok()?;
    let number = |at: usize| {
        head.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes)
    };
    let (length, kind, stream) = (number(0)? >> 8, head[3], number(5)? & 0x7fff_ffff);
    let mut payload = vec![0; length as usize];
    reader.read_exact(&mut payload).await.ok()?;
    Some((kind, stream, payload))
}
