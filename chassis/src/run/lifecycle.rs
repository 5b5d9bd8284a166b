//! The stages between the configuration and the last flush.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::advertise::{self, Listening};
use super::{Endpoint, Host, Service};
use crate::config::{BaseConfig, DiscoveryConfig, Profile, ServerConfig};
use crate::failpoint;
use crate::grpc;
use crate::http::{self, HttpApp, HttpServerConfig};
use crate::identity::Identity;
use crate::shutdown::Shutdown;
use crate::telemetry::{self, metrics::Metrics};

/// Longest wait for the registry to forget this instance; it finds out by itself otherwise.
const DEREGISTER: Duration = Duration::from_secs(2);
/// Pause between deregistration and the end of accepting, in which callers notice.
const CALLERS_NOTICE: Duration = Duration::from_millis(300);
/// The part of the drain timeout, one in so many, that requests leave to the background tasks: the
/// relay publishes what the last requests have written.
const TASKS_SHARE: u32 = 4;
/// Time after the hard token in which tasks let go.
const LET_GO: Duration = Duration::from_secs(1);

/// Lives from telemetry to telemetry.
pub(super) async fn live<S: Service>(config: S::Config, profile: Profile) -> anyhow::Result<()> {
    let telemetry = telemetry::init(S::NAME, config.telemetry())?;
    let outcome = Box::pin(with_signals::<S>(config, profile)).await;
    match &outcome {
        Ok(()) => tracing::info!("stopped"),
        Err(error) => tracing::error!(error = format!("{error:#}"), "stopped by an error"),
    }
    telemetry.shutdown().await;
    outcome
}

async fn with_signals<S: Service>(config: S::Config, profile: Profile) -> anyhow::Result<()> {
    let metrics = Metrics::install(S::NAME, env!("CARGO_PKG_VERSION"), S::METRICS)?;
    let host = Host::new(S::NAME, profile, config.discovery(), config.tls())?;
    let mut signals = JoinSet::new();
    signals.spawn(wait_for_signals(host.asked(), host.shutdown().clone())?);
    Process::new(host, metrics).stages::<S>(config).await
}

/// The first signal asks, the second one insists.
fn wait_for_signals(
    asked: CancellationToken,
    shutdown: Shutdown,
) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let mut is_second = false;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if is_second {
                tracing::warn!("second signal, not waiting for the rest");
                shutdown.force();
            }
            is_second = true;
            asked.cancel();
        }
    })
}

/// A process that was told what to run.
struct Process {
    host: Host,
    metrics: Metrics,
    asked: CancellationToken,
    /// When the time to finish is over; known when the stop begins.
    deadline: OnceLock<Instant>,
}

impl Process {
    fn new(host: Host, metrics: Metrics) -> Self {
        Self { asked: host.asked(), host, metrics, deadline: OnceLock::new() }
    }

    async fn stages<S: Service>(self, config: S::Config) -> anyhow::Result<()> {
        let server = config.server().clone();
        let discovery = config.discovery().clone();
        let internal = Internal::start(&self, &server)?;
        let built = tokio::select! {
            biased;
            () = self.asked.cancelled() => None,
            built = Box::pin(S::build(config, &self.host)) => Some(built),
        };
        let outcome = match built {
            None => Ok(()),
            Some(Err(error)) => Err(error),
            Some(Ok(endpoint)) => self.serve(endpoint, &server, &discovery, internal.address).await,
        };
        self.take_down(server.drain_timeout()).await;
        internal.stop().await;
        outcome.and_then(|()| self.host.verdict())
    }

    /// The end of the time to finish, which begins with the first call.
    fn deadline(&self, limit: Duration) -> Instant {
        *self.deadline.get_or_init(|| Instant::now() + limit)
    }

    /// Serves until asked to stop, then drains.
    async fn serve(
        &self,
        endpoint: Endpoint,
        server: &ServerConfig,
        discovery: &DiscoveryConfig,
        internal: SocketAddr,
    ) -> anyhow::Result<()> {
        let listener = bind("server.listen", server.listen, server.accept_backlog)?;
        let public = listener.local_addr()?;
        let listening = Listening { public, internal };
        let name = self.host.name();
        let registration = advertise::registration(name, listening, server, discovery).await?;
        let mut serving = JoinSet::new();
        let port = self.host.shutdown().part();
        let terms = Serving::of(&self.host, port.clone());
        serving.spawn(serve_public(endpoint, listener, server.clone(), terms));
        self.host.registry().register(registration.clone()).await?;
        self.host.health().refresh().await;
        self.host.health().started();
        tracing::info!(
            server.address = %public,
            server.internal_address = %internal,
            server.advertised = %registration.endpoint,
            "serving"
        );
        let ended_early = tokio::select! {
            () = self.asked.cancelled() => None,
            ended = serving.join_next() => ended,
        };
        if let Some(ended) = ended_early {
            return ended?.context("the public port stopped");
        }
        self.turn_callers_away(&registration.instance_id).await;
        let limit = server.drain_timeout();
        drain(&port, serving, self.deadline(limit) - limit / TASKS_SHARE).await
    }

