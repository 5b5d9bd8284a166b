//! A stand-in for auth-service, which publishes the key of an issuer.

use chassis::testing::tokens::TestIssuer;
use proto::auth::v1::auth_service_server::AuthService;
use proto::auth::v1::{self as pb};
use tonic::{Request, Response, Status};

pub(crate) struct Keys(pub(crate) TestIssuer);

#[tonic::async_trait]
impl AuthService for Keys {
    async fn get_jwks(
        &self,
        _: Request<pb::GetJwksRequest>,
    ) -> Result<Response<pb::GetJwksResponse>, Status> {
        let jwks = serde_json::to_string(&self.0.key_set()).unwrap();
        Ok(Response::new(pb::GetJwksResponse { jwks }))
    }

    async fn login(
        &self,
        _: Request<pb::LoginRequest>,
    ) -> Result<Response<pb::LoginResponse>, Status> {
        Err(Status::unimplemented("notify-service logs nobody in"))
    }

    async fn refresh(
        &self,
        _: Request<pb::RefreshRequest>,
    ) -> Result<Response<pb::RefreshResponse>, Status> {
        Err(Status::unimplemented("notify-service refreshes nothing"))
    }

    async fn logout(
        &self,
        _: Request<pb::LogoutRequest>,
    ) -> Result<Response<pb::LogoutResponse>, Status> {
        Err(Status::unimplemented("notify-service logs nobody out"))
    }
}
