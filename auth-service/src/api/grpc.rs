//! `enterprisehub.auth.v1.AuthService`.

use std::sync::Arc;

use chassis::auth::{AuthError, Caller, Verifier};
use chassis::error::{ServiceError, to_status};
use proto::auth::v1 as pb;
use proto::auth::v1::auth_service_server::AuthService as AuthRpc;
use tonic::{Request, Response, Status};
use tracing::instrument;

use super::convert;
use crate::model::{SessionId, StoredKey, UserId};
use crate::service::{AuthService, Refresh, Rotation};
use crate::token::RefreshSecret;

/// The scheme in front of a token, compared without regard to case (RFC 9110, section 11.1).
const SCHEME: &str = "bearer ";

/// Answers the rpcs of auth-service.
pub struct AuthApi {
    service: AuthService,
    verifier: Arc<Verifier>,
}

impl AuthApi {
    /// Answers over `service`; `verifier` checks the tokens that may be spent already.
    pub fn new(service: AuthService, verifier: Arc<Verifier>) -> Self {
        Self { service, verifier }
    }

    /// Whom the access token names that came with a refresh token. One that cannot be verified, or
    /// that is none, says nothing.
    async fn companion(&self, access_token: &str) -> Option<UserId> {
        if access_token.is_empty() {
            return None;
        }
        let caller = self.verifier.verify_spent(access_token).await.ok()?;
        Some(user(&caller))
    }

    /// Whom the token of a call names, be it over or revoked: the methods that ask for this verify it
    /// themselves, because elsewhere a token that is over is refused.
    async fn spent_caller<T>(&self, request: &Request<T>) -> Result<Caller, AuthError> {
        let value = request.metadata().get("authorization").ok_or(AuthError::Missing)?;
        let text = value.to_str().map_err(|_| AuthError::Invalid("not ASCII"))?;
        match text.split_at_checked(SCHEME.len()) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(SCHEME) => {
                self.verifier.verify_spent(token).await
            }
            _ => Err(AuthError::Invalid("not a bearer token")),
        }
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
        let pb::RefreshRequest { refresh_token, access_token } = request.into_inner();
        let token = RefreshSecret::parse(&refresh_token);
        let companion = self.companion(&access_token).await;
        let pair = self.service.refresh(Refresh { token, companion }).await?;
        Ok(Response::new(pb::RefreshResponse { tokens: Some(convert::tokens(&pair)) }))
    }

    #[instrument(name = "rpc.auth.logout", skip_all)]
    async fn logout(
        &self,
        request: Request<pb::LogoutRequest>,
    ) -> Result<Response<pb::LogoutResponse>, Status> {
        let caller = refused(self.spent_caller(&request).await)?;
        self.service.logout(session(&caller)).await?;
        Ok(Response::new(pb::LogoutResponse {}))
    }

    #[instrument(name = "rpc.auth.list_sessions", skip_all)]
    async fn list_sessions(
        &self,
        request: Request<pb::ListSessionsRequest>,
    ) -> Result<Response<pb::ListSessionsResponse>, Status> {
        let caller = refused(Caller::from_request(&request))?;
        let sessions = self.service.list_sessions(user(&caller)).await?;
        let (own, lifetimes) = (session(&caller), &self.service.lifetimes);
        let sessions = sessions.iter().map(|one| convert::session(one, own, lifetimes)).collect();
        Ok(Response::new(pb::ListSessionsResponse { sessions }))
    }

    #[instrument(name = "rpc.auth.revoke_session", skip_all)]
    async fn revoke_session(
        &self,
        request: Request<pb::RevokeSessionRequest>,
    ) -> Result<Response<pb::RevokeSessionResponse>, Status> {
        let caller = refused(Caller::from_request(&request))?;
        let id = refused(SessionId::parse(&request.get_ref().session_id))?;
        self.service.revoke_session(user(&caller), id).await?;
        Ok(Response::new(pb::RevokeSessionResponse {}))
    }

    #[instrument(name = "rpc.auth.revoke_all_sessions", skip_all)]
    async fn revoke_all_sessions(
        &self,
        request: Request<pb::RevokeAllSessionsRequest>,
    ) -> Result<Response<pb::RevokeAllSessionsResponse>, Status> {
        let caller = refused(Caller::from_request(&request))?;
        let kept = request.get_ref().keep_current.then(|| session(&caller));
        let ended = self.service.revoke_all_sessions(user(&caller), kept).await?;
        Ok(Response::new(pb::RevokeAllSessionsResponse { ended }))
    }

    #[instrument(name = "rpc.auth.revoke_user_sessions", skip_all)]
    async fn revoke_user_sessions(
        &self,
        request: Request<pb::RevokeUserSessionsRequest>,
    ) -> Result<Response<pb::RevokeUserSessionsResponse>, Status> {
        let caller = administrator(&request)?;
        let holder = refused(UserId::parse(&request.get_ref().user_id))?;
        let ended = self.service.revoke_user_sessions(user(&caller), holder).await?;
        Ok(Response::new(pb::RevokeUserSessionsResponse { ended }))
    }

    #[instrument(name = "rpc.auth.get_jwks", skip_all)]
    async fn get_jwks(
        &self,
        _request: Request<pb::GetJwksRequest>,
    ) -> Result<Response<pb::GetJwksResponse>, Status> {
        let jwks = self.service.keys.published().await?;
        Ok(Response::new(pb::GetJwksResponse { jwks }))
    }

    #[instrument(name = "rpc.auth.list_revocations", skip_all)]
    async fn list_revocations(
        &self,
        request: Request<pb::ListRevocationsRequest>,
    ) -> Result<Response<pb::ListRevocationsResponse>, Status> {
        let page = self.service.list_revocations(&request.get_ref().cursor).await?;
        let keys = self.service.keys.published_keys().await?;
        Ok(Response::new(convert::revocations(page, &keys)))
    }

    #[instrument(name = "rpc.auth.list_keys", skip_all)]
    async fn list_keys(
        &self,
        request: Request<pb::ListKeysRequest>,
    ) -> Result<Response<pb::ListKeysResponse>, Status> {
        let caller = administrator(&request)?;
        let keys = self.service.list_keys(user(&caller)).await?;
        Ok(Response::new(pb::ListKeysResponse { keys: rendered(&keys) }))
    }

    #[instrument(name = "rpc.auth.rotate_keys", skip_all)]
    async fn rotate_keys(
        &self,
        request: Request<pb::RotateKeysRequest>,
    ) -> Result<Response<pb::RotateKeysResponse>, Status> {
        let caller = administrator(&request)?;
        let withdraw = request.get_ref().withdraw_others;
        let rotation = if withdraw { Rotation::Withdraw } else { Rotation::Orderly };
        let keys = self.service.rotate_keys(user(&caller), rotation).await?;
        Ok(Response::new(pb::RotateKeysResponse { keys: rendered(&keys) }))
    }
}

fn administrator<T>(request: &Request<T>) -> Result<Caller, Status> {
    let caller = refused(Caller::from_request(request))?;
    refused(caller.require_admin())?;
    Ok(caller)
}

fn user(caller: &Caller) -> UserId {
    UserId::from_uuid(caller.user_id)
}

fn session(caller: &Caller) -> SessionId {
    SessionId::from_uuid(caller.session_id)
}

fn rendered(keys: &[StoredKey]) -> Vec<pb::SigningKey> {
    keys.iter().map(convert::key).collect()
}

fn refused<T, E: ServiceError>(outcome: Result<T, E>) -> Result<T, Status> {
    outcome.map_err(|error| to_status(&error))
}