    /// Makes sure that no new work is on its way before the port stops taking it.
    async fn turn_callers_away(&self, instance_id: &str) {
        tracing::info!("stopping");
        self.host.health().draining();
        let registry = self.host.registry();
        let insisted = self.host.shutdown().hard();
        let leaving = async {
            match tokio::time::timeout(DEREGISTER, registry.deregister(instance_id)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "instance not deregistered"),
                Err(_) => tracing::warn!("instance not deregistered in time"),
            }
            tokio::time::sleep(CALLERS_NOTICE).await;
        };
        let _insisted: Option<()> = insisted.run_until_cancelled(leaving).await;
    }

    /// Ends the background tasks, however the process got here.
    async fn take_down(&self, limit: Duration) {
        self.host.health().draining();
        let shutdown = self.host.shutdown();
        let hard = shutdown.hard();
        shutdown.begin();
        let ended = timeout_at(self.deadline(limit), self.host.tasks_ended());
        if !matches!(hard.run_until_cancelled(ended).await, Some(Ok(()))) {
            shutdown.force();
            let _late = tokio::time::timeout(LET_GO, self.host.tasks_ended()).await;
        }
        self.host.close().await;
        shutdown.force();
    }
}

/// Lets running requests finish, and cuts them at the deadline.
///
/// The background tasks are not told before: what requests write in their last moments is theirs to
/// publish.
async fn drain(
    port: &Shutdown,
    mut serving: JoinSet<anyhow::Result<()>>,
    deadline: Instant,
) -> anyhow::Result<()> {
    port.begin();
    failpoint!("run.draining");
    if let Ok(Some(ended)) = timeout_at(deadline, serving.join_next()).await {
        return ended?;
    }
    tracing::warn!("drain deadline passed");
    port.force();
    match tokio::time::timeout(LET_GO, serving.join_next()).await {
        Ok(Some(ended)) => ended?,
        _ => Ok(()),
    }
}

/// What serving needs of the host.
struct Serving {
    shutdown: Shutdown,
    health: crate::health::Health,
    reflection: bool,
    identity: Option<Arc<Identity>>,
}

impl Serving {
    fn of(host: &Host, shutdown: Shutdown) -> Self {
        Self {
            shutdown,
            health: host.health().clone(),
            reflection: host.profile() == Profile::Development,
            identity: host.identity(),
        }
    }
}

async fn serve_public(
    endpoint: Endpoint,
    listener: TcpListener,
    config: ServerConfig,
    serving: Serving,
) -> anyhow::Result<()> {
    let (soft, hard) = (serving.shutdown.soft(), serving.shutdown.hard());
    match endpoint {
        Endpoint::Http(app) => {
            http::serve(listener, app, serving.shutdown).await;
            Ok(())
        }
        Endpoint::Grpc(app) => {
            let terms = grpc::server::Serving {
                config: &config,
                health: serving.health,
                reflection: serving.reflection,
                identity: serving.identity,
            };
            let served = grpc::server::serve(app, listener, terms, soft);
            hard.run_until_cancelled(served).await.transpose()?;
            Ok(())
        }
    }
}

/// The internal port, which lives longer than everything it reports on.
struct Internal {
    address: SocketAddr,
    shutdown: Shutdown,
    tasks: JoinSet<()>,
}

impl Internal {
    fn start(process: &Process, config: &ServerConfig) -> anyhow::Result<Self> {
        let backlog = config.accept_backlog;
        let listener = bind("server.internal_listen", config.internal_listen, backlog)?;
        let address = listener.local_addr()?;
        let metrics = process.metrics.clone().sampling(process.host.samplers());
        let health = process.host.health().clone();
        let router = http::internal_router(health.clone(), metrics.clone());
        let shutdown = Shutdown::new();
        let limits = HttpServerConfig::from(config);
        let mut tasks = JoinSet::new();
        tasks.spawn(http::serve(listener, HttpApp::new(router, limits), shutdown.clone()));
        let soft = shutdown.soft();
        tasks.spawn(async move { health.watch(soft).await });
        let soft = shutdown.soft();
        tasks.spawn(async move { metrics.upkeep(soft).await });
        Ok(Self { address, shutdown, tasks })
    }

    async fn stop(mut self) {
        self.shutdown.begin();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        // Nobody is owed an answer here; a scraper's connection must not delay the exit for long.
        if tokio::time::timeout(LET_GO, ended).await.is_err() {
            self.shutdown.force();
            while self.tasks.join_next().await.is_some() {}
        }
    }
}

