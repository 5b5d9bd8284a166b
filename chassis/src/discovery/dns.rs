//! Names that stand for all instances of a service, such as that of a headless service of Kubernetes,
//! looked up again and again.
//!
//! The addresses that a name stands for are instances of their own to the callers, so that each gets
//! its share of the calls. A look that fails or finds nothing leaves the addresses found before.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Endpoint, RegistryError, count_endpoints};
use crate::backoff::Backoff;
use crate::error::Chain;

/// What stands before an address whose name is looked up.
const SCHEME: &str = "dns+";

/// The first pause while nothing was found yet; it doubles up to the usual one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Who knows the addresses of names.
#[async_trait]
pub(super) trait Resolver: fmt::Debug + Send + Sync {
    /// Returns all addresses of the host, at the endpoint's port.
    async fn resolve(&self, name: &Endpoint) -> io::Result<Vec<Endpoint>>;
}

/// The resolver of the system, which bounds the time of a look by its own configuration.
#[derive(Debug)]
pub(super) struct System;

#[async_trait]
impl Resolver for System {
    async fn resolve(&self, name: &Endpoint) -> io::Result<Vec<Endpoint>> {
        let found = tokio::net::lookup_host((name.host.as_str(), name.port)).await?;
        Ok(found.map(|address| Endpoint::new(address.ip().to_string(), address.port())).collect())
    }
}

/// An address of the configuration.
#[derive(Debug)]
pub(super) enum Address {
    /// One instance, as it stands.
    Fixed(Endpoint),
    /// A name that stands for any number of instances.
    Name {
        /// What is looked up.
        name: Endpoint,
        /// What it stood for when it was last found.
        known: Vec<Endpoint>,
        /// Whether the last look failed.
        is_lost: bool,
    },
}

impl Address {
    /// Parses `host:port` or `dns+host:port`.
    pub(super) fn parse(text: &str) -> Result<Self, RegistryError> {
        match text.strip_prefix(SCHEME) {
            None => Endpoint::parse(text).map(Self::Fixed),
            Some(name) => {
                let name = Endpoint::parse(name)?;
                Ok(Self::Name { name, known: Vec::new(), is_lost: false })
            }
        }
    }

    pub(super) fn is_name(&self) -> bool {
        matches!(self, Self::Name { .. })
    }

    /// The instances that it stands for, as far as is known.
    pub(super) fn endpoints(&self) -> &[Endpoint] {
        match self {
            Self::Fixed(endpoint) => std::slice::from_ref(endpoint),
            Self::Name { known, .. } => known,
        }
    }

    async fn look(&mut self, resolver: &dyn Resolver) {
        let Self::Name { name, known, is_lost } = self else {
            return;
        };
        let found = resolver.resolve(name).await.and_then(|found| {
            if found.is_empty() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
            }
            Ok(found)
        });
        match found {
            Ok(mut found) => {
                // Servers answer in an order that changes, and may say an address twice.
                found.sort_unstable();
                found.dedup();
                *known = found;
                *is_lost = false;
            }
            Err(error) => {
                if !std::mem::replace(is_lost, true) {
                    tracing::warn!(%name, error = %Chain(&error), "name not found, what it stood for stays");
                }
            }
        }
    }
}

/// All endpoints of these addresses, each once.
pub(super) fn endpoints_of(addresses: &[Address]) -> Arc<[Endpoint]> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for endpoint in addresses.iter().flat_map(Address::endpoints) {
        if !endpoints.contains(endpoint) {
            endpoints.push(endpoint.clone());
        }
    }
    endpoints.into()
}

/// Keeps the endpoints of one service current.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) service: String,
    pub(super) addresses: Vec<Address>,
    pub(super) endpoints: watch::Sender<Arc<[Endpoint]>>,
    pub(super) resolver: Arc<dyn Resolver>,
    /// Pause between two looks.
    pub(super) every: Duration,
}

