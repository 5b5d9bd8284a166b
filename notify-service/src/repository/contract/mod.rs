//! What every adapter of the ports promises; run over memory and over MySQL.

mod dead_letters;
mod muted;

use std::collections::BTreeMap;
use std::future::Future;

use chassis::testing::mysql::TestDatabase;
use chrono::{DateTime, Duration, Utc};
use futures::future::join_all;
use uuid::Uuid;

use super::memory::MemoryRepository;
use super::mysql::{MIGRATOR, MySqlRepository};
use dead_letters::{
    a_dead_letter_is_decided_once, a_death_is_buried_once_and_listed_without_its_payload,
};
use muted::{
    Marks, more_marks_than_one_statement_takes_are_recorded,
    what_was_muted_is_marked_beyond_its_receipt, what_was_muted_is_marked_once_and_told_to_nobody,
};

use super::{
    DeadLetterRepository, Effects, InboxQuery, Introduction, NotificationRepository,
    ReceiptRepository,
};
use crate::model::{
    Arrival, Channel, Facts, Happening, Locale, Notification, Preferences, Topic, UserId, render,
};

/// All ports at once, as both adapters have them.
trait Repository: NotificationRepository + DeadLetterRepository + ReceiptRepository + Marks {}
impl<R: NotificationRepository + DeadLetterRepository + ReceiptRepository + Marks> Repository
    for R
{
}

/// Declares one test per case and adapter.
macro_rules! contract {
    ($($case:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $case() {
                super::$case(&super::MemoryRepository::default()).await;
            })+
        }
        mod mysql {
            $(#[tokio::test]
            #[ignore = "needs MySQL: cargo ehub test"]
            async fn $case() {
                super::over_mysql(async |repository| super::$case(&repository).await).await;
            })+
        }
    };
}

async fn over_mysql<F: Future<Output = ()>>(case: impl FnOnce(MySqlRepository) -> F) {
    let database = TestDatabase::create(&MIGRATOR).await;
    case(MySqlRepository::new(database.pool(), chassis::testing::audit::log("notify-service")))
        .await;
    database.finish().await;
}

contract!(
    an_event_is_recorded_once,
    an_inbox_is_listed_newest_first_and_belongs_to_one_user,
    a_read_mark_is_set_once_and_by_its_owner_only,
    a_newer_introduction_wins_whatever_the_order,
    preferences_are_replaced_as_a_whole,
    of_preferences_put_at_once_one_stands_whole,
    preferences_leave_the_language_to_whoever_tells_it,
    more_rows_than_one_statement_takes_are_recorded,
    many_recipients_are_found_at_once,
    deliveries_are_counted_by_event_and_listed_by_version,
    many_aggregates_are_remembered_at_once,
    old_arrivals_are_forgotten_in_portions,
    what_is_forgotten_moves_the_beginning_of_memory_on,
    a_death_is_buried_once_and_listed_without_its_payload,
    a_dead_letter_is_decided_once,
    what_was_muted_is_marked_once_and_told_to_nobody,
    what_was_muted_is_marked_beyond_its_receipt,
    more_marks_than_one_statement_takes_are_recorded,
);

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_767_323_045_678).unwrap()
}

fn notification(user_id: UserId, event_id: &str) -> Notification {
    let topic = Topic::OrderPaid;
    let happening = Happening {
        event_id: event_id.to_owned(),
        event: topic.as_str().to_owned(),
        trace_id: String::new(),
        topic: Some(topic),
        subject: Uuid::from_u128(7),
        version: 2,
        user_id,
        facts: Facts::default(),
        mail: None,
    };
    Notification::write(&happening, topic, render(&happening, topic, Locale::ZhCn), now())
}

fn inbox(user_id: UserId) -> InboxQuery {
    InboxQuery { user_id, before: None, unread_only: false, limit: 101 }
}

async fn listed(repository: &impl Repository, query: InboxQuery) -> Vec<Notification> {
    NotificationRepository::list(repository, query).await.unwrap()
}

async fn tell(repository: &impl Repository, notifications: &[Notification]) {
    repository.record(Effects { notifications, ..Effects::default() }).await.unwrap();
}

async fn introduce(repository: &impl Repository, introductions: &[Introduction]) {
    repository.record(Effects { introductions, ..Effects::default() }).await.unwrap();
}

async fn deliver(repository: &impl Repository, arrivals: &[Arrival]) {
    repository.record(Effects { arrivals, ..Effects::default() }).await.unwrap();
}

async fn an_event_is_recorded_once(repository: &impl Repository) {
    let user = UserId::generate();
    let first = notification(user, "order.paid:1:2");
    tell(repository, std::slice::from_ref(&first)).await;
    let again = [notification(user, "order.paid:1:2"), notification(user, "order.paid:2:2")];
    tell(repository, &again).await;
    assert_eq!(listed(repository, inbox(user)).await, [again[1].clone(), first]);
}

