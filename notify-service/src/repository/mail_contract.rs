//! What every adapter of [`MailRepository`] promises; run over memory and over MySQL.

use chassis::testing::mysql::TestDatabase;
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;

use super::memory::MemoryRepository;
use super::mysql::{MIGRATOR, MySqlRepository};
use super::{MailRepository, NotificationRepository};
use crate::model::{Locale, Mail, MailId, MailKind, MailOrder, MailOutcome, TakenMail, UserId};

trait Repository: NotificationRepository + MailRepository {}
impl<R: NotificationRepository + MailRepository> Repository for R {}

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
    repository.record(&[], &[], &[], mails).await.unwrap();
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
    let whole = [first, second].map(|mail| TakenMail { mail, attempt: 1 });
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
    repository.settle(&late, MailOutcome::Dead).await.unwrap();
    repository.settle(&current, MailOutcome::Waits(at(70))).await.unwrap();
    assert!(taken(repository, at(69), 1).await.is_empty());
    let last = taken(repository, at(70), 1).await.remove(0);
    assert_eq!((last.attempt, last.mail.order.sealed.is_empty()), (3, false));
    repository.settle(&last, MailOutcome::Sent).await.unwrap();
    repository.settle(&last, MailOutcome::Waits(at(71))).await.unwrap();
    assert!(taken(repository, at(86_400), 1).await.is_empty(), "what is sent stays sent");
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
);
