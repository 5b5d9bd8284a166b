//! The sandbox provider as a process: what it has answered for survives its death at any moment,
//! and a fleet whose payments it takes agrees with its ledger.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use fleet::layout::Layout;
use fleet::sandbox::charge::{Charge, Status};
use fleet::sandbox::{Plan, SandboxProcess};
use fleet::{Fleet, FleetOptions, audit, port, wait};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use crate::support::{TEA, order, step, text, until_status};

const EHUB: &str = env!("CARGO_BIN_EXE_ehub");
/// How often the provider is killed.
const KILLS: usize = 20;
/// Charges that are answered for before the next kill.
const CHARGES: usize = 15;
const LIMIT: Duration = Duration::from_secs(30);

/// Charges until somebody says that it is enough; tells of every answer.
struct Customer {
    client: reqwest::Client,
    url: String,
    key: String,
    answered: watch::Sender<BTreeMap<Uuid, Charge>>,
    enough: watch::Receiver<bool>,
}

impl Customer {
    async fn charge_on(&self) {
        while !*self.enough.borrow() {
            let reference = Uuid::from_u128(rand::random());
            let body = json!({
                "reference": reference, "amount": 500, "currency": "CNY", "method": "pm_ok",
            });
            // Asks until it is answered, as a client that wants to know does.
            let mut charge = self.post("/v1/charges", &body).await;
            while charge.is_none() && !*self.enough.borrow() {
                charge = self.post("/v1/charges", &body).await;
            }
            let refund = json!({"refund_id": reference, "amount": 500});
            let path = format!("/v1/charges/{reference}/refunds");
            let refunded = self.post(&path, &refund).await;
            if let Some(charge) = refunded.or(charge) {
                self.answered.send_modify(|all| {
                    all.insert(reference, charge);
                });
            }
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Option<Charge> {
        let url = format!("{}{path}", self.url);
        let request = self.client.post(url).bearer_auth(&self.key).json(body);
        request.send().await.ok()?.error_for_status().ok()?.json().await.ok()
    }
}

/// A folder for a provider by itself.
fn folder() -> Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("ehub-provider-{:x}", rand::random::<u64>()));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Starts a provider with its files in that folder.
async fn alone(program: &Path, folder: &Path) -> Result<SandboxProcess> {
    let layout = Layout::discover()?.with_state(folder.to_owned());
    let (program, gateways) = (program.to_owned(), vec![port::free()?]);
    let plan = Plan { program, gateways, decided_after: Duration::ZERO, seed: 0 };
    SandboxProcess::start(&plan, &layout).await
}

fn customer(provider: &SandboxProcess) -> Result<(Customer, watch::Sender<bool>)> {
    let (answered, _) = watch::channel(BTreeMap::new());
    let (stop, enough) = watch::channel(false);
    let client = fleet::http::client().timeout(Duration::from_secs(5)).build()?;
    let (url, key) = (provider.url().to_owned(), provider.api_key().to_owned());
    Ok((Customer { client, url, key, answered, enough }, stop))
}

/// Everything that was told is still true.
fn assert_kept(answered: &BTreeMap<Uuid, Charge>, ledger: &[Charge]) {
    let kept: BTreeMap<Uuid, &Charge> = ledger.iter().map(|one| (one.reference, one)).collect();
    assert_eq!(kept.len(), ledger.len(), "a reference is charged once");
    assert!(ledger.is_sorted_by_key(|charge| &charge.provider_reference));
    for (reference, told) in answered {
        let kept = kept.get(reference).copied();
        let is_kept = kept.is_some_and(|kept| {
            let refunds = told.refunds.iter().all(|refund| kept.refunds.contains(refund));
            let same = kept.provider_reference == told.provider_reference;
            same && kept.status == Status::Captured && refunds && kept.refunded() <= kept.amount
        });
        assert!(is_kept, "told {told:?}, kept {kept:?}");
    }
}

#[tokio::test]
async fn a_killed_provider_remembers_everything_it_has_answered_for() -> Result<()> {
    let folder = folder()?;
    let mut provider = alone(Path::new(EHUB), &folder).await?;
    let (customer, stop) = customer(&provider)?;
    let mut heard = customer.answered.subscribe();
    let customers = join_all((0..4).map(|_| customer.charge_on()));
    let killer = async {
        for kill in 1..=KILLS {
            let wanted = kill * CHARGES;
            tokio::time::timeout(LIMIT, heard.wait_for(|all| all.len() >= wanted)).await??;
            provider.kill()?;
            provider.restart().await?;
        }
        stop.send_replace(true);
        anyhow::Ok(())
    };
    let (_, killed) = tokio::join!(customers, killer);
    killed?;
    let answered = customer.answered.borrow().clone();
    assert!(answered.len() >= KILLS * CHARGES);
    provider.kill()?;
    provider.restart().await?;
    assert_kept(&answered, &provider.client().ledger().await?);
    assert!(provider.stop().await?.success());
    Ok(fs::remove_dir_all(folder)?)
}

#[tokio::test]
async fn a_provider_that_cannot_write_ends_and_has_told_nothing_untrue() -> Result<()> {
    let folder = folder()?;
    // A file of the process may grow to 16 blocks; the signal that tells of more is ignored, so
    // that writing fails as on a full disk.
    let limited = folder.join("limited");
    let script = format!("#!/bin/sh\ntrap '' XFSZ\nulimit -f 16\nexec {EHUB} \"$@\"\n");
    fs::write(&limited, script)?;
    fs::set_permissions(&limited, Permissions::from_mode(0o755))?;
    let mut provider = alone(&limited, &folder).await?;
    let (customer, stop) = customer(&provider)?;
    let ended = wait::until("the provider's end", LIMIT, || {
        let status = provider.process().exit_status();
        async move { Ok(status) }
    });
    let until_ended = async {
        let status = ended.await;
        stop.send_replace(true);
        status
    };
    let ((), status) = tokio::join!(customer.charge_on(), until_ended);
    assert_eq!(status?.code(), Some(1));
    let words = provider.process().log_tail(5);
    assert!(words.contains("the ledger cannot be written"), "{words}");
    let answered = customer.answered.borrow().clone();
    assert!(!answered.is_empty());
    drop(provider);
    let mut healed = alone(Path::new(EHUB), &folder).await?;
    assert_kept(&answered, &healed.client().ledger().await?);
    assert!(healed.stop().await?.success());
    Ok(fs::remove_dir_all(folder)?)
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn every_method_of_the_sandbox_comes_to_its_end() -> Result<()> {
    let fleet = Fleet::start(options()).await?;
    fleet.seed().await?;
    let customer = fleet.customer().await?;
    for (method, status, in_the_end) in [
        ("pm_ok", 201, "PAID"),
        ("pm_declined", 201, "PAYMENT_FAILED"),
        ("pm_insufficient_funds", 201, "PAYMENT_FAILED"),
        ("pm_pending_then_ok", 202, "PAID"),
        ("pm_pending_then_failed", 202, "PAYMENT_FAILED"),
        ("pm_timeout", 202, "PAID"),
        ("pm_duplicate_callback", 201, "PAID"),
        ("pm_wrong_amount", 201, "PAID"),
        ("pm_reordered", 202, "PAID"),
        ("pm_lost_callback", 202, "PAID"),
        ("pm_delayed_5s", 202, "PAID"),
    ] {
        let placed = customer.order(TEA, 1, method).await?;
        assert_eq!(placed.status, status, "{method}: {}", placed.body);
        let id = text(&placed.body, "id")?;
        let settled = until_status(&fleet, &customer, &id, in_the_end).await?;
        assert_eq!(settled["version"], 2, "{method}: {settled}");
    }
    conclude(fleet).await
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn payments_survive_the_death_of_their_provider() -> Result<()> {
    let mut fleet = Fleet::start(options()).await?;
    fleet.seed().await?;
    let customer = fleet.customer().await?;
    let before = text(&order(&customer, "pm_pending_then_ok").await?, "id")?;
    fleet.provider_mut()?.kill()?;
    let meanwhile = order(&customer, "pm_ok").await?;
    assert_eq!(meanwhile["status"], "CREATED", "nobody knows: {meanwhile}");
    let meanwhile = text(&meanwhile, "id")?;
    fleet.provider_mut()?.restart().await?;
    for id in [&before, &meanwhile] {
        until_status(&fleet, &customer, id, "PAID").await?;
    }
    step(&customer, &meanwhile, "refund", &json!({})).await?.require_any(&[200, 202])?;
    until_status(&fleet, &customer, &meanwhile, "REFUNDED").await?;
    conclude(fleet).await
}

fn options() -> FleetOptions {
    FleetOptions::default()
        .sandbox_provider()
        .setting("EH_PAYMENT__PROVIDER__TIMEOUT_MS", "1000")
        .setting("EH_PAYMENT__RECONCILE__INTERVAL_MS", "300")
        .setting("EH_PAYMENT__RECONCILE__FIRST_MS", "2500")
        .setting("EH_PAYMENT__RECONCILE__MAX_MS", "3000")
        .setting("EH_ORDER__WORKERS__RECHECK_AFTER_MS", "2000")
}

/// Waits until the provider has told everything, and has the books compared.
async fn conclude(fleet: Fleet) -> Result<()> {
    let provider = fleet.provider().map(SandboxProcess::client).cloned();
    let client = provider.ok_or_else(|| anyhow::anyhow!("no provider"))?;
    let quiet = || async { Ok((client.pending().await? == 0).then_some(())) };
    wait::until("the last callback", LIMIT, quiet).await?;
    let report = audit::run(&fleet.audit_sources()).await?;
    assert!(report.is_clean(), "{report}");
    fleet.finish().await
}