async fn an_inbox_is_listed_newest_first_and_belongs_to_one_user(repository: &impl Repository) {
    let (user, other) = (UserId::generate(), UserId::generate());
    let own = [notification(user, "a"), notification(user, "b"), notification(user, "c")];
    tell(repository, &own).await;
    tell(repository, &[notification(other, "d")]).await;
    let top = listed(repository, InboxQuery { limit: 2, ..inbox(user) }).await;
    assert_eq!(top, [own[2].clone(), own[1].clone()]);
    let rest = listed(repository, InboxQuery { before: Some(own[1].id), ..inbox(user) }).await;
    assert_eq!(rest, [own[0].clone()]);
}

async fn a_read_mark_is_set_once_and_by_its_owner_only(repository: &impl Repository) {
    let user = UserId::generate();
    let unread = notification(user, "a");
    tell(repository, std::slice::from_ref(&unread)).await;
    let stranger = repository.mark_read(UserId::generate(), unread.id, now()).await.unwrap();
    assert_eq!(stranger, None);
    let marked = repository.mark_read(user, unread.id, now()).await.unwrap().unwrap();
    assert_eq!(marked.read_at, Some(now()));
    let later = now() + Duration::seconds(5);
    let again = repository.mark_read(user, unread.id, later).await.unwrap().unwrap();
    assert_eq!(again, marked);
    assert!(listed(repository, InboxQuery { unread_only: true, ..inbox(user) }).await.is_empty());
}

async fn a_newer_introduction_wins_whatever_the_order(repository: &impl Repository) {
    let user_id = UserId::generate();
    for (version, locale) in [(2, Locale::ZhCn), (1, Locale::En)] {
        introduce(repository, &[Introduction { user_id, locale, version }]).await;
    }
    assert_eq!(repository.recipients(&[user_id]).await.unwrap()[&user_id].locale, Locale::ZhCn);
    let newest = Introduction { user_id, locale: Locale::En, version: 3 };
    introduce(repository, &[newest]).await;
    assert_eq!(repository.recipients(&[user_id]).await.unwrap()[&user_id].locale, Locale::En);
    assert!(repository.recipients(&[]).await.unwrap().is_empty());
}

async fn preferences_are_replaced_as_a_whole(repository: &impl Repository) {
    let user = UserId::generate();
    for muted in [vec![Topic::OrderPaid, Topic::OrderShipped], vec![Topic::OrderExpired]] {
        let preferences = Preferences::from_muted(muted.into_iter().map(|t| (t, Channel::InApp)));
        repository.put_preferences(user, &preferences).await.unwrap();
        assert_eq!(repository.recipients(&[user]).await.unwrap()[&user].preferences, preferences);
    }
}

async fn of_preferences_put_at_once_one_stands_whole(repository: &impl Repository) {
    let user = UserId::generate();
    let bodies: Vec<_> = (0..8)
        .map(|at| Topic::ALL[at..at + 6].iter().map(|topic| (*topic, Channel::InApp)))
        .map(Preferences::from_muted)
        .collect();
    for _ in 0..5 {
        let puts = bodies.iter().map(|body| repository.put_preferences(user, body));
        for put in join_all(puts).await {
            put.unwrap();
        }
        let stored = repository.recipients(&[user]).await.unwrap().remove(&user).unwrap();
        assert!(bodies.contains(&stored.preferences), "{:?}", stored.preferences);
    }
}

async fn preferences_leave_the_language_to_whoever_tells_it(repository: &impl Repository) {
    let user_id = UserId::generate();
    let muted = Preferences::from_muted([(Topic::OrderPaid, Channel::InApp)]);
    for told in [(0, Locale::En), (1, Locale::ZhCn)] {
        repository.put_preferences(user_id, &muted).await.unwrap();
        let known = repository.recipients(&[user_id]).await.unwrap().remove(&user_id).unwrap();
        assert_eq!((known.version, known.locale), told);
        assert_eq!(known.preferences, muted);
        let introduction = Introduction { user_id, locale: Locale::ZhCn, version: 1 };
        introduce(repository, &[introduction]).await;
    }
}

async fn more_rows_than_one_statement_takes_are_recorded(repository: &impl Repository) {
    let user = UserId::generate();
    let many: Vec<_> = (0..90).map(|at| notification(user, &format!("e{at}"))).collect();
    tell(repository, &many).await;
    assert_eq!(listed(repository, inbox(user)).await.len(), 90);
}

