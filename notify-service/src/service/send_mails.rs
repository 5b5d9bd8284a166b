//! Worker: sends the messages that events asked for, after they are committed.
//!
//! At least once: a process that dies between the server's acceptance and the note of it sends the message
//! again, with the same identity. Every message comes to an end: it is sent, or its attempts are used up,
//! or its link is over. One that was given up can be replayed as long as its link is good.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::clock::Clock;
use chassis::config::Secret;
use chassis::error::Chain;
use chassis::sealing::Sealer;
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use serde::Deserialize;
use tracing::instrument;

use crate::client::{MailError, Mailer};
use crate::model::{
    Death, Delivery, Mail, MailKind, MailOutcome, NotifyError, TakenMail, compose, is_safe_address,
};
use crate::repository::MailRepository;

/// How messages are sent.
#[derive(Debug, Clone)]
pub struct MailPlan {
    /// Messages that are sent at once, at most.
    pub batch: u32,
    /// How long nobody else sends a message that was taken.
    pub lease: TimeDelta,
    /// Attempts at one message, at most.
    pub attempts_max: u32,
    /// Pause after the first failed attempt; doubled after each further one.
    pub pause: TimeDelta,
    /// Longest pause.
    pub pause_max: TimeDelta,
    /// Where a link leads that proves an address.
    pub verification_page: String,
    /// Where a link leads that puts another password in force.
    pub recovery_page: String,
}

/// Sends messages.
pub struct Courier {
    mails: Arc<dyn MailRepository>,
    mailer: Arc<dyn Mailer>,
    /// Those under whose keys a message may be sealed: several while a key is replaced.
    sealers: Vec<Sealer>,
    clock: Arc<dyn Clock>,
    plan: MailPlan,
}

/// What is sealed; see `proto/events`.
#[derive(Deserialize)]
struct Sealed {
    address: String,
    token: Secret,
}

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the link is over")]
    Over,
    #[error("the message was not sealed under a key that is known here")]
    Unreadable,
    #[error("the address is none that can be written to")]
    Address,
    #[error("its attempts are used up")]
    UsedUp,
    #[error(transparent)]
    Mail(#[from] MailError),
}

impl Failure {
    /// Whether another attempt may go better. A key may be configured meanwhile.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Unreadable | Self::Mail(MailError::Unavailable { .. }))
    }
}

impl Courier {
    /// Connects the worker to its ports.
    pub fn new(
        (mails, mailer): (Arc<dyn MailRepository>, Arc<dyn Mailer>),
        sealers: Vec<Sealer>,
        clock: Arc<dyn Clock>,
        plan: MailPlan,
    ) -> Self {
        Self { mails, mailer, sealers, clock, plan }
    }

    /// Sends what is due, a batch of it. Returns whether there may be more. Any number of replicas may
    /// do this at once: each takes other messages.
    #[instrument(name = "notify.send_mails", skip_all)]
    pub async fn send_mails(&self) -> Result<bool, NotifyError> {
        let now = self.clock.now();
        let taken = self.mails.take(now, now + self.plan.lease, self.plan.batch).await?;
        let is_full = taken.len() >= self.plan.batch as usize;
        for settled in join_all(taken.iter().map(|mail| self.attempt(mail))).await {
            settled?;
        }
        Ok(is_full)
    }

    /// Forgets up to `at_once` messages that were asked for longer than `keep` ago, and as many links of
    /// dead ones that are over; the one is done where the other fails. Returns whether there may be more.
    #[instrument(name = "notify.forget_mails", skip_all)]
    pub async fn forget_mails(&self, keep: TimeDelta, at_once: u32) -> Result<bool, NotifyError> {
        let now = self.clock.now();
        let links = self.mails.forget_links(now, at_once).await;
        let forgotten = self.mails.forget_mails(now - keep, at_once).await;
        Ok(links?.max(forgotten?) >= u64::from(at_once))
    }

