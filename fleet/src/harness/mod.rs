//! A private fleet for one test: own schemas, own name space in the broker, own Redis and Consul.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use fleet::{Fleet, FleetOptions};
//!
//! let mut fleet = Fleet::start(FleetOptions::default().replicas("order-service", 2)).await?;
//! let customer = fleet.customer().await?;
//! fleet.kill("order-service", 1)?;
//! customer.get("/api/v1/orders").await?.require(200)?;
//! fleet.finish().await
//! # }
//! ```
//!
//! MySQL and RabbitMQ are shared with other tests and come from `EH_TEST_MYSQL_URL` and
//! `EH_TEST_AMQP_URL`, which `cargo ehub test` sets. A fleet ends with its test however that ends;
//! only [`Fleet::finish`] also checks that it ended well.

pub mod api;
mod cleanup;
mod control;
mod failpoints;
mod links;
mod mail;
mod options;
mod provider;
pub mod raw;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::{Connection, MySqlConnection};

pub use self::api::{Api, Reply};
pub use self::control::Ended;
pub use self::links::Link;
pub use self::mail::{Mail, Mailbox};
pub use self::options::FleetOptions;
use crate::audit::Sources;
use crate::audit::seals::Keys;
use crate::credentials::Credentials;
use crate::layout::Layout;
use crate::middleware::{Addresses, Database, Part, RabbitMq, Server, Site, consul, redis};
use crate::process::{Process, Reaper};
use crate::sandbox::SandboxProcess;
use crate::schema::{self, Existing, Schema};
use crate::services::{Service, Settings, Stack, StackPlan};
use crate::ui::Progress;
use crate::{environment, leftovers, seed, wait};

/// How long [`Fleet::eventually`] waits.
const EVENTUALLY: Duration = Duration::from_secs(30);

/// How long Redis or Consul may take to end.
const SERVER_STOP_LIMIT: Duration = Duration::from_secs(10);

/// A running fleet.
#[derive(Debug)]
pub struct Fleet {
    stack: Stack,
    broker: Option<RabbitMq>,
    database: Option<Database>,
    servers: Vec<Process>,
    proxies: links::Proxies,
    provider: Option<SandboxProcess>,
    settings: Settings,
    layout: Layout,
    admin: String,
}

impl Fleet {
    /// Starts a fleet and waits until every process is ready.
    pub async fn start(options: FleetOptions) -> Result<Self> {
        Reaper::install()?;
        let prefix = format!("t{:08x}_", rand::random::<u32>());
        let layout = Layout::discover()?;
        let layout = leftovers::own(&layout, Some(prefix.trim_end_matches('_')));
        let site = Site { layout: layout.clone(), usual_ports: false };
        let database = if options.has_own_database() {
            Some(Database::start_found(&site).await?)
        } else {
            None
        };
        let admin = database
            .as_ref()
            .map_or_else(|| required("EH_TEST_MYSQL_URL"), |own| Ok(own.address.clone()))?;
        let broker =
            if options.has_own_broker() { Some(RabbitMq::start_found(&site).await?) } else { None };
        let (addresses, servers) = start_servers(&site, &options, &admin, broker.as_ref()).await?;
        let schemas = schema::of_services(|name| Schema::private(&prefix, name));
        schema::create(&admin, schemas.iter().map(|(_, schema)| schema), Existing::Reset).await?;
        let namespace = prefix.trim_end_matches('_').to_owned();
        let mailbox = Mailbox::in_state(layout.state());
        let extra = mailbox.variables().into_iter().chain(options.variables()).collect();
        let credentials = Credentials::provide(&layout.credentials())?;
        let settings = Settings { addresses, schemas, credentials, namespace, extra };
        let mut seats = BTreeMap::new();
        failpoints::prepare(&options, &layout, &mut seats)?;
        let mut proxies = links::start(&options, &settings.addresses, &mut seats).await?;
        let own = own_binaries()?;
        let place = (&layout, own.as_path());
        let provider = provider::start(&options, place, &mut seats, &mut proxies).await?;
        let plan = StackPlan {
            layout: layout.clone(),
            binaries: options.other_binaries().map_or_else(|| own.clone(), Path::to_path_buf),
            settings: settings.clone(),
            replicas: options.replica_counts(),
            seats,
            usual_ports: false,
        };
        let stack = Stack::start(&plan, &Progress::silent()).await?;
        let fleet =
            Self { stack, broker, database, servers, proxies, provider, settings, layout, admin };
        Ok(fleet)
    }

