//! HTTP/2 frame by frame (RFC 9113), for what no client library would send.

use std::collections::{BTreeMap, BTreeSet};
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

/// The stream of the first request of a connection.
pub(crate) const FIRST: u32 = 1;

/// Names of the static table (RFC 7541, appendix A).
pub(crate) const AUTHORITY: u8 = 1;
pub(crate) const METHOD: u8 = 2;
pub(crate) const PATH: u8 = 4;
pub(crate) const SCHEME: u8 = 6;

/// Largest payload of a frame, unless something else was agreed on.
const FRAME_BYTES_MAX: usize = 16 * 1_024;

/// What may be sent before the other side has taken any of it (RFC 9113, section 6.9.2).
const WINDOW_BYTES: usize = 65_535;

/// The head of a request, compressed without a table.
pub(crate) fn head(method: &str, path: &str) -> Vec<u8> {
    named(&[(SCHEME, "http"), (METHOD, method), (PATH, path), (AUTHORITY, "127.0.0.1")])
}

/// The beginning of a head: fields whose names stand in the static table.
pub(crate) fn named(fields: &[(u8, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (index, value) in fields {
        block.push(*index);
        literal(&mut block, value.as_bytes());
    }
    block
}

/// Adds a field to a head.
pub(crate) fn add_field(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.push(0x00);
    literal(block, name);
    literal(block, value);
}

/// Adds a string as it is (RFC 7541, sections 5.1 and 5.2).
fn literal(block: &mut Vec<u8>, value: &[u8]) {
    const PREFIX_MAX: usize = 0x7f;
    let byte = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
    block.push(byte(value.len().min(PREFIX_MAX)));
    if let Some(mut rest) = value.len().checked_sub(PREFIX_MAX) {
        while rest > 0x7f {
            block.push(byte(rest % 0x80) | 0x80);
            rest /= 0x80;
        }
        block.push(byte(rest));
    }
    block.extend(value);
}

/// The frames of a head, as many as it needs.
pub(crate) fn head_frames(flags: u8, stream: u32, block: &[u8]) -> Vec<u8> {
    let pieces = block.chunks(FRAME_BYTES_MAX);
    let last = pieces.len().saturating_sub(1);
    let frames = pieces.enumerate().map(|(number, piece)| {
        let (kind, flags) = if number == 0 { (HEADERS, flags) } else { (CONTINUATION, 0) };
        let ends = if number == last { END_HEADERS } else { 0 };
        frame(kind, flags | ends, stream, piece)
    });
    frames.flatten().collect()
}

/// A connection that speaks frames.
pub(crate) struct Frames {
    reader: OwnedReadHalf,
    pub(crate) writer: OwnedWriteHalf,
}

/// What a server said until it closed, or had no more to say on a stream.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// The reasons of its GOAWAYs.
    pub(crate) goaways: Vec<u32>,
    /// How many frames it sent.
    pub(crate) frames: usize,
    /// The streams that it answered with HEADERS.
    pub(crate) answered: Vec<u32>,
    /// The streams that it took back.
    pub(crate) resets: Vec<u32>,
    /// The status of the first answer; later ones are compressed by what came before.
    pub(crate) status: Option<u16>,
    /// What it sent as bodies, by stream.
    pub(crate) bodies: BTreeMap<u32, Vec<u8>>,
    /// The streams on which it has no more to say.
    ended: BTreeSet<u32>,
}

impl Said {
    fn hear(&mut self, frame: Frame) {
        let Frame { kind, flags, stream, payload } = frame;
        self.frames += 1;
        match kind {
            GOAWAY => self.goaways.push(number_at(&payload, 4).unwrap_or_default()),
            RST_STREAM => self.resets.push(stream),
            HEADERS => {
                if self.answered.is_empty() {
                    self.status = status_of(&payload);
                }
                self.answered.push(stream);
            }
            DATA => self.bodies.entry(stream).or_default().extend(payload),
            _ => {}
        }
        let is_last = matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0;
        if is_last || kind == RST_STREAM {
            self.ended.insert(stream);
        }
    }

    /// Whether that stream has ended, if one is waited for.
    fn is_over(&self, until: Option<u32>) -> bool {
        until.is_some_and(|stream| self.ended.contains(&stream))
    }
}

/// A frame that came.
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
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
        self.converse(bytes, None).await
    }

    /// Sends a request on the first stream, and listens until the server has no more to say there.
    pub(crate) async fn ask(self, bytes: Vec<u8>) -> Said {
        self.converse(std::iter::once(bytes), Some(FIRST)).await
    }

    async fn converse(self, bytes: impl Iterator<Item = Vec<u8>>, until: Option<u32>) -> Said {
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
            said = listen(&mut reader, until) => said,
            never = writing => never,
        }
    }

    /// Sends a head on the first stream and then so many bytes, as fast as the server takes them,
    /// and listens until it has no more to say there.
    pub(crate) async fn pour(self, head: &[u8], mut left: usize) -> Result<Said> {
        let Self { mut reader, mut writer } = self;
        writer.write_all(head).await?;
        let mut said = Said::default();
        // Of the connection, and of the first stream.
        let mut windows = [WINDOW_BYTES; 2];
        while !said.is_over(Some(FIRST)) {
            let room = windows.into_iter().fold(left.min(FRAME_BYTES_MAX), usize::min);
            if room > 0 {
                // Who is refused meanwhile finds out by reading.
                let _ = writer.write_all(&frame(DATA, 0, FIRST, &vec![b'a'; room])).await;
                windows = windows.map(|window| window - room);
                left -= room;
                continue;
            }
            let Some(frame) = next(&mut reader).await else { break };
            if frame.kind == WINDOW_UPDATE
                && let Some(window) = windows.get_mut(frame.stream as usize)
            {
                *window += number_at(&frame.payload, 0).unwrap_or_default() as usize;
            }
            said.hear(frame);
        }
        Ok(said)
    }
}

