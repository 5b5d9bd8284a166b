//! Use cases: list messages that were given up, and have them sent after all.

use tracing::{info, instrument};

use super::NotifyService;
use super::inbox::Page;
use crate::model::{DeadMail, MailId, NotifyError, Replay, UserId};
use crate::repository::DeadMailQuery;

impl NotifyService {
    /// Lists messages that were given up, newest first. `size` is 1 to 100.
    #[instrument(name = "dead_mail.list", skip_all)]
    pub async fn list_dead_mails(
        &self,
        before: Option<MailId>,
        size: u32,
    ) -> Result<Page<DeadMail, MailId>, NotifyError> {
        let query = DeadMailQuery { before, limit: size + 1 };
        let items = self.dead_mails.list_dead(query).await?;
        Ok(Page::cut(items, size, |mail| mail.id))
    }

    /// Puts a message that was given up back to be sent, once, with all its attempts. Returns it as it was.
    #[instrument(name = "dead_mail.replay", skip_all)]
    pub async fn replay_dead_mail(&self, id: MailId, by: UserId) -> Result<DeadMail, NotifyError> {
        let at = self.clock.now();
        let mail = self.dead_mails.find_dead(id).await?.ok_or(NotifyError::DeadMailNotFound)?;
        if !mail.can_be_sent(at) {
            return Err(NotifyError::LinkOver);
        }
        if !self.dead_mails.replay(&mail, Replay { by, at }).await? {
            return Err(NotifyError::DeadMailNotFound);
        }
        info!(mail.id = %id, user.id = %by, "mail replayed");
        Ok(mail)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chassis::clock::Clock as _;
    use chassis::testing::clock::FixedClock;
    use chrono::TimeDelta;

    use super::*;
    use crate::model::{Death, Locale, Mail, MailKind, MailOrder, MailOutcome};
    use crate::repository::memory::MemoryRepository;
    use crate::repository::{Effects, MailRepository as _, NotificationRepository as _};

    struct Fixture {
        service: NotifyService,
        mails: Arc<MemoryRepository>,
        clock: Arc<FixedClock>,
    }

    impl Fixture {
        fn new() -> Self {
            let mails = Arc::new(MemoryRepository::default());
            let clock = Arc::new(FixedClock::default());
            let service = NotifyService::new(mails.clone(), clock.clone());
            Self { service, mails, clock }
        }

        /// Gives a message up whose link is good for half an hour.
        async fn given_up(&self) -> MailId {
            let (id, now) = (MailId::generate(), self.clock.now());
            let order = MailOrder {
                kind: MailKind::VerifyEmail,
                locale: Locale::En,
                sealed: vec![1; 80],
                expires_at: now + TimeDelta::minutes(30),
            };
            let event_id = format!("user.verification_requested:{id}:1");
            let mail = Mail { id, event_id, user_id: UserId::generate(), order, created_at: now };
            let effects = Effects { mails: &[mail], ..Effects::default() };
            self.mails.record(effects).await.unwrap();
            let taken = self.mails.take(now, now, 1).await.unwrap().remove(0);
            let outcome = MailOutcome::Dead(Death::new(now, "refused"));
            self.mails.settle(&taken, outcome).await.unwrap();
            id
        }
    }

    #[tokio::test]
    async fn pages_of_dead_mails_are_bounded_and_follow_each_other() {
        let fixture = Fixture::new();
        let ids = [fixture.given_up().await, fixture.given_up().await, fixture.given_up().await];
        let first = fixture.service.list_dead_mails(None, 2).await.unwrap();
        assert_eq!((first.items.len(), first.next), (2, Some(ids[1])));
        let last = fixture.service.list_dead_mails(first.next, 2).await.unwrap();
        assert_eq!((last.items[0].id, last.next), (ids[0], None));
    }

    #[tokio::test]
    async fn a_dead_mail_is_replayed_once_as_long_as_its_link_is_good() {
        let (fixture, by) = (Fixture::new(), UserId::generate());
        let (id, other) = (fixture.given_up().await, fixture.given_up().await);
        assert_eq!(fixture.service.replay_dead_mail(id, by).await.unwrap().id, id);
        let again = fixture.service.replay_dead_mail(id, by).await.unwrap_err();
        assert!(matches!(again, NotifyError::DeadMailNotFound));
        fixture.clock.advance(TimeDelta::minutes(30));
        let late = fixture.service.replay_dead_mail(other, by).await.unwrap_err();
        assert!(matches!(late, NotifyError::LinkOver));
        assert_eq!(fixture.mails.audit(), ["mail.replayed"]);
    }
}
