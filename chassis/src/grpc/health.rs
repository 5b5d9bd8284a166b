//! `grpc.health.v1`, answered from the instance's readiness.

use std::pin::Pin;

use futures::{Stream, StreamExt};
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health as HealthProtocol, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::health::Health;

/// Answers for the whole instance, whatever service is asked for: it is ready as a whole or not.
pub(super) struct HealthAnswers {
    health: Health,
    stop: CancellationToken,
}

impl HealthAnswers {
    pub(super) fn server(health: Health, stop: CancellationToken) -> HealthServer<Self> {
        HealthServer::new(Self { health, stop })
    }
}

#[tonic::async_trait]
impl HealthProtocol for HealthAnswers {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(response(self.health.is_ready())))
    }

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let statuses = WatchStream::new(self.health.ready()).map(|ready| Ok(response(ready)));
        // A watcher never goes by itself, and would hold up the drain until its deadline.
        let until_stop = statuses.take_until(self.stop.clone().cancelled_owned());
        Ok(Response::new(Box::pin(until_stop)))
    }
}

fn response(ready: bool) -> HealthCheckResponse {
    let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    HealthCheckResponse { status: status.into() }
}
