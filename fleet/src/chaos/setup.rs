//! The fleet that chaos is made in: everything private, twice what matters, and in a hurry.

use anyhow::{Context, Result};
use futures::future::try_join_all;
use serde_json::json;

use super::load::Account;
use super::provider::Provider;
use crate::harness::{Api, Fleet, FleetOptions};
use crate::seed;

/// Longest time that the gateway takes for a request, in milliseconds.
pub const REQUEST_LIMIT_MS: u64 = 5_000;
/// Pieces of the product that everybody orders.
pub const STOCK: u64 = 1_000_000;
/// Services that run in several processes.
pub const REPLICATED: [&str; 4] =
    ["gateway-service", "order-service", "payment-service", "notify-service"];
/// Processes of each.
pub const REPLICAS: usize = 2;

/// Accounts registered at once: each costs a password hash.
const REGISTERED_AT_ONCE: usize = 4;
const PASSWORD: &str = "a-chaotic-but-long-password";

/// Pauses that are minutes in production and would only make a run long: what matters is what
/// happens after them. Limits of a request stay in their usual order: provider, order-service,
/// gateway.
const HURRY: &[(&str, &str)] = &[
    ("EH_GATEWAY__SERVER__REQUEST_TIMEOUT_MS", "5000"),
    ("EH_GATEWAY__UPSTREAM__TIMEOUT_MS", "4000"),
    ("EH_GATEWAY__UPSTREAM__EJECT_FOR_MS", "1000"),
    ("EH_GATEWAY__RATE_LIMITS__DEFAULT__REQUESTS", "1000000"),
    ("EH_GATEWAY__RATE_LIMITS__PAYMENT__REQUESTS", "1000000"),
    ("EH_GATEWAY__RATE_LIMITS__CALLBACK__REQUESTS", "1000000"),
    ("EH_GATEWAY__RATE_LIMITS__REGISTER__REQUESTS", "1000000"),
    ("EH_GATEWAY__RATE_LIMITS__LOGIN__REQUESTS", "1000000"),
    ("EH_AUTH__SESSIONS__ACCESS_TOKEN_S", "7200"),
    ("EH_ORDER__ORDERS__TTL_S", "20"),
    ("EH_ORDER__ORDERS__CLAIM_LEASE_MS", "1500"),
    ("EH_ORDER__ORDERS__OPEN_PER_USER_MAX", "10000"),
    ("EH_ORDER__UPSTREAM__EJECT_FOR_MS", "1000"),
    ("EH_ORDER__WORKERS__RECOVERY_EVERY_MS", "300"),
    ("EH_ORDER__WORKERS__RECHECK_AFTER_MS", "2000"),
    ("EH_ORDER__WORKERS__RECHECK_MAX_MS", "3000"),
    ("EH_ORDER__WORKERS__EXPIRY_EVERY_MS", "500"),
    ("EH_PAYMENT__PROVIDER__TIMEOUT_MS", "1000"),
    ("EH_PAYMENT__PROVIDER__CALLBACK_DELAY_MS", "500"),
    ("EH_PAYMENT__RECONCILE__INTERVAL_MS", "300"),
    ("EH_PAYMENT__RECONCILE__FIRST_MS", "2500"),
    ("EH_PAYMENT__RECONCILE__MAX_MS", "3000"),
];
/// The broker counts each crash of a consumer as a delivery. Crashes that production sees in a year
/// happen here within a minute, and must not turn good events into dead letters.
const DELIVERY_LIMIT: (&str, &str) = ("AMQP__DELIVERY_LIMIT", "200");
const CONSUMERS: [&str; 2] = ["EH_ORDER", "EH_NOTIFY"];
/// Clients of the broker: an absence of seconds must not be followed by a pause of many.
const BROKER_CLIENTS: [&str; 5] = ["EH_USER", "EH_AUTH", "EH_ORDER", "EH_PAYMENT", "EH_NOTIFY"];

/// Who takes the payments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Payments {
    /// A provider in a process of its own, which follows scripts and keeps its own ledger.
    #[default]
    Sandbox,
    /// The one inside payment-service.
    Simulated,
}

/// The options of such a fleet.
pub fn options(payments: Payments, settings: &[(String, String)]) -> FleetOptions {
    let mut options = FleetOptions::default().own_broker().own_database().proxied();
    if payments == Payments::Sandbox {
        options = options.sandbox_provider();
    }
    for service in REPLICATED {
        options = options.replicas(service, REPLICAS);
    }
    for (name, value) in HURRY {
        options = options.setting(name, value);
    }
    for client in BROKER_CLIENTS {
        options = options
            .setting(&format!("{client}__AMQP__RETRY_BACKOFF_MAX_MS"), "1000")
            .setting(&format!("{client}__AMQP__CONFIRM_TIMEOUT_MS"), "2000");
    }
    for consumer in CONSUMERS {
        options = options.setting(&format!("{consumer}__{}", DELIVERY_LIMIT.0), DELIVERY_LIMIT.1);
    }
    settings.iter().fold(options, |options, (name, value)| options.setting(name, value))
}

/// Puts on sale what the load orders.
pub async fn stock(fleet: &Fleet) -> Result<()> {
    let price = json!({"amount": 12_800, "currency": "CNY"});
    let product = json!({"name": "Longjing green tea", "unit_price": price, "stock": STOCK});
    let path = format!("/api/v1/products/{}", seed::DEMO_SKU);
    fleet.admin().await?.put(&path, &product).await?.require_any(&[200, 201])?;
    Ok(())
}

/// Registers customers and logs them in.
pub async fn accounts(fleet: &Fleet, count: usize) -> Result<Vec<Account>> {
    let visitor = fleet.http()?;
    let mut accounts = Vec::with_capacity(count);
    while accounts.len() < count {
        let batch = REGISTERED_AT_ONCE.min(count - accounts.len());
        accounts.extend(try_join_all((0..batch).map(|_| account(&visitor))).await?);
    }
    Ok(accounts)
}

async fn account(visitor: &Api) -> Result<Account> {
    let email = crate::harness::api::new_email();
    let user = visitor.register(&email, PASSWORD, "Customer").await?.require(201)?;
    let user_id = user["id"].as_str().context("an account without an id")?.to_owned();
    let customer = visitor.login(&email, PASSWORD).await?;
    let token = customer.token().context("no token")?.to_owned();
    Ok(Account { user_id, token })
}

/// The sandbox provider of a fleet that has one.
pub fn provider_of(fleet: &Fleet) -> Result<Option<Provider>> {
    fleet.provider().map(|sandbox| Provider::new(sandbox.url(), sandbox.api_key())).transpose()
}