impl Follower {
    /// Looks until `stop` is cancelled.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new(FIRST_PAUSE, self.every);
        let following = async {
            loop {
                self.look().await;
                let is_waiting = self.endpoints.borrow().is_empty();
                let pause = if is_waiting { backoff.step() } else { self.every };
                tokio::time::sleep(pause).await;
            }
        };
        let _ended: Option<()> = stop.run_until_cancelled(following).await;
    }

    async fn look(&mut self) {
        for address in &mut self.addresses {
            address.look(self.resolver.as_ref()).await;
        }
        let found = endpoints_of(&self.addresses);
        let is_new = self.endpoints.send_if_modified(|current| {
            let is_new = **current != *found;
            if is_new {
                *current = Arc::clone(&found);
            }
            is_new
        });
        if is_new {
            let service = self.service.as_str();
            tracing::info!(service, endpoints.count = found.len(), "endpoints changed");
            count_endpoints(service, found.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use tokio::sync::Notify;
    use tokio_util::task::TaskTracker;

    use super::*;

    const EVERY: Duration = Duration::from_secs(5);

    /// Gives one answer after the other, and then no more.
    #[derive(Debug)]
    struct Script {
        answers: Mutex<VecDeque<io::Result<Vec<Endpoint>>>>,
        all_given: Notify,
    }

    impl Script {
        fn of(answers: Vec<io::Result<Vec<Endpoint>>>) -> Arc<Self> {
            Arc::new(Self { answers: Mutex::new(answers.into()), all_given: Notify::new() })
        }
    }

    #[async_trait]
    impl Resolver for Script {
        async fn resolve(&self, name: &Endpoint) -> io::Result<Vec<Endpoint>> {
            assert_eq!(*name, Endpoint::new("orders", 50053));
            let answer = self.answers.lock().unwrap().pop_front();
            if let Some(answer) = answer {
                return answer;
            }
            self.all_given.notify_one();
            std::future::pending().await
        }
    }

    fn found(hosts: &[&str]) -> Vec<Endpoint> {
        hosts.iter().map(|host| Endpoint::new(*host, 50053)).collect()
    }

    fn lost() -> io::Result<Vec<Endpoint>> {
        Err(io::Error::other("no answer"))
    }

    /// Follows these addresses through all answers; returns the sets that were seen.
    async fn follow(addresses: &[&str], answers: Vec<io::Result<Vec<Endpoint>>>) -> Vec<String> {
        let addresses: Vec<Address> =
            addresses.iter().map(|address| Address::parse(address).unwrap()).collect();
        let endpoints = watch::Sender::new(endpoints_of(&addresses));
        let mut seen = endpoints.subscribe();
        let (script, stop) = (Script::of(answers), CancellationToken::new());
        let follower = Follower {
            service: "order-service".to_owned(),
            addresses,
            endpoints,
            resolver: script.clone(),
            every: EVERY,
        };
        let running = TaskTracker::new().spawn(follower.run(stop.clone()));
        let mut sets = Vec::new();
        loop {
            tokio::select! {
                biased;
                changed = seen.changed() => {
                    changed.unwrap();
                    let set: Vec<_> =
                        seen.borrow_and_update().iter().map(|one| one.host.clone()).collect();
                    sets.push(set.join(" "));
                }
                () = script.all_given.notified() => break,
            }
        }
        stop.cancel();
        running.await.unwrap();
        sets
    }

    #[tokio::test(start_paused = true)]
    async fn all_addresses_of_a_name_are_endpoints_and_follow_it() {
        let answers = vec![
            Ok(found(&["10.0.0.2", "10.0.0.1"])),
            Ok(found(&["10.0.0.3", "10.0.0.2", "10.0.0.3"])),
        ];
        let sets = follow(&["dns+orders:50053"], answers).await;
        assert_eq!(sets, ["10.0.0.1 10.0.0.2", "10.0.0.2 10.0.0.3"]);
    }

    #[tokio::test(start_paused = true)]
    async fn another_order_is_no_change() {
        let answers =
            vec![Ok(found(&["10.0.0.1", "10.0.0.2"])), Ok(found(&["10.0.0.2", "10.0.0.1"]))];
        assert_eq!(follow(&["dns+orders:50053"], answers).await, ["10.0.0.1 10.0.0.2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_or_failed_answer_keeps_the_last_good_set() {
        let answers = vec![
            Ok(found(&["10.0.0.1"])),
            lost(),
            Ok(found(&[])),
            lost(),
            Ok(found(&["10.0.0.2"])),
            lost(),
        ];
        assert_eq!(follow(&["dns+orders:50053"], answers).await, ["10.0.0.1", "10.0.0.2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_stands_beside_fixed_addresses() {
        let sets = follow(
            &["10.0.0.9:50053", "dns+orders:50053"],
            vec![lost(), Ok(found(&["10.0.0.1", "10.0.0.9"]))],
        )
        .await;
        assert_eq!(sets, ["10.0.0.9 10.0.0.1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_is_not_known_yet_is_looked_up_sooner() {
        let begun = tokio::time::Instant::now();
        follow(&["dns+orders:50053"], vec![lost(), lost(), Ok(found(&["10.0.0.1"]))]).await;
        // Two short pauses, and the usual one before the script is asked once too often.
        assert!(begun.elapsed() < EVERY + 4 * FIRST_PAUSE, "{:?}", begun.elapsed());
        let begun = tokio::time::Instant::now();
        follow(&["dns+orders:50053"], vec![Ok(found(&["10.0.0.1"])), lost()]).await;
        assert!(begun.elapsed() >= 2 * EVERY, "{:?}", begun.elapsed());
    }

    #[test]
    fn only_a_name_is_looked_up() {
        assert!(Address::parse("dns+orders:50053").unwrap().is_name());
        assert!(!Address::parse("orders:50053").unwrap().is_name());
        for text in ["dns+orders", "dns+:50053", "dns:orders:x"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn the_system_knows_this_machine() {
        let found = System.resolve(&Endpoint::new("localhost", 80)).await.unwrap();
        assert!(found.iter().all(|one| one.is_loopback() && one.port == 80), "{found:?}");
        assert!(!found.is_empty());
    }
}