async fn many_recipients_are_found_at_once(repository: &impl Repository) {
    let users: Vec<_> = (0..103).map(|_| UserId::generate()).collect();
    let introduced = users.iter().map(|user_id| Introduction {
        user_id: *user_id,
        locale: Locale::ZhCn,
        version: 1,
    });
    introduce(repository, &introduced.collect::<Vec<_>>()).await;
    let muted = Preferences::from_muted([(Topic::OrderPaid, Channel::InApp)]);
    for user in [users[0], users[102]] {
        repository.put_preferences(user, &muted).await.unwrap();
    }
    for count in [1, 2, 5, 103] {
        let known = repository.recipients(&users[..count]).await.unwrap();
        assert_eq!(known.len(), count);
        assert!(known.values().all(|recipient| recipient.locale == Locale::ZhCn));
        assert_eq!(known[&users[0]].preferences, muted);
    }
    let known = repository.recipients(&users).await.unwrap();
    assert_eq!(known.values().filter(|recipient| recipient.preferences == muted).count(), 2);
}

fn arrival(subject: u128, version: u64, at: DateTime<Utc>) -> Arrival {
    let subject = Uuid::from_u128(subject);
    Arrival {
        event_id: format!("order.paid:{subject}:{version}"),
        event: "order.paid".into(),
        subject,
        version,
        user_id: UserId::from_uuid(Uuid::from_u128(9)),
        trace_id: String::new(),
        at,
    }
}

async fn deliveries_are_counted_by_event_and_listed_by_version(repository: &impl Repository) {
    let later = now() + Duration::seconds(5);
    let first = [arrival(1, 2, now()), arrival(1, 1, now()), arrival(2, 1, now())];
    deliver(repository, &first).await;
    deliver(repository, &[arrival(1, 1, later), arrival(1, 1, later)]).await;
    let event = first[1].event_id.as_str();
    tell(repository, &[notification(first[1].user_id, event)]).await;
    let receipts = repository.receipts(Uuid::from_u128(1), None, 10).await.unwrap();
    let seen: Vec<_> = receipts
        .iter()
        .map(|one| (one.arrival.clone(), one.deliveries, one.last_received_at, one.notices.len()))
        .collect();
    let expected = [(first[1].clone(), 3, later, 1), (first[0].clone(), 1, now(), 0)];
    assert_eq!(seen, expected);
    let latest = repository.receipts(Uuid::from_u128(1), None, 1).await.unwrap();
    assert_eq!(latest, receipts[1..]);
    let foreign = Arrival { user_id: UserId::generate(), ..arrival(1, 3, now()) };
    deliver(repository, std::slice::from_ref(&foreign)).await;
    let of = |user, limit| repository.receipts(Uuid::from_u128(1), Some(user), limit);
    assert_eq!(of(first[0].user_id, 1).await.unwrap(), latest, "what is others' takes no place");
    let theirs = of(foreign.user_id, 10).await.unwrap();
    assert_eq!(theirs.iter().map(|one| &one.arrival).collect::<Vec<_>>(), [&foreign]);
    assert!(of(UserId::generate(), 10).await.unwrap().is_empty());
    let memory = repository.memory(&[Uuid::from_u128(1), Uuid::from_u128(3)]).await.unwrap();
    let counted = BTreeMap::from([(1, 3), (2, 1), (3, 1)]);
    assert_eq!(memory.deliveries, BTreeMap::from([(Uuid::from_u128(1), counted)]));
    assert!(repository.memory(&[]).await.unwrap().deliveries.is_empty());
}

async fn many_aggregates_are_remembered_at_once(repository: &impl Repository) {
    let all: Vec<_> = (1..=103).map(|subject| arrival(subject, 1, now())).collect();
    deliver(repository, &all).await;
    let subjects: Vec<_> = all.iter().map(|arrival| arrival.subject).collect();
    for count in [1, 2, 5, 103] {
        let memory = repository.memory(&subjects[..count]).await.unwrap();
        let expected = subjects[..count].iter().map(|id| (*id, BTreeMap::from([(1, 1)])));
        assert_eq!(memory.deliveries, expected.collect());
    }
}

async fn old_arrivals_are_forgotten_in_portions(repository: &impl Repository) {
    let later = now() + Duration::seconds(5);
    let all = [arrival(1, 1, now()), arrival(1, 2, now()), arrival(1, 3, later)];
    deliver(repository, &all).await;
    assert_eq!(repository.forget_receipts(later, 1).await.unwrap(), 1);
    assert_eq!(repository.forget_receipts(later, 5).await.unwrap(), 1);
    assert_eq!(repository.forget_receipts(later, 5).await.unwrap(), 0);
    let left = repository.receipts(Uuid::from_u128(1), None, 10).await.unwrap();
    assert_eq!(left.iter().map(|one| one.arrival.version).collect::<Vec<_>>(), [3]);
}

async fn what_is_forgotten_moves_the_beginning_of_memory_on(repository: &impl Repository) {
    let beginning = repository.memory(&[]).await.unwrap().since;
    repository.forget_receipts(beginning - Duration::days(1), 5).await.unwrap();
    assert_eq!(repository.memory(&[]).await.unwrap().since, beginning);
    let later = beginning + Duration::days(1);
    repository.forget_receipts(later, 5).await.unwrap();
    assert_eq!(repository.memory(&[]).await.unwrap().since, later);
}
