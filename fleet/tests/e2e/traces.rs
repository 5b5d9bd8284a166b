//! What a trace shows of a checkout, who decides that there is one, and what it costs.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use fleet::harness::Api;
use fleet::harness::api::{new_email, new_key};
use fleet::harness::raw::new_address;
use fleet::services::Service;
use fleet::{Fleet, FleetOptions};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use reqwest::Method;
use serde_json::{Value, json};

use crate::collector::{Collector, Seen, sending_to};
use crate::support::{TEA, order, text, until_told};

const PASSWORD: &str = "canary-of-a-password-that-nobody-tells";
/// The span of the client, who is no service of the fleet.
const ROOT: &str = "00f067aa0ba902b7";

/// One client on its way from the registration to the notification, all of it in one trace.
struct Journey {
    traceparent: String,
    email: String,
    /// What it was given or has given, and nobody may repeat.
    secrets: Vec<String>,
}

impl Journey {
    fn new(trace: &str, flags: &str) -> Self {
        let email = new_email();
        let secrets = vec![PASSWORD.to_owned(), email.clone()];
        Self { traceparent: format!("00-{trace}-{ROOT}-{flags}"), email, secrets }
    }

    async fn send(&self, api: &Api, method: Method, path: &str, body: &Value) -> Result<Value> {
        let is_post = method == Method::POST;
        let mut request = api.request(method, path).header("traceparent", &self.traceparent);
        if is_post {
            request = request.header("idempotency-key", new_key()).json(body);
        }
        api.send(request).await?.require_any(&[200, 201])
    }

    /// Registers, logs in, orders, and reads of it among the notifications.
    async fn travel(&mut self, fleet: &Fleet) -> Result<()> {
        self.travel_as(fleet, &fleet.http()?).await
    }

