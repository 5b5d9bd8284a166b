//! What a client hears of while something inside is broken.

use anyhow::{Context, Result, ensure};
use fleet::harness::api::{new_email, new_key};
use fleet::harness::{Api, Link, Reply};
use fleet::proxy::Mode;
use fleet::services::Service;
use fleet::{Fleet, FleetOptions};
use futures::future::try_join_all;
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::callbacks::provider::{HEADER, now, signed_at};
use crate::support::contract::{Operation, Who, operations};
use crate::support::problem::refused;
use crate::support::schema::Schemas;
use crate::support::stage::{PASSWORD, Stage};
use crate::support::{PATIENCE, TEA, order, read, step, text};

/// A table of each service without which it can do little.
const TABLES: [(&str, &str); 5] = [
    ("user-service", "users"),
    ("auth-service", "sessions"),
    ("order-service", "orders"),
    ("payment-service", "payments"),
    ("notify-service", "notifications"),
];
/// Operations asked at once: one that waits for its deadline must not hold up the others.
const AT_ONCE: usize = 8;
/// The members of a problem document.
const MEMBERS: [&str; 8] =
    ["type", "title", "status", "detail", "instance", "code", "trace_id", "violations"];
/// Words of what is inside, in small letters.
const INSIDE: [&str; 33] = [
    "sql",
    "maria",
    "select ",
    "insert ",
    "update ",
    "delete ",
    "hub_",
    "src/",
    ".rs",
    "/root",
    "/home",
    "/usr",
    "/tmp",
    "panic",
    "backtrace",
    "stack",
    "tonic",
    "hyper",
    "tower",
    "lapin",
    "amqp",
    "redis",
    "consul",
    "h2 ",
    "grpc",
    "tcp",
    "connection refused",
    "os error",
    "transport",
    "127.0.0.1",
    "localhost",
    "-service",
    "errno",
];

/// A fleet to break, and those who ask it.
struct Scene {
    fleet: Fleet,
    user: Api,
    admin: Api,
    schemas: Schemas,
    operations: Vec<Operation>,
}

impl Scene {
    async fn new() -> Result<Self> {
        let options = FleetOptions::default()
            .own_database()
            .proxied()
            .sandbox_provider()
            .setting("EH_GATEWAY__SERVER__REQUEST_TIMEOUT_MS", "4000");
        let fleet = Fleet::start(options).await?;
        fleet.seed().await?;
        let (visitor, email) = (fleet.http()?, new_email());
        visitor.register(&email, PASSWORD, "Customer").await?.require(201)?;
        let (user, admin) = (visitor.login(&email, PASSWORD).await?, fleet.admin().await?);
        let schemas = Schemas::read(&visitor).await?;
        let operations = operations(&visitor).await?;
        // A probe that fails answers with its report.
        let operations = operations.into_iter().filter(|one| one.path != "/readyz").collect();
        Ok(Self { fleet, user, admin, schemas, operations })
    }

    async fn ask(&self, operation: &Operation) -> Result<Reply> {
        let api = if operation.who == Who::Admin { &self.admin } else { &self.user };
        let path = operation.path_of(&Uuid::from_u128(1).to_string());
        let request = api.request(operation.method.clone(), &path);
        let request = request.header("idempotency-key", new_key());
        if operation.path.ends_with("/callback") {
            let body = "{\"id\":\"evt_1\",\"type\":\"payment.failed\",\"amount\":1,\
                \"currency\":\"CNY\",\"reference\":\"x\"}";
            let request = request.header(HEADER, signed_at(now(), body));
            return api.send(request.header("content-type", "application/json").body(body)).await;
        }
        let sample = || self.schemas.sample_for(operation);
        api.send(if operation.has_body { request.json(&sample()) } else { request }).await
    }

    /// Asks every operation once, and returns how those ended that failed on our side. Sessions stay.
    async fn ask_all(&self, what: &str) -> Result<Vec<u16>> {
        let is_safe =
            |one: &&Operation| !(one.method == Method::DELETE || one.path.ends_with("/logout"));
        let all: Vec<_> = self.operations.iter().filter(is_safe).collect();
        let mut failed = Vec::new();
        for some in all.chunks(AT_ONCE) {
            for reply in try_join_all(some.iter().map(|operation| self.ask(operation))).await? {
                if reply.status >= 500 {
                    says_nothing(&reply).context(what.to_owned())?;
                    failed.push(reply.status);
                }
            }
        }
        println!("{what}: {} of {} operations failed", failed.len(), all.len());
        Ok(failed)
    }

    /// Asks every operation once while nothing gets through on these links.
    async fn ask_all_without(&self, what: &str, links: &[Link]) -> Result<Vec<u16>> {
        self.set(links, Mode::Reset)?;
        let failed = self.ask_all(what).await;
        self.set(links, Mode::Pass)?;
        failed
    }

    fn set(&self, links: &[Link], mode: Mode) -> Result<()> {
        for link in links {
            self.fleet.proxy(*link)?.set_mode(mode);
        }
        Ok(())
    }

    /// Gives the tables other names, or their own again.
    async fn rename(&self, ends: [&str; 2]) -> Result<()> {
        for (service, table) in TABLES {
            let [from, to] = ends.map(|end| format!("{table}{end}"));
            let mut connection = self.fleet.database(service).await?;
            let statement = format!("ALTER TABLE {from} RENAME TO {to}");
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
        }
        Ok(())
    }
}

