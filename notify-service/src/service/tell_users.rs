//! Use case: tell users what happened.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use tracing::instrument;

use super::NotifyService;
use crate::model::{
    Arrival, Channel, Happening, Mail, MailId, MutedNotice, Notification, NotifyError, UserId,
    render,
};
use crate::repository::{Effects, Introduction, Recipient};

impl NotifyService {
    /// Writes one notification per happening that its user wants to be told of, marks the others as
    /// muted, remembers the languages that happenings tell, and leaves what is to be sent by e-mail.
    ///
    /// All of them are stored together or none is. Repeating the call has no further effect,
    /// because a notification is unique by its event.
    #[instrument(name = "notify.tell_users", skip_all, fields(batch.size = happenings.len()))]
    pub async fn tell_users(&self, happenings: &[Happening]) -> Result<(), NotifyError> {
        let introductions: Vec<_> = happenings.iter().filter_map(introduction).collect();
        let mut recipients = self.recipients_of(happenings).await?;
        for told in &introductions {
            // An introduction in this very batch is not stored yet, and its welcome needs it.
            let recipient = recipients.entry(told.user_id).or_default();
            if told.version > recipient.version {
                (recipient.locale, recipient.version) = (told.locale, told.version);
            }
        }
        let now = self.clock.now();
        let (mut notifications, mut muted) = (Vec::new(), Vec::new());
        for happening in happenings {
            let Some(topic) = happening.topic else { continue };
            let recipient = recipients.get(&happening.user_id).cloned().unwrap_or_default();
            if recipient.preferences.wants(topic, Channel::InApp) {
                let wording = render(happening, topic, recipient.locale);
                notifications.push(Notification::write(happening, topic, wording, now));
            } else {
                muted.push(MutedNotice::mark(happening, Channel::InApp, now));
            }
        }
        let arrivals: Vec<_> =
            happenings.iter().map(|happening| Arrival::of(happening, now)).collect();
        let mails: Vec<_> =
            happenings.iter().filter_map(|happening| mail(happening, now)).collect();
        let effects = Effects {
            notifications: &notifications,
            muted: &muted,
            introductions: &introductions,
            arrivals: &arrivals,
            mails: &mails,
        };
        self.notifications.record(effects).await?;
        self.note_sequence(&arrivals).await;
        Ok(())
    }

    async fn recipients_of(
        &self,
        happenings: &[Happening],
    ) -> Result<HashMap<UserId, Recipient>, NotifyError> {
        let users: BTreeSet<_> = happenings.iter().map(|happening| happening.user_id).collect();
        let users: Vec<_> = users.into_iter().collect();
        self.notifications.recipients(&users).await
    }
}

fn mail(happening: &Happening, now: DateTime<Utc>) -> Option<Mail> {
    let order = happening.mail.clone()?;
    Some(Mail {
        id: MailId::generate(),
        event_id: happening.event_id.clone(),
        user_id: happening.user_id,
        order,
        created_at: now,
    })
}

fn introduction(happening: &Happening) -> Option<Introduction> {
    let locale = happening.told_locale()?;
    Some(Introduction { user_id: happening.user_id, locale, version: happening.version })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chassis::testing::clock::FixedClock;

    use super::*;
    use crate::model::{Facts, Locale, Preferences, Topic};
    use crate::repository::memory::MemoryRepository;
    use crate::service::testing::{happening, service};

    #[tokio::test]
    async fn telling_twice_writes_once() {
        let service = service();
        let user = UserId::generate();
        let told = [happening(user, Topic::OrderPaid), happening(user, Topic::OrderShipped)];
        service.tell_users(&told).await.unwrap();
        service.tell_users(&told).await.unwrap();
        service.tell_users(&told[..1]).await.unwrap();
        let inbox = service.list_notifications(user, None, false, 20).await.unwrap();
        assert_eq!(inbox.items.len(), 2);
    }

    #[tokio::test]
    async fn a_user_is_told_in_the_language_of_registration_from_the_first_message_on() {
        let service = service();
        let user = UserId::generate();
        let facts = Facts { locale: Some(Locale::ZhCn), ..Facts::default() };
        let registered = Happening { facts, ..happening(user, Topic::UserRegistered) };
        service.tell_users(&[registered]).await.unwrap();
        service.tell_users(&[happening(user, Topic::OrderPaid)]).await.unwrap();
        let inbox = service.list_notifications(user, None, false, 20).await.unwrap();
        let titles: Vec<_> = inbox.items.iter().map(|n| n.wording.title.as_str()).collect();
        assert_eq!(titles, ["订单已支付", "欢迎"]);
    }

    #[tokio::test]
    async fn the_newest_language_is_written_whatever_the_order_of_the_events() {
        let service = service();
        let user = UserId::generate();
        let introduced = |topic, version, locale| {
            let facts = Facts { locale: Some(locale), ..Facts::default() };
            Happening { topic, version, facts, ..happening(user, Topic::UserRegistered) }
        };
        let registered = introduced(Some(Topic::UserRegistered), 1, Locale::En);
        let updated = introduced(None, 2, Locale::ZhCn);
        service.tell_users(&[updated.clone(), registered.clone()]).await.unwrap();
        service.tell_users(&[registered, happening(user, Topic::OrderPaid)]).await.unwrap();
        service.tell_users(&[updated]).await.unwrap();
        let inbox = service.list_notifications(user, None, false, 20).await.unwrap();
        let titles: Vec<_> = inbox.items.iter().map(|n| n.wording.title.as_str()).collect();
        assert_eq!(titles, ["订单已支付", "欢迎"]);
    }

    #[tokio::test]
    async fn a_muted_topic_is_not_written() {
        let service = service();
        let user = UserId::generate();
        let muted = Preferences::parse([("order.paid", "in_app", false)]).unwrap();
        service.put_preferences(user, muted).await.unwrap();
        let told = [happening(user, Topic::OrderPaid), happening(user, Topic::OrderShipped)];
        service.tell_users(&told).await.unwrap();
        let inbox = service.list_notifications(user, None, false, 20).await.unwrap();
        let topics: Vec<_> = inbox.items.iter().map(|n| n.topic).collect();
        assert_eq!(topics, [Topic::OrderShipped]);
    }

    #[tokio::test]
    async fn what_was_muted_stays_marked_when_its_user_listens_again() {
        let repository = Arc::new(MemoryRepository::default());
        let service = NotifyService::new(repository.clone(), Arc::new(FixedClock::default()));
        let user = UserId::generate();
        let muted = Preferences::parse([("order.paid", "in_app", false)]).unwrap();
        service.put_preferences(user, muted).await.unwrap();
        let silenced = [happening(user, Topic::OrderPaid), happening(user, Topic::OrderShipped)];
        service.tell_users(&silenced).await.unwrap();
        service.put_preferences(user, Preferences::default()).await.unwrap();
        service.tell_users(&[happening(user, Topic::OrderPaid)]).await.unwrap();
        let marks = repository.muted_notices();
        let marked: Vec<_> = marks.iter().map(|one| (one.event_id.as_str(), one.user_id)).collect();
        assert_eq!(marked, [(silenced[0].event_id.as_str(), user)]);
        let inbox = service.list_notifications(user, None, false, 20).await.unwrap();
        let topics: Vec<_> = inbox.items.iter().map(|n| n.topic).collect();
        assert_eq!(topics, [Topic::OrderPaid, Topic::OrderShipped]);
    }
}
