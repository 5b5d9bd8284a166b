//! What a test wants of its fleet.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::middleware::Part;
use crate::seed;

/// One process per service, a shared broker and an own Redis, unless said otherwise.
#[derive(Clone, Debug, Default)]
pub struct FleetOptions {
    replicas: BTreeMap<&'static str, usize>,
    own_servers: BTreeSet<Part>,
    without_redis: bool,
    proxied: bool,
    sandbox_provider: bool,
    variables: Vec<(String, String)>,
    binaries: Option<PathBuf>,
}

impl FleetOptions {
    /// Runs a service in several processes.
    #[must_use]
    pub fn replicas(mut self, service: &'static str, count: usize) -> Self {
        self.replicas.insert(service, count);
        self
    }

    /// Gives the fleet a broker of its own, which the test may stop and start.
    #[must_use]
    pub fn own_broker(mut self) -> Self {
        self.own_servers.insert(Part::RabbitMq);
        self
    }

    /// Gives the fleet a database server of its own, which the test may stop and start.
    #[must_use]
    pub fn own_database(mut self) -> Self {
        self.own_servers.insert(Part::MySql);
        self
    }

    /// Puts a proxy before everything that the services call; see [`Link`](super::Link).
    #[must_use]
    pub fn proxied(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// Has payments taken by the sandbox provider, a process of its own, instead of the simulated
    /// one; see [`crate::sandbox`].
    #[must_use]
    pub fn sandbox_provider(mut self) -> Self {
        self.sandbox_provider = true;
        self
    }

    /// Points the services at a Redis that does not answer.
    #[must_use]
    pub fn without_redis(mut self) -> Self {
        self.without_redis = true;
        self
    }

    /// Sets a variable of a service, such as `EH_ORDER__SERVER__REQUEST_TIMEOUT_MS`.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_string()));
        self
    }

    /// Starts the services of another build, whose binaries are in a folder; [`Fleet::renew`] has
    /// them be of this build. They have to know every setting that a fleet is given.
    ///
    /// [`Fleet::renew`]: super::Fleet::renew
    #[must_use]
    pub fn binaries(mut self, folder: impl Into<PathBuf>) -> Self {
        self.binaries = Some(folder.into());
        self
    }

    pub(super) fn other_binaries(&self) -> Option<&Path> {
        self.binaries.as_deref()
    }

    pub(super) fn has_own_broker(&self) -> bool {
        self.own_servers.contains(&Part::RabbitMq)
    }

    pub(super) fn has_own_database(&self) -> bool {
        self.own_servers.contains(&Part::MySql)
    }

    pub(super) fn is_proxied(&self) -> bool {
        self.proxied
    }

    pub(super) fn has_sandbox_provider(&self) -> bool {
        self.sandbox_provider
    }

    pub(super) fn has_redis(&self) -> bool {
        !self.without_redis
    }

    pub(super) fn replica_counts(&self) -> BTreeMap<&'static str, usize> {
        self.replicas.clone()
    }

    pub(super) fn variables(&self) -> Vec<(String, String)> {
        seed::admin_variables().into_iter().chain(self.variables.clone()).collect()
    }
}
