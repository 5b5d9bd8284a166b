//! What every adapter of [`MailRepository`] promises; run over memory and over MySQL.

use std::collections::BTreeMap;

use chassis::testing::mysql::TestDatabase;
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;

use super::memory::MemoryRepository;
use super::mysql::{MIGRATOR, MySqlRepository};
use super::{DeadMailQuery, DeadMailRepository, Effects, MailRepository, NotificationRepository};
use crate::model::{
    DeadMail, Death, Locale, Mail, MailId, MailKind, MailOrder, MailOutcome, Replay, TakenMail,
    UserId,
};

trait Repository: NotificationRepository + MailRepository + DeadMailRepository {}
impl<R: NotificationRepository + MailRepository + DeadMailRepository> Repository for R {}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_767_323_045_006).unwrap()
}

fn at(seconds: i64) -> DateTime<Utc> {
    now() + TimeDelta::seconds(seconds)
}

fn mail(kind: MailKind, created_at: DateTime<Utc>) -> Mail {
    let id = MailId::generate();
    let sealed = id.as_uuid().as_bytes().repeat(20);
    let order = MailOrder { kind, locale: Locale::ZhCn, sealed, expires_at: at(1800) };
    let event_id = format!("{}:{id}:1", kind.as_str());
    Mail { id, event_id, user_id: UserId::generate(), order, created_at }
}

async fn recorded(repository: &dyn Repository, mails: &[Mail]) {
    repository.record(Effects { mails, ..Effects::default() }).await.unwrap();
}

async fn taken(repository: &dyn Repository, now: DateTime<Utc>, limit: u32) -> Vec<TakenMail> {
    repository.take(now, now + TimeDelta::seconds(60), limit).await.unwrap()
}

async fn a_message_is_stored_once_and_comes_back_whole(repository: &dyn Repository) {
    let first = mail(MailKind::VerifyEmail, now());
    recorded(repository, std::slice::from_ref(&first)).await;
    let again = Mail { id: MailId::generate(), ..first.clone() };
    let second = mail(MailKind::RecoverPassword, at(1));
    recorded(repository, &[again, second.clone()]).await;
    assert!(taken(repository, at(-1), 10).await.is_empty(), "not before it is due");
    let found = taken(repository, at(1), 10).await;
    let whole = [first, second].map(|mail| TakenMail { mail, attempt: 1, earlier: 0 });
    assert_eq!(found, whole);
}

async fn a_message_is_taken_by_one_and_again_when_the_lease_is_over(repository: &dyn Repository) {
    let mails: Vec<_> = (0..20).map(|n| mail(MailKind::VerifyEmail, at(n - 30))).collect();
    recorded(repository, &mails).await;
    let first = taken(repository, now(), 3).await;
    let oldest: Vec<_> = first.iter().map(|taken| taken.mail.clone()).collect();
    assert_eq!(oldest, mails[..3], "those that wait longest");
    let all = join_all((0..6).map(|_| taken(repository, now(), 5))).await.concat();
    let mut ids: Vec<_> = all.iter().map(|taken| taken.mail.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all.len(), "nothing is taken twice");
    let rest = taken(repository, now(), 100).await;
    assert_eq!(3 + all.len() + rest.len(), 20);
    assert!(taken(repository, at(59), 100).await.is_empty());
    let again = taken(repository, at(60), 100).await;
    assert_eq!(again.len(), 20);
    assert!(again.iter().all(|taken| taken.attempt == 2));
}

async fn an_attempt_is_settled_by_whoever_has_the_message(repository: &dyn Repository) {
    recorded(repository, &[mail(MailKind::VerifyEmail, now())]).await;
    let late = taken(repository, now(), 1).await.remove(0);
    let current = taken(repository, at(60), 1).await.remove(0);
    let death = Death::new(at(60), "refused");
    repository.settle(&late, MailOutcome::Dead(death)).await.unwrap();
    repository.settle(&current, MailOutcome::Waits(at(70))).await.unwrap();
    assert!(taken(repository, at(69), 1).await.is_empty());
    let last = taken(repository, at(70), 1).await.remove(0);
    assert_eq!((last.attempt, last.mail.order.sealed.is_empty()), (3, false));
    repository.settle(&last, MailOutcome::Sent).await.unwrap();
    repository.settle(&last, MailOutcome::Waits(at(71))).await.unwrap();
    assert!(taken(repository, at(86_400), 1).await.is_empty(), "what is sent stays sent");
}

/// Records messages and gives each of them up `after` so many seconds.
async fn given_up(repository: &dyn Repository, mails: &[Mail], after: i64) -> Vec<DeadMail> {
    recorded(repository, mails).await;
    for one in taken(repository, now(), 10).await {
        let death = Death::new(at(after), "the message was refused with code 550");
        repository.settle(&one, MailOutcome::Dead(death)).await.unwrap();
    }
    dead(repository, None).await
}

async fn dead(repository: &dyn Repository, before: Option<MailId>) -> Vec<DeadMail> {
    repository.list_dead(DeadMailQuery { before, limit: 2 }).await.unwrap()
}

