use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::future::join_all;
use http::Uri;
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::io::DuplexStream;
use tokio_util::task::TaskTracker;
use tonic::transport::Endpoint as Transport;
use tower::ServiceExt;

use super::*;

/// The instance at this port is never connected to.
const SILENT: u16 = 1;

/// This one answers.
const ALIVE: u16 = 2;

/// This one takes one call at a time, and longer for it than connecting may take.
const BUSY: u16 = 3;

/// So does this one, and it ends its connections when they are old.
const ENDING: u16 = 4;

/// This one is connected to at the second attempt.
const LATE: u16 = 5;

/// This one ends its connections when they are old, and is connected to again at the second attempt.
const SLOW: u16 = 6;

/// So does this one, and it is not connected to again.
const CUT_OFF: u16 = 7;

/// The age at which a connection is old: the first call is over then, and the second one is not.
const AGE: Duration = Duration::from_secs(1);

async fn answer(port: u16) -> Result<Response<Empty<Bytes>>, Infallible> {
    if [BUSY, ENDING].contains(&port) {
        tokio::time::sleep(UpstreamConfig::default().connect_timeout() * 3 / 2).await;
    }
    let head = Response::builder().header(header::CONTENT_TYPE, "application/grpc");
    Ok(head.header(Status::GRPC_STATUS, "0").body(Empty::new()).unwrap())
}

/// Connects within the process, where the clock of a test counts.
async fn dial(port: u16, earlier: usize, tasks: TaskTracker) -> io::Result<TokioIo<DuplexStream>> {
    let is_silent = match port {
        SILENT => true,
        LATE => earlier == 0,
        SLOW => earlier == 1,
        CUT_OFF => earlier > 0,
        _ => false,
    };
    if is_silent {
        return std::future::pending().await;
    }
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let calls = hyper::service::service_fn(move |_: Request<Incoming>| answer(port));
    let mut server = http2::Builder::new(TokioExecutor::new());
    if [BUSY, ENDING].contains(&port) {
        server.max_concurrent_streams(1);
    }
    let serving = server.serve_connection(TokioIo::new(theirs), calls);
    let age_max = if [ENDING, SLOW, CUT_OFF].contains(&port) { AGE } else { Duration::MAX };
    tasks.spawn(async move {
        let mut serving = pin!(serving);
        if tokio::time::timeout(age_max, serving.as_mut()).await.is_err() {
            serving.as_mut().graceful_shutdown();
            let _ = serving.await;
        }
    });
    Ok(TokioIo::new(ours))
}

fn channel(ports: &[u16], config: &UpstreamConfig) -> Channel {
    let (_sender, receiver) = watch::channel(ports.iter().copied().map(endpoint).collect());
    let (timeout, tasks) = (config.connect_timeout(), TaskTracker::new());
    Channel::over("test-service", config, receiver, move |endpoint: &Endpoint| {
        let (port, tasks) = (endpoint.port, tasks.clone());
        let attempts = Arc::new(AtomicUsize::new(0));
        let connector = tower::service_fn(move |_: Uri| {
            dial(port, attempts.fetch_add(1, Ordering::Relaxed), tasks.clone())
        });
        Link::lazy(&Transport::from_static("http://test-service"), connector, timeout)
    })
}

fn endpoint(port: u16) -> Endpoint {
    Endpoint::new("127.0.0.1", port)
}

/// Neither ejects by the number of failures nor saves up more retries than it begins with.
fn config() -> UpstreamConfig {
    UpstreamConfig {
        eject_after_failures: 1_000,
        eject_for_ms: 3_600_000,
        retry_budget_ratio: 0.0,
        ..UpstreamConfig::default()
    }
}

async fn ask(channel: &Channel) -> Code {
    let body = Body::new(Full::new(Bytes::from_static(b"message")));
    let request = Request::post("http://test-service/test.Echo/Say").body(body).unwrap();
    match channel.clone().oneshot(request).await {
        Ok(response) => code_in(response.headers()),
        Err(status) => status.code(),
    }
}

