//! The gRPC face: each call is parse, use case, render.

use std::sync::Arc;

use chassis::auth::Caller;
use chassis::error::to_status;
use chassis::messaging::Trust;
use chassis::page::PageCodec;
use proto::notify::v1 as pb;
use proto::notify::v1::notify_service_server::NotifyService as Rpc;
use tonic::{Request, Response, Status};
use tracing::instrument;
use uuid::Uuid;

use super::{consumer, convert};
use crate::model::{DeadLetterId, MailId, NotificationId, NotifyError, UserId};
use crate::service::NotifyService;

/// What page tokens of the list of dead mails are for.
const DEAD_MAILS: &str = "dead-mails";

type Reply<T> = Result<Response<T>, Status>;

/// Serves `enterprisehub.notify.v1.NotifyService`.
pub struct NotifyApi {
    service: Arc<NotifyService>,
    pages: PageCodec,
    receipts_max: u32,
    trust: Trust,
}

impl NotifyApi {
    /// Serves this service, with page tokens signed by `pages`; of one subject it lists up to
    /// `receipts_max` events. Dead letters are replayed if `trust` vouches for them.
    pub fn new(
        service: Arc<NotifyService>,
        pages: PageCodec,
        receipts_max: u32,
        trust: Trust,
    ) -> Self {
        Self { service, pages, receipts_max, trust }
    }

    fn cursor<K>(&self, scope: &str, token: &str, key: fn(Uuid) -> K) -> Result<Option<K>, Status> {
        if token.is_empty() {
            return Ok(None);
        }
        let id = self.pages.decode_uuid(scope, token).map_err(|error| to_status(&error))?;
        Ok(Some(key(id)))
    }

    fn next(&self, scope: &str, next: Option<Uuid>) -> String {
        next.map(|id| self.pages.encode_uuid(scope, id)).unwrap_or_default()
    }
}

fn user<T>(request: &Request<T>) -> Result<UserId, Status> {
    let caller = Caller::from_request(request).map_err(|error| to_status(&error))?;
    Ok(UserId::from_uuid(caller.user_id))
}

fn admin<T>(request: &Request<T>) -> Result<UserId, Status> {
    let caller = Caller::from_request(request).map_err(|error| to_status(&error))?;
    caller.require_admin().map_err(|error| to_status(&error))?;
    Ok(UserId::from_uuid(caller.user_id))
}

/// Whose receipts a caller may see: all for an administrator.
fn recipient<T>(request: &Request<T>) -> Result<Option<UserId>, Status> {
    let caller = Caller::from_request(request).map_err(|error| to_status(&error))?;
    Ok((!caller.is_admin()).then(|| UserId::from_uuid(caller.user_id)))
}

fn letter_id(id: &str) -> Result<DeadLetterId, NotifyError> {
    Ok(DeadLetterId::parse(id)?)
}

