//! A fleet that really ran keeps its promises, and the auditor sees when one of them is broken.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use anyhow::{Context, Result};
use fleet::harness::Api;
use fleet::harness::api::new_key;
use fleet::layout::Layout;
use fleet::{Fleet, FleetOptions, audit, seed};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};

const METHODS: [&str; 8] = [
    "pm_ok",
    "pm_declined",
    "pm_insufficient_funds",
    "pm_pending_then_ok",
    "pm_pending_then_failed",
    "pm_never",
    "pm_timeout",
    "pm_duplicate_callback",
];

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn a_fleet_that_ran_is_clean_until_somebody_breaks_it() -> Result<()> {
    let options = FleetOptions::default()
        .setting("EH_PAYMENT__PROVIDER__TIMEOUT_MS", "1500")
        .setting("EH_ORDER__WORKERS__RECHECK_AFTER_MS", "1000");
    let fleet = Fleet::start(options).await?;
    fleet.seed().await?;
    live(&fleet).await?;
    mute_for_a_while(&fleet).await?;

    let mut sources = fleet.audit_sources();
    sources.stock = stock(&fleet.admin().await?).await?;
    let report = audit::run(&sources).await?;
    assert!(report.is_clean(), "{report}");
    assert!(report.counts["orders"] >= 11, "{report}");
    assert!(!report.notes.iter().any(|note| note.contains("not quiet")), "{report}");
    if sources.management.is_some() {
        assert!(report.counts["queues"] >= 2, "{report}");
    }
    let output = ehub(&sources, &[])?;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    every_check_is_documented(&report)?;

    let mut admin = MySqlConnection::connect(&sources.mysql).await?;
    let wrong = format!("UPDATE `{}order`.orders SET total = total + 1", sources.prefix);
    sqlx::raw_sql(AssertSqlSafe(wrong)).execute(&mut admin).await?;
    let name = format!("ehub-audit-{:016x}.prom", rand::random::<u64>());
    let metrics = std::env::temp_dir().join(name);
    let output = ehub(&sources, &["--json", "--metrics", metrics.to_str().context("a path")?])?;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let figures = std::fs::read_to_string(&metrics)?;
    std::fs::remove_file(&metrics)?;
    let of_first = figures.lines().find(|line| line.contains("{invariant=\"I1\"}"));
    assert!(of_first.is_some_and(|line| !line.ends_with(" 0")), "{figures}");
    assert!(figures.contains("eh_audit_violations{invariant=\"I22\"} 0\n"), "{figures}");
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let checks: Vec<_> = report["violations"]
        .as_array()
        .context("no violations")?
        .iter()
        .map(|violation| (violation["invariant"].as_str(), violation["check"].as_str()))
        .collect();
    assert!(checks.contains(&(Some("I1"), Some("paid_order_and_payment_differ"))), "{report}");
    assert!(checks.contains(&(Some("I3"), Some("paid_order_and_ledger_differ"))), "{report}");

    let mut elsewhere = sources.clone();
    elsewhere.prefix = "nobody_".to_owned();
    assert_eq!(ehub(&elsewhere, &[])?.status.code(), Some(2));
    admin.close().await?;
    fleet.finish().await
}

/// `docs/AUDIT.md` names every check in the row of its invariant.
fn every_check_is_documented(report: &audit::Report) -> Result<()> {
    let page = std::fs::read_to_string(Layout::discover()?.root().join("docs/AUDIT.md"))?;
    for (invariant, check) in report.checks() {
        let row = page.lines().find(|line| line.starts_with(&format!("| {invariant} |")));
        let row = row.with_context(|| format!("no row of {invariant}"))?;
        assert!(row.contains(&format!("`{check}`")), "{invariant} {check} is not documented");
    }
    Ok(())
}

/// Every payment method, and every way that an order may go.
async fn live(fleet: &Fleet) -> Result<()> {
    let (customer, admin) = (fleet.customer().await?, fleet.admin().await?);
    for method in METHODS {
        customer.order(seed::DEMO_SKU, 1, method).await?.require_any(&[201, 202])?;
    }
    let shipped = place(&customer, "pm_ok").await?;
    for step in ["ship", "complete"] {
        admin.post(&format!("/api/v1/orders/{shipped}/{step}"), &json!({})).await?.require(200)?;
    }
    let refunded = place(&customer, "pm_ok").await?;
    go(&customer, &refunded, "refund", json!({})).await?;
    let cancelled = place(&customer, "pm_declined").await?;
    go(&customer, &cancelled, "pay", json!({"payment_method": "pm_declined"})).await?;
    go(&customer, &cancelled, "cancel", json!({})).await?;
    // Cancelled before the provider decides: the capture comes late and goes back.
    let late = place(&customer, "pm_pending_then_ok").await?;
    go(&customer, &late, "cancel", json!({})).await
}

/// Somebody misses what happens while they have muted it, and listens again.
async fn mute_for_a_while(fleet: &Fleet) -> Result<()> {
    let customer = fleet.customer().await?;
    prefer(&customer, json!([{"event": "order.paid", "channel": "in_app", "enabled": false}]))
        .await?;
    let paid = place(&customer, "pm_ok").await?;
    fleet
        .eventually("the arrival of what is muted", || async {
            let timeline = customer.get(&format!("/api/v1/orders/{paid}/timeline")).await?;
            let timeline = timeline.require(200)?;
            let entries = timeline["items"].as_array().context("no items")?;
            let arrived = |one: &Value| one["kind"] == "message" && one["cause"] == "order.paid";
            Ok(entries.iter().any(arrived).then_some(()))
        })
        .await?;
    prefer(&customer, json!([])).await
}

async fn prefer(customer: &Api, switches: Value) -> Result<()> {
    let body = json!({"preferences": switches});
    customer.put("/api/v1/notifications/preferences", &body).await?.require(200).map(drop)
}

async fn place(customer: &Api, method: &str) -> Result<String> {
    let reply = customer.order(seed::DEMO_SKU, 2, method).await?.require_any(&[201, 202])?;
    Ok(reply["id"].as_str().context("no id")?.to_owned())
}

async fn go(customer: &Api, order: &str, step: &str, body: Value) -> Result<()> {
    let path = format!("/api/v1/orders/{order}/{step}");
    customer.post_once(&path, &new_key(), &body).await?.require_any(&[200, 202]).map(drop)
}

/// What the seed has put on sale.
async fn stock(admin: &Api) -> Result<BTreeMap<String, u64>> {
    let list = admin.get("/api/v1/products?page_size=100").await?.require(200)?;
    let items = list["items"].as_array().context("no products")?;
    let on_sale = items.iter().filter(|item| item["sku"] != seed::DEMO_SKU);
    let mut stock: BTreeMap<String, u64> = on_sale
        .filter_map(|item| Some((item["sku"].as_str()?.to_owned(), item["stock"].as_u64()?)))
        .collect();
    stock.insert(seed::DEMO_SKU.to_owned(), seed::DEMO_STOCK);
    Ok(stock)
}

/// The command as an operator runs it.
pub(crate) fn ehub(sources: &audit::Sources, options: &[&str]) -> Result<Output> {
    let output = Command::new(env!("CARGO_BIN_EXE_ehub"))
        .args(["audit", "--grace", "0", "--mysql", &sources.mysql, "--prefix", &sources.prefix])
        .args(options)
        .output()?;
    Ok(output)
}