    async fn attempt(&self, taken: &TakenMail) -> Result<(), NotifyError> {
        let outcome = match self.try_to_send(taken).await {
            Ok(()) => MailOutcome::Sent,
            Err(failure) => self.judge(taken, &failure),
        };
        let name = match outcome {
            MailOutcome::Sent => "sent",
            MailOutcome::Waits(_) => "retried",
            MailOutcome::Dead(_) => "dead",
        };
        metrics::counter!("eh_mails_total", "outcome" => name).increment(1);
        self.mails.settle(taken, outcome).await
    }

    async fn try_to_send(&self, taken: &TakenMail) -> Result<(), Failure> {
        let mail = &taken.mail;
        // Whoever took it the last time did not live to say what became of it.
        if taken.tries() > self.plan.attempts_max {
            return Err(Failure::UsedUp);
        }
        if mail.order.expires_at <= self.clock.now() {
            return Err(Failure::Over);
        }
        let delivery = self.open(mail).ok_or(Failure::Unreadable)?;
        if !is_safe_address(&delivery.address) {
            return Err(Failure::Address);
        }
        let page = match mail.order.kind {
            MailKind::VerifyEmail => &self.plan.verification_page,
            MailKind::RecoverPassword => &self.plan.recovery_page,
        };
        Ok(self.mailer.send(&compose(mail, &delivery, page)).await?)
    }

    fn open(&self, mail: &Mail) -> Option<Delivery> {
        let sealed = &mail.order.sealed;
        let plain = self.sealers.iter().find_map(|one| one.open(&mail.event_id, sealed).ok())?;
        let Sealed { address, token } = serde_json::from_slice(&plain).ok()?;
        Some(Delivery { address, token })
    }

    fn judge(&self, taken: &TakenMail, failure: &Failure) -> MailOutcome {
        let (mail, error) = (&taken.mail, Chain(failure));
        let event = mail.event_id.as_str();
        if failure.may_pass() && taken.tries() < self.plan.attempts_max {
            tracing::warn!(event.id = event, attempt = taken.attempt, error = %error, "mail waits");
            return MailOutcome::Waits(self.next_attempt(taken.tries()));
        }
        tracing::error!(event.id = event, attempt = taken.attempt, error = %error, "mail is dead");
        MailOutcome::Dead(Death::new(self.clock.now(), &error.to_string()))
    }

    fn next_attempt(&self, attempt: u32) -> DateTime<Utc> {
        let doublings = attempt.saturating_sub(1).min(16);
        let pause = self.plan.pause.checked_mul(1 << doublings);
        let pause = pause.map_or(self.plan.pause_max, |pause| pause.min(self.plan.pause_max));
        self.clock.now() + pause
    }
}