#[tonic::async_trait]
impl Rpc for NotifyApi {
    #[instrument(name = "rpc.list_notifications", skip_all)]
    async fn list_notifications(
        &self,
        request: Request<pb::ListNotificationsRequest>,
    ) -> Reply<pb::ListNotificationsResponse> {
        let user = user(&request)?;
        let request = request.into_inner();
        let size = convert::page_size(request.page_size).map_err(NotifyError::from)?;
        let scope = format!("notifications:{user}:{}", request.unread_only);
        let before = self.cursor(&scope, &request.page_token, NotificationId::from_uuid)?;
        let page = self.service.list_notifications(user, before, request.unread_only, size).await?;
        let next_page_token = self.next(&scope, page.next.map(|id| id.as_uuid()));
        let notifications = page.items.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListNotificationsResponse { notifications, next_page_token }))
    }

    #[instrument(name = "rpc.mark_read", skip_all)]
    async fn mark_read(
        &self,
        request: Request<pb::MarkReadRequest>,
    ) -> Reply<pb::MarkReadResponse> {
        let user = user(&request)?;
        let id = NotificationId::parse(&request.get_ref().notification_id);
        let read = self.service.mark_read(user, id.map_err(NotifyError::from)?).await?;
        Ok(Response::new(pb::MarkReadResponse { notification: Some(read.into()) }))
    }

    #[instrument(name = "rpc.get_preferences", skip_all)]
    async fn get_preferences(
        &self,
        request: Request<pb::GetPreferencesRequest>,
    ) -> Reply<pb::GetPreferencesResponse> {
        let preferences = self.service.get_preferences(user(&request)?).await?;
        let preferences = convert::switches(&preferences);
        Ok(Response::new(pb::GetPreferencesResponse { preferences }))
    }

    #[instrument(name = "rpc.put_preferences", skip_all)]
    async fn put_preferences(
        &self,
        request: Request<pb::PutPreferencesRequest>,
    ) -> Reply<pb::PutPreferencesResponse> {
        let user = user(&request)?;
        let preferences = convert::preferences(request.get_ref())?;
        let preferences = self.service.put_preferences(user, preferences).await?;
        let preferences = convert::switches(&preferences);
        Ok(Response::new(pb::PutPreferencesResponse { preferences }))
    }

    #[instrument(name = "rpc.list_dead_letters", skip_all)]
    async fn list_dead_letters(
        &self,
        request: Request<pb::ListDeadLettersRequest>,
    ) -> Reply<pb::ListDeadLettersResponse> {
        admin(&request)?;
        let request = request.into_inner();
        let size = convert::page_size(request.page_size).map_err(NotifyError::from)?;
        let status = convert::status_filter(request.status).map_err(NotifyError::from)?;
        let scope = format!("dead-letters:{}", request.status);
        let before = self.cursor(&scope, &request.page_token, DeadLetterId::from_uuid)?;
        let page = self.service.list_dead_letters(status, before, size).await?;
        let next_page_token = self.next(&scope, page.next.map(|id| id.as_uuid()));
        let dead_letters = page.items.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListDeadLettersResponse { dead_letters, next_page_token }))
    }

    #[instrument(name = "rpc.get_dead_letter", skip_all)]
    async fn get_dead_letter(
        &self,
        request: Request<pb::GetDeadLetterRequest>,
    ) -> Reply<pb::GetDeadLetterResponse> {
        admin(&request)?;
        let id = letter_id(&request.get_ref().dead_letter_id)?;
        let letter = self.service.get_dead_letter(id).await?;
        let payload = letter.payload.clone();
        Ok(Response::new(pb::GetDeadLetterResponse { dead_letter: Some(letter.into()), payload }))
    }

    #[instrument(name = "rpc.replay_dead_letter", skip_all)]
    async fn replay_dead_letter(
        &self,
        request: Request<pb::ReplayDeadLetterRequest>,
    ) -> Reply<pb::ReplayDeadLetterResponse> {
        let admin = admin(&request)?;
        let id = letter_id(&request.get_ref().dead_letter_id)?;
        let letter = self.service.get_dead_letter(id).await?;
        let reading = consumer::read_bytes(&letter.payload, &self.trust);
        let replayed = self.service.replay_dead_letter(letter, reading, admin).await?;
        Ok(Response::new(pb::ReplayDeadLetterResponse { dead_letter: Some(replayed.into()) }))
    }

    #[instrument(name = "rpc.list_dead_mails", skip_all)]
    async fn list_dead_mails(
        &self,
        request: Request<pb::ListDeadMailsRequest>,
    ) -> Reply<pb::ListDeadMailsResponse> {
        admin(&request)?;
        let request = request.into_inner();
        let size = convert::page_size(request.page_size).map_err(NotifyError::from)?;
        let before = self.cursor(DEAD_MAILS, &request.page_token, MailId::from_uuid)?;
        let page = self.service.list_dead_mails(before, size).await?;
        let next_page_token = self.next(DEAD_MAILS, page.next.map(|id| id.as_uuid()));
        let dead_mails = page.items.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListDeadMailsResponse { dead_mails, next_page_token }))
    }

    #[instrument(name = "rpc.replay_dead_mail", skip_all)]
    async fn replay_dead_mail(
        &self,
        request: Request<pb::ReplayDeadMailRequest>,
    ) -> Reply<pb::ReplayDeadMailResponse> {
        let admin = admin(&request)?;
        let id = MailId::parse(&request.get_ref().dead_mail_id).map_err(NotifyError::from)?;
        let replayed = self.service.replay_dead_mail(id, admin).await?;
        Ok(Response::new(pb::ReplayDeadMailResponse { dead_mail: Some(replayed.into()) }))
    }

    #[instrument(name = "rpc.list_event_receipts", skip_all)]
    async fn list_event_receipts(
        &self,
        request: Request<pb::ListEventReceiptsRequest>,
    ) -> Reply<pb::ListEventReceiptsResponse> {
        let only_of = recipient(&request)?;
        let subject = convert::subject(&request.get_ref().subject).map_err(NotifyError::from)?;
        let receipts = self.service.list_receipts(subject, only_of, self.receipts_max).await?;
        let receipts = receipts.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListEventReceiptsResponse { receipts }))
    }

    #[instrument(name = "rpc.discard_dead_letter", skip_all)]
    async fn discard_dead_letter(
        &self,
        request: Request<pb::DiscardDeadLetterRequest>,
    ) -> Reply<pb::DiscardDeadLetterResponse> {
        let admin = admin(&request)?;
        let id = letter_id(&request.get_ref().dead_letter_id)?;
        let reason = convert::reason(&request.get_ref().reason).map_err(NotifyError::from)?;
        let discarded = self.service.discard_dead_letter(id, admin, reason).await?;
        Ok(Response::new(pb::DiscardDeadLetterResponse { dead_letter: Some(discarded.into()) }))
    }
}