/// Checks that a failure is a problem document, with constant words.
fn says_nothing(reply: &Reply) -> Result<()> {
    refused(reply, reply.status, reply.code())?;
    let members = reply.body.as_object().context("no object")?;
    let odd: Vec<_> = members.keys().filter(|name| !MEMBERS.contains(&name.as_str())).collect();
    ensure!(odd.is_empty(), "{}: {odd:?}", reply.request);
    // The path of the request and the page of the code are the client's to know.
    let told = ["title", "detail", "violations"].map(|name| reply.body[name].to_string());
    let told = told.concat().to_lowercase();
    let inside: Vec<_> = INSIDE.iter().filter(|word| told.contains(**word)).collect();
    ensure!(inside.is_empty(), "{}: {told} tells of {inside:?}", reply.request);
    for header in ["server", "x-powered-by", "via", "grpc-message", "grpc-status"] {
        ensure!(reply.header(header).is_none(), "{}: {header}", reply.request);
    }
    Ok(())
}

/// Without what carries and what counts, without the provider, without tables, without the database,
/// without a service's answers, and without the services themselves.
pub(super) async fn a139_failures_that_are_forced(_: &Stage) -> Result<()> {
    let mut scene = Scene::new().await?;
    without_servers_beside(&scene).await?;
    without_the_provider(&scene).await?;
    without_tables(&scene).await?;

    scene.fleet.database_server()?.kill()?;
    let failed = scene.ask_all("without the database").await?.len();
    ensure!(failed >= 20, "only {failed} operations failed without the database");
    scene.fleet.database_server()?.launch()?;
    scene.fleet.database_server()?.ready().await?;
    serves(&scene).await?;

    scene.fleet.pause("order-service", 0)?;
    let failed = scene.ask_all("with order-service frozen").await;
    scene.fleet.resume("order-service", 0)?;
    ensure!(failed?.len() >= 5, "orders were served by a frozen service");
    serves(&scene).await?;

    let services = || Service::ALL.iter().filter(|service| service.name != Service::GATEWAY);
    for service in services() {
        scene.fleet.kill(service.name, 0)?;
    }
    let failed = scene.ask_all("without the services").await?.len();
    ensure!(failed >= 25, "only {failed} operations failed without the services");
    for service in services() {
        scene.fleet.restart(service.name, 0).await?;
    }
    serves(&scene).await?;
    for service in Service::ALL {
        let log = scene.fleet.logs(service.name, 0)?;
        let panicked = log.lines().find(|line| line.contains("panicked at"));
        ensure!(panicked.is_none(), "{}: {panicked:?}", service.name);
    }
    scene.fleet.finish().await
}

/// Events wait for the broker, and without Redis each process counts alone: nothing fails.
async fn without_servers_beside(scene: &Scene) -> Result<()> {
    let names = Service::ALL.iter().filter(|service| service.schema.is_some());
    let broker: Vec<Link> = names.map(|service| Link::Amqp(service.name)).collect();
    let redis = [Link::Redis];
    for (what, links) in [("without the broker", &broker[..]), ("without Redis", &redis[..])] {
        let failed = scene.ask_all_without(what, links).await?;
        ensure!(failed.is_empty(), "{what}: {failed:?}");
        serves(scene).await?;
    }
    Ok(())
}

/// What goes on with money while the provider is away: a failure, if it is one, says nothing of it.
async fn without_the_provider(scene: &Scene) -> Result<()> {
    let paid = text(&order(&scene.user, "pm_ok").await?, "id")?;
    fleet::wait::until("the order being paid", PATIENCE, || async {
        Ok((read(&scene.user, &paid).await?["status"] == "PAID").then_some(()))
    })
    .await?;
    let links = [Link::Provider];
    scene.set(&links, Mode::Reset)?;
    let replies = ask_for_money(scene, &paid).await;
    scene.set(&links, Mode::Pass)?;
    for reply in replies? {
        println!("without the provider: {}: {}", reply.request, reply.status);
        if reply.status >= 500 {
            says_nothing(&reply).context("without the provider")?;
        }
        let said = reply.body.to_string().to_lowercase();
        ensure!(!said.contains("127.0.0.1") && !said.contains("os error"), "{said}");
    }
    scene.ask_all_without("without the provider", &links).await.map(|_| ())
}

async fn ask_for_money(scene: &Scene, paid: &str) -> Result<Vec<Reply>> {
    let Scene { user, admin, .. } = scene;
    Ok(vec![
        user.order(TEA, 1, "pm_ok").await?,
        step(user, paid, "refund", &json!({})).await?,
        user.get(&format!("/api/v1/orders/{paid}/timeline")).await?,
        admin.get("/api/v1/admin/reconciliation").await?,
    ])
}

/// What the database says of a table that is not there would tell of schema and statement.
async fn without_tables(scene: &Scene) -> Result<()> {
    let (here, away) = ("", "_mislaid");
    scene.rename([here, away]).await?;
    let failed = scene.ask_all("without tables").await;
    scene.rename([away, here]).await?;
    let internal = failed?.iter().filter(|status| **status == 500).count();
    ensure!(internal >= 10, "only {internal} operations failed without their tables");
    serves(scene).await
}

/// Waits until all is well again, so that the next failure is the one that was made.
async fn serves(scene: &Scene) -> Result<()> {
    let paths =
        ["/api/v1/users/me", "/api/v1/orders", "/api/v1/notifications", "/api/v1/auth/sessions"];
    for path in paths {
        fleet::wait::until(path, PATIENCE, || async {
            Ok((scene.user.get(path).await?.status == 200).then_some(()))
        })
        .await?;
    }
    Ok(())
}
