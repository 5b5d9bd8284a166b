//! Decides where each server comes from, before anything is started.

use std::fmt;
use std::path::PathBuf;

use anyhow::{Result, bail};

use super::{consul, docker, install, mariadb, rabbitmq, redis};
use crate::environment;
use crate::layout::Layout;

/// The four servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// MySQL or MariaDB.
    MySql,
    /// Redis.
    Redis,
    /// RabbitMQ.
    RabbitMq,
    /// Consul.
    Consul,
}

impl Part {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 4] = [Self::MySql, Self::Redis, Self::RabbitMq, Self::Consul];

    /// The variable that names an existing server.
    pub fn variable(self) -> &'static str {
        match self {
            Self::MySql => "EH_MYSQL_URL",
            Self::Redis => "EH_REDIS_URL",
            Self::RabbitMq => "EH_AMQP_URL",
            Self::Consul => "EH_CONSUL_URL",
        }
    }

    /// What its address may start with.
    pub fn schemes(self) -> &'static [&'static str] {
        match self {
            Self::MySql => &["mysql", "mariadb"],
            Self::Redis => &["redis", "rediss"],
            Self::RabbitMq => &["amqp", "amqps"],
            Self::Consul => &["http", "https"],
        }
    }

    /// The port its protocol is known for.
    pub fn usual_port(self) -> u16 {
        match self {
            Self::MySql => 3306,
            Self::Redis => 6379,
            Self::RabbitMq => 5672,
            Self::Consul => 8500,
        }
    }

    /// The server's program on this machine.
    pub fn find_program(self, layout: &Layout) -> Option<PathBuf> {
        match self {
            Self::MySql => mariadb::find(layout),
            Self::Redis => redis::find(layout),
            Self::RabbitMq => rabbitmq::find(layout),
            Self::Consul => consul::find(layout),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MySql => "MySQL or MariaDB",
            Self::Redis => "Redis",
            Self::RabbitMq => "RabbitMQ",
            Self::Consul => "Consul",
        })
    }
}

/// Where a server comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An existing server named in the environment.
    Environment(String),
    /// A program on this machine, started as a private instance.
    Program(PathBuf),
    /// A container.
    Container,
    /// Nowhere yet.
    Missing,
}

/// The source of each server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan([(Part, Source); 4]);

impl Plan {
    /// Looks at the environment and at this machine.
    pub fn detect(layout: &Layout) -> Self {
        Self::choose(|part| environment::find(part.variable()), |part| part.find_program(layout))
    }

    /// As [`Plan::detect`] without the environment: test runs never touch a server they were not
    /// given for that purpose.
    pub fn detect_private(layout: &Layout) -> Self {
        Self::choose(|_| None, |part| part.find_program(layout))
    }

    fn choose(
        address: impl Fn(Part) -> Option<String>,
        program: impl Fn(Part) -> Option<PathBuf>,
    ) -> Self {
        Self(Part::ALL.map(|part| {
            let source = address(part)
                .map(Source::Environment)
                .or_else(|| program(part).map(Source::Program))
                .unwrap_or(Source::Missing);
            (part, source)
        }))
    }

    /// The source of each part.
    pub fn sources(&self) -> impl Iterator<Item = (Part, &Source)> {
        self.0.iter().map(|(part, source)| (*part, source))
    }

    /// Whether a part is a server that somebody else runs.
    pub fn is_external(&self, part: Part) -> bool {
        let is_it = |(known, source)| known == part && matches!(source, &Source::Environment(_));
        self.sources().any(is_it)
    }

    /// What has no source yet.
    pub fn missing(&self) -> Vec<Part> {
        self.parts_with(&Source::Missing)
    }

    /// What runs in a container.
    pub fn parts_from_containers(&self) -> Vec<Part> {
        self.parts_with(&Source::Container)
    }

    /// Fills the gaps with containers.
    #[must_use]
    pub fn with_containers(self) -> Self {
        Self(self.0.map(|(part, source)| match source {
            Source::Missing => (part, Source::Container),
            known => (part, known),
        }))
    }

    /// Fills the gaps with containers where apt cannot and an engine runs, as `up` would.
    #[must_use]
    pub fn with_containers_if_available(self, layout: &Layout) -> Self {
        let would_use = !install::is_possible(layout) && docker::is_available(layout);
        if would_use { self.with_containers() } else { self }
    }

    /// What to tell somebody whose machine cannot provide everything.
    pub fn advice(&self) -> String {
        let missing: Vec<String> = self.missing().iter().map(Part::to_string).collect();
        let variables: Vec<&str> = self.missing().iter().map(|part| part.variable()).collect();
        format!(
            "missing: {}.\nGet it in one of these ways:\n\
             - install the server so that its program is on the PATH\n\
             - on Debian or Ubuntu, as root or with sudo: scripts/install-middleware.sh\n\
             - start a Docker engine\n\
             - name a running server in the environment: {}",
            missing.join(", "),
            variables.join(", "),
        )
    }

    fn parts_with(&self, wanted: &Source) -> Vec<Part> {
        self.sources().filter(|(_, source)| *source == wanted).map(|(part, _)| part).collect()
    }
}

/// Fills the gaps of a plan, with apt, else with containers, and those among the build tools.
pub fn complete(
    layout: &Layout,
    detect: impl Fn(&Layout) -> Plan,
    tell: impl Fn(&str),
) -> Result<Plan> {
    let mut plan = detect(layout);
    let lacks_tools = || !install::build_tools_missing(layout).is_empty();
    if install::is_possible(layout) && (lacks_tools() || !plan.missing().is_empty()) {
        if let Err(error) = install::install(layout, &tell) {
            tell(&format!("installation failed: {error:#}"));
        }
        plan = detect(layout);
    }
    if !plan.missing().is_empty() && docker::is_available(layout) {
        plan = plan.with_containers();
    }
    if lacks_tools() {
        let missing = install::build_tools_missing(layout).join(", ");
        bail!("the services cannot be built without: {missing}; install them as any package");
    }
    if plan.missing().is_empty() { Ok(plan) } else { bail!(plan.advice()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan::choose(
            |part| (part == Part::Redis).then(|| "redis://elsewhere".to_owned()),
            |part| (part != Part::Consul).then(|| "/usr/bin/server".into()),
        )
    }

    #[test]
    fn an_address_in_the_environment_wins_over_a_program() {
        let plan = plan();
        let sources: Vec<_> = plan.sources().map(|(_, source)| source.clone()).collect();
        assert_eq!(
            sources,
            [
                Source::Program("/usr/bin/server".into()),
                Source::Environment("redis://elsewhere".to_owned()),
                Source::Program("/usr/bin/server".into()),
                Source::Missing,
            ]
        );
    }

    #[test]
    fn only_a_server_named_in_the_environment_is_somebody_elses() {
        let plan = plan();
        assert!(plan.is_external(Part::Redis));
        assert!(!plan.is_external(Part::MySql) && !plan.is_external(Part::Consul));
    }

    #[test]
    fn containers_fill_only_the_gaps() {
        let plan = plan().with_containers();
        assert!(plan.missing().is_empty());
        assert_eq!(plan.parts_from_containers(), [Part::Consul]);
    }

    #[test]
    fn the_advice_names_what_is_missing_and_how_to_get_it() {
        let advice = plan().advice();
        for expected in ["missing: Consul.", "EH_CONSUL_URL", "install-middleware.sh", "Docker"] {
            assert!(advice.contains(expected), "{expected} is not in: {advice}");
        }
    }
}
