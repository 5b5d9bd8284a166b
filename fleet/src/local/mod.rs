//! The one fleet of this checkout: started by `cargo ehub up`, used by `demo`, ended by `down`.

mod addresses;
mod administrator;
mod environment;
mod sweep;

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

pub use self::addresses::LocalAddresses;
pub use self::administrator::AdministratorAddresses;
pub use self::environment::environment;
pub use self::sweep::{Swept, sweep};
use crate::credentials::Credentials;
use crate::harness::Api;
use crate::layout::Layout;
use crate::middleware::{self, Addresses, Middleware, Part, Plan, Site, plan};
use crate::port;
use crate::process::{Process, Record, Records, Spec};
use crate::sandbox::{self, SandboxProcess};
use crate::schema::{self, Existing, Schema};
use crate::seed;
use crate::services::{Instance, Profile, Seat, Service, Settings, Stack, StackPlan, build};
use crate::ui::Progress;

/// Name of the record of a tool that stays in the foreground.
pub const SUPERVISOR: &str = "ehub";

/// Name space of the local fleet in RabbitMQ and Redis.
pub const NAMESPACE: &str = "enterprisehub";

/// How long the sandbox provider leaves a charge pending that it decides later.
const DECIDED_AFTER: Duration = Duration::from_secs(1);

/// What to start.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// How the services are compiled.
    pub profile: Profile,
    /// Who takes payments.
    pub payments: Payments,
}

/// Who takes payments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payments {
    /// The provider inside payment-service.
    Simulated,
    /// The sandbox provider, a process of its own.
    Sandbox,
}

/// The running fleet; everything in it ends with this value unless detached.
#[derive(Debug)]
pub struct LocalFleet {
    middleware: Middleware,
    provider: Option<SandboxProcess>,
    stack: Stack,
    credentials: Credentials,
    /// Where everything answers.
    pub addresses: LocalAddresses,
}

impl LocalFleet {
    /// From a bare machine to a seeded fleet.
    pub async fn start(layout: &Layout, choice: Choice, progress: &Progress) -> Result<Self> {
        let profile = choice.profile;
        let plan = plan::complete(layout, Plan::detect, |text| progress.tell(text))?;
        let step = progress.step("Building the services");
        build(layout.root(), profile).await?;
        step.done("cargo build");
        let site = Site { layout: layout.clone(), usual_ports: true };
        let middleware = Middleware::provide(&site, &plan, progress).await?;
        let settings = prepare_schemas(layout, &plan, &middleware, progress).await?;
        let credentials = settings.credentials.clone();
        let binaries = layout.binaries(profile);
        let (provider, seats) = match choice.payments {
            Payments::Simulated => (None, BTreeMap::new()),
            Payments::Sandbox => start_provider(layout, &binaries, progress).await?,
        };
        let stack_plan = StackPlan {
            layout: layout.clone(),
            binaries,
            settings,
            replicas: [].into(),
            seats,
            usual_ports: true,
        };
        let stack = Stack::start(&stack_plan, progress).await?;
        let mut addresses = LocalAddresses::of(&stack, &middleware.addresses)?;
        if let Some(provider) = &provider {
            addresses.add_provider(provider);
        }
        tell_moved_ports(&stack, progress);
        let start = Instant::now();
        let admin = Api::new(&addresses.gateway)?;
        let admin = admin.login(seed::ADMIN_EMAIL, seed::ADMIN_PASSWORD).await;
        let admin = admin.context("the administrator cannot log in")?;
        let created = seed::products(&admin).await?;
        progress.note("Products", &format!("{created} new"), start.elapsed());
        addresses.save(layout)?;
        AdministratorAddresses::of(&middleware.addresses, provider.as_ref()).save(layout)?;
        Ok(Self { middleware, provider, stack, credentials, addresses })
    }

    /// Stops the services and then the private servers.
    pub async fn stop(&mut self, layout: &Layout) -> Result<()> {
        self.stack.stop().await?;
        if let Some(provider) = &mut self.provider {
            provider.stop().await?;
        }
        self.middleware.stop().await?;
        middleware::stop_containers(layout, false)?;
        LocalAddresses::forget(layout);
        AdministratorAddresses::forget(layout);
        Ok(())
    }

    /// Lets everything run on after the tool has ended.
    pub fn detach(&mut self) {
        self.stack.detach();
        if let Some(provider) = self.provider.take() {
            provider.detach();
        }
        self.middleware.detach();
    }

