//! The gateway as the process that is shipped: configuration, logs, traces, metrics.

use std::net::SocketAddr;

use chassis::config::ServerConfig;
use chassis::run::Service;
use chassis::testing::grpc::Server;
use chassis::testing::process::{Process, Program};
use chassis::testing::tokens::TestIssuer;
use gateway_service::App;
use serde_json::Value;
use tokio::net::TcpStream;
use tonic::Code;

use crate::fleet::{Answer, Fleet};
use crate::harness::{PATIENCE, key_set};
use crate::port::{Message, exchange};
use crate::samples::CUSTOMER;

const PROGRAM: Program =
    Program { path: env!("CARGO_BIN_EXE_gateway-service"), env_prefix: App::ENV_PREFIX };

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A process in front of the stand-in for the services.
struct Shipped {
    process: Process,
    fleet: Fleet,
    issuer: TestIssuer,
    public: SocketAddr,
    internal: SocketAddr,
    _server: Server,
}

impl Shipped {
    async fn start(more: &[(&str, &str)]) -> Self {
        let (fleet, issuer) = (Fleet::default(), TestIssuer::new());
        fleet.script("GetJwks", [key_set(&issuer)]);
        let server = Server::start(fleet.app(), ServerConfig::default()).await;
        let address = server.address().to_string();
        let services = ["USER", "AUTH", "ORDER", "PAYMENT", "NOTIFY"];
        let services = services.map(|name| format!("DISCOVERY__STATIC__{name}_SERVICE"));
        let known = services.iter().map(|name| (name.as_str(), address.as_str()));
        let settings: Vec<_> = known.chain(more.iter().copied()).collect();
        let mut process = PROGRAM.start_without_database(&settings);
        let _channel = process.serving().await;
        let line = process.log().last().unwrap();
        let address = |name: &str| line[name].as_str().unwrap().parse().unwrap();
        let (public, internal) = (address("server.address"), address("server.internal_address"));
        let shipped = Self { process, fleet, issuer, public, internal, _server: server };
        shipped.until_keys_are_known().await;
        shipped
    }

    async fn until_keys_are_known(&self) {
        let known = async { while self.get("/api/v1/users/me", "").await.status == 503 {} };
        tokio::time::timeout(PATIENCE, known).await.unwrap();
        self.fleet.take_calls();
    }

    fn customer(&self) -> String {
        self.issuer.token(CUSTOMER.parse().unwrap(), &["customer"])
    }

    /// Reads as the customer, with these header lines.
    async fn get(&self, path: &str, lines: &str) -> Message {
        let token = self.customer();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             authorization: Bearer {token}\r\n{lines}\r\n"
        );
        exchange(self.public, request).await.pop().unwrap()
    }

    async fn metrics(&self) -> String {
        let request = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let metrics = exchange(self.internal, request).await.pop().unwrap();
        String::from_utf8(metrics.body).unwrap()
    }
}

#[tokio::test]
async fn a_trace_goes_on_through_the_gateway() {
    let shipped = Shipped::start(&[]).await;
    let parent = format!("traceparent: 00-{TRACE}-{PARENT}-01\r\ntracestate: shop=1\r\n");
    assert_eq!(shipped.get("/api/v1/users/me", &parent).await.status, 200);
    let call = shipped.fleet.take_call();
    let passed: Vec<_> = call.metadata("traceparent").unwrap().split('-').collect();
    assert_eq!((passed.len(), passed[0], passed[1]), (4, "00", TRACE));
    assert!(passed[2] != PARENT && passed[2].len() == 16, "a span of the gateway's own");
    assert_eq!(call.metadata("tracestate"), Some("shop=1"));
    shipped.fleet.script("GetUser", [Answer::foreign(Code::Internal)]);
    let refused = shipped.get("/api/v1/users/me", &parent).await;
    let problem: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!((refused.status, problem["trace_id"].as_str()), (500, Some(TRACE)));
    shipped.process.stop().await;
}

