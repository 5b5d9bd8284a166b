//! Calls between services over real sockets.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chassis::auth::Caller;
use chassis::config::{ServerConfig, UpstreamConfig};
use chassis::discovery::Endpoint;
use chassis::error::{Kind, RemoteError, Validator, to_status};
use chassis::grpc::context::{self, CallContext};
use chassis::grpc::{Channel, GrpcApp, retry_idempotent};
use chassis::id::new_id;
use chassis::testing::grpc::{Server, channel, serve};
use chassis::testing::tokens::TestIssuer;
use futures::FutureExt;
use http::HeaderValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tonic::{Code, Request, Status};

use crate::support::{Echo, METHOD, eventually, say};

fn text(message: &str) -> Request<String> {
    Request::new(message.to_owned())
}

/// A service that never answers.
fn silent() -> GrpcApp {
    GrpcApp::new(Echo::routes(|_| std::future::pending()))
}

/// A service that answers with its own name.
fn named(name: &'static str) -> GrpcApp {
    GrpcApp::new(Echo::routes(move |_| async move { Ok(name.to_owned()) }))
}

#[tokio::test]
async fn a_call_is_answered() {
    let (channel, server) = serve(named("one")).await;
    assert_eq!(say(&channel, text("hello")).await.unwrap(), "one");
    server.stop().await;
}

#[tokio::test]
async fn the_deadline_travels_and_shrinks_on_the_way() {
    let (back, _back_server) = serve(GrpcApp::new(Echo::routes(|_| async {
        Ok(context::remaining().unwrap().as_millis().to_string())
    })))
    .await;
    let front = GrpcApp::new(Echo::routes(move |request| {
        let back = back.clone();
        async move { say(&back, request).await }
    }));
    let (channel, _server) = serve(front).await;
    let mut request = text("");
    // Less than a call may take that has no deadline.
    request.set_timeout(Duration::from_secs(2));
    let left: u64 = say(&channel, request).await.unwrap().parse().unwrap();
    assert!(left < 2_000, "{left} ms were left two hops away");
}

#[tokio::test]
async fn a_server_ends_a_call_at_its_own_limit_with_deadline_exceeded() {
    let config = ServerConfig { request_timeout_ms: 50, ..ServerConfig::default() };
    let server = Server::start(silent(), config).await;
    let channel = channel(&[server.endpoint()], &UpstreamConfig::default());
    let status = say(&channel, text("")).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(RemoteError::from_status(&status).reason, "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn a_call_from_a_spent_context_is_not_sent() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let (channel, _server) = serve(GrpcApp::new(Echo::routes(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Ok(String::new()) }
    })))
    .await;
    let spent = CallContext::with_timeout(Duration::ZERO);
    let status = context::scope(spent, say(&channel, text(""))).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_stops_waiting_for_a_stalled_peer() {
    // Accepts connections, by the kernel's queue, and never says a word.
    let stalled = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = stalled.local_addr().unwrap().port();
    let config = UpstreamConfig { timeout_ms: 200, ..UpstreamConfig::default() };
    let channel = channel(&[Endpoint::new("127.0.0.1", port)], &config);
    let answer = tokio::time::timeout(config.timeout(), say(&channel, text(""))).await;
    let status = answer.expect("no longer than it may take").unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn an_instance_that_is_gone_fails_no_call() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::start(named("one"), ServerConfig::default()).await;
    let endpoints = [Endpoint::new("127.0.0.1", gone.port()), server.endpoint()];
    let (eject_after_failures, eject_for_ms) = (1_000, 3_600_000);
    let config = UpstreamConfig { eject_after_failures, eject_for_ms, ..UpstreamConfig::default() };
    let channel = channel(&endpoints, &config);
    let mut failed = 0;
    // One in 2^64 runs never meets it.
    for _ in 0..64 {
        if let Err(status) = say(&channel, text("")).await {
            assert_eq!(status.code(), Code::Unavailable);
            failed += 1;
        }
    }
    assert_eq!(failed, 0, "what cannot be sent to it goes to the other one");
}