fn bind(key: &str, address: SocketAddr, backlog: u32) -> anyhow::Result<TcpListener> {
    listen(address, backlog).with_context(|| format!("cannot listen on {address} ({key})"))
}

fn listen(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // The port of a process that has just ended is free again at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(backlog)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::routing::get;
    use serde::Deserialize;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::Notify;

    use super::*;
    use crate::config::{DiscoveryMode, RuntimeConfig, TelemetryConfig, TlsConfig};

    /// What a test sees of the service, and how it holds it up.
    #[derive(Default)]
    struct Probe {
        events: Mutex<Vec<&'static str>>,
        request_entered: Notify,
        request_may_end: Notify,
    }

    impl Probe {
        fn saw(&self, event: &'static str) {
            self.events.lock().unwrap().push(event);
        }
    }

    #[derive(Clone, Default, Deserialize)]
    struct Config {
        server: ServerConfig,
        runtime: RuntimeConfig,
        telemetry: TelemetryConfig,
        discovery: DiscoveryConfig,
        tls: TlsConfig,
        #[serde(skip)]
        build: Build,
        #[serde(skip)]
        probe: Arc<Probe>,
    }

    #[derive(Clone, Copy, Default)]
    enum Build {
        #[default]
        Succeeds,
        Waits,
        Fails,
        WithBrokenTask,
    }

    impl BaseConfig for Config {
        fn server(&self) -> &ServerConfig {
            &self.server
        }

        fn runtime(&self) -> &RuntimeConfig {
            &self.runtime
        }

        fn telemetry(&self) -> &TelemetryConfig {
            &self.telemetry
        }

        fn discovery(&self) -> &DiscoveryConfig {
            &self.discovery
        }

        fn tls(&self) -> &TlsConfig {
            &self.tls
        }
    }

    struct Sample;

    impl Service for Sample {
        const NAME: &'static str = "sample-service";
        const ENV_PREFIX: &'static str = "EH_SAMPLE";
        const DEFAULTS: &'static str = "";
        type Config = Config;

        async fn build(config: Config, host: &Host) -> anyhow::Result<Endpoint> {
            let (soft, probe) = (host.shutdown().soft(), config.probe.clone());
            host.spawn("worker", async move {
                soft.cancelled().await;
                probe.saw("worker told to stop");
            });
            match config.build {
                Build::Succeeds => {}
                Build::Waits => std::future::pending().await,
                Build::Fails => anyhow::bail!("no such schema"),
                Build::WithBrokenTask => host.spawn("clumsy", async { panic!("a defect") }),
            }
            let probe = config.probe;
            let router = Router::new().route("/", get(move || slow(probe.clone())));
            Ok(Endpoint::Http(HttpApp::new(router, HttpServerConfig::from(&config.server))))
        }
    }

    async fn slow(probe: Arc<Probe>) -> &'static str {
        probe.request_entered.notify_one();
        probe.request_may_end.notified().await;
        probe.saw("request done");
        "done"
    }

    fn config(build: Build) -> Config {
        // Ports that were free a moment ago: the process tells its ports to its log only.
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (public, internal) = (free(), free());
        Config {
            server: ServerConfig {
                listen: public.local_addr().unwrap(),
                internal_listen: internal.local_addr().unwrap(),
                ..ServerConfig::default()
            },
            discovery: DiscoveryConfig {
                mode: DiscoveryMode::Static,
                ..DiscoveryConfig::default()
            },
            build,
            ..Config::default()
        }
    }

    fn process(config: &Config) -> (Process, CancellationToken) {
        let host =
            Host::new(Sample::NAME, Profile::Development, &config.discovery, &config.tls).unwrap();
        let asked = host.asked();
        (Process::new(host, Metrics::detached()), asked)
    }

    async fn ask(address: SocketAddr, path: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(address).await else {
            return String::new();
        };
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        let _ = stream.read_to_string(&mut reply).await;
        reply
    }

    async fn wait_until(address: SocketAddr, path: &str, wanted: &str) {
        let seen = async {
            while !ask(address, path).await.contains(wanted) {
                tokio::task::yield_now().await;
            }
        };
        let seen_in_time = tokio::time::timeout(Duration::from_secs(5), seen).await;
        assert!(seen_in_time.is_ok(), "{path} never showed {wanted}");
    }

    #[tokio::test]
    async fn a_request_that_runs_at_the_signal_is_finished() {
        let config = config(Build::Succeeds);
        let (process, asked) = process(&config);
        let (public, internal) = (config.server.listen, config.server.internal_listen);
        let probe = config.probe.clone();
        let script = async {
            wait_until(internal, "/readyz", "\"ready\"").await;
            let asking = ask(public, "/");
            let stopping = async {
                probe.request_entered.notified().await;
                asked.cancel();
                wait_until(internal, "/readyz", "draining").await;
                while TcpStream::connect(public).await.is_ok() {
                    tokio::task::yield_now().await;
                }
                probe.request_may_end.notify_one();
            };
            tokio::join!(asking, stopping).0
        };
        let (outcome, reply) = tokio::join!(process.stages::<Sample>(config.clone()), script);
        outcome.unwrap();
        assert!(reply.ends_with("done"), "{reply}");
        assert_eq!(*probe.events.lock().unwrap(), ["request done", "worker told to stop"]);
        assert!(TcpStream::connect(internal).await.is_err());
    }

    #[tokio::test]
    async fn a_process_that_waits_for_a_dependency_answers_probes_and_stops_at_once() {
        let config = config(Build::Waits);
        let (process, asked) = process(&config);
        let internal = config.server.internal_listen;
        let script = async {
            wait_until(internal, "/livez", "200 OK").await;
            wait_until(internal, "/readyz", "starting").await;
            asked.cancel();
        };
        let stages = process.stages::<Sample>(config.clone());
        let both = async { tokio::join!(stages, script) };
        let (outcome, ()) = tokio::time::timeout(Duration::from_secs(5), both).await.unwrap();
        outcome.unwrap();
        assert_eq!(*config.probe.events.lock().unwrap(), ["worker told to stop"]);
    }

    /// Stops a process whose request never ends; returns what was seen and what the client got.
    async fn cut_request(drain_timeout_ms: u64) -> (Arc<Probe>, String) {
        let mut config = config(Build::Succeeds);
        config.server.drain_timeout_ms = drain_timeout_ms;
        let (process, asked) = process(&config);
        let script = async {
            wait_until(config.server.internal_listen, "/readyz", "\"ready\"").await;
            let stopping = async {
                config.probe.request_entered.notified().await;
                asked.cancel();
            };
            tokio::join!(ask(config.server.listen, "/"), stopping).0
        };
        let (outcome, reply) = tokio::join!(process.stages::<Sample>(config.clone()), script);
        outcome.unwrap();
        (config.probe.clone(), reply)
    }

    #[tokio::test]
    async fn a_request_that_outlives_the_deadline_is_cut() {
        let (_, reply) = cut_request(50).await;
        assert_eq!(reply, "");
    }

    #[tokio::test]
    async fn a_failed_build_ends_the_process_and_its_tasks() {
        let config = config(Build::Fails);
        let (process, _asked) = process(&config);
        let error = process.stages::<Sample>(config.clone()).await.unwrap_err();
        assert_eq!(error.to_string(), "no such schema");
        assert_eq!(*config.probe.events.lock().unwrap(), ["worker told to stop"]);
    }

    #[tokio::test]
    async fn a_background_task_that_panics_ends_the_process_in_order() {
        let config = config(Build::WithBrokenTask);
        let (process, _asked) = process(&config);
        let stages = process.stages::<Sample>(config.clone());
        let error = tokio::time::timeout(Duration::from_secs(5), stages).await.unwrap();
        assert_eq!(error.unwrap_err().to_string(), "background task `clumsy` panicked");
        assert_eq!(*config.probe.events.lock().unwrap(), ["worker told to stop"]);
    }

    #[tokio::test]
    async fn a_request_that_is_cut_leaves_the_tasks_their_time() {
        let (probe, reply) = cut_request(400).await;
        assert_eq!(reply, "");
        // At the hard token it would have been dropped without a word.
        assert_eq!(*probe.events.lock().unwrap(), ["worker told to stop"]);
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = config(Build::Succeeds);
        config.server.listen = taken.local_addr().unwrap();
        let (process, _asked) = process(&config);
        let error = process.stages::<Sample>(config).await.unwrap_err();
        assert!(error.to_string().contains("server.listen"), "{error:#}");
    }

    #[tokio::test]
    async fn as_many_connections_wait_to_be_accepted_as_are_configured() {
        let waiting = 5;
        let listener = listen("127.0.0.1:0".parse().unwrap(), waiting).unwrap();
        let address = listener.local_addr().unwrap();
        // Nobody accepts: whoever is connected waits in the queue. One that finds no room is not told.
        let connect = |patience| std::net::TcpStream::connect_timeout(&address, patience);
        let connected = |_| connect(Duration::from_secs(20));
        let _crowd: Vec<_> = (0..waiting).map(connected).map(Result::unwrap).collect();
        let more: Vec<_> =
            (0..waiting).map_while(|_| connect(Duration::from_millis(500)).ok()).collect();
        assert!(more.len() < waiting as usize, "{} of {waiting} more", more.len());
    }
}