    /// Renews the certificates of the services when they come near their end.
    pub fn renew_certificates(&self) -> Result<()> {
        self.credentials.renew_if_due()
    }

    /// Names and last words of processes that ended since the last look.
    pub fn ended(&mut self) -> Vec<String> {
        let services = self.stack.instances_mut().iter_mut().map(Instance::process);
        let provider = self.provider.iter_mut().map(SandboxProcess::process);
        let all = services.chain(provider).chain(self.middleware.processes_mut().iter_mut());
        all.filter_map(|process| {
            let was_running = process.is_running();
            let status = process.exit_status().filter(|_| was_running)?;
            let tail = process.log_tail(10);
            Some(format!("{} ended: {status}; log: {}\n{tail}", process.name(), log(process)))
        })
        .collect()
    }
}

fn log(process: &Process) -> String {
    process.log().display().to_string()
}

/// Holds the lock of this checkout; `None` when another tool holds it.
pub fn lock(layout: &Layout) -> Result<Option<File>> {
    fs::create_dir_all(layout.state())?;
    let file = File::create(layout.state().join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).context("the lock cannot be taken"),
    }
}

/// Records this process, so that `down` can ask it to stop what it holds.
pub fn record_supervisor(layout: &Layout) -> Result<()> {
    let spec = Spec::new(SUPERVISOR, std::env::current_exe()?);
    let record = Record::of(&spec, std::process::id(), layout.state())?;
    Records::new(layout.records()).save(&record)
}

/// Whether every service of an earlier start still runs.
pub fn is_running(layout: &Layout) -> Result<bool> {
    let records = Records::new(layout.records()).list()?;
    let is_alive = |service: &Service| {
        records.iter().any(|record| record.name == service.name && record.is_alive())
    };
    Ok(Service::ALL.iter().all(is_alive))
}

async fn prepare_schemas(
    layout: &Layout,
    plan: &Plan,
    middleware: &Middleware,
    progress: &Progress,
) -> Result<Settings> {
    let start = Instant::now();
    let schemas = schema::of_services(Schema::development);
    let admin = &middleware.addresses.mysql;
    let existing = if plan.is_external(Part::MySql) { Existing::Keep } else { Existing::Reset };
    schema::create(admin, schemas.iter().map(|(_, schema)| schema), existing).await?;
    progress.note("Schemas and accounts", &schemas.len().to_string(), start.elapsed());
    let credentials = Credentials::provide(&layout.credentials())?;
    Ok(settings(middleware.addresses.clone(), credentials))
}

/// What the services of the local fleet have in common.
fn settings(addresses: Addresses, credentials: Credentials) -> Settings {
    Settings {
        addresses,
        schemas: schema::of_services(Schema::development),
        credentials,
        namespace: NAMESPACE.to_owned(),
        extra: seed::admin_variables(),
    }
}

/// Starts the sandbox provider; the seats lead payment-service to it, and its callbacks back.
async fn start_provider(
    layout: &Layout,
    binaries: &Path,
    progress: &Progress,
) -> Result<(Option<SandboxProcess>, BTreeMap<String, Seat>)> {
    let start = Instant::now();
    let usual = Service::find(Service::GATEWAY).context("no gateway")?.port;
    let gateway = port::preferred(usual)?;
    let plan = sandbox::Plan {
        // The running tool itself may have been replaced by the build.
        program: binaries.join("ehub"),
        gateways: vec![gateway],
        decided_after: DECIDED_AFTER,
        seed: 0,
    };
    let provider = SandboxProcess::start(&plan, layout).await?;
    progress.note("Sandbox provider", provider.url(), start.elapsed());
    let seat = Seat { variables: provider.variables(provider.url()), ..Seat::default() };
    let gateway = Seat { port: Some(gateway), ..Seat::default() };
    let seats = [("payment-service", seat), (Service::GATEWAY, gateway)];
    Ok((Some(provider), seats.map(|(name, seat)| (name.to_owned(), seat)).into()))
}

fn tell_moved_ports(stack: &Stack, progress: &Progress) {
    for one in stack.instances().iter().filter(|one| one.port != one.service.port) {
        let (name, usual) = (one.service.name, one.service.port);
        progress.tell(&format!("port {usual} is taken: {name} listens on {}", one.port));
    }
}
