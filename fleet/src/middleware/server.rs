//! Starts the private instance of whichever part is asked for.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Part, Server, Site, consul, mariadb, rabbitmq, redis};

/// How long an instance may take to start, the creation of its data included, on a busy machine.
pub(super) const START_LIMIT: Duration = Duration::from_mins(2);
/// How long an instance may take to write its state and end.
pub(super) const STOP_LIMIT: Duration = Duration::from_secs(30);

pub(super) async fn start(site: &Site, part: Part, program: &Path) -> Result<Server> {
    let started = match part {
        Part::MySql => mariadb::start(site, program).await,
        Part::Redis => redis::start(site, program).await,
        Part::RabbitMq => rabbitmq::start(site, program).await,
        Part::Consul => consul::start(site, program).await,
    };
    started.with_context(|| format!("{part} could not be started from {}", program.display()))
}
