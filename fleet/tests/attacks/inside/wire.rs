//! Ways to the gRPC ports of the fleet, under any name and under none.

use std::sync::Arc;

use anyhow::{Context, Result};
use chassis::config::{TlsConfig, UpstreamConfig};
use chassis::discovery::Endpoint;
use chassis::error::RemoteError;
use chassis::grpc::Channel;
use chassis::identity::Identity;
use chassis::testing::callers::methods;
use fleet::credentials::{Credentials, Issued};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint as Transport};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use crate::support::stage::Stage;

/// The services with a gRPC port, and what they serve.
pub(super) const SERVED: [(&str, &str); 5] = [
    ("user-service", "enterprisehub.user.v1.UserService"),
    ("auth-service", "enterprisehub.auth.v1.AuthService"),
    ("order-service", "enterprisehub.order.v1.OrderService"),
    ("payment-service", "enterprisehub.payment.v1.PaymentService"),
    ("notify-service", "enterprisehub.notify.v1.NotifyService"),
];

/// Where the services are, and by what they know each other.
pub(super) struct Inside {
    pub(super) credentials: Credentials,
    ports: Vec<(&'static str, u16)>,
}

impl Inside {
    pub(super) async fn of(stage: &Stage) -> Result<Self> {
        let fleet = stage.fleet.lock().await;
        let ports = SERVED.iter().map(|(name, _)| Ok((*name, fleet.port(name, 0)?)));
        let ports = ports.collect::<Result<_>>()?;
        Ok(Self { credentials: fleet.credentials().clone(), ports })
    }

    fn port(&self, service: &str) -> Result<u16> {
        let found = self.ports.iter().find(|(name, _)| *name == service);
        Ok(found.context("no such service")?.1)
    }

    /// The identity of a service of the fleet.
    fn identity(&self, service: &str) -> Result<Option<Arc<Identity>>> {
        let config = TlsConfig {
            certificate_path: self.credentials.certificate(service).display().to_string(),
            key_path: self.credentials.key(service).display().to_string(),
            ca_path: self.credentials.ca(service).display().to_string(),
            ..TlsConfig::default()
        };
        Ok(Identity::load(service, &config)?)
    }

    /// A way to a service, as services have it; `None` speaks plain text.
    pub(super) fn channel(&self, caller: Option<&str>, service: &'static str) -> Result<Channel> {
        let own = caller.map(|name| self.identity(name)).transpose()?.flatten();
        let endpoint = Endpoint::new("127.0.0.1", self.port(service)?);
        let config = UpstreamConfig {
            timeout_ms: 20_000,
            connect_timeout_ms: 10_000,
            ..UpstreamConfig::default()
        };
        Ok(chassis::testing::grpc::channel_as(own, service, &[endpoint], &config))
    }

    /// A way to a service by TLS, with whatever certificate.
    pub(super) fn stranger(
        &self,
        who: Option<&Issued>,
        service: &str,
    ) -> Result<tonic::transport::Channel> {
        let ca = Certificate::from_pem(std::fs::read(self.credentials.ca(service))?);
        let mut tls = ClientTlsConfig::new().ca_certificate(ca).domain_name(service);
        if let Some(Issued { certificate, key }) = who {
            tls = tls.identity(tonic::transport::Identity::from_pem(certificate, key));
        }
        let address = format!("https://127.0.0.1:{}", self.port(service)?);
        Ok(Transport::from_shared(address)?.tls_config(tls)?.connect_lazy())
    }
}

/// The paths of all methods of a service.
pub(super) fn paths(served: &str) -> Vec<String> {
    methods(proto::FILE_DESCRIPTOR_SET, served)
}

/// Calls any method with an empty message, and a token if there is one.
pub(super) async fn call<S>(way: S, path: &str, token: Option<&str>) -> Result<(), Status>
where
    S: tonic::client::GrpcService<tonic::body::Body>,
    S::ResponseBody: tonic::codegen::Body + Send + 'static,
    <S::ResponseBody as tonic::codegen::Body>::Error: Into<tonic::codegen::StdError> + Send,
    S::Error: std::fmt::Display,
{
    let mut request = Request::new(String::new());
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().map_err(|_| Status::internal("no token"))?;
        request.metadata_mut().insert("authorization", value);
    }
    send(tonic::client::Grpc::new(way), path, request).await
}

/// Calls any method with a message whose first member is this text; an empty one is an empty message.
pub(super) async fn send<S>(
    mut client: tonic::client::Grpc<S>,
    path: &str,
    request: Request<String>,
) -> Result<(), Status>
where
    S: tonic::client::GrpcService<tonic::body::Body>,
    S::ResponseBody: tonic::codegen::Body + Send + 'static,
    <S::ResponseBody as tonic::codegen::Body>::Error: Into<tonic::codegen::StdError> + Send,
    S::Error: std::fmt::Display,
{
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path: PathAndQuery = path.parse().map_err(|_| Status::internal("no path"))?;
    client.unary(request, path, ProstCodec::<String, ()>::default()).await.map(|_| ())
}

/// The code of a refusal in the house's form.
pub(super) fn reason(outcome: &Result<(), Status>) -> String {
    match outcome {
        Ok(()) => String::new(),
        Err(status) => RemoteError::from_status(status).reason,
    }
}

/// Whether a call did not even get through the handshake.
pub(super) fn is_cut(outcome: &Result<(), Status>) -> bool {
    outcome.as_ref().is_err_and(|status| {
        let code = status.code();
        matches!(code, Code::Unavailable | Code::Unknown | Code::Cancelled)
            && reason(outcome) != "SERVICE_UNAVAILABLE"
            || (code == Code::Unavailable && status.details().is_empty())
    })
}
