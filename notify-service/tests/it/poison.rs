//! Messages that can never be told, among those that can, over a real broker; and what comes of
//! them afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chassis::messaging::{Envelope, HandleError, Handler, OutboundMessage, Publisher as _};
use chassis::run::Service as _;
use chassis::shutdown::Shutdown;
use chassis::testing::broker::TestBroker;
use notify_service::api::consumer::{BINDINGS, EventHandler};
use notify_service::api::dead_letters::DeadLetterKeeper;
use notify_service::app::App;
use proto::notify::v1 as pb;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Harness, envelope, told};

/// How long a test waits for the broker and the consumers.
const PATIENCE: Duration = Duration::from_mins(1);

/// Good events, and as many bad ones.
const EACH: i64 = 100;

/// The consumers of the service as the process runs them, on a broker of their own.
struct Site {
    harness: Harness,
    broker: TestBroker,
    shutdown: Shutdown,
    consumers: JoinSet<()>,
}

impl Site {
    /// `around` stands between the broker and the events' handler.
    async fn open(around: impl FnOnce(EventHandler) -> Arc<dyn Handler>) -> Self {
        let (harness, broker) = (Harness::start().await, TestBroker::new());
        broker.subscribe(App::NAME, &BINDINGS).await;
        let (shutdown, config, mut consumers) = (Shutdown::new(), broker.config(), JoinSet::new());
        let events = around(EventHandler::new(harness.service.clone()));
        let consume =
            broker.broker().consume(App::NAME, &BINDINGS, events, &config, shutdown.soft());
        consumers.spawn(consume);
        let keeper = Arc::new(DeadLetterKeeper::new(harness.service.clone()));
        let keep = broker.broker().keep_dead_letters(App::NAME, keeper, &config, shutdown.soft());
        consumers.spawn(keep);
        Self { harness, broker, shutdown, consumers }
    }

    async fn publish(&self, messages: &[OutboundMessage]) {
        for published in self.broker.broker().publisher().publish(messages).await {
            published.unwrap();
        }
    }

    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.harness.pool()).await.unwrap()
    }

    async fn until(&self, sql: &'static str, expected: i64) {
        let reached = async {
            while self.count(sql).await != expected {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, reached).await.is_ok();
        assert!(in_time, "{sql}: {} instead of {expected}", self.count(sql).await);
    }

    async fn close(mut self) {
        self.shutdown.begin();
        while let Some(ended) = self.consumers.join_next().await {
            ended.unwrap();
        }
        self.broker.finish(&[App::NAME]).await;
        self.harness.finish().await;
    }
}

/// A message whose payload is none of an event, or of one that is not as it should be.
fn message(routing_key: &str, payload: String) -> OutboundMessage {
    OutboundMessage {
        id: chassis::id::new_id().to_string(),
        routing_key: routing_key.to_owned(),
        payload,
        traceparent: None,
    }
}

/// An event of its own, with one text in its encoding replaced.
fn replaced(event: &str, from: &str, to: &str) -> String {
    let json = envelope(event, chassis::id::new_id()).to_json().unwrap();
    assert!(json.contains(from), "{json}");
    json.replace(from, to)
}

/// An event of its own, with other data.
fn with_data(event: &str, change: impl FnOnce(&mut Value)) -> String {
    let usual = envelope(event, chassis::id::new_id());
    let mut data = usual.decode().unwrap();
    change(&mut data);
    told(event, usual.subject, 2, data).to_json().unwrap()
}

/// One of the ways to be no event that can be told.
fn bad(kind: i64) -> OutboundMessage {
    let other = |data: Value| with_data("order.paid", |old| *old = data);
    let unique = chassis::id::new_id();
    let payload = match kind % 9 {
        0 => format!("{{\"half\": \"{unique}\""),
        1 => format!("[\"{unique}\"]"),
        2 => replaced("order.paid", "\"specversion\":\"1.0\"", "\"specversion\":\"2.0\""),
        3 => replaced("order.paid", "order.paid.v1", "order.paid.v2"),
        4 => with_data("order.paid", |data| data["padding"] = json!("x".repeat(5 << 20))),
        5 => with_data("order.paid", |data| data["user_id"] = json!(17)),
        6 => with_data("order.paid", |data| data["version"] = json!("two")),
        7 => other(json!(unique)),
        // It cannot be stored: the column has no room for it. Nobody could know beforehand.
        _ => with_data("user.registered", |data| data["display_name"] = json!("x".repeat(9_000))),
    };
    message("order.paid", payload)
}

