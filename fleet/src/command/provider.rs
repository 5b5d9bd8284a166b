//! `ehub provider`: the sandbox payment provider; see `docs/PROVIDER.md`.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Url;
use tokio::net::TcpListener;

use super::interrupted;
use crate::sandbox::outbox::Retries;
use crate::sandbox::{Sandbox, Script, Settings};
use crate::ui;

/// Options of `provider`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address of its API
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// File that charges and refunds are kept in
    #[arg(long)]
    ledger: PathBuf,
    /// Where callbacks go; several are tried in turn
    #[arg(long = "callback-url", required = true)]
    callback_urls: Vec<Url>,
    /// File with the key that signs callbacks, 32 bytes or more
    #[arg(long)]
    key_file: PathBuf,
    /// File with the key that clients send
    #[arg(long)]
    api_key_file: PathBuf,
    /// JSON file with the faults from the start on; without it there are none
    #[arg(long)]
    script: Option<PathBuf>,
    /// The same seed draws the same faults
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How long a charge that is decided later stays pending
    #[arg(long, default_value_t = 1_000, value_name = "MS")]
    decided_after_ms: u64,
    /// Pause after the first failure of a callback; it doubles from there
    #[arg(long, default_value_t = 100, value_name = "MS")]
    retry_first_ms: u64,
    /// Longest pause
    #[arg(long, default_value_t = 2_000, value_name = "MS")]
    retry_max_ms: u64,
    /// Tries after which a callback is given up
    #[arg(long, default_value_t = 1_000)]
    tries_max: u32,
    /// Answers 4xx after which it is given up
    #[arg(long, default_value_t = 5)]
    refusals_max: u32,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let sandbox = Sandbox::open(settings(args)?)?;
    let listener = TcpListener::bind(args.listen).await;
    let listener = listener.with_context(|| format!("{} is not free", args.listen))?;
    ui::line(&format!("The sandbox provider listens on {}", listener.local_addr()?));
    let stop = async {
        // Without signals nobody could ask for an orderly end; a kill is survived as well.
        match interrupted().await {
            Ok(signal) => ui::line(&format!("{signal}: stopping")),
            Err(_) => std::future::pending().await,
        }
    };
    sandbox.serve(listener, stop).await?;
    Ok(ExitCode::SUCCESS)
}

fn settings(args: &Args) -> Result<Settings> {
    let script = match &args.script {
        Some(file) => serde_json::from_str(&read(file)?)
            .with_context(|| format!("{} is no script", file.display()))?,
        None => Script::default(),
    };
    Ok(Settings {
        ledger: args.ledger.clone(),
        callback_urls: args.callback_urls.clone(),
        callback_key: secret(&args.key_file)?,
        api_key: secret(&args.api_key_file)?,
        script,
        seed: args.seed,
        decided_after: Duration::from_millis(args.decided_after_ms),
        retries: Retries {
            first: Duration::from_millis(args.retry_first_ms),
            max: Duration::from_millis(args.retry_max_ms),
            tries: args.tries_max,
            refusals: args.refusals_max,
        },
    })
}

/// Editors end files with a line break that belongs to no secret.
fn secret(file: &Path) -> Result<String> {
    Ok(read(file)?.trim_end_matches(['\n', '\r']).to_owned())
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
}
