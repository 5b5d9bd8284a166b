//! A one-method service whose behaviour each test chooses, and waiting for conditions.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chassis::grpc::Channel;
use tonic::body::Body;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::server::{NamedService, UnaryService};
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// The path of the one method.
pub(crate) const METHOD: &str = "/test.Echo/Say";

type Reply = Pin<Box<dyn Future<Output = Result<Response<String>, Status>> + Send>>;
type Behaviour = Arc<dyn Fn(Request<String>) -> Reply + Send + Sync>;

/// Text in, text out; what is between is the test's.
#[derive(Clone)]
pub(crate) struct Echo(Behaviour);

impl Echo {
    pub(crate) fn routes<F, Fut>(behaviour: F) -> Routes
    where
        F: Fn(Request<String>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, Status>> + Send + 'static,
    {
        let behaviour = move |request| -> Reply {
            let reply = behaviour(request);
            Box::pin(async move { reply.await.map(Response::new) })
        };
        Routes::new(Self(Arc::new(behaviour)))
    }
}

impl NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

impl UnaryService<String> for Echo {
    type Response = String;
    type Future = Reply;

    fn call(&mut self, request: Request<String>) -> Reply {
        (self.0)(request)
    }
}

impl tower::Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let mut server = tonic::server::Grpc::new(ProstCodec::<String, String>::default());
            Ok(server.unary(service, request).await)
        })
    }
}

/// Calls the one method.
pub(crate) async fn say(channel: &Channel, request: Request<String>) -> Result<String, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
    let codec = ProstCodec::<String, String>::default();
    let reply = client.unary(request, PathAndQuery::from_static(METHOD), codec).await?;
    Ok(reply.into_inner())
}

/// Waits until `condition` holds, at most ten seconds.
pub(crate) async fn eventually<F, Fut>(what: &str, mut condition: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), waiting).await;
    assert!(waited.is_ok(), "{what} did not come about");
}