    /// The same by this client.
    async fn travel_as(&mut self, fleet: &Fleet, api: &Api) -> Result<()> {
        let body = json!({"email": self.email, "password": PASSWORD, "display_name": "Ada"});
        self.send(api, Method::POST, "/api/v1/users", &body).await?;
        let body = json!({"email": self.email, "password": PASSWORD});
        let tokens = self.send(api, Method::POST, "/api/v1/auth/login", &body).await?;
        let (access, refresh) = (text(&tokens, "access_token")?, text(&tokens, "refresh_token")?);
        let customer = api.with_token(&access);
        self.secrets.extend([access, refresh]);
        let body = json!({"items": [{"sku": TEA, "quantity": 1}], "payment_method": "pm_ok"});
        let placed = self.send(&customer, Method::POST, "/api/v1/orders", &body).await?;
        ensure!(placed["status"] == "PAID", "{placed}");
        until_told(fleet, &customer, "order.paid", &text(&placed, "id")?).await?;
        self.send(&customer, Method::GET, "/api/v1/notifications", &Value::Null).await?;
        Ok(())
    }
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn one_checkout_is_one_trace_through_all_six_services() -> Result<()> {
    let collector = Collector::start().await?;
    let fleet = Fleet::start(collector.options()).await?;
    fleet.seed().await?;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let mut journey = Journey::new(trace, "01");
    journey.travel(&fleet).await?;
    let spans = collector.until(trace, |spans| judge(spans, fleet.namespace())).await?;
    for span in &spans {
        conforms(span).with_context(|| format!("{span:#?}"))?;
    }
    the_outbox_shows_its_wait(&spans, fleet.namespace())?;
    let told = format!("{:?}", collector.spans()).to_lowercase();
    for secret in &journey.secrets {
        ensure!(!told.contains(&secret.to_lowercase()), "a trace tells {secret}");
    }
    fleet.finish().await
}

/// What has to be there, and that nothing hangs in the air.
fn judge(spans: &[Seen], namespace: &str) -> Result<(), String> {
    let services: BTreeSet<&str> = spans.iter().map(|span| span.service.as_str()).collect();
    let all: BTreeSet<&str> = Service::ALL.iter().map(|service| service.name).collect();
    if services != all {
        return Err(format!("only spans of {services:?}"));
    }
    let known: BTreeMap<&str, &Seen> = spans.iter().map(|span| (span.id.as_str(), span)).collect();
    if let Some(lost) =
        spans.iter().find(|it| it.parent != ROOT && !known.contains_key(&*it.parent))
    {
        return Err(format!("nobody has made {lost:#?}"));
    }
    let missing = |what: &[&str]| Err(format!("no {what:?} among {:#?}", names(spans)));
    for (caller, called, method) in [
        ("gateway-service", "user-service", "UserService/Register"),
        ("gateway-service", "auth-service", "AuthService/Login"),
        ("auth-service", "user-service", "UserService/VerifyCredentials"),
        ("gateway-service", "order-service", "OrderService/CreateOrder"),
        ("order-service", "payment-service", "PaymentService/CreatePayment"),
        ("gateway-service", "notify-service", "NotifyService/ListNotifications"),
    ] {
        let is_call = |span: &&Seen| {
            let parent = known.get(span.parent.as_str());
            let is_serving = span.service == called && span.kind == SpanKind::Server;
            is_serving
                && span.name.ends_with(method)
                && parent.is_some_and(|it| {
                    it.service == caller && it.kind == SpanKind::Client && it.name == span.name
                })
        };
        if !spans.iter().any(|span| is_call(&span)) {
            return missing(&[caller, called, method]);
        }
    }
    for (service, name) in [
        ("gateway-service", "POST /api/v1/users".to_owned()),
        ("gateway-service", "POST /api/v1/auth/login".to_owned()),
        ("gateway-service", "POST /api/v1/orders".to_owned()),
        ("gateway-service", "GET /api/v1/notifications".to_owned()),
        ("order-service", "order.create".to_owned()),
        ("order-service", "outbox.wait".to_owned()),
        ("payment-service", "outbox.wait".to_owned()),
        ("order-service", format!("send {namespace}.events:order.paid")),
        ("payment-service", format!("send {namespace}.events:payment.succeeded")),
        ("order-service", format!("process {namespace}.events:{namespace}.order-service")),
        ("notify-service", format!("process {namespace}.events:{namespace}.notify-service")),
    ] {
        if !spans.iter().any(|span| span.service == service && span.name == name) {
            return missing(&[service, &name]);
        }
    }
    Ok(())
}

fn names(spans: &[Seen]) -> BTreeSet<(&str, &str)> {
    spans.iter().map(|span| (span.service.as_str(), span.name.as_str())).collect()
}

/// Whether a span has the form that OpenTelemetry's conventions give to its kind.
fn conforms(span: &Seen) -> Result<()> {
    ensure!(span.nanos.0 <= span.nanos.1, "it ends before it begins");
    ensure!(!span.is_error, "a checkout without an error");
    let expected: &[(&str, &str)] = match span.kind {
        SpanKind::Server if span.service == Service::GATEWAY => {
            let (method, route) = span.name.split_once(' ').context("no method and route")?;
            ensure!(span.attribute("http.request.method") == method, "another method");
            ensure!(span.attribute("http.route") == route, "another route");
            ensure!(["200", "201"].contains(&span.attribute("http.response.status_code")));
            ensure!(!span.attribute("url.path").is_empty(), "no path");
            &[("url.scheme", "http")]
        }
        SpanKind::Client if span.name.starts_with("db.") => &[("db.system.name", "mysql")],
        SpanKind::Server | SpanKind::Client => {
            let (service, method) = span.name.split_once('/').context("no service and method")?;
            ensure!(span.attribute("rpc.service") == service, "another service");
            ensure!(span.attribute("rpc.method") == method, "another method");
            &[("rpc.system", "grpc"), ("rpc.grpc.status_code", "OK")]
        }
        SpanKind::Producer => {
            destination(span, "send")?;
            ensure!(!span.attribute("messaging.rabbitmq.destination.routing_key").is_empty());
            &[("messaging.system", "rabbitmq"), ("messaging.operation.type", "send")]
        }
        SpanKind::Consumer => {
            destination(span, "process")?;
            &[("messaging.system", "rabbitmq"), ("messaging.operation.type", "process")]
        }
        SpanKind::Internal => &[],
        SpanKind::Unspecified => anyhow::bail!("no kind"),
    };
    for (key, value) in expected {
        ensure!(span.attribute(key) == *value, "{key} is {:?}", span.attribute(key));
    }
    Ok(())
}

fn destination(span: &Seen, operation: &str) -> Result<()> {
    let named = span.name.strip_prefix(operation).map(str::trim_start);
    ensure!(named == Some(span.attribute("messaging.destination.name")), "another destination");
    ensure!(span.attribute("messaging.operation.name") == operation, "another operation");
    Ok(())
}

/// The wait of an event has the parent of its sending, and lasts until it was sent.
fn the_outbox_shows_its_wait(spans: &[Seen], namespace: &str) -> Result<()> {
    let name = format!("send {namespace}.events:order.paid");
    let sent = spans.iter().find(|span| span.name == name).context("not sent")?;
    let event = sent.attribute("messaging.message.id");
    ensure!(event.starts_with("order.paid:"), "{sent:#?}");
    let waits = |span: &&Seen| {
        span.name == "outbox.wait" && span.attribute("messaging.message.id") == event
    };
    let wait = spans.iter().find(waits).context("the wait is not there")?;
    ensure!(wait.parent == sent.parent, "{wait:#?} {sent:#?}");
    ensure!(wait.nanos.0 <= sent.nanos.0 && wait.nanos.1 >= sent.nanos.1, "{wait:#?} {sent:#?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn a_trusted_peer_decides_what_is_recorded_and_no_stranger() -> Result<()> {
    let collector = Collector::start().await?;
    let ratio = |options: FleetOptions, service: &Service| {
        options.setting(&format!("{}__TELEMETRY__SAMPLE_RATIO", service.variable), "0.0")
    };
    let (trusted, stranger) = (new_address(), new_address());
    let options = collector.options().setting("EH_GATEWAY__TRUSTED_SAMPLERS", &trusted.to_string());
    let fleet = Fleet::start(Service::ALL.iter().fold(options, ratio)).await?;
    fleet.seed().await?;
    let customer = fleet.customer().await?;
    ensure!(order(&customer, "pm_ok").await?["status"] == "PAID");
    let client = |address| Api::bound_to(fleet.gateway_urls().swap_remove(0), address);
    let (trusted, stranger) = (client(trusted)?, client(stranger)?);
    let recorded = "4bf92f3577b34da6a3ce929d0e0e4738";
    // A service exports in order: when the last journey is there, nothing of the others can follow.
    for (trace, flags, by) in [
        ("4bf92f3577b34da6a3ce929d0e0e4736", "01", &stranger),
        ("4bf92f3577b34da6a3ce929d0e0e4737", "00", &trusted),
        (recorded, "01", &trusted),
    ] {
        Journey::new(trace, flags).travel_as(&fleet, by).await?;
    }
    collector.until(recorded, |spans| judge(spans, fleet.namespace())).await?;
    let others = collector.spans().into_iter().filter(|span| span.trace != recorded);
    let others: Vec<_> = others.collect();
    ensure!(others.is_empty(), "{others:#?}");
    fleet.finish().await
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn events_of_one_batch_show_in_the_traces_of_all_of_them() -> Result<()> {
    let collector = Collector::start().await?;
    let fleet = Fleet::start(collector.options()).await?;
    fleet.seed().await?;
    let customer = fleet.customer().await?;
    let traces: Vec<_> =
        (0..8).map(|number| format!("4bf92f3577b34da6a3ce929d0e0e47a{number}")).collect();
    let orders = traces.iter().map(|trace| {
        let journey = Journey::new(trace, "01");
        let customer = customer.clone();
        async move {
            let body = json!({"items": [{"sku": TEA, "quantity": 1}], "payment_method": "pm_ok"});
            journey.send(&customer, Method::POST, "/api/v1/orders", &body).await
        }
    });
    futures::future::try_join_all(orders).await?;
    for trace in &traces {
        let is_told = |spans: &[Seen]| {
            let told = spans
                .iter()
                .find(|span| span.service == "notify-service" && span.kind == SpanKind::Consumer);
            told.map(|_| ()).ok_or_else(|| format!("no consumer among {:#?}", names(spans)))
        };
        collector.until(trace, is_told).await?;
    }
    // A span that only shows that its event was in a batch leads to the span of the work.
    for span in collector.spans().iter().filter(|span| span.kind == SpanKind::Consumer) {
        let is_work = span.attributes.contains_key("messaging.batch.message_count");
        ensure!(is_work || span.links.len() == 1, "{span:#?}");
    }
    fleet.finish().await
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn a_collector_that_is_away_or_silent_loses_no_request() -> Result<()> {
    // Bound and never accepted from: connections succeed, and nothing is ever answered.
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let silent_address = format!("http://{}", silent.local_addr()?);
    for endpoint in ["http://127.0.0.1:9", &silent_address] {
        let bound = |options: FleetOptions, service: &Service| {
            let variable = |end: &str| format!("{}__TELEMETRY__{end}", service.variable);
            options
                .setting(&variable("SPAN_QUEUE_MAX"), "16")
                .setting(&variable("SPAN_BATCH_MAX"), "8")
        };
        let options = Service::ALL.iter().fold(sending_to(endpoint), bound);
        let fleet = Fleet::start(options).await?;
        fleet.seed().await?;
        let customer = fleet.customer().await?;
        for _ in 0..20 {
            let placed = order(&customer, "pm_ok").await?;
            ensure!(placed["status"] == "PAID", "{placed}");
        }
        // It also ends in order, with spans that nobody takes.
        fleet.finish().await?;
    }
    Ok(())
}