async fn listen(reader: &mut OwnedReadHalf, until: Option<u32>) -> Said {
    let mut said = Said::default();
    while !said.is_over(until)
        && let Some(frame) = next(reader).await
    {
        said.hear(frame);
    }
    said
}

/// The next frame; `None` at the end of the connection.
async fn next(reader: &mut OwnedReadHalf) -> Option<Frame> {
    let mut head = [0; 9];
    reader.read_exact(&mut head).await.ok()?;
    let (length, stream) = (number_at(&head, 0)? >> 8, number_at(&head, 5)? & 0x7fff_ffff);
    let mut payload = vec![0; length as usize];
    reader.read_exact(&mut payload).await.ok()?;
    Some(Frame { kind: head[3], flags: head[4], stream, payload })
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    let number = bytes.get(at..at + 4)?;
    number.try_into().ok().map(u32::from_be_bytes)
}

/// The status in the first head of a connection, where it is the first field (RFC 7541): from the
/// static table, or of that name and with a value in the code of Huffman.
fn status_of(block: &[u8]) -> Option<u16> {
    const TABLE: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    match block {
        [index @ 0x88..=0x8e, ..] => TABLE.get(usize::from(index - 0x88)).copied(),
        [0x48, length @ 0x80..=0xff, rest @ ..] => digits(rest.get(..usize::from(length & 0x7f))?),
        _ => None,
    }
}

/// Three digits: 0 to 2 have codes of five bits, the others of six (RFC 7541, appendix B).
fn digits(packed: &[u8]) -> Option<u16> {
    let bits_of = |byte: u8| (0..8_u8).rev().map(move |at| u16::from((byte >> at) & 1));
    let mut bits = packed.iter().copied().flat_map(bits_of);
    let mut number = 0;
    for _ in 0..3 {
        let mut code = 0;
        for _ in 0..5 {
            code = code * 2 + bits.next()?;
        }
        let digit = if code <= 2 { code } else { (code * 2 + bits.next()?).checked_sub(0x16)? };
        number = number * 10 + digit;
    }
    Some(number)
}
