//! The registry kept by a Consul agent, through the `consulrs` crate.
//!
//! `agent` is the only module that knows that crate, for reasons and with an exit plan given in
//! ADR 0001. Everything here runs in the background and ends with the process; the agent may be
//! away when a service starts, restart, or lose its data.

mod agent;
mod wire;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::agent::Agent;
use super::{Endpoint, Registration, Registry, RegistryError, ServiceView, count_endpoints};
use crate::backoff::Backoff;
use crate::config::DiscoveryConfig;
use crate::error::Chain;

/// How often the agent is asked whether it still knows this instance.
const REGISTRATION_AUDIT: Duration = Duration::from_secs(5);

/// The first pause after a failure; it doubles up to the longest one.
const BACKOFF: Duration = Duration::from_millis(200);

/// The longest pause after a failure.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// The registry of a Consul agent.
pub struct ConsulRegistry {
    agent: Arc<Agent>,
    tasks: TaskTracker,
    stop: CancellationToken,
    watched: Mutex<HashMap<String, watch::Receiver<Arc<[Endpoint]>>>>,
    /// Ends the announcing of an instance, by its id.
    announced: Mutex<HashMap<String, CancellationToken>>,
}

impl ConsulRegistry {
    /// Returns the registry at `config.consul_url` without contacting it. Background work is
    /// spawned on `tasks` and ends with `stop`.
    pub fn new(
        config: &DiscoveryConfig,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Result<Self, RegistryError> {
        Ok(Self {
            agent: Arc::new(Agent::new(config)?),
            tasks,
            stop,
            watched: Mutex::default(),
            announced: Mutex::default(),
        })
    }
}

#[async_trait]
impl Registry for ConsulRegistry {
    async fn register(&self, registration: Registration) -> Result<(), RegistryError> {
        let ended = self.stop.child_token();
        let id = registration.instance_id.clone();
        if let Some(earlier) = lock(&self.announced).insert(id, ended.clone()) {
            earlier.cancel();
        }
        let agent = Arc::clone(&self.agent);
        self.tasks.spawn(async move {
            // Boxed, as is the other one below: the futures of `consulrs` take 16 KiB.
            let announcing = Box::pin(announce(&agent, &registration));
            let _ended: Option<()> = ended.run_until_cancelled(announcing).await;
        });
        Ok(())
    }

    async fn deregister(&self, instance_id: &str) -> Result<(), RegistryError> {
        if let Some(announcing) = lock(&self.announced).remove(instance_id) {
            announcing.cancel();
        }
        self.agent.deregister(instance_id).await
    }

    fn watch(&self, service: &str) -> watch::Receiver<Arc<[Endpoint]>> {
        let mut watched = lock(&self.watched);
        if let Some(endpoints) = watched.get(service) {
            return endpoints.clone();
        }
        let (sender, receiver) = watch::channel(Arc::from([]));
        count_endpoints(service, 0);
        watched.insert(service.to_owned(), receiver.clone());
        let (agent, stop) = (Arc::clone(&self.agent), self.stop.clone());
        let service = service.to_owned();
        self.tasks.spawn(async move {
            let following = Box::pin(follow(&agent, &service, &sender));
            let _stopped: Option<()> = stop.run_until_cancelled(following).await;
        });
        receiver
    }