async fn what_was_given_up_is_listed_newest_first(repository: &dyn Repository) {
    let mails: Vec<_> = (0..3).map(|_| mail(MailKind::RecoverPassword, now())).collect();
    let page = given_up(repository, &mails, 1).await;
    recorded(repository, &[mail(MailKind::RecoverPassword, now())]).await;
    let death = Death::new(at(1), "the message was refused with code 550");
    let expected = DeadMail {
        id: mails[2].id,
        event_id: mails[2].event_id.clone(),
        event: "user.recovery_requested".to_owned(),
        user_id: mails[2].user_id,
        attempts: 1,
        death: Some(death),
        created_at: now(),
        expires_at: at(1800),
        is_sealed: true,
    };
    assert_eq!(page[0], expected);
    let ids = |mails: &[DeadMail]| mails.iter().map(|mail| mail.id).collect::<Vec<_>>();
    assert_eq!(ids(&page), [mails[2].id, mails[1].id], "so many and no more");
    assert_eq!(ids(&dead(repository, Some(mails[1].id)).await), [mails[0].id]);
    assert_eq!(repository.find_dead(mails[2].id).await.unwrap(), Some(expected));
    assert_eq!(repository.find_dead(MailId::generate()).await.unwrap(), None);
}

async fn what_was_given_up_is_put_back_once_with_all_its_attempts(repository: &dyn Repository) {
    let whole = mail(MailKind::VerifyEmail, now());
    let found = given_up(repository, std::slice::from_ref(&whole), 1).await.remove(0);
    let replay = Replay { by: UserId::generate(), at: at(5) };
    let both = join_all((0..2).map(|_| repository.replay(&found, replay))).await;
    let mut both: Vec<bool> = both.into_iter().map(Result::unwrap).collect();
    both.sort_unstable();
    assert_eq!(both, [false, true], "of two one does it");
    assert!(dead(repository, None).await.is_empty());
    assert!(taken(repository, at(4), 1).await.is_empty());
    let again = taken(repository, at(5), 1).await.remove(0);
    assert_eq!((again.attempt, again.earlier, again.tries()), (2, 1, 1));
    assert_eq!(again.mail, whole);
    repository.settle(&again, MailOutcome::Sent).await.unwrap();
    assert!(!repository.replay(&found, replay).await.unwrap(), "what is sent stays sent");
}

async fn a_link_that_is_over_is_neither_kept_nor_put_back(repository: &dyn Repository) {
    let mails = [mail(MailKind::VerifyEmail, now()), mail(MailKind::VerifyEmail, now())];
    let found = given_up(repository, &mails, 1).await;
    let late = Replay { by: UserId::generate(), at: at(1800) };
    assert!(!repository.replay(&found[0], late).await.unwrap());
    assert_eq!(repository.forget_links(at(1799), 10).await.unwrap(), 0);
    assert_eq!(repository.forget_links(at(1800), 1).await.unwrap(), 1, "so many and no more");
    assert_eq!(repository.forget_links(at(1800), 10).await.unwrap(), 1);
    assert_eq!(repository.forget_links(at(1800), 10).await.unwrap(), 0);
    assert!(dead(repository, None).await.iter().all(|mail| !mail.is_sealed));
    let early = Replay { at: at(1), ..late };
    assert!(!repository.replay(&found[0], early).await.unwrap(), "nothing is left to send");
    let over = [mail(MailKind::VerifyEmail, now())];
    assert!(!given_up(repository, &over, 1800).await[0].is_sealed);
    repository.forget_links(at(1800), 10).await.unwrap();
    let later = repository.forget_links(at(86_400), 10).await.unwrap();
    assert_eq!(later, 0, "what is done is not looked at again");
}

async fn what_is_old_is_forgotten(repository: &dyn Repository) {
    let mails = [mail(MailKind::VerifyEmail, now()), mail(MailKind::VerifyEmail, at(1))];
    recorded(repository, &mails).await;
    assert_eq!(repository.forget_mails(now(), 10).await.unwrap(), 0);
    assert_eq!(repository.forget_mails(at(2), 1).await.unwrap(), 1, "so many and no more");
    assert_eq!(repository.forget_mails(at(2), 10).await.unwrap(), 1);
    assert!(taken(repository, at(86_400), 10).await.is_empty());
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
                let database = super::TestDatabase::create(&super::MIGRATOR).await;
                let audit = chassis::testing::audit::log("notify-service");
                super::$case(&super::MySqlRepository::new(database.pool(), audit)).await;
                database.finish().await;
            })+
        }
    };
}

contract!(
    a_message_is_stored_once_and_comes_back_whole,
    a_message_is_taken_by_one_and_again_when_the_lease_is_over,
    an_attempt_is_settled_by_whoever_has_the_message,
    what_is_old_is_forgotten,
    what_was_given_up_is_listed_newest_first,
    what_was_given_up_is_put_back_once_with_all_its_attempts,
    a_link_that_is_over_is_neither_kept_nor_put_back,
);

#[tokio::test]
async fn what_is_put_back_has_one_row_in_the_audit_log() {
    let repository = MemoryRepository::default();
    what_was_given_up_is_put_back_once_with_all_its_attempts(&repository).await;
    assert_eq!(repository.audit(), ["mail.replayed"]);
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn what_is_put_back_has_one_row_in_the_audit_log_of_the_schema() {
    let (database, audit) =
        (TestDatabase::create(&MIGRATOR).await, chassis::testing::audit::log("notify-service"));
    let repository = MySqlRepository::new(database.pool(), audit);
    what_was_given_up_is_put_back_once_with_all_its_attempts(&repository).await;
    let told = chassis::testing::audit::counts(&database.pool()).await;
    assert_eq!(told, BTreeMap::from([("mail.replayed".to_owned(), 1)]));
    database.finish().await;
}