#[tokio::test]
async fn credentials_and_request_id_are_passed_on() {
    let app = GrpcApp::new(Echo::routes(|request| async move {
        let metadata = request.metadata();
        let value = |name| metadata.get(name).and_then(|value| value.to_str().ok());
        Ok(format!("{:?} {:?}", value("authorization"), value("x-request-id")))
    }));
    let (channel, _server) = serve(app).await;
    let context = CallContext {
        authorization: Some(HeaderValue::from_static("Bearer t")),
        request_id: Some(HeaderValue::from_static("r-1")),
        ..CallContext::default()
    };
    let inherited = context::scope(context.clone(), say(&channel, text(""))).await.unwrap();
    assert_eq!(inherited, r#"Some("Bearer t") Some("r-1")"#);
    let mut request = text("");
    request.metadata_mut().insert("authorization", "Bearer own".parse().unwrap());
    let own = context::scope(context, say(&channel, request)).await.unwrap();
    assert_eq!(own, r#"Some("Bearer own") Some("r-1")"#);
}

#[tokio::test]
async fn a_panic_becomes_internal_and_the_server_goes_on() {
    let app = GrpcApp::new(Echo::routes(|request| async move {
        assert_ne!(request.get_ref(), "boom", "a secret");
        Ok("fine".to_owned())
    }));
    let (channel, _server) = serve(app).await;
    let status = say(&channel, text("boom")).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(!format!("{status:?}").contains("a secret"), "the message stays inside");
    assert_eq!(say(&channel, text("hello")).await.unwrap(), "fine");
}

#[tokio::test]
async fn a_hundred_violations_do_not_cost_the_answer() {
    let app = GrpcApp::new(Echo::routes(|_| async {
        let mut validator = Validator::new();
        for line in 0..100 {
            validator.reject(format!("items[{line}].sku"), "FORMAT", "must be a SKU ".repeat(20));
        }
        Err(to_status(&validator.finish().unwrap_err()))
    }));
    let (channel, _server) = serve(app).await;
    let remote = RemoteError::from(say(&channel, text("")).await.unwrap_err());
    assert_eq!(remote.kind, Kind::InvalidArgument, "{remote:?}");
    assert_eq!(remote.detail, "the request has 100 invalid field(s)");
    assert_eq!(remote.violations.len(), 20);
    assert_eq!(remote.violations[19].field, "items[19].sku");
}

#[tokio::test]
async fn an_answer_with_large_trailers_arrives() {
    let app = GrpcApp::new(Echo::routes(|_| async {
        let details = vec![b'x'; 32 * 1024].into();
        Err(Status::with_details(Code::FailedPrecondition, "large", details))
    }));
    let (channel, _server) = serve(app).await;
    let status = say(&channel, text("")).await.unwrap_err();
    assert_eq!((status.code(), status.details().len()), (Code::FailedPrecondition, 32 * 1024));
}

#[tokio::test]
async fn calls_beyond_the_limit_are_refused_at_once() {
    let gate = Arc::new(Semaphore::new(0));
    let entered = Arc::new(AtomicUsize::new(0));
    let (gate_inside, entered_inside) = (gate.clone(), entered.clone());
    let app = GrpcApp::new(Echo::routes(move |_| {
        let gate = gate_inside.clone();
        entered_inside.fetch_add(1, Ordering::SeqCst);
        async move {
            gate.acquire().await.map(drop).map_err(|_| Status::internal("closed"))?;
            Ok("done".to_owned())
        }
    }));
    let config = ServerConfig { max_concurrency: 2, ..ServerConfig::default() };
    let server = Server::start(app, config).await;
    let channel = channel(&[server.endpoint()], &UpstreamConfig::default());
    let admitted = futures::future::join(say(&channel, text("")), say(&channel, text("")));
    let refused = async {
        eventually("both calls inside", || async { entered.load(Ordering::SeqCst) == 2 }).await;
        let status = say(&channel, text("")).await.unwrap_err();
        gate.add_permits(2);
        status
    };
    let ((one, two), status) = tokio::join!(admitted, refused);
    assert_eq!((one.unwrap(), two.unwrap()), ("done".to_owned(), "done".to_owned()));
    let error = RemoteError::from_status(&status);
    assert_eq!((error.kind, error.reason.as_str()), (Kind::Unavailable, "SERVICE_UNAVAILABLE"));
    assert!(error.retry_after.is_some());
}

#[tokio::test]
async fn a_slow_service_holds_so_many_calls_and_no_more() {
    let (entered, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let (entered_inside, gate_inside) = (entered.clone(), gate.clone());
    let app = GrpcApp::new(Echo::routes(move |_| {
        entered_inside.fetch_add(1, Ordering::SeqCst);
        let gate = gate_inside.clone();
        async move {
            gate.acquire().await.map(drop).map_err(|_| Status::internal("closed"))?;
            Ok("done".to_owned())
        }
    }));
    let server = Server::start(app, ServerConfig::default()).await;
    let config = UpstreamConfig { max_in_flight: 2, ..UpstreamConfig::default() };
    let channel = channel(&[server.endpoint()], &config);
    let held = futures::future::join(say(&channel, text("")), say(&channel, text("")));
    let one_too_many = async {
        eventually("both calls inside", || async { entered.load(Ordering::SeqCst) == 2 }).await;
        let call = || say(&channel, text(""));
        let status = retry_idempotent(channel.retry_budget(), 5, call).await.unwrap_err();
        gate.add_permits(3);
        RemoteError::from_status(&status)
    };
    let ((one, two), refused) = tokio::join!(held, one_too_many);
    assert_eq!((one.unwrap(), two.unwrap()), ("done".to_owned(), "done".to_owned()));
    assert_eq!(refused.reason, "SERVICE_UNAVAILABLE");
    assert!(refused.retry_after.is_some());
    assert_eq!(say(&channel, text("")).await.unwrap(), "done");
    assert_eq!(entered.load(Ordering::SeqCst), 3, "what was refused was never sent");
}

#[tokio::test]
async fn without_a_known_endpoint_a_call_fails_at_once() {
    let channel = channel(&[], &UpstreamConfig::default());
    let answer = say(&channel, text("")).now_or_never();
    let status = answer.expect("there is nothing to wait for").unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
}

#[tokio::test]
async fn an_endpoint_that_appears_later_is_used() {
    let (sender, receiver) = watch::channel(Arc::from([]));
    let channel = Channel::new("test-service", &UpstreamConfig::default(), receiver);
    assert!(say(&channel, text("")).await.is_err());
    let server = Server::start(named("late"), ServerConfig::default()).await;
    sender.send_replace(Arc::from([server.endpoint()]));
    assert_eq!(say(&channel, text("")).await.unwrap(), "late");
}

/// Runs a server on threads of its own, so that it can be made to vanish with its connections.
fn start_apart(app: GrpcApp) -> (tokio::runtime::Runtime, Endpoint) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    runtime.spawn(async move {
        let server = Server::start(app, ServerConfig::default()).await;
        sender.send(server.endpoint()).unwrap();
        std::future::pending::<()>().await;
    });
    (runtime, receiver.recv().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_instance_costs_no_idempotent_call() {
    let (doomed, doomed_endpoint) = start_apart(named("doomed"));
    let survivor = Server::start(named("survivor"), ServerConfig::default()).await;
    let channel = channel(&[doomed_endpoint, survivor.endpoint()], &UpstreamConfig::default());
    let attempts = channel.retry_attempts();
    let call = || retry_idempotent(channel.retry_budget(), attempts, || say(&channel, text("")));
    let mut seen = std::collections::HashSet::new();
    for _ in 0..64 {
        seen.insert(call().await.unwrap());
    }
    assert_eq!(seen.len(), 2, "both instances get calls");
    doomed.shutdown_background();
    for _ in 0..64 {
        assert_eq!(call().await.unwrap(), "survivor");
    }
}

/// Nobody listens there.
fn nowhere() -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    Endpoint::new("127.0.0.1", listener.local_addr().unwrap().port())
}

#[tokio::test]
async fn a_call_that_could_not_be_sent_goes_to_another_instance_without_a_retry() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let app = GrpcApp::new(Echo::routes(move |request| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move { Ok(request.into_inner()) }
    }));
    let server = Server::start(app, ServerConfig::default()).await;
    let config = UpstreamConfig { eject_after_failures: 1_000, ..UpstreamConfig::default() };
    let channel = channel(&[nowhere(), server.endpoint()], &config);
    for _ in 0..32 {
        assert_eq!(say(&channel, text("once")).await.unwrap(), "once");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 32);
}

#[tokio::test]
async fn an_answer_is_not_asked_for_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let app = GrpcApp::new(Echo::routes(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Err(Status::unavailable("not now")) }
    }));
    let (channel, _server) = serve(app).await;
    assert_eq!(say(&channel, text("")).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

/// Three services in a row, of which the first two repeat their calls and the last one is down.
#[tokio::test]
async fn the_last_service_of_a_chain_sees_a_tenth_more_calls_at_most() {
    // Fewer than may be under way at once.
    const CALLS: usize = 200;
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = seen.clone();
    let (last, _last_server) = serve(GrpcApp::new(Echo::routes(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Err(Status::unavailable("down")) }
    })))
    .await;
    let (first, _server) = serve(GrpcApp::new(Echo::routes(move |_| {
        let last = last.clone();
        async move {
            let call = || say(&last, text(""));
            retry_idempotent(last.retry_budget(), last.retry_attempts(), call).await
        }
    })))
    .await;
    let call = || say(&first, text(""));
    let asked = (0..CALLS).map(|_| retry_idempotent(first.retry_budget(), 2, call));
    for answer in futures::future::join_all(asked).await {
        assert_eq!(answer.unwrap_err().code(), Code::Unavailable);
    }
    let (share, saved) = (CALLS / 10, 2 * 10);
    let seen = seen.load(Ordering::SeqCst);
    assert!((CALLS..=CALLS + share + saved).contains(&seen), "{seen} of {CALLS} calls");
}