    async fn services(&self) -> Result<Vec<ServiceView>, RegistryError> {
        self.agent.services().await
    }
}

/// Keeps an instance registered: an agent that restarted or lost its data forgets it.
async fn announce(agent: &Agent, registration: &Registration) {
    let mut backoff = Backoff::new(BACKOFF, BACKOFF_MAX);
    let mut log = OutageLog::default();
    loop {
        match ensure_registered(agent, registration).await {
            Ok(()) => {
                log.answered();
                backoff.reset();
                sleep(REGISTRATION_AUDIT).await;
            }
            Err(error) => {
                log.failed(&registration.service, &error);
                backoff.pause().await;
            }
        }
    }
}

async fn ensure_registered(
    agent: &Agent,
    registration: &Registration,
) -> Result<(), RegistryError> {
    let id = &registration.instance_id;
    if agent.knows(id).await? {
        return Ok(());
    }
    agent.register(registration).await?;
    let endpoint = &registration.endpoint;
    tracing::info!(service = registration.service, instance.id = id, %endpoint, "instance registered");
    Ok(())
}

/// Keeps `endpoints` current by blocking queries.
async fn follow(agent: &Agent, service: &str, endpoints: &watch::Sender<Arc<[Endpoint]>>) {
    let mut index = 0;
    let mut backoff = Backoff::new(BACKOFF, BACKOFF_MAX);
    let mut log = OutageLog::default();
    loop {
        match agent.passing(service, index).await {
            Ok((answered_index, found)) => {
                log.answered();
                backoff.reset();
                publish(service, endpoints, found);
                index = next_index(index, answered_index);
            }
            Err(error) => {
                metrics::counter!("eh_discovery_failures_total").increment(1);
                log.failed(service, &error);
                backoff.pause().await;
            }
        }
    }
}

/// An index that goes backwards means that the agent lost its state: ask from the start.
fn next_index(asked: u64, answered: u64) -> u64 {
    if answered < asked { 0 } else { answered }
}

/// Publishes a set that differs from the last one, unless it is empty: addresses that may be
/// stale beat none at all.
fn publish(service: &str, sender: &watch::Sender<Arc<[Endpoint]>>, mut found: Vec<Endpoint>) {
    found.sort();
    found.dedup();
    count_passing(service, found.len());
    sender.send_if_modified(|current| {
        if found.is_empty() && !current.is_empty() {
            tracing::warn!(service, "no instance is passing, the last known endpoints stay");
            return false;
        }
        if **current == *found {
            return false;
        }
        tracing::info!(service, endpoints.count = found.len(), "endpoints changed");
        count_endpoints(service, found.len());
        *current = Arc::from(found);
        true
    });
}

/// Shows operators how many of them are well, which may be none while the last good ones are kept.
fn count_passing(service: &str, count: usize) {
    let gauge = metrics::gauge!("eh_discovery_passing", "peer" => service.to_owned());
    gauge.set(u32::try_from(count).unwrap_or(u32::MAX));
}

/// Tells of an outage once when it begins and once when it ends, not at every attempt.
#[derive(Debug, Default)]
struct OutageLog {
    is_away: bool,
}

impl OutageLog {
    fn failed(&mut self, service: &str, error: &RegistryError) {
        if !std::mem::replace(&mut self.is_away, true) {
            tracing::warn!(service, error = %Chain(error), "waiting for Consul");
        }
    }

    fn answered(&mut self) {
        if std::mem::take(&mut self.is_away) {
            tracing::info!("Consul answers again");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(ports: &[u16]) -> Vec<Endpoint> {
        ports.iter().map(|port| Endpoint::new("127.0.0.1", *port)).collect()
    }

    #[test]
    fn an_index_that_goes_backwards_starts_over() {
        assert_eq!(next_index(0, 17), 17);
        assert_eq!(next_index(17, 17), 17);
        assert_eq!(next_index(17, 16), 0);
    }

    #[test]
    fn an_empty_answer_is_shown_to_operators() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let shows = |known: u32, passing: u32| {
            let text = recorder.handle().render();
            let lines = [("endpoints", known), ("passing", passing)].map(|(name, count)| {
                format!("eh_discovery_{name}{{peer=\"order-service\"}} {count}\n")
            });
            lines.iter().all(|line| text.contains(line))
        };
        metrics::with_local_recorder(&recorder, || {
            let (sender, _receiver) = watch::channel(Arc::from([]));
            publish("order-service", &sender, endpoints(&[1, 2]));
            assert!(shows(2, 2));
            publish("order-service", &sender, Vec::new());
            assert!(shows(2, 0));
        });
    }

    #[test]
    fn an_empty_answer_keeps_the_last_good_set() {
        let (sender, mut receiver) = watch::channel(Arc::from([]));
        publish("order-service", &sender, endpoints(&[2, 1, 2]));
        assert_eq!(**receiver.borrow_and_update(), endpoints(&[1, 2]));
        publish("order-service", &sender, Vec::new());
        assert!(!receiver.has_changed().unwrap());
        publish("order-service", &sender, endpoints(&[1, 2]));
        assert!(!receiver.has_changed().unwrap(), "the same set is no change");
        publish("order-service", &sender, endpoints(&[3]));
        assert_eq!(**receiver.borrow_and_update(), endpoints(&[3]));
    }
}
