//! What a server answers to probes and tools, outside the layers around the service's own calls.

use chassis::config::ServerConfig;
use chassis::grpc::GrpcApp;
use chassis::testing::grpc::Server;
use futures::StreamExt;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

use crate::support::Echo;

async fn connect(server: &Server) -> Channel {
    let address = format!("http://{}", server.address());
    Channel::from_shared(address).unwrap().connect().await.unwrap()
}

fn app() -> GrpcApp {
    let routes = Echo::routes(|_| async { Ok(String::new()) });
    GrpcApp::new(routes).reflection(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

#[tokio::test]
async fn a_probe_is_answered_when_no_call_is_admitted() {
    let config = ServerConfig { max_concurrency: 0, ..ServerConfig::default() };
    let server = Server::start(app(), config).await;
    let mut client = HealthClient::new(connect(&server).await);
    let reply = client.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(reply.get_ref().status(), ServingStatus::Serving);
}

#[tokio::test]
async fn a_watcher_of_the_health_does_not_hold_up_the_drain() {
    let server = Server::start(app(), ServerConfig::default()).await;
    let mut client = HealthClient::new(connect(&server).await);
    let mut statuses = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    let first = statuses.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    server.stop().await;
    assert!(matches!(statuses.message().await, Ok(None) | Err(_)));
}

#[tokio::test]
async fn both_versions_of_reflection_list_the_services() {
    let server = Server::start(app(), ServerConfig::default()).await;
    let connection = connect(&server).await;

    let mut client = v1::server_reflection_client::ServerReflectionClient::new(connection.clone());
    let list = v1::server_reflection_request::MessageRequest::ListServices(String::new());
    let request = v1::ServerReflectionRequest { message_request: Some(list), ..Default::default() };
    let replies = client.server_reflection_info(futures::stream::iter([request])).await.unwrap();
    let reply = replies.into_inner().next().await.unwrap().unwrap();
    assert!(format!("{reply:?}").contains("grpc.health.v1.Health"), "{reply:?}");

    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(connection);
    let list = v1alpha::server_reflection_request::MessageRequest::ListServices(String::new());
    let request =
        v1alpha::ServerReflectionRequest { message_request: Some(list), ..Default::default() };
    let replies = client.server_reflection_info(futures::stream::iter([request])).await.unwrap();
    let reply = replies.into_inner().next().await.unwrap().unwrap();
    assert!(format!("{reply:?}").contains("grpc.health.v1.Health"), "{reply:?}");
}
