//! Services as the processes that are shipped, each started with a configuration of its own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test cannot go on without its process")]

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::config::UpstreamConfig;
use crate::discovery::Endpoint;
use crate::grpc::Channel;
use crate::testing::grpc::channel;

/// How long a test waits for a process.
const PATIENCE: Duration = Duration::from_mins(1);

/// What every process of a test is told: free ports, no registry, a log that can be read.
const COMMON: [(&str, &str); 4] = [
    ("SERVER__LISTEN", "127.0.0.1:0"),
    ("SERVER__INTERNAL_LISTEN", "127.0.0.1:0"),
    ("DISCOVERY__MODE", "static"),
    ("TELEMETRY__FORMAT", "json"),
];

/// What a process with a database is told too.
const PATIENT: [(&str, &str); 1] = [("DATABASE__ACQUIRE_TIMEOUT_MS", "5000")];

/// The program of a service.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Where it is: `env!("CARGO_BIN_EXE_…")`, which only the service's own tests can say.
    pub path: &'static str,
    /// What its environment variables begin with, such as `EH_ORDER`.
    pub env_prefix: &'static str,
}

impl Program {
    /// Starts a process with these settings (`SECTION__KEY` and value) on free ports.
    ///
    /// # Panics
    ///
    /// When there is no such program.
    pub fn start(&self, settings: &[(&str, &str)]) -> Process {
        self.start_without_database(&[&PATIENT, settings].concat())
    }

    /// The same for a service that has no database.
    ///
    /// # Panics
    ///
    /// When there is no such program.
    pub fn start_without_database(&self, settings: &[(&str, &str)]) -> Process {
        self.spawn(&mut self.command(settings))
    }

    /// The same for a service with a database, built with `failpoints`: the process dies at the
    /// points that are armed in `folder`.
    ///
    /// # Panics
    ///
    /// When there is no such program.
    #[cfg(feature = "failpoints")]
    pub fn start_armed(&self, settings: &[(&str, &str)], folder: &std::path::Path) -> Process {
        let mut command = self.command(&[&PATIENT, settings].concat());
        self.spawn(command.env(crate::failpoint::FOLDER, folder))
    }

    fn command(&self, settings: &[(&str, &str)]) -> Command {
        let settings = COMMON.iter().chain(settings);
        let mut command = Command::new(self.path);
        command
            .env_clear()
            .envs(settings.map(|(key, value)| (format!("{}__{key}", self.env_prefix), *value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        #[cfg(feature = "mutants")]
        command.envs(crate::mutant::planted().map(|name| (crate::mutant::PLANTED, name)));
        command
    }

    fn spawn(&self, command: &mut Command) -> Process {
        let spawned = command.spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{}: {error}", self.path));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Process { child, lines, log: Vec::new() }
    }
}

/// A running process; one that is dropped is killed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    log: Vec<Value>,
}

impl Process {
    /// Waits until the process serves; the channel leads to it.
    ///
    /// # Panics
    ///
    /// When it ends or takes too long.
    pub async fn serving(&mut self) -> Channel {
        self.read_until("serving").await;
        let address = self.log.last().unwrap()["server.address"].as_str().unwrap();
        let (host, port) = address.rsplit_once(':').unwrap();
        let endpoint = Endpoint::new(host, port.parse().unwrap());
        let patient = UpstreamConfig { timeout_ms: 30_000, ..UpstreamConfig::default() };
        channel(&[endpoint], &patient)
    }

    /// The number of the process, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The lines of the log that were read so far.
    pub fn log(&self) -> &[Value] {
        &self.log
    }

    /// Whether this message was logged so far.
    pub fn has_logged(&self, message: &str) -> bool {
        self.log.iter().any(|line| line["message"] == message)
    }

    /// Asks the process to stop and checks that it does so in order; returns its whole log.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub async fn stop(mut self) -> Vec<Value> {
        let id = self.child.id().unwrap().to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status().await.unwrap();
        assert!(told.success());
        self.read_until("stopped").await;
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        assert!(status.success(), "{status}");
        self.log
    }

    /// Waits until the process died without having been asked to end.
    ///
    /// # Panics
    ///
    /// When it goes on running.
    pub async fn died(mut self) {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        assert!(!status.success(), "{status}");
    }

    /// Waits for a process that does not start; returns how it ended and what it said.
    ///
    /// # Panics
    ///
    /// When it goes on running.
    pub async fn refused(mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        let mut errors = self.child.stderr.take().unwrap();
        let ended = async {
            errors.read_to_string(&mut said).await.unwrap();
            self.child.wait().await.unwrap()
        };
        let status = tokio::time::timeout(PATIENCE, ended).await.unwrap();
        (status, said)
    }

    /// Reads the log up to and including `message`.
    ///
    /// # Panics
    ///
    /// When the process ends or takes too long.
    pub async fn read_until(&mut self, message: &str) {
        let found = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                let line: Value = serde_json::from_str(&line).unwrap();
                let is_it = line["message"] == message;
                self.log.push(line);
                if is_it {
                    return true;
                }
            }
            false
        };
        let found = tokio::time::timeout(PATIENCE, found).await.unwrap_or_default();
        assert!(found, "the process ended or waits without {message:?}: {:?}", self.log);
    }
}
