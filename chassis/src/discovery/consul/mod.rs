//! The registry kept by a Consul agent, through the `consulrs` crate.
//!
//! `agent` is the only module that knows that crate, for reasons and with an exit plan given in
//! ADR 0001. Everything here runs in the background and ends with the process; the agent may be
//! away when a service starts, restart, or lose its data.

mod agent;
mod follow;
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
use self::follow::{Follower, Terms};
use super::cache::EndpointCache;
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
    terms: Terms,
    cache: Option<Arc<EndpointCache>>,
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
            terms: Terms { wait: config.wait(), relearn: config.relearn() },
            cache: None,
            watched: Mutex::default(),
            announced: Mutex::default(),
        })
    }

    /// Saves endpoints there, and begins with those when the agent does not answer.
    #[must_use]
    pub fn remembering(mut self, cache: Option<EndpointCache>) -> Self {
        self.cache = cache.map(Arc::new);
        self
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
        let (cache, terms) = (self.cache.clone(), self.terms);
        let service = service.to_owned();
        self.tasks.spawn(async move {
            let follower = Follower::new(&service, &sender, cache.as_deref(), terms);
            let following = Box::pin(follower.run(agent.as_ref()));
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
    let mut is_told = false;
    loop {
        match ensure_registered(agent, registration, is_told).await {
            Ok(()) => {
                is_told = true;
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

/// Registers an instance that the agent was not told of, even if it knows one under this id: that died
/// at the same address.
async fn ensure_registered(
    agent: &Agent,
    registration: &Registration,
    is_told: bool,
) -> Result<(), RegistryError> {
    let id = &registration.instance_id;
    if is_told && agent.knows(id).await? {
        return Ok(());
    }
    agent.register(registration).await?;
    let endpoint = &registration.endpoint;
    tracing::info!(service = registration.service, instance.id = id, %endpoint, "instance registered");
    Ok(())
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