/// Reads what an event says of a sealed text.
pub fn sealed_bytes(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use chassis::sealing::Use;
    use chassis::testing::clock::FixedClock;

    use super::*;
    use crate::client::memory::MemoryMailer;
    use crate::model::{Locale, MailId, MailOrder, UserId};
    use crate::repository::memory::MemoryRepository;
    use crate::repository::{Effects, NotificationRepository as _};

    const MAIL: Use = Use { salt: b"test", purpose: b"mail" };

    fn sealer(key: &str) -> Sealer {
        Sealer::new(&Secret::new(key), MAIL).unwrap()
    }

    struct Fixture {
        courier: Courier,
        mailer: Arc<MemoryMailer>,
        mails: Arc<MemoryRepository>,
        clock: Arc<FixedClock>,
    }

    impl Fixture {
        fn new() -> Self {
            let plan = MailPlan {
                batch: 10,
                lease: TimeDelta::seconds(60),
                attempts_max: 3,
                pause: TimeDelta::seconds(5),
                pause_max: TimeDelta::seconds(8),
                verification_page: "https://hub.example/verify".to_owned(),
                recovery_page: "https://hub.example/recover".to_owned(),
            };
            let (mailer, mails) = (Arc::new(MemoryMailer::default()), Arc::default());
            let clock = Arc::new(FixedClock::default());
            let ports: (Arc<MemoryRepository>, _) = (mails, mailer.clone());
            let mails = ports.0.clone();
            let sealers = vec![sealer("the new key"), sealer("the old key")];
            let courier = Courier::new((ports.0, ports.1), sealers, clock.clone(), plan);
            Self { courier, mailer, mails, clock }
        }

        async fn order(&self, kind: MailKind, key: &str, address: &str) -> Mail {
            let id = MailId::generate();
            let event_id = format!("{}:{id}:1", kind.as_str());
            let told = serde_json::json!({"address": address, "token": "the-token", "more": 1});
            let sealed = sealer(key).seal(&event_id, told.to_string().as_bytes()).unwrap();
            let now = self.clock.now();
            let expires_at = now + TimeDelta::minutes(30);
            let order = MailOrder { kind, locale: Locale::En, sealed, expires_at };
            let mail = Mail { id, event_id, user_id: UserId::generate(), order, created_at: now };
            let mails = std::slice::from_ref(&mail);
            self.mails.record(Effects { mails, ..Effects::default() }).await.unwrap();
            mail
        }

        async fn send(&self) -> usize {
            while self.courier.send_mails().await.unwrap() {}
            self.mailer.taken().len()
        }

        async fn forget(&self) {
            while self.courier.forget_mails(TimeDelta::days(7), 1).await.unwrap() {}
        }

        fn wait(&self, seconds: i64) {
            self.clock.advance(TimeDelta::seconds(seconds));
        }
    }

    fn busy() -> MailError {
        MailError::unavailable("busy")
    }

    #[tokio::test]
    async fn a_message_is_sent_once_to_the_page_of_its_kind() {
        let fixture = Fixture::new();
        let kinds = [
            (MailKind::VerifyEmail, "the new key", "https://hub.example/verify#token=the-token"),
            (
                MailKind::RecoverPassword,
                "the old key",
                "https://hub.example/recover#token=the-token",
            ),
        ];
        for (kind, key, link) in kinds {
            let mail = fixture.order(kind, key, "alice@example.com").await;
            let before = fixture.mailer.taken().len();
            assert_eq!(fixture.send().await, before + 1);
            let letter = fixture.mailer.taken().pop().unwrap();
            assert_eq!((letter.id, letter.to.as_str()), (mail.id, "alice@example.com"));
            assert!(letter.text.contains(link), "{}", letter.text);
        }
        fixture.wait(86_400);
        assert_eq!(fixture.send().await, 2);
        assert!(fixture.mails.sealed_mails().is_empty(), "what is sent is not kept");
    }

    #[tokio::test]
    async fn a_failed_attempt_is_repeated_later_and_not_for_ever() {
        let fixture = Fixture::new();
        fixture.order(MailKind::VerifyEmail, "the new key", "alice@example.com").await;
        fixture.mailer.refuse(busy());
        fixture.mailer.refuse(busy());
        assert_eq!(fixture.send().await, 0);
        fixture.wait(4);
        assert_eq!(fixture.send().await, 0, "the pause is not over");
        fixture.wait(1);
        assert_eq!(fixture.send().await, 0, "the second attempt failed too");
        fixture.wait(7);
        assert_eq!(fixture.send().await, 0, "a pause grows up to its longest");
        fixture.wait(1);
        assert_eq!(fixture.send().await, 1);

        fixture.order(MailKind::VerifyEmail, "the new key", "alice@example.com").await;
        for _ in 0..3 {
            fixture.mailer.refuse(busy());
            fixture.send().await;
            fixture.wait(60);
        }
        assert_eq!(fixture.send().await, 1);
        assert_eq!(fixture.mails.sealed_mails().len(), 1, "it can be replayed");
        fixture.wait(1800);
        fixture.forget().await;
        assert!(fixture.mails.sealed_mails().is_empty(), "a link that is over is not kept");
    }

    #[tokio::test]
    async fn what_can_never_be_sent_is_dead_at_once() {
        let fixture = Fixture::new();
        fixture
            .order(MailKind::VerifyEmail, "the new key", "a@example.com\r\nBcc: b@x.example")
            .await;
        fixture.send().await;
        fixture.order(MailKind::VerifyEmail, "the new key", "alice@example.com").await;
        fixture.mailer.refuse(MailError::Refused { code: 550 });
        fixture.send().await;
        fixture.order(MailKind::RecoverPassword, "the new key", "alice@example.com").await;
        fixture.wait(1800);
        fixture.send().await;
        fixture.wait(60);
        assert_eq!(fixture.send().await, 0);
        fixture.forget().await;
        assert!(fixture.mails.sealed_mails().is_empty());
    }

    #[tokio::test]
    async fn a_message_that_may_have_arrived_is_not_sent_again_by_itself() {
        let fixture = Fixture::new();
        fixture.order(MailKind::VerifyEmail, "the new key", "alice@example.com").await;
        fixture.mailer.refuse(MailError::Unclear);
        fixture.send().await;
        fixture.wait(60);
        assert_eq!(fixture.send().await, 0);
        assert_eq!(fixture.mails.sealed_mails().len(), 1, "it can be replayed");
    }

    /// Links stay where they are.
    struct WithoutLinks(Arc<MemoryRepository>);

    #[async_trait::async_trait]
    impl MailRepository for WithoutLinks {
        async fn take(
            &self,
            now: DateTime<Utc>,
            until: DateTime<Utc>,
            limit: u32,
        ) -> Result<Vec<TakenMail>, NotifyError> {
            self.0.take(now, until, limit).await
        }

        async fn settle(&self, taken: &TakenMail, outcome: MailOutcome) -> Result<(), NotifyError> {
            self.0.settle(taken, outcome).await
        }

        async fn forget_links(&self, _: DateTime<Utc>, _: u32) -> Result<u64, NotifyError> {
            Err(NotifyError::Unavailable { source: "a lock is held".into() })
        }

        async fn forget_mails(
            &self,
            before: DateTime<Utc>,
            limit: u32,
        ) -> Result<u64, NotifyError> {
            self.0.forget_mails(before, limit).await
        }
    }

    #[tokio::test]
    async fn old_messages_go_where_links_cannot_be_taken_out() {
        let mut fixture = Fixture::new();
        fixture.order(MailKind::VerifyEmail, "the new key", "alice@example.com").await;
        fixture.courier.mails = Arc::new(WithoutLinks(fixture.mails.clone()));
        fixture.wait(8 * 86_400);
        let refused = fixture.courier.forget_mails(TimeDelta::days(7), 1).await;
        assert!(matches!(refused, Err(NotifyError::Unavailable { .. })), "{refused:?}");
        assert!(fixture.mails.sealed_mails().is_empty());
    }

    #[tokio::test]
    async fn a_message_under_an_unknown_key_waits_for_the_key() {
        let fixture = Fixture::new();
        fixture.order(MailKind::VerifyEmail, "a foreign key", "alice@example.com").await;
        assert_eq!(fixture.send().await, 0);
        assert_eq!(fixture.mails.sealed_mails().len(), 1);
    }

    #[tokio::test]
    async fn what_a_dead_process_had_taken_is_sent_when_its_time_is_over() {
        let fixture = Fixture::new();
        fixture.order(MailKind::VerifyEmail, "the new key", "alice@example.com").await;
        let now = fixture.clock.now();
        let until = now + TimeDelta::seconds(60);
        assert_eq!(fixture.mails.take(now, until, 10).await.unwrap().len(), 1);
        assert_eq!(fixture.send().await, 0);
        fixture.wait(60);
        assert_eq!(fixture.send().await, 1);
    }

    #[tokio::test]
    async fn a_message_that_kills_whoever_takes_it_ends() {
        let fixture = Fixture::new();
        fixture.order(MailKind::VerifyEmail, "the new key", "alice@example.com").await;
        for _ in 0..3 {
            let now = fixture.clock.now();
            assert_eq!(fixture.mails.take(now, now, 10).await.unwrap().len(), 1);
        }
        assert_eq!(fixture.send().await, 0);
        fixture.wait(60);
        let now = fixture.clock.now();
        assert!(fixture.mails.take(now, now, 10).await.unwrap().is_empty());
    }
}
