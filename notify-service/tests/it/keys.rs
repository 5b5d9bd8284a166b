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

    async fn list_sessions(
        &self,
        _: Request<pb::ListSessionsRequest>,
    ) -> Result<Response<pb::ListSessionsResponse>, Status> {
        Err(Status::unimplemented("nobody asks for this here"))
    }

    async fn revoke_session(
        &self,
        _: Request<pb::RevokeSessionRequest>,
    ) -> Result<Response<pb::RevokeSessionResponse>, Status> {
        Err(Status::unimplemented("nobody asks for this here"))
    }

    async fn revoke_all_sessions(
        &self,
        _: Request<pb::RevokeAllSessionsRequest>,
    ) -> Result<Response<pb::RevokeAllSessionsResponse>, Status> {
        Err(Status::unimplemented("nobody asks for this here"))
    }

    async fn revoke_user_sessions(
        &self,
        _: Request<pb::RevokeUserSessionsRequest>,
    ) -> Result<Response<pb::RevokeUserSessionsResponse>, Status> {
        Err(Status::unimplemented("nobody asks for this here"))
    }

    async fn list_revocations(
        &self,
        _: Request<pb::ListRevocationsRequest>,
    ) -> Result<Response<pb::ListRevocationsResponse>, Status> {
        Err(Status::unimplemented("nobody asks for this here"))
    }

    async fn list_keys(
        &self,
        _: Request<pb::ListKeysRequest>,
    ) -> Result<Response<pb::ListKeysResponse>, Status> {
        Err(Status::unimplemented("nobody asks for this here"))
    }

    async fn rotate_keys(
        &self,
        _: Request<pb::RotateKeysRequest>,
    ) -> Result<Response<pb::RotateKeysResponse>, Status> {
        Err(Status::unimplemented("nobody asks for this here"))
    }
}