/// Services record what the gateway says: the flag that it passes on is the decision.
#[tokio::test]
async fn what_is_recorded_is_decided_here_unless_the_peer_may_decide() {
    for (ratio, samplers, said, passed) in [
        ("0.0", "192.0.2.1", "01", "00"),
        ("1.0", "192.0.2.1", "00", "01"),
        ("0.0", "127.0.0.0/8", "01", "01"),
        ("1.0", "127.0.0.0/8", "00", "00"),
    ] {
        let shipped = Shipped::start(&[
            ("TELEMETRY__OTLP_ENDPOINT", "http://127.0.0.1:9"),
            ("TELEMETRY__SAMPLE_RATIO", ratio),
            ("TRUSTED_SAMPLERS", samplers),
        ])
        .await;
        let parent = format!("traceparent: 00-{TRACE}-{PARENT}-{said}\r\n");
        assert_eq!(shipped.get("/api/v1/users/me", &parent).await.status, 200);
        let call = shipped.fleet.take_call();
        let told: Vec<_> = call.metadata("traceparent").unwrap().split('-').collect();
        assert_eq!((told[1], told[3]), (TRACE, passed), "{ratio} {samplers} {said}");
        assert_ne!(told[2], PARENT, "a span of the gateway's own");
        shipped.process.stop().await;
    }
}

#[tokio::test]
async fn a_trace_that_is_none_is_replaced() {
    let shipped = Shipped::start(&[]).await;
    let zeros = format!("00-{}-{PARENT}-01", "0".repeat(32));
    let long = format!("00-{TRACE}-{PARENT}-01{}", "-x".repeat(5_000));
    let forged = format!("00-{TRACE}-{PARENT}-01 level=error");
    let short = format!("00-{}-{PARENT}-01", &TRACE[1..]);
    let mut seen = Vec::new();
    for value in ["", "garbage", "00-XYZ-abc-01", &zeros, &long, &forged, &short] {
        let lines = format!("traceparent: {value}\r\n");
        assert_eq!(shipped.get("/api/v1/users/me", &lines).await.status, 200, "{value}");
        let call = shipped.fleet.take_call();
        let trace = call.metadata("traceparent").unwrap().split('-').nth(1).unwrap().to_owned();
        assert!(trace.len() == 32 && trace != TRACE && trace != "0".repeat(32), "{value}: {trace}");
        assert!(!seen.contains(&trace), "a new one each time");
        seen.push(trace);
    }
    shipped.process.stop().await;
}

#[tokio::test]
async fn logs_hold_one_line_per_event_and_nothing_secret() {
    let shipped = Shipped::start(&[("TELEMETRY__FILTER", "debug")]).await;
    shipped.fleet.script("Login", [Answer::foreign(Code::Internal)]);
    let body = r#"{"email":"canary@example.com","password":"hunter2"}"#;
    let length = body.len();
    let login = format!(
        "POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\
         cookie: session=canary-cookie\r\nx-request-id: known-id\r\n\
         idempotency-key: canary-key\r\n\r\n{body}"
    );
    assert_eq!(exchange(shipped.public, login).await[0].status, 500);
    let forged = "x-request-id: a\" level=error msg=\"forged\r\n";
    shipped.get("/api/v1/users/me", forged).await;
    shipped.get("/%22%0a%7B%22level%22:%22x%22%7D?password=canary-query", "").await;
    let token = shipped.customer();
    let read = format!(
        "GET /api/v1/users/me HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         authorization: bearer {token}\r\n\r\n"
    );
    assert_eq!(exchange(shipped.public, read).await[0].status, 200);
    let claims = token.split('.').nth(1).unwrap();
    let internal = shipped.internal;
    // That every line is one JSON document is checked as they are read.
    let log = shipped.process.stop().await;
    let text = serde_json::to_string(&log).unwrap();
    for canary in ["hunter2", "canary", "forged", claims] {
        assert!(!text.contains(canary), "{canary}");
    }
    let found =
        |line: &&Value| line["span"]["request.id"] == "known-id" && line["level"] == "ERROR";
    let cause = log.iter().find(found).unwrap();
    assert_eq!(
        (&cause["message"], &cause["error.code"]),
        (&"request failed".into(), &"INTERNAL".into())
    );
    assert!(cause["error"].as_str().unwrap().contains("10.0.0.7"), "{cause}");
    assert!(log.iter().all(|line| line["service.name"] == "gateway-service"));
    assert!(TcpStream::connect(internal).await.is_err(), "nothing listens any more");
}

