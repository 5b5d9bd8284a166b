//! Links by e-mail: from the event to the message.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::config::Secret;
use chassis::messaging::Envelope;
use chassis::sealing::{Sealer, Use};
use chassis::testing::clock::FixedClock;
use chrono::TimeDelta;
use notify_service::client::MailError;
use notify_service::client::memory::MemoryMailer;
use notify_service::repository::mysql::MySqlRepository;
use notify_service::service::Courier;
use proto::notify::v1::ListNotificationsRequest;
use serde_json::json;
use uuid::Uuid;

use crate::harness::{Harness, config, told};

/// The key that the shipped defaults believe.
const MAIL_KEY: &str = "development-only-mail-key-0123456789abcdef";
pub(crate) const RECOVERY: &str = "user.recovery_requested";

/// An event as user-service tells it.
pub(crate) fn order(event: &str, user: Uuid, locale: &str) -> Envelope {
    let (salt, purpose) = proto::events::SEALED;
    let sealer = Sealer::new(&Secret::new(MAIL_KEY), Use { salt, purpose }).unwrap();
    let token = chassis::id::new_id();
    let plain = json!({"address": "alice@example.com", "token": "the-secret-token"});
    let sealed = sealer.seal(&format!("{event}:{token}:1"), plain.to_string().as_bytes()).unwrap();
    let data = json!({"user_id": user, "version": 1, "locale": locale,
        "expires_at": "2026-01-02T03:34:05.678Z", "sealed": URL_SAFE_NO_PAD.encode(sealed)});
    told(event, token, 1, data)
}

/// Who sends the messages of a service.
pub(crate) struct Post {
    pub(crate) mailer: Arc<MemoryMailer>,
    pub(crate) clock: Arc<FixedClock>,
    courier: Courier,
}

impl Post {
    pub(crate) fn of(harness: &Harness) -> Self {
        let (mailer, clock) = (Arc::new(MemoryMailer::default()), Arc::new(FixedClock::default()));
        let audit = chassis::testing::audit::log("notify-service");
        let courier = notify_service::app::courier(
            Arc::new(MySqlRepository::new(harness.pool(), audit)),
            mailer.clone(),
            &config().mail,
            clock.clone(),
        );
        Self { mailer, clock, courier: courier.unwrap() }
    }

    pub(crate) async fn send(&self) {
        while self.courier.send_mails().await.unwrap() {}
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_event_becomes_one_message_and_no_notification() {
    let harness = Harness::start().await;
    let (post, user) = (Post::of(&harness), Uuid::from_u128(7));
    let event = order(RECOVERY, user, "zh-CN");
    for _ in 0..2 {
        harness.handle(std::slice::from_ref(&event)).await;
    }
    post.send().await;
    post.send().await;
    let [letter] = &post.mailer.taken()[..] else { panic!("one event, one message") };
    assert_eq!((letter.to.as_str(), letter.subject), ("alice@example.com", "重设密码"));
    let link = "http://127.0.0.1:8080/console/recover-password#token=the-secret-token";
    assert!(letter.text.contains(link), "{}", letter.text);
    let request = harness.user(user, ListNotificationsRequest::default());
    let inbox = harness.client().list_notifications(request).await.unwrap().into_inner();
    assert!(inbox.notifications.is_empty(), "a thief of a session reads the inbox");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn what_waits_and_what_was_sent_is_sealed_or_gone() {
    let harness = Harness::start().await;
    let post = Post::of(&harness);
    harness.handle(&[order(RECOVERY, Uuid::from_u128(7), "en")]).await;
    let count = async |what: &'static str| -> i64 {
        sqlx::query_scalar(what).fetch_one(&harness.pool()).await.unwrap()
    };
    let open = "SELECT COUNT(*) FROM mails WHERE sealed LIKE '%alice%' OR sealed LIKE '%token%'";
    assert_eq!(count(open).await, 0);
    assert_eq!(count("SELECT COUNT(*) FROM mails WHERE status = 'WAITING'").await, 1);
    post.mailer.refuse(MailError::unavailable("busy"));
    post.send().await;
    assert_eq!(count("SELECT COUNT(*) FROM mails WHERE sealed <> ''").await, 1);
    post.clock.advance(TimeDelta::seconds(5));
    post.send().await;
    assert_eq!(post.mailer.taken().len(), 1);
    assert_eq!(count("SELECT COUNT(*) FROM mails WHERE sealed = '' AND status = 'SENT'").await, 1);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn replicas_that_send_at_once_send_each_message_once() {
    let harness = Harness::start().await;
    let user = Uuid::from_u128(7);
    let events: Vec<_> = (0..30).map(|_| order(RECOVERY, user, "en")).collect();
    harness.handle(&events).await;
    let posts = [(); 3].map(|()| Post::of(&harness));
    futures::future::join_all(posts.iter().map(Post::send)).await;
    let mut ids: Vec<_> =
        posts.iter().flat_map(|post| post.mailer.taken()).map(|letter| letter.id).collect();
    assert_eq!(ids.len(), 30);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 30);
    harness.finish().await;
}
