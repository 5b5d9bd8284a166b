//! A private RabbitMQ node with its own Erlang name server.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use tokio::process::Child;

use super::server::{START_LIMIT, STOP_LIMIT};
use super::{Part, Server, Site, probe};
use crate::layout::Layout;
use crate::process::{Process, Spec};
use crate::{address, port};

const USUAL_PORT: u16 = 25_673;
const USUAL_MANAGEMENT_PORT: u16 = 25_674;
/// Debian's `rabbitmq-server` on the PATH is a wrapper that insists on the system's account; the
/// program behind it does not.
const DEBIAN_PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

pub(super) fn find(layout: &Layout) -> Option<PathBuf> {
    let debian = PathBuf::from(DEBIAN_PROGRAM);
    if debian.is_file() { Some(debian) } else { layout.find_program("rabbitmq-server") }
}

pub(super) async fn start(site: &Site, program: &Path) -> Result<Server> {
    let RabbitMq { address, management, names, node } = RabbitMq::start(site, program).await?;
    Ok(Server { address, management: Some(management), processes: vec![names, node] })
}

/// A running node. Tests hold it to take the broker away and bring it back.
#[derive(Debug)]
pub struct RabbitMq {
    /// AMQP address.
    pub address: String,
    /// Address of the management API.
    pub management: String,
    names: Process,
    node: Process,
}

impl RabbitMq {
    /// Starts a node and waits until clients and the management API are served.
    pub async fn start(site: &Site, program: &Path) -> Result<Self> {
        let ports = Ports::choose(site)?;
        let folder = site.layout.data("rabbitmq");
        prepare(&folder, &ports)?;
        let mut names = start_name_server(site, &ports)?;
        // A node that finds no name server starts one of its own, which nobody would stop.
        names.ready(START_LIMIT, || async { port::is_listening(ports.names) }).await?;
        let node = Process::start(node_spec(program, &folder, &ports), &site.layout)?;
        let mut rabbitmq = Self {
            address: format!("amqp://guest:guest@127.0.0.1:{}/%2f", ports.amqp),
            management: format!("http://guest:guest@127.0.0.1:{}", ports.management),
            names,
            node,
        };
        rabbitmq.wait_ready().await?;
        Ok(rabbitmq)
    }

    /// Starts a node from whatever program the machine has.
    pub async fn start_found(site: &Site) -> Result<Self> {
        let program = find(&site.layout).context("RabbitMQ is not installed")?;
        Self::start(site, &program).await
    }

    /// Takes the broker away, keeping its data.
    pub async fn stop_node(&mut self) -> Result<()> {
        self.node.stop(STOP_LIMIT).await?;
        Ok(())
    }

    /// Brings the broker back at the same address with its data.
    pub async fn start_node(&mut self) -> Result<()> {
        self.node.start_again()?;
        self.wait_ready().await
    }

    /// Ends the broker as a crash would, keeping its data.
    pub fn kill_node(&mut self) -> Result<()> {
        self.node.kill()?;
        Ok(())
    }

    /// Freezes the broker: connections stay, answers do not come.
    pub fn freeze(&self) {
        self.node.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.node.signal(Signal::SIGCONT);
    }

    /// Starts the broker again without waiting for it.
    pub fn launch_node(&mut self) -> Result<()> {
        self.node.start_again()
    }

    /// Waits until the broker serves.
    pub async fn ready(&mut self) -> Result<()> {
        self.wait_ready().await
    }

    /// Whether the broker runs.
    pub fn is_running(&self) -> bool {
        self.node.is_running()
    }

