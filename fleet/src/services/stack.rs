//! The running services.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::future::join_all;

use super::{Seat, Service, Settings};
use crate::layout::Layout;
use crate::port;
use crate::process::{Process, Spec};
use crate::ui::Progress;
use crate::wait;

/// From the start of a process to its first ready answer: migrations, registration, first endpoints.
const READY_LIMIT: Duration = Duration::from_secs(90);
/// From ready processes to their finding each other: Consul's checks pass, and watches answer.
const ACQUAINTED_LIMIT: Duration = Duration::from_secs(30);
/// How many instances of each other service a process knows, among its metrics.
const KNOWN_INSTANCES: &str = "eh_discovery_endpoints{peer=\"";
/// Where a gateway keeps the last good keys and revocations.
const LAST_GOOD_FOLDER: &str = "EH_GATEWAY__REVOCATIONS__FOLDER";
/// Where a process keeps the last good endpoints of the others.
const ENDPOINTS_FOLDER: &str = "DISCOVERY__CACHE_DIR";
/// Deregistration, draining and the end of background tasks take 25 seconds at most.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// What to start.
#[derive(Clone, Debug)]
pub struct StackPlan {
    /// Folders.
    pub layout: Layout,
    /// Where the binaries are.
    pub binaries: PathBuf,
    /// Configuration.
    pub settings: Settings,
    /// Processes per service; one where nothing is said.
    pub replicas: BTreeMap<&'static str, usize>,
    /// What differs from process to process, by the name of the process.
    pub seats: BTreeMap<String, Seat>,
    /// Whether the first process of a service takes the service's default port if it is free.
    pub usual_ports: bool,
}

/// One process of a service.
#[derive(Debug)]
pub struct Instance {
    /// Which service.
    pub service: &'static Service,
    /// Port of its API.
    pub port: u16,
    /// Port of metrics and health.
    pub internal_port: u16,
    process: Process,
}

impl Instance {
    fn start(plan: &StackPlan, service: &'static Service, replica: usize) -> Result<Self> {
        let usual = plan.usual_ports && replica == 0;
        let choose = |port| {
            if usual { port::preferred(port) } else { port::free() }
        };
        let name = service.instance_name(replica);
        let seat = plan.seats.get(&name).cloned().unwrap_or_default();
        let port = seat.port.map_or_else(|| choose(service.port), Ok)?;
        let internal_port = choose(service.internal_port)?;
        let root = plan.layout.root();
        let program = plan.binaries.join(service.name);
        if !program.is_file() {
            bail!("{} is not built; run cargo build --workspace", program.display());
        }
        let mut spec = Spec::new(name, program);
        spec.env = plan.settings.environment(root, service, (port, internal_port))?;
        // First, so that whatever else is said about them wins.
        forget(&endpoints(&plan.layout, &spec.name))?;
        spec.env.splice(0..0, last_good(&plan.layout, service, &spec.name));
        seat.furnish(&mut spec.env)?;
        let process = Process::start(spec.ports([port, internal_port]), &plan.layout)?;
        Ok(Self { service, port, internal_port, process })
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Base address of metrics and health.
    pub fn internal_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.internal_port)
    }

    async fn metrics(&self, client: &reqwest::Client) -> reqwest::Result<String> {
        client.get(format!("{}/metrics", self.internal_url())).send().await?.text().await
    }

    /// Waits until it says that it is ready.
    pub async fn ready(&mut self, client: &reqwest::Client) -> Result<()> {
        let url = format!("{}/readyz", self.internal_url());
        self.process.ready(READY_LIMIT, || is_ready(client, &url)).await
    }
}

/// All processes of all services.
#[derive(Debug)]
pub struct Stack {
    instances: Vec<Instance>,
    client: reqwest::Client,
}

impl Stack {
    /// Starts everything at once and waits until all of it is ready.
    pub async fn start(plan: &StackPlan, progress: &Progress) -> Result<Self> {
        let client = crate::http::client()
            .timeout(Duration::from_secs(2))
            .build()
            .context("no HTTP client")?;
        let mut instances = Vec::new();
        for service in Service::ALL {
            for replica in 0..plan.replicas.get(service.name).copied().unwrap_or(1) {
                instances.push(Instance::start(plan, service, replica)?);
            }
        }
        let mut stack = Self { instances, client };
        stack.wait_ready(progress).await?;
        stack.wait_acquainted().await?;
        Ok(stack)
    }