#[tokio::test]
async fn a_drain_finishes_the_calls_that_run() {
    let gate = Arc::new(Semaphore::new(0));
    let entered = Arc::new(AtomicUsize::new(0));
    let (gate_inside, entered_inside) = (gate.clone(), entered.clone());
    let app = GrpcApp::new(Echo::routes(move |_| {
        let gate = gate_inside.clone();
        entered_inside.fetch_add(1, Ordering::SeqCst);
        async move {
            gate.acquire().await.map(drop).map_err(|_| Status::internal("closed"))?;
            Ok("done".to_owned())
        }
    }));
    let (channel, server) = serve(app).await;
    let draining = async {
        eventually("the call inside", || async { entered.load(Ordering::SeqCst) == 1 }).await;
        let stopped = server.stop();
        gate.add_permits(1);
        stopped.await;
    };
    let (reply, ()) = tokio::join!(say(&channel, text("")), draining);
    assert_eq!(reply.unwrap(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_in_order_loses_no_call_though_none_is_repeated() {
    let going = Server::start(named("going"), ServerConfig::default()).await;
    let staying = Server::start(named("staying"), ServerConfig::default()).await;
    let endpoints = [going.endpoint(), staying.endpoint()];
    let channel = channel(&endpoints, &UpstreamConfig::default());
    let (seen, is_over) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let callers = (0..8).map(|_| async {
        while is_over.load(Ordering::SeqCst) == 0 {
            let name = say(&channel, text("")).await.unwrap();
            seen.fetch_add(usize::from(name == "going"), Ordering::SeqCst);
        }
    });
    let replacing = async {
        eventually("calls at both", || async { seen.load(Ordering::SeqCst) > 64 }).await;
        going.stop().await;
        for _ in 0..64 {
            assert_eq!(say(&channel, text("")).await.unwrap(), "staying");
        }
        is_over.store(1, Ordering::SeqCst);
    };
    tokio::join!(futures::future::join_all(callers), replacing);
}

/// Bytes of the head of a frame of HTTP/2.
const HEAD_BYTES: usize = 9;

/// Says that the connection ends. The last call that was begun with is 0, that is none, and there is
/// no error.
const GOAWAY: [u8; HEAD_BYTES + 8] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Ends one call alone.
fn reset(stream: [u8; 4], reason: h2::Reason) -> Vec<u8> {
    [&[0, 0, 4, 3, 0][..], &stream[..], &u32::from(reason).to_be_bytes()[..]].concat()
}

/// An instance that reads each call to its end, and then answers with the frame that is made of the
/// number of its stream. Counts how often.
async fn ending(
    said: Arc<AtomicUsize>,
    answer: impl Fn([u8; 4]) -> Vec<u8> + Send + 'static,
) -> (Endpoint, JoinSet<()>) {
    const PREFACE_BYTES: usize = 24;
    const SETTINGS: [u8; HEAD_BYTES] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const ACKNOWLEDGED: [u8; HEAD_BYTES] = [0, 0, 0, 4, 1, 0, 0, 0, 0];
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            connection.write_all(&SETTINGS).await.unwrap();
            connection.read_exact(&mut [0; PREFACE_BYTES]).await.unwrap();
            let mut head = [0; HEAD_BYTES];
            while connection.read_exact(&mut head).await.is_ok() {
                let mut payload = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
                connection.read_exact(&mut payload).await.unwrap();
                if head[3] == 4 && head[4] == 0 {
                    connection.write_all(&ACKNOWLEDGED).await.unwrap();
                }
                let is_end_of_call = head[3] == 0 && head[4] & 1 == 1;
                if is_end_of_call {
                    said.fetch_add(1, Ordering::SeqCst);
                    let frame = answer([head[5], head[6], head[7], head[8]]);
                    connection.write_all(&frame).await.unwrap();
                }
            }
        }
    });
    (Endpoint::new("127.0.0.1", port), serving)
}

