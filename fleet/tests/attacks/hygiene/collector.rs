//! A collector of traces that keeps what it is sent as text.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// Runs until it is dropped.
pub(super) struct Collector {
    /// Where services send their spans.
    pub(super) endpoint: String,
    exports: Exports,
    _server: JoinSet<Result<(), tonic::transport::Error>>,
}

#[derive(Clone, Default)]
struct Exports(Arc<Mutex<Vec<String>>>);

#[tonic::async_trait]
impl TraceService for Exports {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let text = format!("{:?}", request.into_inner());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    pub(super) async fn start() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let (exports, mut server) = (Exports::default(), JoinSet::new());
        server.spawn(
            tonic::transport::Server::builder()
                .add_service(TraceServiceServer::new(exports.clone()))
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        Ok(Self { endpoint, exports, _server: server })
    }

    /// Everything that came so far.
    pub(super) fn text(&self) -> String {
        self.exports.0.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// Which of these services have sent spans.
    pub(super) fn heard_of<'n>(&self, names: impl Iterator<Item = &'n str>) -> BTreeSet<&'n str> {
        let text = self.text();
        names.filter(|name| text.contains(&format!("StringValue(\"{name}\")"))).collect()
    }
}