/// Asks so often at once; half of the calls go to each of two instances.
async fn ask_at_once(channel: &Channel, calls: usize) -> Vec<Code> {
    join_all((0..calls).map(|_| ask(channel))).await
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_for_a_connection_in_vain_go_elsewhere_before_their_deadline() {
    let channel = channel(&[SILENT, ALIVE], &config());
    // The deadline would come after five attempts to connect, each of which ends one call.
    assert_eq!(ask_at_once(&channel, 16).await, [Code::Ok; 16]);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_not_connected_to_in_time_is_left_out_at_once() {
    let channel = channel(&[SILENT, ALIVE], &config());
    for _ in 0..64 {
        assert_eq!(ask(&channel).await, Code::Ok, "more calls went there than may go elsewhere");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_alone_is_shown_of_all_channels_to_a_service_together() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let channels = [(); 2].map(|()| channel(&[SILENT, ALIVE], &config()));
    let samplers: Vec<_> = channels.iter().map(Channel::sampler).collect();
    let is_shown = |count: u32| {
        for sample in &samplers {
            sample();
        }
        let line = format!("rpc_client_ejected_instances{{peer=\"test-service\"}} {count}\n");
        recorder.handle().render().contains(&line)
    };
    assert!(is_shown(0));
    let lease_of = |channel: &Channel| channel.inner.picker.pick(&[endpoint(ALIVE)]).unwrap();
    for (channel, count) in channels.iter().zip(1..) {
        lease_of(channel).is_gone();
        assert!(is_shown(count));
    }
    lease_of(&channels[0]).succeeded();
    assert!(is_shown(1), "one of them has heard of it again");
}

#[tokio::test(start_paused = true)]
async fn what_goes_elsewhere_is_paid_for_as_a_retry() {
    let config = UpstreamConfig { retry_budget_max: 2, ..config() };
    let codes = ask_at_once(&channel(&[SILENT, ALIVE], &config), 16).await;
    let count = |wanted: Code| codes.iter().filter(|code| **code == wanted).count();
    assert_eq!((count(Code::Ok), count(Code::Unavailable)), (8 + 2, 8 - 2));
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_at_an_instance_with_much_to_do_go_on_waiting() {
    let channel = channel(&[BUSY], &config());
    // It says with its first answer how many calls it takes.
    assert_eq!(ask(&channel).await, Code::Ok);
    assert_eq!(ask_at_once(&channel, 2).await, [Code::Ok; 2]);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_still_cut_off_costs_one_call_when_it_is_tried_again() {
    let config = UpstreamConfig { retry_budget_max: 2, ..config() };
    let channel = channel(&[SILENT, ALIVE], &config);
    assert_eq!(ask_at_once(&channel, 2).await, [Code::Ok; 2], "one of them went elsewhere");
    tokio::time::advance(config.eject_for()).await;
    assert_eq!(ask_at_once(&channel, 16).await, [Code::Ok; 16], "one retry was left");
}

#[tokio::test(start_paused = true)]
async fn what_waits_at_a_connection_that_ends_in_order_goes_elsewhere_for_nothing() {
    let config = UpstreamConfig { retry_budget_max: 1, ..config() };
    let channel = channel(&[ENDING, ALIVE], &config);
    // It says with its first answer how many calls it takes.
    assert_eq!(ask_at_once(&channel, 2).await, [Code::Ok; 2]);
    assert_eq!(ask_at_once(&channel, 16).await, [Code::Ok; 16]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_to_connect_that_nobody_waited_for_is_begun_anew() {
    let (channel, timeout) = (channel(&[LATE], &config()), config().connect_timeout());
    assert!(tokio::time::timeout(timeout / 2, ask(&channel)).await.is_err(), "it is given up");
    tokio::time::advance(timeout * 2).await;
    assert_eq!(ask(&channel).await, Code::Ok);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_to_connect_that_stood_still_leaves_no_instance_out() {
    let (channel, timeout) = (channel(&[LATE, ALIVE], &config()), config().connect_timeout());
    let picker = &channel.inner.picker;
    // With a call at the other one, the next ones begin here.
    let busy = picker.pick(&[endpoint(LATE)]).unwrap();
    assert!(tokio::time::timeout(timeout / 2, ask(&channel)).await.is_err(), "it is given up");
    tokio::time::advance(timeout / 4).await;
    assert_eq!(ask(&channel).await, Code::Ok, "what came late to the attempt goes elsewhere");
    drop(busy);
    let held: Vec<_> = (0..2).map(|_| picker.pick(&[]).unwrap()).collect();
    assert!(held.iter().any(|lease| lease.endpoint().port == LATE), "it is not left out");
}

/// Has an instance connected to, and, when the connection has ended, asks it so often at once.
async fn ask_again(channel: &Channel, port: u16, calls: usize) {
    let _busy = keep_busy_all_but(channel, port);
    assert_eq!(ask(channel).await, Code::Ok);
    tokio::time::sleep(AGE * 2).await;
    let begun = Instant::now();
    assert_eq!(ask_at_once(channel, calls).await, vec![Code::Ok; calls], "they go elsewhere");
    assert!(begun.elapsed() >= config().connect_timeout(), "no handshake was slow");
}

/// With calls at the other one, the next ones begin at this instance if it is not left out.
fn keep_busy_all_but(channel: &Channel, port: u16) -> Vec<Lease<Link>> {
    (0..8).map(|_| channel.inner.picker.pick(&[endpoint(port)]).unwrap()).collect()
}

/// Whether the next call would not go to an instance, though it has less to do.
fn is_left_out(channel: &Channel, port: u16) -> bool {
    let _busy = keep_busy_all_but(channel, port);
    channel.inner.picker.pick(&[]).unwrap().endpoint().port != port
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_late_once_but_alive_is_not_left_out() {
    for calls in [1, 4] {
        let channel = channel(&[SLOW, ALIVE], &config());
        ask_again(&channel, SLOW, calls).await;
        assert!(!is_left_out(&channel, SLOW), "{calls} calls met the same handshake");
        tokio::time::sleep(AGE / 2).await;
        let _busy = keep_busy_all_but(&channel, SLOW);
        let begun = Instant::now();
        assert_eq!(ask(&channel).await, Code::Ok);
        assert!(begun.elapsed() < config().connect_timeout(), "it answers");
    }
}

#[tokio::test(start_paused = true)]
async fn one_slow_handshake_is_one_failure_however_many_calls_meet_it() {
    let config = UpstreamConfig { eject_after_failures: 5, retry_budget_max: 1_000, ..config() };
    for port in [SLOW, CUT_OFF] {
        let channel = channel(&[port, ALIVE], &config);
        ask_again(&channel, port, 20).await;
        assert!(!is_left_out(&channel, port), "instance {port}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_late_twice_in_a_row_is_left_out() {
    let channel = channel(&[CUT_OFF, ALIVE], &config());
    ask_again(&channel, CUT_OFF, 1).await;
    assert!(!is_left_out(&channel, CUT_OFF));
    tokio::time::sleep(AGE).await;
    let busy = keep_busy_all_but(&channel, CUT_OFF);
    assert_eq!(ask(&channel).await, Code::Ok);
    drop(busy);
    assert!(is_left_out(&channel, CUT_OFF));
}