#[tokio::test]
async fn a_call_that_was_read_but_not_begun_with_goes_elsewhere() {
    let said = Arc::<AtomicUsize>::default();
    let (leaving, _serving) = ending(Arc::clone(&said), |_| GOAWAY.to_vec()).await;
    let staying = Server::start(named("staying"), ServerConfig::default()).await;
    let channel = channel(&[leaving, staying.endpoint()], &UpstreamConfig::default());
    for _ in 0..16 {
        assert_eq!(say(&channel, text("")).await.unwrap(), "staying");
    }
    assert!(said.load(Ordering::SeqCst) > 0, "no call came there");
}

/// Reads what comes at once, and hangs up without a word, as a server does that ends just then.
async fn hanging_up(met: Arc<AtomicUsize>) -> (Endpoint, JoinSet<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let said = connection.read(&mut [0; 1_024]).await.unwrap();
            met.fetch_add(usize::from(said > 0), Ordering::SeqCst);
        }
    });
    (Endpoint::new("127.0.0.1", port), serving)
}

#[tokio::test]
async fn no_call_is_lost_on_a_connection_that_the_instance_did_not_begin() {
    let met = Arc::<AtomicUsize>::default();
    let (hanging_up, _serving) = hanging_up(Arc::clone(&met)).await;
    let staying = Server::start(named("staying"), ServerConfig::default()).await;
    let channel = channel(&[hanging_up, staying.endpoint()], &UpstreamConfig::default());
    for _ in 0..16 {
        assert_eq!(say(&channel, text("")).await.unwrap(), "staying");
    }
    assert!(met.load(Ordering::SeqCst) > 0, "nobody came there");
}

