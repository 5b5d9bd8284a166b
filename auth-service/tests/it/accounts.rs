//! A stand-in for user-service: its contract over gRPC, on accounts that a test alters.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chassis::error::{ErrorCode, Kind, grpc::status};
use chassis::grpc::GrpcApp;
use proto::user::v1 as pb;
use proto::user::v1::user_service_server::{UserService, UserServiceServer};
use tonic::{Request, Response, Status};
use uuid::Uuid;

const CREDENTIALS_INVALID: ErrorCode = ErrorCode::new("CREDENTIALS_INVALID", Kind::Unauthenticated);
const ACCOUNT_DISABLED: ErrorCode = ErrorCode::new("ACCOUNT_DISABLED", Kind::Unauthenticated);
const USER_NOT_FOUND: ErrorCode = ErrorCode::new("USER_NOT_FOUND", Kind::NotFound);

/// What user-service knows of an account.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) id: Uuid,
    pub(crate) email: String,
    pub(crate) password: String,
    pub(crate) is_active: bool,
    pub(crate) roles: Vec<String>,
    pub(crate) session_epoch: u64,
    pub(crate) version: u64,
    pub(crate) kept_session: Option<Uuid>,
}

/// How calls are answered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Mood {
    /// By the accounts.
    #[default]
    Well,
    /// With this error.
    Failing(ErrorCode, Option<Duration>),
    /// Not at all.
    Silent,
}

#[derive(Debug, Default)]
struct State {
    accounts: Vec<Account>,
    changes: Vec<pb::AccessChange>,
    mood: Mood,
    calls: usize,
}

/// The accounts; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accounts(Arc<Mutex<State>>);

impl Accounts {
    pub(crate) fn app(&self) -> GrpcApp {
        GrpcApp::new(tonic::service::Routes::new(UserServiceServer::new(self.clone())))
    }

    /// Adds an active customer.
    pub(crate) fn add(&self, email: &str, password: &str) -> Uuid {
        let id = chassis::id::new_id();
        self.state().accounts.push(Account {
            id,
            email: email.to_owned(),
            password: password.to_owned(),
            is_active: true,
            roles: vec!["customer".to_owned()],
            session_epoch: 1,
            version: 1,
            kept_session: None,
        });
        id
    }

    pub(crate) fn alter(&self, id: Uuid, alter: impl FnOnce(&mut Account)) {
        alter(self.state().accounts.iter_mut().find(|account| account.id == id).unwrap());
    }

    /// Tells of a change of an account whenever somebody asks.
    pub(crate) fn tell(&self, change: pb::AccessChange) {
        self.state().changes.push(change);
    }

    pub(crate) fn remove(&self, id: Uuid) {
        self.state().accounts.retain(|account| account.id != id);
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// How often something was asked since the last look.
    pub(crate) fn take_calls(&self) -> usize {
        std::mem::take(&mut self.state().calls)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    async fn find(
        &self,
        unknown: ErrorCode,
        is_it: impl Fn(&Account) -> bool + Send,
    ) -> Result<Account, Status> {
        let (found, mood) = {
            let mut state = self.state();
            state.calls += 1;
            (state.accounts.iter().find(|account| is_it(account)).cloned(), state.mood)
        };
        match mood {
            Mood::Well => found.ok_or_else(|| refusal(unknown, None)),
            Mood::Failing(code, retry_after) => Err(refusal(code, retry_after)),
            Mood::Silent => std::future::pending().await,
        }
    }
}

fn refusal(code: ErrorCode, retry_after: Option<Duration>) -> Status {
    status(code, "refused by the stand-in", Vec::new(), retry_after)
}

fn unused<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("auth-service has no business here"))
}

#[tonic::async_trait]
impl UserService for Accounts {
    async fn verify_credentials(
        &self,
        request: Request<pb::VerifyCredentialsRequest>,
    ) -> Result<Response<pb::VerifyCredentialsResponse>, Status> {
        let pb::VerifyCredentialsRequest { email, password } = request.into_inner();
        let is_it = |account: &Account| account.email == email && account.password == password;
        let account = self.find(CREDENTIALS_INVALID, is_it).await?;
        if !account.is_active {
            return Err(refusal(ACCOUNT_DISABLED, None));
        }
        let Account { id, roles, session_epoch, version, .. } = account;
        let user_id = id.to_string();
        let reply = pb::VerifyCredentialsResponse { user_id, roles, session_epoch, version };
        Ok(Response::new(reply))
    }

    async fn get_access(
        &self,
        request: Request<pb::GetAccessRequest>,
    ) -> Result<Response<pb::GetAccessResponse>, Status> {
        let id: Uuid = request.get_ref().user_id.parse().unwrap();
        let account = self.find(USER_NOT_FOUND, |account| account.id == id).await?;
        let disabled = pb::UserStatus::Disabled;
        let status = if account.is_active { pb::UserStatus::Active } else { disabled };
        let Account { roles, session_epoch, version, kept_session, .. } = account;
        Ok(Response::new(pb::GetAccessResponse {
            status: status.into(),
            roles,
            session_epoch,
            version,
            kept_session_id: kept_session.map(|id| id.to_string()).unwrap_or_default(),
        }))
    }

    async fn list_access_changes(
        &self,
        _: Request<pb::ListAccessChangesRequest>,
    ) -> Result<Response<pb::ListAccessChangesResponse>, Status> {
        let changes = self.state().changes.clone();
        Ok(Response::new(pb::ListAccessChangesResponse {
            changes,
            cursor: "end".to_owned(),
            more: false,
        }))
    }

    async fn register(
        &self,
        _: Request<pb::RegisterRequest>,
    ) -> Result<Response<pb::RegisterResponse>, Status> {
        unused()
    }

    async fn get_user(
        &self,
        _: Request<pb::GetUserRequest>,
    ) -> Result<Response<pb::GetUserResponse>, Status> {
        unused()
    }

    async fn list_users(
        &self,
        _: Request<pb::ListUsersRequest>,
    ) -> Result<Response<pb::ListUsersResponse>, Status> {
        unused()
    }

    async fn update_profile(
        &self,
        _: Request<pb::UpdateProfileRequest>,
    ) -> Result<Response<pb::UpdateProfileResponse>, Status> {
        unused()
    }

    async fn change_password(
        &self,
        _: Request<pb::ChangePasswordRequest>,
    ) -> Result<Response<pb::ChangePasswordResponse>, Status> {
        unused()
    }

    async fn set_status(
        &self,
        _: Request<pb::SetStatusRequest>,
    ) -> Result<Response<pb::SetStatusResponse>, Status> {
        unused()
    }

    async fn set_roles(
        &self,
        _: Request<pb::SetRolesRequest>,
    ) -> Result<Response<pb::SetRolesResponse>, Status> {
        unused()
    }

    async fn request_email_verification(
        &self,
        _: Request<pb::RequestEmailVerificationRequest>,
    ) -> Result<Response<pb::RequestEmailVerificationResponse>, Status> {
        unused()
    }

    async fn verify_email(
        &self,
        _: Request<pb::VerifyEmailRequest>,
    ) -> Result<Response<pb::VerifyEmailResponse>, Status> {
        unused()
    }

    async fn request_password_recovery(
        &self,
        _: Request<pb::RequestPasswordRecoveryRequest>,
    ) -> Result<Response<pb::RequestPasswordRecoveryResponse>, Status> {
        unused()
    }

    async fn recover_password(
        &self,
        _: Request<pb::RecoverPasswordRequest>,
    ) -> Result<Response<pb::RecoverPasswordResponse>, Status> {
        unused()
    }
}
