//! What a refusal tells of the instance: one that says when to come again is well, any other is not.

use std::future::ready;
use std::time::Duration;

use chassis::config::{ServerConfig, UpstreamConfig};
use chassis::error::{codes, grpc};
use chassis::grpc::GrpcApp;
use chassis::testing::grpc::{Server, channel};
use tonic::{Code, Request, Status};

use crate::support::{Echo, say};

/// So many that an instance gets at least two of them unless it is left out; one in 2^57 runs it does
/// not.
const CALLS: usize = 64;

/// Answers every call like this.
fn answering(answer: Result<&'static str, Status>) -> GrpcApp {
    GrpcApp::new(Echo::routes(move |_| ready(answer.clone().map(str::to_owned))))
}

/// A refusal of this fleet, perhaps with the time after which to come again.
fn refusal(retry_after: Option<Duration>) -> Status {
    grpc::status(codes::SERVICE_UNAVAILABLE, "busy", Vec::new(), retry_after)
}

/// How many calls an instance gets, and refuses, beside another one that is well, where one failure is
/// enough to be left out until the test is over.
async fn refused_by(app: GrpcApp, limits: ServerConfig) -> usize {
    let busy = Server::start(app, limits).await;
    let well = Server::start(answering(Ok("well")), ServerConfig::default()).await;
    let (eject_after_failures, eject_for_ms) = (1, 3_600_000);
    let config = UpstreamConfig { eject_after_failures, eject_for_ms, ..UpstreamConfig::default() };
    let channel = channel(&[busy.endpoint(), well.endpoint()], &config);
    let mut refused = 0;
    for _ in 0..CALLS {
        if let Err(status) = say(&channel, Request::new(String::new())).await {
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
            refused += 1;
        }
    }
    refused
}

#[tokio::test]
async fn who_says_when_to_come_again_is_not_left_out() {
    let later = refusal(Some(Duration::from_secs(1)));
    let refused = refused_by(answering(Err(later)), ServerConfig::default()).await;
    assert!((2..CALLS).contains(&refused), "{refused} of {CALLS} calls");
}

#[tokio::test]
async fn an_instance_with_enough_to_do_is_not_left_out() {
    let full = ServerConfig { max_concurrency: 0, ..ServerConfig::default() };
    let refused = refused_by(answering(Ok("never asked")), full).await;
    assert!((2..CALLS).contains(&refused), "{refused} of {CALLS} calls");
}

#[tokio::test]
async fn who_does_not_say_when_is_left_out() {
    for down in [refusal(None), Status::unavailable("down")] {
        let refused = refused_by(answering(Err(down)), ServerConfig::default()).await;
        assert_eq!(refused, 1, "after the first failure it gets no more calls");
    }
}