    /// A client without an account.
    pub fn http(&self) -> Result<Api> {
        Api::new(self.stack.gateway_url()?)
    }

    /// A client with a new customer's account.
    pub async fn customer(&self) -> Result<Api> {
        self.http()?.new_customer().await
    }

    /// A client with the administrator's account.
    pub async fn admin(&self) -> Result<Api> {
        self.http()?.login(seed::ADMIN_EMAIL, seed::ADMIN_PASSWORD).await
    }

    /// What the fleet sent by e-mail.
    pub fn mailbox(&self) -> Mailbox {
        Mailbox::in_state(self.layout.state())
    }

    /// By which the services know each other; a test may issue itself what it wants.
    pub fn credentials(&self) -> &Credentials {
        &self.settings.credentials
    }

    /// Puts the demo products on sale.
    pub async fn seed(&self) -> Result<()> {
        seed::products(&self.admin().await?).await.map(|_| ())
    }

    /// Kills a process as a crash would.
    pub fn kill(&mut self, service: &str, replica: usize) -> Result<()> {
        self.stack.instance(service, replica)?.process().kill()?;
        Ok(())
    }

    /// Asks a process to end in order, and returns its exit code.
    pub async fn terminate(&mut self, service: &str, replica: usize) -> Result<Option<i32>> {
        let process = self.stack.instance(service, replica)?.process();
        Ok(process.stop(Duration::from_secs(20)).await?.code())
    }

    /// Starts a process again and waits until it is ready.
    pub async fn restart(&mut self, service: &str, replica: usize) -> Result<()> {
        self.stack.restart(service, replica).await
    }

    /// Freezes a process: it keeps its connections and answers nothing.
    pub fn pause(&mut self, service: &str, replica: usize) -> Result<()> {
        self.stack.instance(service, replica)?.process().signal(Signal::SIGSTOP);
        Ok(())
    }

    /// Lets a frozen process go on.
    pub fn resume(&mut self, service: &str, replica: usize) -> Result<()> {
        self.stack.instance(service, replica)?.process().signal(Signal::SIGCONT);
        Ok(())
    }

    /// Takes the fleet's own Redis or Consul away for good.
    pub async fn stop_server(&mut self, part: Part) -> Result<()> {
        let name = part.to_string().to_lowercase();
        let found = self.servers.iter().position(|server| server.name() == name);
        let found = found.with_context(|| format!("the fleet has no {part} of its own"))?;
        self.servers.remove(found).stop(SERVER_STOP_LIMIT).await?;
        Ok(())
    }

    /// What a process has written so far.
    pub fn logs(&mut self, service: &str, replica: usize) -> Result<String> {
        Ok(self.stack.instance(service, replica)?.process().log_tail(usize::MAX))
    }

    /// Base address of a process' metrics and health.
    pub fn internal_url(&mut self, service: &str, replica: usize) -> Result<String> {
        Ok(self.stack.instance(service, replica)?.internal_url())
    }

    /// The API port of a process, for calls past the gateway.
    pub fn port(&self, service: &str, replica: usize) -> Result<u16> {
        let mut processes = self.stack.instances().iter().filter(|one| one.service.name == service);
        let process = processes.nth(replica);
        Ok(process.with_context(|| format!("{service} has no process number {replica}"))?.port)
    }

    /// Where the middleware of this fleet answers.
    pub fn addresses(&self) -> &Addresses {
        &self.settings.addresses
    }

    /// The name space in RabbitMQ and Redis.
    pub fn namespace(&self) -> &str {
        &self.settings.namespace
    }

