//! `enterprisehub.auth.v1.AuthService`.

use std::sync::Arc;

use chassis::auth::Caller;
use chassis::error::to_status;
use proto::auth::v1 as pb;
use proto::auth::v1::auth_service_server::AuthService as AuthRpc;
use tonic::{Request, Response, Status};
use tracing::instrument;

use super::convert;
use crate::model::SessionId;
use crate::service::AuthService;
use crate::token::{KeyRing, RefreshSecret};

/// Answers the rpcs of auth-service.
pub struct AuthApi {
    service: AuthService,
    keys: Arc<KeyRing>,
}

impl AuthApi {
    /// Answers over `service`; `keys` are published.
    pub fn new(service: AuthService, keys: Arc<KeyRing>) -> Self {
        Self { service, keys }
    }
}

#[tonic::async_trait]
impl AuthRpc for AuthApi {
    #[instrument(name = "rpc.auth.login", skip_all)]
    async fn login(
        &self,
        request: Request<pb::LoginRequest>,
    ) -> Result<Response<pb::LoginResponse>, Status> {
        let command = convert::login(request.into_inner());
        let pair = self.service.login(command).await?;
        Ok(Response::new(pb::LoginResponse { tokens: Some(convert::tokens(&pair)) }))
    }

    #[instrument(name = "rpc.auth.refresh", skip_all)]
    async fn refresh(
        &self,
        request: Request<pb::RefreshRequest>,
    ) -> Result<Response<pb::RefreshResponse>, Status> {
        let token = RefreshSecret::parse(&request.get_ref().refresh_token);
        let pair = self.service.refresh(token).await?;
        Ok(Response::new(pb::RefreshResponse { tokens: Some(convert::tokens(&pair)) }))
    }

    #[instrument(name = "rpc.auth.logout", skip_all)]
    async fn logout(
        &self,
        request: Request<pb::LogoutRequest>,
    ) -> Result<Response<pb::LogoutResponse>, Status> {
        let caller = Caller::from_request(&request).map_err(|error| to_status(&error))?;
        self.service.logout(SessionId::from_uuid(caller.session_id)).await?;
        Ok(Response::new(pb::LogoutResponse {}))
    }

    #[instrument(name = "rpc.auth.get_jwks", skip_all)]
    async fn get_jwks(
        &self,
        _request: Request<pb::GetJwksRequest>,
    ) -> Result<Response<pb::GetJwksResponse>, Status> {
        let jwks = self.keys.published().await?;
        Ok(Response::new(pb::GetJwksResponse { jwks }))
    }
}
