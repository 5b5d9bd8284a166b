//! `enterprisehub.user.v1.UserService`.

use chassis::auth::Caller;
use chassis::error::{ServiceError, to_status};
use chassis::opaque::OpaqueToken;
use chassis::page::PageCodec;
use proto::user::v1 as pb;
use proto::user::v1::user_service_server::UserService as UserRpc;
use tonic::{Request, Response, Status};
use tracing::instrument;
use uuid::Uuid;

use super::convert;
use crate::model::{Email, TypedPassword, UserId};
use crate::service::{Reader, UserService};

/// What binds a page token to this list.
const USERS_LIST: &str = "users";

/// Answers the rpcs of user-service.
pub struct UserApi {
    service: UserService,
    pages: PageCodec,
}

impl UserApi {
    /// Answers over `service`; `pages` signs page tokens.
    pub fn new(service: UserService, pages: PageCodec) -> Self {
        Self { service, pages }
    }

    fn decode_page(&self, caller: &Caller, token: &str) -> Result<Option<UserId>, Status> {
        if token.is_empty() {
            return Ok(None);
        }
        let key = refused(self.pages.decode(&scope(caller), token))?;
        let id = Uuid::from_slice(&key).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Some(UserId::from_uuid(id)))
    }
}

#[tonic::async_trait]
impl UserRpc for UserApi {
    #[instrument(name = "rpc.user.register", skip_all)]
    async fn register(
        &self,
        request: Request<pb::RegisterRequest>,
    ) -> Result<Response<pb::RegisterResponse>, Status> {
        let command = refused(convert::register(request.get_ref()))?;
        let user = self.service.register(command).await?;
        Ok(Response::new(pb::RegisterResponse { user: Some(convert::user(&user)) }))
    }

    #[instrument(name = "rpc.user.get", skip_all)]
    async fn get_user(
        &self,
        request: Request<pb::GetUserRequest>,
    ) -> Result<Response<pb::GetUserResponse>, Status> {
        let caller = refused(Caller::from_request(&request))?;
        let id = refused(convert::user_id(&request.get_ref().user_id))?;
        let user = self.service.get_user(reader(&caller), id).await?;
        Ok(Response::new(pb::GetUserResponse { user: Some(convert::user(&user)) }))
    }

    #[instrument(name = "rpc.user.list", skip_all)]
    async fn list_users(
        &self,
        request: Request<pb::ListUsersRequest>,
    ) -> Result<Response<pb::ListUsersResponse>, Status> {
        let caller = administrator(&request)?;
        let size = refused(convert::page_size(request.get_ref().page_size))?;
        let before = self.decode_page(&caller, &request.get_ref().page_token)?;
        let page = self.service.list_users(before, size).await?;
        let encode = |id: UserId| self.pages.encode(&scope(&caller), id.as_uuid().as_bytes());
        Ok(Response::new(pb::ListUsersResponse {
            users: page.users.iter().map(convert::user).collect(),
            next_page_token: page.next.map(encode).unwrap_or_default(),
        }))
    }

    #[instrument(name = "rpc.user.update_profile", skip_all)]
    async fn update_profile(
        &self,
        request: Request<pb::UpdateProfileRequest>,
    ) -> Result<Response<pb::UpdateProfileResponse>, Status> {
        let caller = refused(Caller::from_request(&request))?;
        let command = refused(convert::update_profile(own_id(&caller), request.get_ref()))?;
        let user = self.service.update_profile(command).await?;
        Ok(Response::new(pb::UpdateProfileResponse { user: Some(convert::user(&user)) }))
    }

    #[instrument(name = "rpc.user.change_password", skip_all)]
    async fn change_password(
        &self,
        request: Request<pb::ChangePasswordRequest>,
    ) -> Result<Response<pb::ChangePasswordResponse>, Status> {
        let caller = refused(Caller::from_request(&request))?;
        let command = refused(convert::change_password(&caller, request.get_ref()))?;
        self.service.change_password(command).await?;
        Ok(Response::new(pb::ChangePasswordResponse {}))
    }

    #[instrument(name = "rpc.user.set_status", skip_all)]
    async fn set_status(
        &self,
        request: Request<pb::SetStatusRequest>,
    ) -> Result<Response<pb::SetStatusResponse>, Status> {
        let caller = administrator(&request)?;
        let id = refused(convert::user_id(&request.get_ref().user_id))?;
        let status = refused(convert::status(request.get_ref().status))?;
        let user = self.service.set_status(own_id(&caller), id, status).await?;
        Ok(Response::new(pb::SetStatusResponse { user: Some(convert::user(&user)) }))
    }

    #[instrument(name = "rpc.user.set_roles", skip_all)]
    async fn set_roles(
        &self,
        request: Request<pb::SetRolesRequest>,
    ) -> Result<Response<pb::SetRolesResponse>, Status> {
        let caller = administrator(&request)?;
        let id = refused(convert::user_id(&request.get_ref().user_id))?;
        let roles = refused(convert::roles(&request.get_ref().roles))?;
        let user = self.service.set_roles(own_id(&caller), id, roles).await?;
        Ok(Response::new(pb::SetRolesResponse { user: Some(convert::user(&user)) }))
    }

