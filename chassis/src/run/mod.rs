//! The life of a process, the same for every service.
//!
//! 1. Configuration; a bad one ends the start with exit code 64 and a message on stderr.
//! 2. Telemetry, then the internal port, which answers `not ready`.
//! 3. [`Service::build`] connects ports to adapters, waiting for what must be there.
//! 4. The public port serves, the instance is registered, readiness is on.
//! 5. SIGTERM or SIGINT: not ready, deregistered, the port drained, soft token, background tasks
//!    joined, hard token for those that are late, telemetry flushed, exit code 0. A second signal
//!    skips the drain. A background task that panics ends the process the same way, with exit
//!    code 1.

mod advertise;
mod healthcheck;
mod host;
mod lifecycle;
mod patience;

use std::error::Error;
use std::future::Future;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::clock::{Clock as _, SystemClock};
use crate::config::{BaseConfig, ConfigError, FormerKey, Profile, RuntimeConfig, Sources};
use crate::error::Chain;
use crate::grpc::GrpcApp;
use crate::http::HttpApp;
use crate::telemetry;

pub use host::{EdgeSources, Host};
pub use patience::until_available;

/// Exit code of a start that the configuration or the command line prevents (`EX_USAGE`).
const EXIT_USAGE: u8 = 64;
/// Time for threads that block when everything else has ended.
const LAST_THREADS: Duration = Duration::from_secs(1);

/// A service, as the chassis runs it.
pub trait Service: Send + Sync + 'static {
    /// Name under which instances register, such as `order-service`.
    const NAME: &'static str;
    /// What its environment variables begin with, such as `EH_ORDER`.
    const ENV_PREFIX: &'static str;
    /// Its `config/default.toml`.
    const DEFAULTS: &'static str;
    /// Names that keys of its configuration had, under which they may still be set.
    const FORMER_KEYS: &'static [FormerKey] = &[];
    /// Its `metrics.toml`: what it exports beyond what every service does.
    const METRICS: &'static str = "";
    /// Whether its public port is for clients outside, who have no certificate of the fleet.
    const FACES_OUTSIDE: bool = false;
    /// Its configuration.
    type Config: serde::de::DeserializeOwned + BaseConfig + Send;

    /// Connects ports to adapters. Called while the internal port already answers (not ready); may
    /// take as long as its dependencies do.
    fn build(
        config: Self::Config,
        host: &Host,
    ) -> impl Future<Output = anyhow::Result<Endpoint>> + Send;
}

/// What the public port serves.
pub enum Endpoint {
    /// gRPC, to other services.
    Grpc(GrpcApp),
    /// HTTP, to the outside.
    Http(HttpApp),
}

/// Runs a service until it is told to stop: the whole `main` of a service.
///
/// With `--check-config` it only reads the configuration; with `--explain-config` it also writes
/// every value with its origin to stdout, as JSON; with `healthcheck` it asks the process that runs
/// with this configuration whether it is ready.
pub fn run<S: Service>() -> ExitCode {
    let command = match Command::parse(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(message) => return refuse(S::NAME, &message),
    };
    // Before anything is refused: what is explained may be why.
    if command == Command::ExplainConfig
        && let Err(error) = explain::<S>()
    {
        return refuse(S::NAME, &format!("{error:#}"));
    }
    let (config, profile) = match configure::<S>() {
        Ok(configured) => configured,
        Err(error) => return refuse(S::NAME, &Chain(&error).to_string()),
    };
    match command {
        Command::Run => start::<S>(config, profile),
        Command::CheckConfig | Command::ExplainConfig => {
            eprintln!("{}: the configuration is valid", S::NAME);
            ExitCode::SUCCESS
        }
        Command::Healthcheck => match healthcheck::ask(config.server().internal_listen) {
            Ok(()) => ExitCode::SUCCESS,
            Err(reason) => fail(S::NAME, &reason),
        },
    }
}

