//! Reading the bodies of requests: each within a time and a size, all of them within a memory, and
//! those of one address within a number.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use chassis::http::Places;
use http_body_util::{BodyExt, LengthLimitError};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::admission::overloaded;
use crate::config::HttpConfig;
use crate::error::{ApiError, codes};

const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Reads bodies.
pub(crate) struct Bodies {
    timeout: Duration,
    /// Bytes that bodies on the way may hold.
    memory: Semaphore,
    places: Arc<Places>,
}

impl Bodies {
    pub(crate) fn new(config: &HttpConfig) -> Self {
        let memory = config.max_body_memory_bytes.min(Semaphore::MAX_PERMITS);
        Self {
            timeout: config.body_read_timeout(),
            memory: Semaphore::new(memory),
            places: Places::new(config.max_bodies_per_address),
        }
    }

    /// Reads the whole body of a request from `address`. The size of one body is limited by a
    /// layer; the time, here, is that of the whole body: a limit per chunk would let a client send
    /// one byte at a time for ever.
    pub(crate) async fn read(&self, address: IpAddr, body: Body) -> Result<Bytes, ApiError> {
        let Some(_place) = self.places.take(address) else {
            let text = "too many bodies are on their way from this address";
            return Err(ApiError::new(codes::RATE_LIMITED, text).retry_after(RETRY_AFTER));
        };
        let collected = tokio::time::timeout(self.timeout, self.collect(body)).await;
        let late = |_| ApiError::new(codes::REQUEST_TIMEOUT, "the body did not arrive in time");
        collected.map_err(late)?
    }

    async fn collect(&self, mut body: Body) -> Result<Bytes, ApiError> {
        let mut first = Bytes::new();
        let mut whole = BytesMut::new();
        // Given back when the body is parsed or refused; what the handler makes of it is bounded
        // by the number of requests.
        let mut held: Option<SemaphorePermit<'_>> = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| refuse(&error))?;
            let Ok(chunk) = frame.into_data() else { continue };
            let bytes = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
            let memory = self.memory.try_acquire_many(bytes).map_err(|_| overloaded())?;
            match &mut held {
                Some(held) => held.merge(memory),
                None => held = Some(memory),
            }
            if first.is_empty() {
                first = chunk;
                continue;
            }
            if whole.is_empty() {
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(if whole.is_empty() { first } else { whole.freeze() })
    }
}

fn refuse(error: &axum::Error) -> ApiError {
    if is_length_limit(error) {
        return ApiError::new(codes::BODY_TOO_LARGE, "the body is longer than the limit");
    }
    ApiError::new(codes::JSON_INVALID, "the body ended early")
}

fn is_length_limit(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut sources = std::iter::successors(Some(error), |error| error.source());
    sources.any(<dyn std::error::Error>::is::<LengthLimitError>)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;

    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn bodies(config: &HttpConfig) -> Bodies {
        Bodies::new(config)
    }

    fn chunks(chunks: &[&'static str]) -> Body {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok::<_, Infallible>(*chunk)).collect();
        Body::from_stream(stream::iter(chunks))
    }

    /// A body that never comes.
    fn silence() -> Body {
        Body::from_stream(stream::pending::<Result<Bytes, Infallible>>())
    }

    #[tokio::test]
    async fn a_body_is_put_together() {
        let bodies = bodies(&HttpConfig::default());
        let cases: [(&[&'static str], &str); 4] =
            [(&[], ""), (&["abc"], "abc"), (&["a", "b", "c"], "abc"), (&["", "a", ""], "a")];
        for (sent, expected) in cases {
            assert_eq!(bodies.read(ADDRESS, chunks(sent)).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn all_bodies_share_a_memory_and_give_it_back() {
        let bodies = bodies(&HttpConfig { max_body_memory_bytes: 4, ..HttpConfig::default() });
        for _ in 0..3 {
            assert_eq!(bodies.read(ADDRESS, chunks(&["ab", "cd"])).await.unwrap(), "abcd");
            let refused = bodies.read(ADDRESS, chunks(&["ab", "cde"])).await.unwrap_err();
            assert_eq!(refused.code(), "SERVICE_UNAVAILABLE");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_waits_for_so_many_bodies_at_once() {
        let bodies = bodies(&HttpConfig { max_bodies_per_address: 2, ..HttpConfig::default() });
        let other = IpAddr::from([192, 0, 2, 1]);
        let read = |address| bodies.read(address, silence());
        let answers = tokio::join!(read(ADDRESS), read(ADDRESS), read(ADDRESS), read(other));
        let codes = [answers.0, answers.1, answers.2, answers.3]
            .map(|answer| answer.unwrap_err().code().to_owned());
        let late = "REQUEST_TIMEOUT";
        assert_eq!(codes, [late, late, "RATE_LIMITED", late]);
    }
}
