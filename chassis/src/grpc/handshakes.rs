//! Handshakes under way on a port, bounded for each address and in all.
//!
//! Whoever has not proven who it is may be anybody, so that neither one silent address nor many of
//! them may keep others out. An address has a share, and beyond it its further connections are
//! closed. Beyond the bound for all, the oldest handshake gives way: an honest one takes
//! milliseconds, and has ended long before it is the oldest.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::task::{AbortHandle, JoinSet};

use crate::http::Places;

/// Handshakes of one address (IPv6: of one /64) at once.
const PER_ADDRESS: usize = 64;

/// Handshakes of all addresses at once.
const IN_ALL: usize = 256;

/// Handshakes that each end in a `C`, or in an error.
pub(super) struct Handshakes<C> {
    tasks: JoinSet<io::Result<C>>,
    /// The oldest first.
    running: VecDeque<AbortHandle>,
    places: Arc<Places>,
}

impl<C: Send + 'static> Handshakes<C> {
    pub(super) fn new() -> Self {
        let places = Places::new(PER_ADDRESS);
        Self { tasks: JoinSet::new(), running: VecDeque::new(), places }
    }

    /// Begins a handshake with `address`, unless its share is used up.
    pub(super) fn begin(
        &mut self,
        address: IpAddr,
        handshake: impl Future<Output = io::Result<C>> + Send + 'static,
    ) -> io::Result<()> {
        let place = self.places.take(address);
        let place = place.ok_or_else(|| io::Error::other("too many handshakes of one address"))?;
        self.running.retain(|task| !task.is_finished());
        if self.running.len() >= IN_ALL
            && let Some(oldest) = self.running.pop_front()
        {
            oldest.abort();
        }
        let task = self.tasks.spawn(async move {
            let outcome = handshake.await;
            drop(place);
            outcome
        });
        self.running.push_back(task);
        Ok(())
    }

    /// Waits for the end of any; `None` while none is under way. Nothing is lost when the caller
    /// stops waiting.
    pub(super) async fn ended(&mut self) -> Option<io::Result<C>> {
        let ended = self.tasks.join_next().await?;
        Some(ended.unwrap_or_else(|given_up| Err(io::Error::other(given_up))))
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    fn address(number: usize) -> IpAddr {
        IpAddr::from([192, 0, 2, u8::try_from(number).unwrap()])
    }

    /// The first one that ends well.
    async fn success(handshakes: &mut Handshakes<u8>) -> u8 {
        loop {
            if let Ok(done) = handshakes.ended().await.unwrap() {
                return done;
            }
        }
    }

    #[tokio::test]
    async fn a_silent_address_keeps_nobody_else_out() {
        let mut handshakes = Handshakes::new();
        for _ in 0..PER_ADDRESS {
            handshakes.begin(address(1), pending()).unwrap();
        }
        assert!(handshakes.begin(address(1), ready(Ok(1))).is_err());
        handshakes.begin(address(2), ready(Ok(2))).unwrap();
        assert_eq!(success(&mut handshakes).await, 2);
        assert_eq!(handshakes.tasks.len(), PER_ADDRESS, "the others wait on");
    }

    #[tokio::test]
    async fn many_silent_addresses_keep_nobody_else_out() {
        let mut handshakes = Handshakes::new();
        for number in 0..IN_ALL + 10 {
            handshakes.begin(address(number / PER_ADDRESS), pending()).unwrap();
        }
        handshakes.begin(address(99), ready(Ok(99))).unwrap();
        assert_eq!(success(&mut handshakes).await, 99);
        assert_eq!(handshakes.running.len(), IN_ALL);
        // The oldest gave way, and with them places of their address.
        handshakes.begin(address(0), ready(Ok(0))).unwrap();
    }

    #[tokio::test]
    async fn a_place_is_given_back_at_the_end() {
        let mut handshakes = Handshakes::new();
        for _ in 0..3 * PER_ADDRESS {
            handshakes.begin(address(1), ready(Ok(1))).unwrap();
            assert_eq!(success(&mut handshakes).await, 1);
        }
        assert!(handshakes.ended().await.is_none());
    }
}