#[tokio::test]
async fn metrics_are_on_the_internal_port_and_name_routes_not_paths() {
    let shipped = Shipped::start(&[]).await;
    assert_eq!(shipped.get("/metrics", "").await.code("/metrics"), "ROUTE_NOT_FOUND");
    shipped.get("/api/v1/orders/0190b6a0-0000-7000-8000-000000000001", "").await;
    shipped.get("/invented-by-a-client", "").await;
    let metrics = shipped.metrics().await;
    let count = |labels: &str| {
        let line = format!("http_server_requests_total{{{labels}}} ");
        let found = metrics.lines().find_map(|text| text.strip_prefix(line.as_str()));
        found.map(|number| number.parse::<u64>().unwrap())
    };
    let route = "method=\"GET\",route=\"/api/v1/orders/{id}\",status=\"2xx\"";
    assert_eq!(count(route), Some(1), "{metrics}");
    assert!(count("method=\"other\",route=\"unmatched\",status=\"4xx\"").is_some_and(|n| n >= 2));
    assert!(!metrics.contains("invented") && !metrics.contains("0190b6a0"));
    shipped.process.stop().await;
}

#[tokio::test]
async fn the_process_is_up_without_any_service() {
    let mut process = PROGRAM.start_without_database(&[]);
    let _channel = process.serving().await;
    let address = process.log().last().unwrap()["server.address"].as_str().unwrap();
    let address: SocketAddr = address.parse().unwrap();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    for (path, expected) in [("/livez", 200), ("/docs/", 200), ("/api/v1/products", 503)] {
        assert_eq!(exchange(address, get(path)).await[0].status, expected, "{path}");
    }
    // Nothing can be said about a token without the keys, so nobody is told that it is bad.
    let token = TestIssuer::new().token(CUSTOMER.parse().unwrap(), &[]);
    let read = format!(
        "GET /api/v1/users/me HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         authorization: Bearer {token}\r\n\r\n"
    );
    let refused = exchange(address, read).await.pop().unwrap();
    assert_eq!(refused.code("/api/v1/users/me"), "SERVICE_UNAVAILABLE");
    process.stop().await;
}

/// Out of file descriptors, the gateway waits for some, and goes on as soon as there are.
#[tokio::test]
async fn a_process_without_free_descriptors_goes_on_when_there_are_some() {
    let mut process = PROGRAM.start_without_database(&[]);
    let _channel = process.serving().await;
    let address = process.log().last().unwrap()["server.address"].as_str().unwrap();
    let address: SocketAddr = address.parse().unwrap();
    let id = process.id().unwrap();
    let open = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count();
    let limited = std::process::Command::new("prlimit")
        .args([format!("--pid={id}"), format!("--nofile={0}:{0}", open + 5)])
        .status();
    assert!(limited.unwrap().success());
    let get = "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert_eq!(exchange(address, get).await[0].status, 200);
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(TcpStream::connect(address).await.unwrap());
    }
    process.read_until("connection not accepted").await;
    drop(held);
    for _ in 0..20 {
        assert_eq!(exchange(address, get).await[0].status, 200);
    }
    let log = process.stop().await;
    let refused = log.iter().filter(|line| line["message"] == "connection not accepted").count();
    assert!(refused < 400, "{refused} lines: it does not spin");
}

#[tokio::test]
async fn a_bad_configuration_ends_the_start_and_is_named() {
    for (key, value, named) in [
        ("TRUSTED_PROXIES", "localhost", "trusted_proxies"),
        ("TRUSTED_SAMPLERS", "localhost", "trusted_samplers"),
        ("RATE_LIMITS__LOGIN__REQUESTS", "0", "rate_limits.login.requests"),
        ("HTTP__MAX_BODY_BYTES", "many", "http.max_body_bytes"),
        ("HTTP__MAX_BODY_SIZE", "1", "max_body_size"),
        ("REDIS__URL", "http://user:hunter2@127.0.0.1", "redis"),
        ("CORS__ALLOWED_ORIGINS", "*", "cors.allowed_origins"),
        ("HTTP__ALLOWED_HOSTS", "*.example", "http.allowed_hosts"),
    ] {
        let (status, said) = PROGRAM.start_without_database(&[(key, value)]).refused().await;
        assert!(matches!(status.code(), Some(1 | 64)), "{key}: {status}");
        assert!(said.to_lowercase().contains(named), "{key}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