#[tokio::test]
async fn a_call_that_was_reset_goes_elsewhere_only_if_it_was_refused() {
    const CALLS: usize = 64;
    for (reason, is_sent_again) in [
        (h2::Reason::REFUSED_STREAM, true),
        (h2::Reason::CANCEL, false),
        (h2::Reason::INTERNAL_ERROR, false),
    ] {
        let (said, served) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (ending, _serving) =
            ending(Arc::clone(&said), move |stream| reset(stream, reason)).await;
        let counted = Arc::clone(&served);
        let app = GrpcApp::new(Echo::routes(move |request| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move { Ok(request.into_inner()) }
        }));
        let server = Server::start(app, ServerConfig::default()).await;
        let channel = channel(&[ending, server.endpoint()], &UpstreamConfig::default());
        let mut failed = 0;
        for _ in 0..CALLS {
            if let Err(status) = say(&channel, text("once")).await {
                assert_eq!(status.code(), Code::Unavailable, "{reason}");
                failed += 1;
            }
        }
        let said = said.load(Ordering::SeqCst);
        assert!(said > 0, "no call came there");
        assert_eq!(failed, if is_sent_again { 0 } else { said }, "{reason}");
        assert_eq!(served.load(Ordering::SeqCst), CALLS - failed, "{reason}");
    }
}

/// A service that answers with the caller's id.
fn identified(request: &Request<String>) -> Result<String, Status> {
    let caller = Caller::from_request(request).map_err(|error| to_status(&error))?;
    Ok(caller.user_id.to_string())
}

async fn reason_of(channel: &Channel, request: Request<String>) -> String {
    let status = say(channel, request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    RemoteError::from_status(&status).reason
}

#[tokio::test]
async fn a_handler_gets_a_verified_caller_or_none() {
    let issuer = TestIssuer::new();
    let routes = Echo::routes(|request| async move { identified(&request) });
    let app = GrpcApp::new(routes).auth(issuer.verifier().await);
    let (channel, _server) = serve(app).await;
    let user = new_id();
    let mut request = text("");
    issuer.authorize(&mut request, user, &["customer"]);
    assert_eq!(say(&channel, request).await.unwrap(), user.to_string());
    assert_eq!(reason_of(&channel, text("")).await, "TOKEN_MISSING");
    let mut forged = text("");
    TestIssuer::new().authorize(&mut forged, user, &["admin"]);
    assert_eq!(reason_of(&channel, forged).await, "TOKEN_INVALID");
    let mut claims = issuer.claims(user, &[]);
    claims.exp -= 10_000;
    let mut expired = text("");
    let value = format!("Bearer {}", issuer.sign(&claims));
    expired.metadata_mut().insert("authorization", value.parse().unwrap());
    assert_eq!(reason_of(&channel, expired).await, "TOKEN_EXPIRED");
}

#[tokio::test]
async fn a_public_method_does_not_look_at_tokens() {
    let issuer = TestIssuer::new();
    let app = named("open").auth(issuer.verifier().await).public(&[METHOD]);
    let (channel, _server) = serve(app).await;
    let mut request = text("");
    request.metadata_mut().insert("authorization", "Bearer nonsense".parse().unwrap());
    assert_eq!(say(&channel, request).await.unwrap(), "open");
}