fn start<S: Service>(config: S::Config, profile: Profile) -> ExitCode {
    // Fails only when a provider is installed already, which serves as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match runtime(config.runtime()) {
        Ok(runtime) => runtime,
        Err(error) => return refuse(S::NAME, &format!("cannot start threads: {error}")),
    };
    let outcome = runtime.block_on(Box::pin(lifecycle::live::<S>(config, profile)));
    runtime.shutdown_timeout(LAST_THREADS);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.chain().any(<dyn Error>::is::<ConfigError>) => {
            refuse(S::NAME, &format!("{error:#}"))
        }
        Err(error) => fail(S::NAME, &format!("{error:#}")),
    }
}

fn fail(name: &str, message: &str) -> ExitCode {
    eprintln!("{name}: {message}");
    ExitCode::FAILURE
}

fn refuse(name: &str, message: &str) -> ExitCode {
    eprintln!("{name}: {message}");
    ExitCode::from(EXIT_USAGE)
}

fn explain<S: Service>() -> anyhow::Result<()> {
    let explained = sources::<S>()?.explained()?;
    let text = serde_json::to_string_pretty(&explained)?;
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}

fn sources<S: Service>() -> Result<Sources, ConfigError> {
    let sources = Sources::from_process(S::ENV_PREFIX, S::DEFAULTS)?;
    Ok(sources.with_former(S::FORMER_KEYS))
}

fn configure<S: Service>() -> Result<(S::Config, Profile), ConfigError> {
    let sources = sources::<S>()?;
    let config: S::Config = sources.load()?;
    if config.runtime().worker_threads == 0 {
        return Err(ConfigError::value("runtime.worker_threads", "must be at least 1"));
    }
    config.server().validate()?;
    telemetry::check(config.telemetry())?;
    config.validate(sources.profile)?;
    config.tls().validate(sources.profile, SystemClock.now().date_naive())?;
    if !S::FACES_OUTSIDE {
        config.tls().require_for(config.server().listen.ip())?;
    }
    config.discovery().validate()?;
    advertise::check(config.server(), config.discovery())?;
    Ok((config, sources.profile))
}

/// One thread needs no scheduler that moves work between threads.
fn runtime(config: &RuntimeConfig) -> io::Result<Runtime> {
    let mut builder = match config.worker_threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(config.worker_threads).enable_all().build()
}

#[derive(Debug, PartialEq, Eq)]
enum Command {
    Run,
    CheckConfig,
    ExplainConfig,
    Healthcheck,
}

impl Command {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        match (arguments.next().as_deref(), arguments.next()) {
            (None, _) => Ok(Self::Run),
            (Some("--check-config"), None) => Ok(Self::CheckConfig),
            (Some("--explain-config"), None) => Ok(Self::ExplainConfig),
            (Some("healthcheck"), None) => Ok(Self::Healthcheck),
            // Not repeated: whoever passes a secret this way must not find it in a log as well.
            (Some(_), _) => Err(String::from(
                "unknown argument; there are --check-config, --explain-config and healthcheck",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Command, String> {
        Command::parse(arguments.iter().map(|&argument| argument.to_owned()))
    }

    #[test]
    fn the_command_line_is_small() {
        assert_eq!(parse(&[]), Ok(Command::Run));
        assert_eq!(parse(&["--check-config"]), Ok(Command::CheckConfig));
        assert_eq!(parse(&["--explain-config"]), Ok(Command::ExplainConfig));
        assert_eq!(parse(&["healthcheck"]), Ok(Command::Healthcheck));
        assert!(parse(&["--check-config", "x"]).is_err());
        assert!(!parse(&["--password=x"]).unwrap_err().contains("--password"));
    }

    #[test]
    fn any_number_of_threads_makes_a_runtime() {
        for worker_threads in [1, 2] {
            let runtime = runtime(&RuntimeConfig { worker_threads }).unwrap();
            assert_eq!(runtime.metrics().num_workers(), worker_threads);
        }
    }
}