/// Deeply nested where nobody looks: no reader's stack may grow with it.
fn nested() -> OutboundMessage {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let json = with_data("order.paid", |data| data["deep"] = json!("here"));
    message("order.paid", json.replace("\"here\"", &deep))
}

#[tokio::test]
#[ignore = "needs MySQL and RabbitMQ: cargo ehub test"]
async fn good_events_are_told_among_bad_ones_of_every_kind() {
    let site = Site::open(|handler| Arc::new(handler)).await;
    let users: Vec<_> = (0..EACH).map(|_| chassis::id::new_id()).collect();
    let good = users.iter().map(|user| envelope("order.paid", *user).to_message().unwrap());
    let mixed: Vec<_> =
        (0..EACH).zip(good).flat_map(|(at, good)| [bad(at), good]).chain([nested()]).collect();
    let batches = mixed.chunks(20).map(|batch| site.publish(batch));
    futures::future::join_all(batches).await;

    site.until("SELECT COUNT(*) FROM notifications", 1 + EACH).await;
    site.until("SELECT COUNT(*) FROM dead_letters", EACH).await;
    let once = "SELECT COUNT(*) FROM event_receipts WHERE deliveries = 1";
    assert_eq!(site.count(once).await, 1 + EACH);
    let other = "SELECT COUNT(*) FROM dead_letters WHERE reason NOT LIKE 'rejected%'";
    assert_eq!(site.count(other).await, EACH / 9, "only what cannot be stored is tried again");
    for user in [users[0], users[99]] {
        let request = site.harness.user(user, pb::ListNotificationsRequest::default());
        let inbox = site.harness.client().list_notifications(request).await.unwrap();
        assert_eq!(inbox.into_inner().notifications.len(), 1);
    }
    site.close().await;
}

/// A defect, and its repair.
struct Defective {
    handler: EventHandler,
    is_repaired: Arc<AtomicBool>,
}

#[async_trait]
impl Handler for Defective {
    async fn handle(&self, batch: &[Envelope]) -> Result<(), HandleError> {
        assert!(self.is_repaired.load(Ordering::SeqCst), "a defect");
        self.handler.handle(batch).await
    }
}

#[tokio::test]
#[ignore = "needs MySQL and RabbitMQ: cargo ehub test"]
async fn what_died_is_told_once_however_often_it_is_replayed() {
    let is_repaired = Arc::new(AtomicBool::new(false));
    let repaired = Arc::clone(&is_repaired);
    let site = Site::open(|handler| Arc::new(Defective { handler, is_repaired: repaired })).await;
    let user = chassis::id::new_id();
    let event = envelope("order.paid", user).to_message().unwrap();
    // The relay may publish an event twice, so it may die twice.
    site.publish(std::slice::from_ref(&event)).await;
    site.until("SELECT COUNT(*) FROM dead_letters", 1).await;
    let again = OutboundMessage { routing_key: "order.again".to_owned(), ..event.clone() };
    site.publish(&[again]).await;
    site.until("SELECT COUNT(*) FROM dead_letters", 2).await;
    is_repaired.store(true, Ordering::SeqCst);

    let request = site.harness.admin(pb::ListDeadLettersRequest::default());
    let letters = site.harness.client().list_dead_letters(request).await.unwrap().into_inner();
    for letter in letters.dead_letters {
        assert_eq!(letter.reason, "delivery_limit");
        let replay = || {
            let id = pb::ReplayDeadLetterRequest { dead_letter_id: letter.id.clone() };
            let (request, mut client) = (site.harness.admin(id), site.harness.client());
            async move { client.replay_dead_letter(request).await.is_ok() }
        };
        let replayed = futures::future::join_all((0..8).map(|_| replay())).await;
        assert_eq!(replayed.into_iter().filter(|done| *done).count(), 1, "decided once");
    }
    // And once more by the broker, now that the defect is gone.
    let before = site.count("SELECT CAST(SUM(deliveries) AS SIGNED) FROM event_receipts").await;
    site.publish(&[event]).await;
    site.until("SELECT CAST(SUM(deliveries) AS SIGNED) FROM event_receipts", before + 1).await;
    assert_eq!(site.count("SELECT COUNT(*) FROM notifications").await, 1);
    assert_eq!(site.count("SELECT COUNT(*) FROM dead_letters WHERE status = 'OPEN'").await, 0);
    site.close().await;
}