    /// A process is ready before the others have heard of it; a fleet is once they have.
    pub async fn wait_acquainted(&self) -> Result<()> {
        let waits = self.instances.iter().map(|instance| async move {
            let name = instance.service.name;
            let what = format!("{name} finding the services it calls");
            wait::until(&what, ACQUAINTED_LIMIT, || async move {
                let metrics = instance.metrics(&self.client).await;
                Ok(metrics.ok().filter(|text| self.are_known(text)).map(|_| ()))
            })
            .await
        });
        join_all(waits).await.into_iter().collect()
    }

    fn are_known(&self, metrics: &str) -> bool {
        metrics.lines().filter_map(|line| line.strip_prefix(KNOWN_INSTANCES)).all(|line| {
            let count_of =
                |peer: &str| self.instances.iter().filter(|one| one.service.name == peer).count();
            line.split_once("\"} ").is_some_and(|(peer, known)| known.parse() == Ok(count_of(peer)))
        })
    }

    async fn wait_ready(&mut self, progress: &Progress) -> Result<()> {
        let start = std::time::Instant::now();
        let client = &self.client;
        let waits = self.instances.iter_mut().map(|instance| async move {
            instance.ready(client).await?;
            let address = format!("127.0.0.1:{}", instance.port);
            progress.note(instance.process.name(), &address, start.elapsed());
            anyhow::Ok(())
        });
        join_all(waits).await.into_iter().collect()
    }

    /// Waits until every process is ready, those that were started again included.
    pub async fn all_ready(&mut self) -> Result<()> {
        self.wait_ready(&Progress::silent()).await
    }

    /// Waits until one process is ready.
    pub async fn ready(&mut self, service: &str, replica: usize) -> Result<()> {
        let client = self.client.clone();
        self.instance(service, replica)?.ready(&client).await
    }

    /// Stops the gateway and then the others, so that requests under way are answered; returns
    /// how each process ended.
    pub async fn stop(&mut self) -> Result<Vec<(String, ExitStatus)>> {
        let all = std::mem::take(&mut self.instances);
        let (edge, inner): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|instance| instance.service.name == Service::GATEWAY);
        let mut ended = Vec::new();
        for group in [edge, inner] {
            let stops = group.into_iter().map(|mut instance| async move {
                let status = instance.process.stop(STOP_LIMIT).await?;
                anyhow::Ok((instance.process.name().to_owned(), status))
            });
            ended.extend(join_all(stops).await.into_iter().collect::<Result<Vec<_>>>()?);
        }
        Ok(ended)
    }

    /// Lets everything run on.
    pub fn detach(&mut self) {
        self.instances.drain(..).for_each(|instance| instance.process.detach());
    }

    /// All processes.
    pub fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// All processes, to watch over them.
    pub fn instances_mut(&mut self) -> &mut [Instance] {
        &mut self.instances
    }

    /// One process of a service, counted from zero.
    pub fn instance(&mut self, service: &str, replica: usize) -> Result<&mut Instance> {
        self.instances
            .iter_mut()
            .filter(|instance| instance.service.name == service)
            .nth(replica)
            .with_context(|| format!("{service} has no process number {replica}"))
    }

    /// Starts a process again, with the same ports and settings, and waits until it is ready.
    pub async fn restart(&mut self, service: &str, replica: usize) -> Result<()> {
        let client = self.client.clone();
        let instance = self.instance(service, replica)?;
        instance.process.start_again()?;
        instance.ready(&client).await
    }

    /// Base address of the API that clients use.
    pub fn gateway_url(&self) -> Result<String> {
        let gateway = self.instances.iter().find(|one| one.service.name == Service::GATEWAY);
        let port = gateway.context("the gateway does not run")?.port;
        Ok(format!("http://127.0.0.1:{port}"))
    }
}

/// Where a process keeps what it knew last, as variables for its environment.
pub fn last_good(layout: &Layout, service: &Service, process: &str) -> Vec<(String, String)> {
    let variable = format!("{}__{ENDPOINTS_FOLDER}", service.variable);
    let mut folders = vec![(variable, endpoints(layout, process).display().to_string())];
    if service.name == Service::GATEWAY {
        let folder = layout.data(process).display().to_string();
        folders.push((LAST_GOOD_FOLDER.to_owned(), folder));
    }
    folders
}

fn endpoints(layout: &Layout, process: &str) -> PathBuf {
    layout.data(process).join("discovery")
}

/// Removes what an earlier fleet has saved: this one has other ports.
fn forget(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", folder.display()))
        }
        _ => Ok(()),
    }
}

async fn is_ready(client: &reqwest::Client, url: &str) -> bool {
    client.get(url).send().await.is_ok_and(|reply| reply.status().is_success())
}
