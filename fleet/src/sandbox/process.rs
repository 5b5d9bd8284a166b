//! The sandbox provider as a process of a fleet.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Client;
use crate::layout::Layout;
use crate::process::{Process, Spec};
use crate::{port, random};

/// Name of the process.
const NAME: &str = "provider";
const READY_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Its files.
const API_KEY: &str = "api.key";
const CALLBACK_KEY: &str = "callback.key";
const LEDGER: &str = "ledger.jsonl";
/// Where a gateway takes callbacks.
const CALLBACK_PATH: &str = "/api/v1/payments/callback";

/// What to start.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Binary of this tool.
    pub program: PathBuf,
    /// Ports of the gateways that take callbacks.
    pub gateways: Vec<u16>,
    /// How long a charge that is decided later stays pending.
    pub decided_after: Duration,
    /// Seed of its faults.
    pub seed: u64,
}

/// The running provider.
#[derive(Debug)]
pub struct SandboxProcess {
    process: Process,
    client: Client,
    folder: PathBuf,
    url: String,
    api_key: String,
}

impl SandboxProcess {
    /// Starts a provider and waits until it serves. What an earlier one has left in its ledger is
    /// still true; its keys are not.
    pub async fn start(plan: &Plan, layout: &Layout) -> Result<Self> {
        let program = &plan.program;
        if !program.is_file() {
            bail!("{} is not built; run cargo build --workspace", program.display());
        }
        let folder = layout.data(NAME);
        fs::create_dir_all(&folder)?;
        let api_key = random::token();
        write_secret(&folder.join(API_KEY), &api_key)?;
        write_secret(&folder.join(CALLBACK_KEY), &format!("whsec_{}", random::token()))?;
        let port = port::free()?;
        let spec = Spec::new(NAME, program).args(arguments(plan, &folder, port)).ports([port]);
        let url = format!("http://127.0.0.1:{port}");
        let client = Client::new(&url, &api_key)?;
        let process = Process::start(spec, layout)?;
        let mut provider = Self { process, client, folder, url, api_key };
        provider.ready().await?;
        Ok(provider)
    }

    /// Base address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What its clients prove themselves with.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// The file with that key.
    pub fn api_key_file(&self) -> PathBuf {
        self.folder.join(API_KEY)
    }

    /// A client of it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its ledger.
    pub fn ledger(&self) -> PathBuf {
        self.folder.join(LEDGER)
    }

    /// What makes payment-service ask it, under this address, and take its callbacks.
    pub fn variables(&self, url: &str) -> Vec<(String, String)> {
        variables_of(&self.folder, url)
    }

    /// Kills it as a crash would.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        Ok(())
    }

    /// Starts it again, at the same address with the same ledger; who waits for it waits later.
    pub fn launch(&mut self) -> Result<()> {
        self.process.start_again()
    }

    /// Starts it again and waits until it serves.
    pub async fn restart(&mut self) -> Result<()> {
        self.launch()?;
        self.ready().await
    }

    /// Asks it to end in order.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        self.process.stop(STOP_LIMIT).await
    }

    /// Lets it run on after this value.
    pub fn detach(self) {
        self.process.detach();
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Waits until it serves.
    pub async fn ready(&mut self) -> Result<()> {
        let client = self.client.clone();
        let is_alive = || {
            let client = client.clone();
            async move { client.is_alive().await }
        };
        self.process.ready(READY_LIMIT, is_alive).await
    }
}

/// What makes payment-service ask the provider of a layout that answers at `url`.
pub fn variables(layout: &Layout, url: &str) -> Vec<(String, String)> {
    variables_of(&layout.data(NAME), url)
}

fn variables_of(folder: &Path, url: &str) -> Vec<(String, String)> {
    let file = |name: &str| folder.join(name).display().to_string();
    [
        ("PROVIDER__KIND", "http".to_owned()),
        ("PROVIDER__URL", url.to_owned()),
        ("PROVIDER__API_KEY_FILE", file(API_KEY)),
        ("CALLBACK__KEYS_FILE", file(CALLBACK_KEY)),
    ]
    .map(|(name, value)| (format!("EH_PAYMENT__{name}"), value))
    .into()
}

fn arguments(plan: &Plan, folder: &Path, port: u16) -> Vec<String> {
    let file = |name: &str| folder.join(name).display().to_string();
    let mut arguments: Vec<String> = [
        "provider".to_owned(),
        format!("--listen=127.0.0.1:{port}"),
        format!("--ledger={}", file(LEDGER)),
        format!("--key-file={}", file(CALLBACK_KEY)),
        format!("--api-key-file={}", file(API_KEY)),
        format!("--seed={}", plan.seed),
        format!("--decided-after-ms={}", plan.decided_after.as_millis()),
    ]
    .into();
    let urls = plan.gateways.iter().map(|port| format!("http://127.0.0.1:{port}{CALLBACK_PATH}"));
    arguments.extend(urls.map(|url| format!("--callback-url={url}")));
    arguments
}

/// Only this account may read it.
fn write_secret(path: &Path, secret: &str) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let file = options.open(path);
    let written = file.and_then(|mut file| file.write_all(secret.as_bytes()));
    written.with_context(|| format!("{} cannot be written", path.display()))
}