    /// Called by auth-service alone, before there is any token.
    #[instrument(name = "rpc.user.verify_credentials", skip_all)]
    async fn verify_credentials(
        &self,
        request: Request<pb::VerifyCredentialsRequest>,
    ) -> Result<Response<pb::VerifyCredentialsResponse>, Status> {
        let email = Email::to_find(&request.get_ref().email);
        let password = TypedPassword::parse(&request.get_ref().password);
        let user = self.service.verify_credentials(email, password).await?;
        Ok(Response::new(pb::VerifyCredentialsResponse {
            user_id: user.id().to_string(),
            roles: convert::role_names(&user),
            session_epoch: user.session_epoch(),
            version: user.version(),
        }))
    }

    /// Called by auth-service alone, at each refresh, where the access token may be over already.
    #[instrument(name = "rpc.user.get_access", skip_all)]
    async fn get_access(
        &self,
        request: Request<pb::GetAccessRequest>,
    ) -> Result<Response<pb::GetAccessResponse>, Status> {
        let id = refused(convert::user_id(&request.get_ref().user_id))?;
        let (user, kept_session) = self.service.get_access(id).await?;
        Ok(Response::new(pb::GetAccessResponse {
            status: convert::wire_status(user.status()).into(),
            roles: convert::role_names(&user),
            session_epoch: user.session_epoch(),
            version: user.version(),
            kept_session_id: kept_session.map(|id| id.to_string()).unwrap_or_default(),
        }))
    }

    /// Called by auth-service once a second, in nobody's name. Reachable like `verify_credentials`.
    #[instrument(name = "rpc.user.list_access_changes", skip_all)]
    async fn list_access_changes(
        &self,
        request: Request<pb::ListAccessChangesRequest>,
    ) -> Result<Response<pb::ListAccessChangesResponse>, Status> {
        let pb::ListAccessChangesRequest { cursor, lookback_s } = request.into_inner();
        let part = self.service.list_access_changes(&cursor, lookback_s).await?;
        Ok(Response::new(pb::ListAccessChangesResponse {
            changes: part.changes.iter().map(convert::access_change).collect(),
            cursor: part.cursor,
            more: part.more,
        }))
    }

    #[instrument(name = "rpc.user.request_email_verification", skip_all)]
    async fn request_email_verification(
        &self,
        request: Request<pb::RequestEmailVerificationRequest>,
    ) -> Result<Response<pb::RequestEmailVerificationResponse>, Status> {
        let caller = refused(Caller::from_request(&request))?;
        self.service.request_email_verification(own_id(&caller)).await?;
        Ok(Response::new(pb::RequestEmailVerificationResponse {}))
    }

    #[instrument(name = "rpc.user.verify_email", skip_all)]
    async fn verify_email(
        &self,
        request: Request<pb::VerifyEmailRequest>,
    ) -> Result<Response<pb::VerifyEmailResponse>, Status> {
        self.service.verify_email(OpaqueToken::parse(&request.get_ref().token)).await?;
        Ok(Response::new(pb::VerifyEmailResponse {}))
    }

    #[instrument(name = "rpc.user.request_password_recovery", skip_all)]
    async fn request_password_recovery(
        &self,
        request: Request<pb::RequestPasswordRecoveryRequest>,
    ) -> Result<Response<pb::RequestPasswordRecoveryResponse>, Status> {
        let email = refused(convert::address_to_find(&request.get_ref().email))?;
        self.service.request_password_recovery(email).await?;
        Ok(Response::new(pb::RequestPasswordRecoveryResponse {}))
    }

    #[instrument(name = "rpc.user.recover_password", skip_all)]
    async fn recover_password(
        &self,
        request: Request<pb::RecoverPasswordRequest>,
    ) -> Result<Response<pb::RecoverPasswordResponse>, Status> {
        let command = refused(convert::recover_password(request.get_ref()))?;
        self.service.recover_password(command).await?;
        Ok(Response::new(pb::RecoverPasswordResponse {}))
    }
}

fn administrator<T>(request: &Request<T>) -> Result<Caller, Status> {
    let caller = refused(Caller::from_request(request))?;
    refused(caller.require_admin())?;
    Ok(caller)
}

fn own_id(caller: &Caller) -> UserId {
    UserId::from_uuid(caller.user_id)
}

fn reader(caller: &Caller) -> Reader {
    if caller.is_admin() { Reader::Anyone } else { Reader::Own(own_id(caller)) }
}

/// A page token is bound to the list and to whom it was given.
fn scope(caller: &Caller) -> String {
    format!("{USERS_LIST}:{}", caller.user_id)
}

fn refused<T, E: ServiceError>(outcome: Result<T, E>) -> Result<T, Status> {
    outcome.map_err(|error| to_status(&error))
}
