//! What a client is told when a part of the fleet fails. Comes last: it breaks notify-service.

use anyhow::Result;
use chassis::config::ServerConfig;
use chassis::grpc::{Callers, GrpcApp};
use chassis::testing::grpc::Server;
use proto::notify::v1::{ListNotificationsRequest, ListNotificationsResponse, Notification};
use serde_json::json;
use tonic_prost::ProstCodec;

use super::Stage;
use crate::support::identity;

const PATH: &str = "/api/v1/notifications";

/// What stands in for notify-service is asked.
const CALLERS: Callers = Callers::new(&[(
    "/enterprisehub.notify.v1.NotifyService/ListNotifications",
    &["gateway-service"],
)]);

pub(super) async fn produce(stage: &mut Stage) -> Result<()> {
    stalled(stage).await?;
    broken(stage).await?;
    absent(stage).await?;
    incompatible(stage).await
}

/// The process neither answers nor goes away.
async fn stalled(stage: &mut Stage) -> Result<()> {
    stage.fleet.pause("notify-service", 0)?;
    let reply = stage.customer.get(PATH).await;
    stage.fleet.resume("notify-service", 0)?;
    stage.seen.expect(&reply?, "DEADLINE_EXCEEDED")?;
    let Stage { fleet, customer, .. } = stage;
    fleet
        .eventually("the process being back", || async {
            Ok((customer.get(PATH).await?.status == 200).then_some(()))
        })
        .await
}

/// A table is missing, which no caller can do anything about.
async fn broken(stage: &mut Stage) -> Result<()> {
    let mut connection = stage.fleet.database("notify-service").await?;
    sqlx::query("ALTER TABLE muted RENAME TO mislaid").execute(&mut connection).await?;
    let reply = stage.customer.get("/api/v1/notifications/preferences").await?;
    sqlx::query("ALTER TABLE mislaid RENAME TO muted").execute(&mut connection).await?;
    assert!(!reply.body.to_string().contains("muted"), "{}", reply.body);
    stage.seen.expect(&reply, "INTERNAL")
}

async fn absent(stage: &mut Stage) -> Result<()> {
    stage.fleet.kill("notify-service", 0)?;
    let reply = stage.customer.get(PATH).await?;
    stage.seen.expect(&reply, "SERVICE_UNAVAILABLE")
}

/// Something else registers under the service's name, proves to be of it, and answers with a
/// notification that was made at no time.
async fn incompatible(stage: &mut Stage) -> Result<()> {
    let Stage { fleet, customer, seen, .. } = stage;
    let answer = |request: axum::extract::Request| async move {
        let service = tower::service_fn(|_: tonic::Request<ListNotificationsRequest>| async {
            let notifications = vec![Notification::default()];
            let reply =
                ListNotificationsResponse { notifications, ..ListNotificationsResponse::default() };
            Ok::<_, tonic::Status>(tonic::Response::new(reply))
        });
        let codec = ProstCodec::<ListNotificationsResponse, ListNotificationsRequest>::default();
        let reply = tonic::server::Grpc::new(codec).unary(service, request).await;
        reply.map(axum::body::Body::new)
    };
    let routes = tonic::service::Routes::from(axum::Router::new().fallback(answer));
    let own = identity(fleet, "notify-service")?;
    let app = GrpcApp::new(routes).callers(CALLERS);
    let server = Server::start_as(app, ServerConfig::default(), own).await;
    let registration = json!({
        "Name": "notify-service",
        "ID": "impostor",
        "Address": "127.0.0.1",
        "Port": server.address().port(),
    });
    let url = format!("{}/v1/agent/service/register", fleet.addresses().consul);
    let client = fleet::http::client().build()?;
    client.put(url).json(&registration).send().await?.error_for_status()?;
    let reply = fleet
        .eventually("the impostor being asked", || async {
            let reply = customer.get(PATH).await?;
            Ok((reply.code() != "SERVICE_UNAVAILABLE").then_some(reply))
        })
        .await?;
    seen.expect(&reply, "UPSTREAM_INVALID")
}