    /// Runs `rabbitmqctl` on the node, for what the management API cannot do.
    pub fn control(&self, arguments: &[&str]) -> Result<Control> {
        let spec = self.node.spec();
        let program = spec.program.with_file_name("rabbitmqctl");
        let mut command = tokio::process::Command::new(program);
        command
            .args(arguments)
            .envs(spec.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Ok(Control { child: command.spawn().context("rabbitmqctl cannot be run")? })
    }

    /// Stops everything.
    pub async fn stop(&mut self) -> Result<()> {
        self.stop_node().await?;
        self.names.stop(STOP_LIMIT).await?;
        Ok(())
    }

    async fn wait_ready(&mut self) -> Result<()> {
        let amqp = address::parse(&self.address, Part::RabbitMq.schemes())?;
        let management = address::parse(&self.management, &["http"])?;
        let probe = || async {
            probe::answers(Part::RabbitMq, &amqp).await && probe::management(&management).await
        };
        self.node.ready(START_LIMIT, probe).await
    }
}

/// A running `rabbitmqctl`; dropping it ends it.
#[derive(Debug)]
pub struct Control {
    child: Child,
}

impl Control {
    /// Waits until it has done what was asked.
    pub async fn done(self) -> Result<()> {
        let output = self.child.wait_with_output().await?;
        if !output.status.success() {
            bail!("rabbitmqctl: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

struct Ports {
    amqp: u16,
    management: u16,
    names: u16,
    distribution: u16,
}

impl Ports {
    fn choose(site: &Site) -> Result<Self> {
        Ok(Self {
            amqp: site.port(USUAL_PORT)?,
            management: site.port(USUAL_MANAGEMENT_PORT)?,
            names: port::free()?,
            distribution: port::free()?,
        })
    }
}

fn prepare(folder: &Path, ports: &Ports) -> Result<()> {
    std::fs::create_dir_all(folder.join("home"))?;
    std::fs::write(folder.join("enabled_plugins"), "[rabbitmq_management].\n")?;
    // Empty: the system's own settings must not reach a private node.
    std::fs::write(folder.join("rabbitmq-env.conf"), "")?;
    std::fs::create_dir_all(folder.join("conf.d"))?;
    // What a queue holds is told every second instead of every five: whoever waits for empty
    // queues should not wait for the news.
    let advanced = "[{rabbit, [{quorum_tick_interval, 1000}]}].\n";
    std::fs::write(folder.join("advanced.config"), advanced)?;
    let settings = format!(
        "listeners.tcp.default = 127.0.0.1:{}\n\
         collect_statistics_interval = 1000\n\
         management.tcp.ip = 127.0.0.1\n\
         management.tcp.port = {}\n",
        ports.amqp, ports.management
    );
    Ok(std::fs::write(folder.join("rabbitmq.conf"), settings)?)
}

/// Erlang starts a name server by itself if it finds none, and never stops it; one of our own can
/// be stopped.
fn start_name_server(site: &Site, ports: &Ports) -> Result<Process> {
    let program = find_name_server(&site.layout).context("Erlang's epmd is not installed")?;
    let spec = Spec::new("epmd", program)
        .args(["-address", "127.0.0.1", "-port", &ports.names.to_string()])
        .ports([ports.names]);
    Process::start(spec, &site.layout)
}

fn find_name_server(layout: &Layout) -> Option<PathBuf> {
    layout.find_program("epmd").or_else(|| {
        let runtimes = ["/usr/lib/erlang", "/usr/local/lib/erlang", "/opt/erlang/lib/erlang"];
        runtimes
            .iter()
            .filter_map(|folder| std::fs::read_dir(folder).ok())
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path().join("bin/epmd")))
            .find(|path| path.is_file())
    })
}

fn node_spec(program: &Path, folder: &Path, ports: &Ports) -> Spec {
    let path = |name: &str| folder.join(name).display().to_string();
    Spec::new("rabbitmq", program)
        .env("HOME", path("home"))
        .env("RABBITMQ_NODENAME", "ehub@localhost")
        .env("RABBITMQ_NODE_PORT", ports.amqp.to_string())
        .env("RABBITMQ_DIST_PORT", ports.distribution.to_string())
        .env("ERL_EPMD_PORT", ports.names.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_MNESIA_BASE", path("mnesia"))
        .env("RABBITMQ_LOG_BASE", path("log"))
        .env("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf"))
        .env("RABBITMQ_CONFIG_FILES", path("conf.d"))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", path("advanced.config"))
        .env("RABBITMQ_CONF_ENV_FILE", path("rabbitmq-env.conf"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins"))
        // The script then becomes the node instead of its parent, so that the recorded process
        // is the one that has to be stopped.
        .env("RUNNING_UNDER_SYSTEMD", "true")
        // Idle schedulers that spin would take the processor from the services.
        .env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}",
        )
        .ports([ports.amqp, ports.management, ports.distribution])
}
