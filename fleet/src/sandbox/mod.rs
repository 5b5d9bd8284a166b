//! A payment provider to be cheated by: it moves no money, and otherwise does what real ones do.
//!
//! It runs as a process of its own (`ehub provider`), remembers charges and refunds in a ledger on
//! disk that survives a SIGKILL at any moment, decides some charges later, and tells of decisions
//! by signed callbacks that it repeats until they are taken. What goes wrong depends on the payment
//! method ([`method`]) and on a script ([`script`]) that can be changed at run time.
//!
//! Reading order: [`charge`] and [`entry`] are the words, [`book`] what they add up to, [`journal`]
//! and [`ledger`] how that is kept; `http` is the API, `courier` delivers; `client` is the other
//! side. `docs/PROVIDER.md` describes the API.

pub mod book;
mod callback;
pub mod charge;
mod client;
mod courier;
pub mod entry;
mod http;
pub mod journal;
pub mod ledger;
pub mod method;
pub mod outbox;
mod process;
pub mod script;
mod serve;
pub mod signature;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Url;
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::client::Client;
use self::courier::Courier;
use self::http::Shared;
use self::ledger::Ledger;
use self::outbox::Retries;
pub use self::process::{Plan, SandboxProcess, variables};
use self::script::Faults;
pub use self::script::Script;
use self::signature::SigningKey;

/// Time for calls whose clients have left to be finished after the order to stop.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// How a provider is to be run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its ledger.
    pub ledger: PathBuf,
    /// Where callbacks go, in turn.
    pub callback_urls: Vec<Url>,
    /// Signs them.
    pub callback_key: String,
    /// What clients prove themselves with.
    pub api_key: String,
    /// Faults from the start on.
    pub script: Script,
    /// Seed of all draws.
    pub seed: u64,
    /// How long a charge that is decided later stays pending.
    pub decided_after: Duration,
    /// How callbacks are repeated.
    pub retries: Retries,
}

/// A provider that is ready to serve.
#[derive(Debug)]
pub struct Sandbox {
    shared: Arc<Shared>,
    courier: Courier,
    ledger_ended: oneshot::Receiver<Result<()>>,
}

impl Sandbox {
    /// Reads the ledger.
    pub fn open(settings: Settings) -> Result<Self> {
        if settings.callback_urls.is_empty() {
            bail!("a provider without a callback address");
        }
        if let Some(url) = settings.callback_urls.iter().find(|url| url.scheme() != "http") {
            bail!("{url}: callbacks go over plain HTTP only");
        }
        if settings.api_key.is_empty() {
            bail!("the API key is empty");
        }
        if let Some(member) = settings.script.fault() {
            bail!("{member} of the script is out of range");
        }
        let key = Arc::new(SigningKey::new(settings.callback_key.as_bytes())?);
        let (ledger, ledger_ended) = Ledger::open(&settings.ledger)?;
        let faults = Arc::new(Faults::new(settings.script, settings.seed));
        let wake = Arc::new(Notify::new());
        let courier = Courier {
            ledger: ledger.clone(),
            faults: Arc::clone(&faults),
            key,
            urls: settings.callback_urls,
            retries: settings.retries,
            wake: Arc::clone(&wake),
        };
        let shared = Shared {
            ledger,
            faults,
            api_key: settings.api_key,
            decided_after: TimeDelta::from_std(settings.decided_after)?,
            wake,
            calls: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        Ok(Self { shared: Arc::new(shared), courier, ledger_ended })
    }

    /// Serves until `stop` resolves, then ends in order. An error says that the ledger cannot be
    /// written any more.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) -> Result<()> {
        let Self { shared, courier, mut ledger_ended } = self;
        let token = shared.stop.clone();
        let router = http::router(Arc::clone(&shared));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve::serve(listener, router, token.clone()));
        let mut courier = Box::pin(courier.run(token.clone()));
        tokio::pin!(stop);
        let ended = async {
            // The courier ends by itself when the ledger is closed, and the ledger knows why.
            courier.as_mut().await?;
            (&mut ledger_ended).await.context("the ledger's thread is gone")?
        };
        tokio::select! {
            () = &mut stop => {}
            ended = ended => return ended,
        }
        token.cancel();
        while tasks.join_next().await.is_some() {}
        shared.calls.close();
        let _ = tokio::time::timeout(DRAIN_LIMIT, shared.calls.wait()).await;
        // The thread ends, and frees the file, when nobody has a handle of it any more.
        drop((shared, courier));
        match tokio::time::timeout(DRAIN_LIMIT, ledger_ended).await {
            Ok(ended) => ended.context("the ledger's thread is gone")?,
            Err(_) => Ok(()),
        }
    }
}

/// The one place that asks for the time.
#[expect(clippy::disallowed_methods, reason = "the provider is a world of its own")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

/// A folder for a test's files.
#[cfg(test)]
fn test_folder(name: &str) -> PathBuf {
    let folder = format!("ehub-sandbox-{name}-{:x}", rand::random::<u64>());
    let folder = std::env::temp_dir().join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
