//! Adapter: accounts at user-service, over gRPC.

use async_trait::async_trait;
use chassis::error::{Kind, RemoteError};
use chassis::grpc::{Channel, retry_idempotent};
use proto::user::v1 as pb;
use proto::user::v1::user_service_client::UserServiceClient;
use tonic::Status;
use tracing::instrument;

use super::CredentialChecker;
use crate::model::{
    AccountAccess, AccountChange, AccountChanges, Credentials, Identity, SessionError, SessionId,
    UserId,
};

/// Asks user-service.
#[derive(Clone)]
pub struct GrpcCredentialChecker {
    client: UserServiceClient<Channel>,
    channel: Channel,
}

impl GrpcCredentialChecker {
    /// Asks over `channel`.
    pub fn new(channel: Channel) -> Self {
        Self { client: UserServiceClient::new(channel.clone()), channel }
    }
}

#[async_trait]
impl CredentialChecker for GrpcCredentialChecker {
    /// Asked once only: checking a password is costly, and an overload must not be answered with
    /// another try.
    #[instrument(name = "client.user.verify_credentials", skip_all)]
    async fn check(&self, credentials: &Credentials) -> Result<Identity, SessionError> {
        let request = pb::VerifyCredentialsRequest {
            email: credentials.email.expose().to_owned(),
            password: credentials.password.expose().to_owned(),
        };
        let reply = self.client.clone().verify_credentials(request).await;
        let reply = reply.map_err(|status| refusal(&status))?.into_inner();
        Ok(Identity {
            user_id: UserId::parse(&reply.user_id).map_err(SessionError::internal)?,
            roles: reply.roles,
            session_epoch: reply.session_epoch,
            version: reply.version,
        })
    }

    #[instrument(name = "client.user.get_access", skip_all, fields(user.id = %user_id))]
    async fn find_access(&self, user_id: UserId) -> Result<Option<AccountAccess>, SessionError> {
        let (budget, attempts) = (self.channel.retry_budget(), self.channel.retry_attempts());
        let ask = || {
            let mut client = self.client.clone();
            let request = pb::GetAccessRequest { user_id: user_id.to_string() };
            async move { client.get_access(request).await }
        };
        let reply = match retry_idempotent(budget, attempts, ask).await {
            Ok(reply) => reply.into_inner(),
            Err(status) if RemoteError::from_status(&status).kind == Kind::NotFound => {
                return Ok(None);
            }
            Err(status) => return Err(refusal(&status)),
        };
        Ok(Some(AccountAccess {
            is_active: reply.status() == pb::UserStatus::Active,
            roles: reply.roles,
            session_epoch: reply.session_epoch,
            version: reply.version,
            kept_session: kept_session(&reply.kept_session_id)?,
        }))
    }

    /// Asked at a steady pace, so that a failure is mended by the next time.
    #[instrument(name = "client.user.list_access_changes", skip_all)]
    async fn list_changes(
        &self,
        cursor: &str,
        lookback_s: u32,
    ) -> Result<AccountChanges, SessionError> {
        let request = pb::ListAccessChangesRequest { cursor: cursor.to_owned(), lookback_s };
        let reply = self.client.clone().list_access_changes(request).await;
        let reply = reply.map_err(|status| refusal(&status))?.into_inner();
        let changes = reply.changes.iter().map(change).collect::<Result<_, _>>()?;
        Ok(AccountChanges { changes, cursor: reply.cursor, more: reply.more })
    }
}

fn change(change: &pb::AccessChange) -> Result<AccountChange, SessionError> {
    Ok(AccountChange {
        user_id: UserId::parse(&change.user_id).map_err(SessionError::internal)?,
        version: change.version,
        is_active: change.status() == pb::UserStatus::Active,
        session_epoch: change.session_epoch,
        sessions_from: change.sessions_from,
        kept_session: kept_session(&change.kept_session_id)?,
        roles_from: change.roles_from,
    })
}

fn kept_session(id: &str) -> Result<Option<SessionId>, SessionError> {
    if id.is_empty() {
        return Ok(None);
    }
    SessionId::parse(id).map(Some).map_err(SessionError::internal)
}

/// What user-service's refusal means here.
fn refusal(status: &Status) -> SessionError {
    let error = RemoteError::from_status(status);
    match (error.reason.as_str(), error.kind) {
        ("CREDENTIALS_INVALID", _) => SessionError::CredentialsInvalid,
        ("ACCOUNT_DISABLED", _) => SessionError::AccountDisabled,
        ("CURSOR_INVALID", _) => SessionError::CursorInvalid,
        (_, Kind::DeadlineExceeded) => SessionError::DeadlineExceeded,
        (_, Kind::Unavailable | Kind::RateLimited | Kind::Aborted) => {
            SessionError::Unavailable { retry_after: error.retry_after, source: Box::new(error) }
        }
        _ => SessionError::internal(error),
    }
}

#[cfg(test)]
mod tests {
    use chassis::error::{ErrorCode, ServiceError as _, codes};

    use super::*;

    fn refused(reason: &'static str, kind: Kind) -> ErrorCode {
        let code = ErrorCode::new(reason, kind);
        refusal(&chassis::error::grpc::status(code, "detail", Vec::new(), None)).code()
    }

    #[test]
    fn refusals_keep_their_meaning() {
        for (reason, kind) in [
            ("CREDENTIALS_INVALID", Kind::Unauthenticated),
            ("ACCOUNT_DISABLED", Kind::Unauthenticated),
            ("CURSOR_INVALID", Kind::Malformed),
            ("SERVICE_UNAVAILABLE", Kind::Unavailable),
            ("DEADLINE_EXCEEDED", Kind::DeadlineExceeded),
            ("INTERNAL", Kind::Internal),
        ] {
            assert_eq!(refused(reason, kind), ErrorCode::new(reason, kind));
        }
        assert_eq!(refused("SOMETHING_NEW", Kind::InvalidArgument), codes::INTERNAL);
    }

    #[test]
    fn an_overload_passes_its_hint_on() {
        let hint = Some(std::time::Duration::from_secs(2));
        let status =
            chassis::error::grpc::status(codes::SERVICE_UNAVAILABLE, "busy", Vec::new(), hint);
        assert_eq!(refusal(&status).retry_after(), hint);
    }
}
