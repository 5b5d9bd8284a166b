//! Consul hangs, dies and comes back empty while the fleet works.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use fleet::harness::Api;
use fleet::middleware::Part;
use fleet::services::Service;
use fleet::{Fleet, FleetOptions, wait};
use tokio::time::MissedTickBehavior;

use crate::replicas::healthy;
use crate::support::{TEA, number, order, read, text};

/// Orders of one client in one go, fewer in all than the gateway allows in a minute.
const ROUNDS: usize = 10;
/// Pause between two orders of one client that goes on for as long as Consul is away.
const PACE: Duration = Duration::from_millis(500);
/// Orders after which another client takes over: fewer than the gateway allows in a minute, and made
/// long before an access token ends.
const STAY: usize = 60;
/// How long a step of the test may take.
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn no_request_fails_while_consul_hangs_dies_and_comes_back_empty() -> Result<()> {
    // Orders go on for so long while Consul hangs, and again while it is dead.
    let away = Duration::from_secs(number("EH_TEST_CONSUL_AWAY_S", 0)?);
    let mut fleet = Fleet::start(impatient().replicas("order-service", 2)).await?;
    fleet.seed().await?;
    let mut requests = 0;
    for fault in [Fault::Hangs, Fault::HangsNoLonger, Fault::Dies, Fault::ComesBackEmpty] {
        let (one, two) = (fleet.customer().await?, fleet.customer().await?);
        let clients = futures::future::try_join(shop(&one), shop(&two));
        let ((first, second), ()) =
            futures::future::try_join(clients, happen(&mut fleet, fault)).await?;
        // The services have noticed by now.
        requests += first + second + shop(&one).await?;
        if matches!(fault, Fault::Hangs | Fault::Dies) {
            let clients = futures::future::try_join(shop_for(&fleet, away), shop_for(&fleet, away));
            let (first, second) = clients.await?;
            requests += first + second;
        }
    }
    all_registered(&fleet).await?;
    requests += shop(&fleet.customer().await?).await?;
    println!(
        "{requests} requests, 0 failed; Consul hung, and was dead, {} s longer than it took to notice",
        away.as_secs()
    );
    fleet.finish().await
}

/// What becomes of Consul.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Hangs,
    HangsNoLonger,
    Dies,
    ComesBackEmpty,
}

/// Has it happen, and waits until the gateway says that it has noticed.
async fn happen(fleet: &mut Fleet, fault: Fault) -> Result<()> {
    let words = match fault {
        Fault::Hangs | Fault::Dies => "waiting for Consul",
        Fault::HangsNoLonger | Fault::ComesBackEmpty => "Consul answers again",
    };
    let said = |fleet: &mut Fleet| {
        Ok::<_, anyhow::Error>(fleet.logs(Service::GATEWAY, 0)?.matches(words).count())
    };
    let before = said(fleet)?;
    match fault {
        Fault::Hangs => fleet.pause_server(Part::Consul)?,
        Fault::HangsNoLonger => fleet.resume_server(Part::Consul)?,
        Fault::Dies => fleet.kill_consul()?,
        Fault::ComesBackEmpty => fleet.start_consul().await?,
    }
    wait::until(&format!("the gateway saying {words}"), PATIENCE, || {
        let now = said(fleet);
        async move { Ok((now? > before).then_some(())) }
    })
    .await
}

/// Services that look after Consul more often than usual.
fn impatient() -> FleetOptions {
    Service::ALL.iter().fold(FleetOptions::default(), |options, service| {
        options.setting(&format!("{}__DISCOVERY__WAIT_MS", service.variable), "500")
    })
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn services_that_start_while_consul_is_away_find_each_other() -> Result<()> {
    let mut fleet = Fleet::start(impatient()).await?;
    fleet.seed().await?;
    let customer = fleet.customer().await?;
    fleet.pause_server(Part::Consul)?;
    start_anew(&mut fleet, &customer).await?;
    fleet.kill_consul()?;
    start_anew(&mut fleet, &customer).await?;
    fleet.start_consul().await?;
    all_registered(&fleet).await?;
    shop_once(&customer).await?;
    fleet.finish().await
}

/// Starts every service again, callers and called, and has them work.
async fn start_anew(fleet: &mut Fleet, customer: &Api) -> Result<()> {
    for service in Service::ALL {
        let code = fleet.terminate(service.name, 0).await?;
        ensure!(code == Some(0), "{} ended with {code:?}", service.name);
        fleet.launch(service.name, 0)?;
    }
    fleet.all_ready().await?;
    for (service, peer) in [
        (Service::GATEWAY, "order-service"),
        (Service::GATEWAY, "notify-service"),
        ("order-service", "auth-service"),
        ("order-service", "payment-service"),
        ("payment-service", "auth-service"),
        ("notify-service", "auth-service"),
    ] {
        until_known(fleet, service, peer).await?;
    }
    // Keys of tokens are read once their issuer is known.
    fleet
        .eventually("services that check tokens", || async {
            let placed = customer.order(TEA, 1, "pm_ok").await?;
            Ok((placed.status == 201).then_some(()))
        })
        .await?;
    shop_once(customer).await.map(|_| ())
}

/// Waits until a process knows an instance of another service.
async fn until_known(fleet: &mut Fleet, service: &str, peer: &str) -> Result<()> {
    let url = format!("{}/metrics", fleet.internal_url(service, 0)?);
    let (client, line) = (fleet::http::client().build()?, known(peer));
    wait::until(&format!("{service} knowing {peer}"), PATIENCE, || async {
        let metrics = client.get(&url).send().await?.text().await?;
        Ok(metrics.lines().any(|found| found == line).then_some(()))
    })
    .await
}

fn known(peer: &str) -> String {
    format!("eh_discovery_endpoints{{peer=\"{peer}\"}} 1")
}

/// Waits until Consul shows every instance in health.
async fn all_registered(fleet: &Fleet) -> Result<()> {
    let admin = fleet.admin().await?;
    let expected = |service: &Service| (service.name.to_owned(), fleet.replica_count(service.name));
    let expected: BTreeMap<_, _> = Service::ALL.iter().map(expected).collect();
    wait::until("every instance being registered again", PATIENCE, || async {
        let services = admin.get("/api/v1/admin/services").await?.require(200)?;
        Ok(healthy(&services)?.filter(|seen| *seen == expected).map(|_| ()))
    })
    .await
}

/// Orders a fixed number of times; nothing may fail. Returns how many requests that were.
async fn shop(customer: &Api) -> Result<usize> {
    let mut requests = 0;
    for _ in 0..ROUNDS {
        requests += shop_once(customer).await?;
    }
    Ok(requests)
}

/// Has clients register, log in and order at a steady pace, one after the other, for so long; nothing
/// may fail. Returns how many requests that were.
async fn shop_for(fleet: &Fleet, time: Duration) -> Result<usize> {
    let end = Instant::now() + time;
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut requests = 0;
    while Instant::now() < end {
        let customer = fleet.customer().await?;
        requests += 2;
        for _ in 0..STAY {
            pace.tick().await;
            requests += shop_once(&customer).await?;
            if Instant::now() >= end {
                break;
            }
        }
    }
    Ok(requests)
}

/// Orders and reads; both must succeed at once, payment included. Returns how many requests that were.
async fn shop_once(customer: &Api) -> Result<usize> {
    let placed = order(customer, "pm_ok").await?;
    ensure!(placed["status"] == "PAID", "{placed}");
    read(customer, &text(&placed, "id")?).await?;
    Ok(2)
}
