//! Several processes of one service behind Consul.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use fleet::harness::Api;
use fleet::harness::api::new_key;
use fleet::services::Service;
use fleet::{Fleet, FleetOptions, wait};
use serde_json::{Value, json};

use crate::support::{TEA, read, until_status};

const CLIENTS: usize = 4;
const ROUNDS: usize = 25;
/// Requests after which the process is killed: all clients are at work then.
const BEFORE_THE_CRASH: usize = 30;
/// How long a client repeats one request.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn the_registry_shows_every_process_in_health() -> Result<()> {
    let fleet = Fleet::start(FleetOptions::default().replicas("order-service", 2)).await?;
    let admin = fleet.admin().await?;
    // An instance counts as critical until it was checked for the first time.
    let expected = |service: &Service| (service.name.to_owned(), instances_of(service.name));
    let expected: BTreeMap<_, _> = Service::ALL.iter().map(expected).collect();
    fleet
        .eventually("every instance in health", || async {
            let services = admin.get("/api/v1/admin/services").await?.require(200)?;
            Ok(healthy(&services)?.filter(|seen| *seen == expected))
        })
        .await?;
    fleet.finish().await
}

fn instances_of(service: &str) -> usize {
    if service == "order-service" { 2 } else { 1 }
}

/// How many instances each of our services has, if all of them are in health.
pub(crate) fn healthy(services: &Value) -> Result<Option<BTreeMap<String, usize>>> {
    let mut seen = BTreeMap::new();
    let services = services["items"].as_array().context("no services")?;
    for service in services.iter().filter(|service| service["name"] != "consul") {
        let name = service["name"].as_str().context("a service without a name")?;
        let instances = service["instances"].as_array().context("no instances")?;
        if instances.iter().any(|one| one["status"] != "PASSING") {
            return Ok(None);
        }
        seen.insert(name.to_owned(), instances.len());
    }
    Ok(Some(seen))
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn a_killed_replica_loses_no_request_that_may_be_repeated() -> Result<()> {
    let mut fleet = Fleet::start(FleetOptions::default().replicas("order-service", 2)).await?;
    fleet.seed().await?;
    let mut customers = Vec::new();
    for _ in 0..CLIENTS {
        customers.push(fleet.customer().await?);
    }
    let done = AtomicUsize::new(0);
    let clients = futures::future::try_join_all(customers.iter().map(|api| shop(api, &done)));
    let crash = async {
        wait::until("clients at work", PATIENCE, || async {
            Ok((done.load(Ordering::Relaxed) >= BEFORE_THE_CRASH).then_some(()))
        })
        .await?;
        fleet.kill("order-service", 1)
    };
    let (orders, ()) = futures::future::try_join(clients, crash).await?;
    for (customer, orders) in customers.iter().zip(orders) {
        for id in &orders {
            until_status(&fleet, customer, id, "PAID").await?;
        }
        assert_eq!(list(customer).await?, orders, "each key ordered once");
    }
    fleet.restart("order-service", 1).await?;
    fleet.finish().await
}

/// Orders and reads in turn; returns what was ordered. Reads must succeed at once, whatever
/// happens behind the gateway.
async fn shop(customer: &Api, done: &AtomicUsize) -> Result<BTreeSet<String>> {
    let mut orders = BTreeSet::new();
    for _ in 0..ROUNDS {
        let placed = place(customer).await?;
        let id = placed["id"].as_str().context("an order without an id")?.to_owned();
        done.fetch_add(1, Ordering::Relaxed);
        read(customer, &id).await?;
        done.fetch_add(1, Ordering::Relaxed);
        orders.insert(id);
    }
    Ok(orders)
}

/// Places one order under one key, again while it is told to come again: the gateway repeats what
/// the dead replica had not seen, and what that replica had begun is finished by the next attempt.
async fn place(customer: &Api) -> Result<Value> {
    let key = new_key();
    let body = json!({"items": [{"sku": TEA, "quantity": 1}], "payment_method": "pm_ok"});
    wait::until("an order", PATIENCE, || async {
        let reply = customer.post_once("/api/v1/orders", &key, &body).await?;
        match (reply.status, reply.code()) {
            (201 | 202, _) => Ok(Some(reply.body)),
            (503, "SERVICE_UNAVAILABLE") | (409, "IDEMPOTENCY_IN_PROGRESS")
                if reply.header("retry-after").is_some() =>
            {
                Ok(None)
            }
            (status, _) => bail!("an order was answered {status}: {}", reply.body),
        }
    })
    .await
}

async fn list(customer: &Api) -> Result<BTreeSet<String>> {
    let list = customer.get("/api/v1/orders?page_size=100").await?.require(200)?;
    let items = list["items"].as_array().context("no items")?;
    Ok(items.iter().filter_map(|order| order["id"].as_str()).map(str::to_owned).collect())
}