    /// Where the auditor finds what this fleet has stored; it waits until the fleet is quiet, and
    /// then excuses nothing.
    pub fn audit_sources(&self) -> Sources {
        Sources {
            // Without keys the report says that it saw no seals.
            audit_keys: Keys::of_development(&self.layout).unwrap_or_default(),
            management: self.addresses().amqp_management.clone(),
            namespace: self.namespace().to_owned(),
            grace: Duration::ZERO,
            settle: Some(EVENTUALLY),
            provider: self.provider_ledger(),
            ..Sources::of(&self.admin, format!("{}_hub_", self.namespace()))
        }
    }

    /// Takes the fleet's own broker away.
    pub async fn stop_broker(&mut self) -> Result<()> {
        self.own_broker()?.stop_node().await
    }

    /// Brings the fleet's own broker back.
    pub async fn start_broker(&mut self) -> Result<()> {
        self.own_broker()?.start_node().await
    }

    /// A connection to a service's schema under the service's own account.
    pub async fn database(&self, service: &str) -> Result<MySqlConnection> {
        let url = self.schema_of(service)?.url(&self.admin)?;
        Ok(MySqlConnection::connect(&url).await?)
    }

    /// A connection to a service's schema under the account that created it, as an operator has one.
    pub async fn database_as_admin(&self, service: &str) -> Result<MySqlConnection> {
        let server: MySqlConnectOptions = self.admin.parse()?;
        let options = server.database(&self.schema_of(service)?.name);
        Ok(MySqlConnection::connect_with(&options).await?)
    }

    /// Probes until the answer is there; for what happens after an event.
    pub async fn eventually<T, F, Fut>(&self, what: &str, probe: F) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<Option<T>>>,
    {
        wait::until(what, EVENTUALLY, probe).await
    }

    fn schema_of(&self, service: &str) -> Result<&Schema> {
        let service = Service::find(service).context("no such service")?;
        let mut schemas = self.settings.schemas.iter();
        let found = schemas.find(|(owner, _)| *owner == service);
        Ok(&found.with_context(|| format!("{} has no schema", service.name))?.1)
    }

    fn own_broker(&mut self) -> Result<&mut RabbitMq> {
        self.broker.as_mut().context("ask for FleetOptions::own_broker to control the broker")
    }
}

async fn start_servers(
    site: &Site,
    options: &FleetOptions,
    admin: &str,
    broker: Option<&RabbitMq>,
) -> Result<(Addresses, Vec<Process>)> {
    let consul = consul::start(site, &program(site, Part::Consul)?).await?;
    let mut servers = consul.processes;
    let redis = if options.has_redis() {
        let Server { address, processes, .. } =
            redis::start(site, &program(site, Part::Redis)?).await?;
        servers.extend(processes);
        address
    } else {
        redis::absent_address()?
    };
    let addresses = Addresses {
        mysql: admin.to_owned(),
        redis,
        amqp: broker.map_or_else(|| required("EH_TEST_AMQP_URL"), |own| Ok(own.address.clone()))?,
        amqp_management: broker.map_or_else(
            || environment::find("EH_TEST_AMQP_MANAGEMENT_URL"),
            |own| Some(own.management.clone()),
        ),
        consul: consul.address,
    };
    Ok((addresses, servers))
}

fn program(site: &Site, part: Part) -> Result<PathBuf> {
    let found = part.find_program(&site.layout);
    found.with_context(|| format!("{part} is not installed; run cargo ehub doctor"))
}

fn required(name: &str) -> Result<String> {
    match environment::find(name) {
        Some(value) => Ok(value),
        None => bail!("{name} is not set; run this test with cargo ehub test"),
    }
}

/// The folder of this program's profile: a tool lies in it, a test one folder deeper, in `deps`.
fn own_binaries() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let mut folders = own.ancestors().skip(1);
    let found = folders.find(|folder| !folder.ends_with("deps"));
    Ok(found.context("this program lies in no folder")?.to_path_buf())
}
