//! The commands for those who run a fleet, on a fleet.

use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fleet::harness::api::new_email;
use fleet::load::{self, Mix, Plan};
use fleet::logs::{Filter, Level, Logs};
use fleet::services::Service;
use fleet::status::{Observer, State};
use fleet::{Fleet, FleetOptions};
use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use crate::support::{publish, text};

const PASSWORD: &str = "correct horse battery";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// Runs the tool as a person does.
fn ehub(arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(env!("CARGO_BIN_EXE_ehub")).args(arguments).env("NO_COLOR", "1").output()?)
}

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn the_logs_of_all_services_tell_of_one_request() -> Result<()> {
    // Nothing is logged of a call that succeeds; a refusal is, for developers.
    let options = FleetOptions::default()
        .setting("EH_ORDER__TELEMETRY__FILTER", "info,chassis=debug")
        .setting("EH_ORDER__TELEMETRY__FORMAT", "json")
        .setting("EH_PAYMENT__TELEMETRY__FILTER", "info,chassis=debug");
    let fleet = Fleet::start(options).await?;
    let customer = fleet.customer().await?;
    for thing in ["orders", "payments"] {
        let request = customer
            .request(Method::GET, &format!("/api/v1/{thing}/{}", Uuid::from_u128(1)))
            .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
        customer.send(request).await?.require(404)?;
    }

    let all = Logs::open(fleet.layout(), &[])?.last(&Filter::default(), 100_000)?;
    ensure!(all.is_sorted_by_key(|line| line.entry.time), "not in the order of time");
    for service in Service::ALL {
        ensure!(all.iter().any(|line| line.process == service.name), "nothing of {}", service.name);
    }
    let filter = Filter { trace: Some(TRACE.to_owned()), ..Filter::default() };
    let traced = Logs::open(fleet.layout(), &[])?.last(&filter, 1_000)?;
    for service in ["order-service", "payment-service"] {
        let own = traced.iter().filter(|line| line.process == service);
        let refused = own.filter(|line| line.entry.text.contains("request refused")).count();
        assert_eq!(refused, 1, "{service}: {traced:?}");
    }
    let filter = Filter { level: Some(Level::Error), ..Filter::default() };
    let grave = Logs::open(fleet.layout(), &["order".to_owned()])?.last(&filter, 1_000)?;
    ensure!(grave.is_empty(), "{grave:?}");
    fleet.finish().await
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn the_status_names_what_does_not_run() -> Result<()> {
    let mut fleet = Fleet::start(FleetOptions::default().replicas("order-service", 2)).await?;
    let mut observer = Observer::new(fleet.layout().clone())?;
    let status = observer.look().await?;
    assert_eq!(status.services.len(), Service::ALL.len() + 1);
    assert_eq!(status.problems(), [""; 0]);
    // Rates are those of the time between two looks.
    fleet.http()?.get("/api/v1/products").await?.require(200)?;
    let status = observer.look().await?;
    let gateway = status.services.iter().find(|row| row.name == Service::GATEWAY);
    let traffic = gateway.and_then(|row| row.traffic).context("no traffic")?;
    ensure!(traffic.rate > 0.0 && traffic.p99.is_some(), "{traffic:?}");
    ensure!(traffic.fault_share.is_some_and(|share| share < 1e-9), "{traffic:?}");

    fleet.pause("order-service", 1)?;
    let status = observer.look().await?;
    let silent = status.services.iter().filter(|row| row.state == State::Silent);
    assert_eq!(silent.map(|row| row.name.as_str()).collect::<Vec<_>>(), ["order-service-2"]);
    fleet.resume("order-service", 1)?;
    fleet.kill("payment-service", 0)?;
    let problems = fleet
        .eventually("the problem being told", || async {
            let problems = Observer::new(fleet.layout().clone())?.look().await?.problems();
            Ok(problems.iter().any(|it| it.starts_with("payment-service ")).then_some(problems))
        })
        .await?;
    ensure!(problems.iter().any(|it| it.contains("cargo ehub up")), "{problems:?}");
    fleet.restart("payment-service", 0).await?;
    fleet.finish().await
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn load_is_borne_and_counted() -> Result<()> {
    let fleet = Fleet::start(FleetOptions::default()).await?;
    fleet.seed().await?;
    let base = fleet.gateway_urls().into_iter().next().context("no gateway")?;
    let customers = load::register(&base, 5).await?;
    // A login costs a password hash.
    for (mix, rate) in [(Mix::Read, 10), (Mix::Checkout, 5), (Mix::Login, 1)] {
        load::check(customers.first().context("nobody")?, mix).await?;
        let plan = Plan {
            rate,
            length: Duration::from_secs(2),
            mix,
            in_flight_max: 100,
            patience: Duration::from_secs(20),
        };
        let report = load::run(plan, &customers, std::future::pending()).await?;
        let shown = report.render();
        let expected = u64::from(rate) * 2;
        assert_eq!((report.arrivals, report.ended()), (expected, expected), "{shown}");
        ensure!(report.failed_share() < 1e-9, "{shown}");
    }
    let arguments = ["load", "--rps", "5", "--for", "1s", "--users", "2", "--url", base.as_str()];
    let output = ehub(&arguments)?;
    ensure!(output.status.success() && said(&output).contains("5 arrivals"), "{}", said(&output));
    fleet.finish().await
}

/// The rates are next to nothing: that the figures are taken, written and judged is what is held.
#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn an_overload_is_measured_and_a_missed_bound_is_told() -> Result<()> {
    let fleet = Fleet::start(FleetOptions::default()).await?;
    fleet.seed().await?;
    let base = fleet.gateway_urls().into_iter().next().context("no gateway")?;
    let folder = fleet.layout().state().join("overload");
    let report = folder.to_str().context("a path")?;
    let rates = ["--rps", "4", "--times", "2", "--mix", "checkout", "--users", "2"];
    let phases = ["--step", "2s", "--for", "2s", "--after", "6s", "--timeout", "10s"];
    let rounds = ["--rounds", "2"];
    let bounds = ["--max-in-flight", "50", "--max-recovery", "1s", "--min-goodput-percent", "1000"];
    let place = ["bench", "overload", "--url", base.as_str(), "--report", report];
    let output = ehub(&[&place[..], &rates, &phases, &rounds, &bounds].concat())?;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    ensure!(said(&output).contains("MISSED: "), "{}", said(&output));
    let json: Value = serde_json::from_slice(&std::fs::read(folder.join("report.json"))?)?;
    let measured = &json["measured"];
    assert_eq!(measured["capacity"]["rate"], 4, "{json}");
    let rounds = measured["rounds"].as_array().context("no rounds")?;
    assert_eq!(rounds.len(), 2, "{json}");
    for round in rounds {
        let [below, peak] = [&round["peaks"][0], &round["peaks"][1]];
        let phases = [(below, 3), (peak, 4), (&round["overload"], 8), (&round["after"], 2)];
        for (phase, rate) in phases {
            assert_eq!(phase["rate"], rate, "{json}");
            ensure!(phase["changes"].as_f64().is_some_and(|rate| rate > 0.0), "{json}");
        }
        assert_eq!(round["seconds_after"].as_array().map(Vec::len), Some(6), "{json}");
    }
    let missed = json["missed"].as_array().context("nothing was missed")?;
    let is_told = |it: &Value| it.as_str().is_some_and(|it| it.contains("not 1000 %"));
    ensure!(missed.iter().any(is_told), "{json}");
    fleet.finish().await
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn a_dead_letter_is_shown_and_decided_on() -> Result<()> {
    let fleet = Fleet::start(FleetOptions::default()).await?;
    let base = fleet.gateway_urls().into_iter().next().context("no gateway")?;
    publish(&fleet, "order.paid", "{\"half\":").await?;
    let admin = fleet.admin().await?;
    let letter = fleet
        .eventually("the dead letter", || async {
            let list = admin.get("/api/v1/admin/dead-letters").await?.require(200)?;
            Ok(list["items"].as_array().and_then(|items| items.first().cloned()))
        })
        .await?;
    let id = text(&letter, "id")?;
    let dlq = |action: &[&str]| ehub(&[&["dlq"][..], action, &["--url", base.as_str()]].concat());
    let listed = dlq(&["list"])?;
    ensure!(listed.status.success() && said(&listed).contains(&id), "{}", said(&listed));
    let shown = dlq(&["show", id.as_str()])?;
    ensure!(shown.status.success() && said(&shown).contains("{\"half\":"), "{}", said(&shown));
    let replayed = dlq(&["replay", id.as_str()])?;
    ensure!(!replayed.status.success() && said(&replayed).contains("stays open"));
    let discard = ["discard", id.as_str(), "--reason", "half an event"];
    let discarded = dlq(&discard)?;
    ensure!(discarded.status.success() && said(&discarded).contains("DISCARDED"));
    ensure!(said(&dlq(&["show", id.as_str()])?).contains("half an event"));
    let again = dlq(&discard)?;
    ensure!(!again.status.success() && said(&again).contains("decided before"));
    let empty = dlq(&["list"])?;
    ensure!(said(&empty).contains("no dead letters"), "{}", said(&empty));
    fleet.finish().await
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn a_dead_mail_is_listed_and_sent_after_all() -> Result<()> {
    let options = FleetOptions::default().setting("EH_NOTIFY__MAIL__ATTEMPTS_MAX", "1");
    let fleet = Fleet::start(options).await?;
    let base = fleet.gateway_urls().into_iter().next().context("no gateway")?;
    let (mailbox, email) = (fleet.mailbox(), new_email());
    mailbox.close()?;
    let user = fleet.http()?.register(&email, PASSWORD, "Ada").await?.require(201)?;
    let admin = fleet.admin().await?;
    let mail = fleet
        .eventually("the dead mail", || async {
            let list = admin.get("/api/v1/admin/dead-mails").await?.require(200)?;
            let items = list["items"].as_array().context("no items")?;
            Ok(items.iter().find(|mail| mail["user_id"] == user["id"]).cloned())
        })
        .await?;
    let id = text(&mail, "id")?;
    let dlq = |action: &[&str]| ehub(&[&["dlq"][..], action, &["--url", base.as_str()]].concat());
    let listed = said(&dlq(&["mails"])?);
    ensure!(listed.contains(&id) && !listed.contains(&email), "{listed}");
    mailbox.open()?;
    let resent = dlq(&["resend", id.as_str()])?;
    ensure!(resent.status.success() && said(&resent).contains("is sent again"));
    let sent = mailbox.mail_to(&email, 0).await?;
    ensure!(sent.text.contains(&id) && !sent.token()?.is_empty(), "{}", sent.text);
    let again = dlq(&["resend", id.as_str()])?;
    ensure!(!again.status.success() && said(&again).contains("no such mail is dead"));
    let empty = said(&dlq(&["mails"])?);
    ensure!(!empty.contains(&id), "{empty}");
    fleet.finish().await
}

/// What a program explains of itself in this environment.
fn explained(service: &Service, variables: &[(&str, &str)]) -> Result<(Option<i32>, Value)> {
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(|deps| deps.parent()).context("no target folder")?;
    let mut command = Command::new(folder.join(service.name));
    let command = command.env_clear().arg("--explain-config").envs(variables.iter().copied());
    let output = command.output().with_context(|| format!("{} is not built", service.name))?;
    Ok((output.status.code(), serde_json::from_slice(&output.stdout)?))
}

#[test]
#[ignore = "needs the built services: cargo ehub test"]
fn every_program_explains_its_configuration_and_no_secret() -> Result<()> {
    for service in Service::ALL {
        let listen = format!("{}__SERVER__LISTEN", service.variable);
        let misspelt = format!("{}__SERVER__SECRTE", service.variable);
        let (code, all) = explained(service, &[(listen.as_str(), "127.0.0.1:7")])?;
        assert_eq!(code, Some(0), "{}", service.name);
        let entries = all.as_array().context("no list")?;
        let find = |key: &str| entries.iter().find(|entry| entry["key"] == key);
        let found = find("server.listen").context("no server.listen")?;
        assert_eq!(found["value"], "127.0.0.1:7");
        ensure!(found["origin"].as_str().is_some_and(|origin| origin.contains(&listen)), "{found}");
        ensure!(!all.to_string().contains("development-only"), "{}", service.name);

        let (code, all) = explained(service, &[(misspelt.as_str(), "hunter2")])?;
        assert_eq!(code, Some(64), "{}", service.name);
        ensure!(all.to_string().contains("server.secrte"), "{all}");
        ensure!(!all.to_string().contains("hunter2"), "{}", service.name);
    }
    Ok(())
}

#[test]
#[ignore = "needs the built services: cargo ehub test"]
fn a_key_is_explained_with_its_line() -> Result<()> {
    let output = ehub(&["config", "explain", "order", "orders.ttl_s"])?;
    let text = said(&output);
    ensure!(text.contains("orders.ttl_s = 1800"), "{text}");
    ensure!(text.contains("order-service/config/default.toml:"), "{text}");
    let output = ehub(&["config", "explain", "order", "orders.nothing"])?;
    ensure!(!output.status.success() && said(&output).contains("no key"), "{}", said(&output));
    Ok(())
}
