//! Publishing to a real broker: confirms, returns and broken connections.

use crate::outbox::event;
use crate::proxy::{Mode, Proxy};
use crate::support::eventually;
use chassis::config::{AmqpConfig, Secret};
use chassis::messaging::amqp::Broker;
use chassis::messaging::{EventKeys, OutboundMessage, PublishError, Publisher as _};
use chassis::shutdown::Shutdown;
use chassis::testing::broker::TestBroker;

/// The consumer whose queue takes what these tests publish.
const SUBSCRIBER: &str = "consumer";

pub(crate) fn messages(versions: std::ops::Range<u64>) -> Vec<OutboundMessage> {
    versions.map(|version| event(version).to_message().unwrap()).collect()
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo ehub test"]
async fn an_event_comes_back_until_somebody_subscribes() {
    let test = TestBroker::new();
    test.connected().await;
    let publisher = test.broker().publisher();
    let results = publisher.publish(&messages(0..3)).await;
    let unroutable = Err(PublishError::Unroutable("order.paid".to_owned()));
    assert_eq!(results, vec![unroutable; 3]);
    test.subscribe(SUBSCRIBER, &["order.*"]).await;
    assert_eq!(publisher.publish(&messages(0..3)).await, [Ok(()), Ok(()), Ok(())]);
    drop(publisher);
    test.finish(&[SUBSCRIBER]).await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo ehub test"]
async fn of_a_batch_exactly_those_without_a_subscriber_come_back() {
    let test = TestBroker::new();
    test.subscribe(SUBSCRIBER, &["order.*"]).await;
    let publisher = test.broker().publisher();
    let mut batch = messages(0..200);
    for message in batch.iter_mut().skip(3).step_by(7) {
        "user.registered".clone_into(&mut message.routing_key);
    }
    let expected: Vec<bool> =
        batch.iter().map(|message| message.routing_key == "order.paid").collect();
    // How many messages the broker confirms at once differs from time to time.
    for _ in 0..10 {
        let results = publisher.publish(&batch).await;
        assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), expected);
    }
    drop(publisher);
    test.finish(&[SUBSCRIBER]).await;
}

#[tokio::test]
async fn nothing_is_published_without_a_connection() {
    let url = Secret::new("amqp://guest:guest@127.0.0.1:9/%2f");
    let config = AmqpConfig { url, ..AmqpConfig::default() };
    let broker = Broker::new(&config, "test", EventKeys::for_anybody()).unwrap();
    let results = broker.publisher().publish(&messages(0..2)).await;
    assert_eq!(results, [Err(PublishError::Disconnected), Err(PublishError::Disconnected)]);
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo ehub test"]
async fn a_lost_confirm_is_no_publication_and_the_connection_comes_back() {
    let test = TestBroker::new();
    test.subscribe(SUBSCRIBER, &["order.*"]).await;
    let (proxy, url) = Proxy::before(test.config().url.expose(), Mode::Pass).await;
    let url = Secret::new(url);
    let config = AmqpConfig { url, confirm_timeout_ms: 300, ..test.config() };
    let broker = Broker::new(&config, "test", EventKeys::for_anybody()).unwrap();
    let shutdown = Shutdown::new();
    let supervisor = tokio::spawn(broker.clone().supervise(shutdown.clone()));
    broker.wait_connected().await;
    let publisher = broker.publisher();
    assert_eq!(publisher.publish(&messages(0..1)).await, [Ok(())]);

    proxy.set(Mode::LoseReplies);
    assert_eq!(publisher.publish(&messages(1..2)).await, [Err(PublishError::Timeout)]);

    proxy.set(Mode::Break);
    eventually("the loss of the connection", || async { !broker.is_connected() }).await;
    proxy.set(Mode::Pass);
    eventually("the next publication", || async {
        publisher.publish(&messages(1..2)).await == [Ok(())]
    })
    .await;

    drop(publisher);
    shutdown.begin();
    supervisor.await.unwrap();
    test.finish(&[SUBSCRIBER]).await;
}
