//! What a test wants of its fleet.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::middleware::Part;
use crate::seed;

/// Beside compilers and other tests, a thread that gives way may not get a core before the deadline
/// of a login.
const HASHING_KEEPS_PACE: (&str, &str) = ("EH_USER__PASSWORDS__NICENESS", "0");

/// One process per service, a shared broker and an own Redis, unless said otherwise. Threads that hash
/// passwords do not give way, unless the services are of another build.
#[derive(Clone, Debug, Default)]
pub struct FleetOptions {
    replicas: BTreeMap<&'static str, usize>,
    own_servers: BTreeSet<Part>,
    without_redis: bool,
    hashing: Hashing,
    proxied: bool,
    sandbox_provider: bool,
    variables: Vec<(String, String)>,
    binaries: Option<PathBuf>,
}

/// How fast passwords are hashed on a machine that is busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Hashing {
    #[default]
    KeepsPace,
    GivesWay,
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

    /// Has threads that hash passwords give way as far as those of a shipped service.
    #[must_use]
    pub fn hashing_gives_way(mut self) -> Self {
        self.hashing = Hashing::GivesWay;
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
        // Another build may be older than the key.
        let keeps_pace = self.hashing == Hashing::KeepsPace && self.binaries.is_none();
        let (name, value) = HASHING_KEEPS_PACE;
        let pace = keeps_pace.then(|| (name.to_owned(), value.to_owned()));
        seed::admin_variables().into_iter().chain(pace).chain(self.variables.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(options: &FleetOptions) -> Option<String> {
        let of_hashing = |(name, _): &(String, String)| name == HASHING_KEEPS_PACE.0;
        options.variables().into_iter().find(of_hashing).map(|(_, value)| value)
    }

    #[test]
    fn hashing_keeps_pace_but_where_the_shipped_service_is_wanted() {
        assert_eq!(pace(&FleetOptions::default()).as_deref(), Some("0"));
        assert_eq!(pace(&FleetOptions::default().hashing_gives_way()), None);
        assert_eq!(pace(&FleetOptions::default().binaries("/another/build")), None);
    }
}
