//! Consuming from a real broker: batches, poison, repetitions, dead letters and stops.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chassis::config::{AmqpConfig, Secret};
use chassis::messaging::amqp::Broker;
use chassis::messaging::{
    DeadMessage, Envelope, EventKeys, Graveyard, HandleError, Handler, Publisher as _, Signer,
};
use chassis::shutdown::Shutdown;
use chassis::testing::broker::TestBroker;
use lapin::Channel;
use lapin::message::BasicGetMessage;
use lapin::options::{BasicGetOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::outbox::event;
use crate::proxy::{Mode, Proxy};
use crate::publisher::messages;
use crate::support::eventually;

/// The consumer's name in all tests; namespaces keep them apart.
const NAME: &str = "consumer";

type Behaviour = dyn Fn(&[Envelope]) -> Result<(), HandleError> + Send + Sync;

/// Remembers the calls and does as the test says.
struct Recorder {
    behaviour: Box<Behaviour>,
    calls: Mutex<Vec<Vec<u64>>>,
    applied: Mutex<Vec<u64>>,
}

impl Recorder {
    fn new(
        behaviour: impl Fn(&[Envelope]) -> Result<(), HandleError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let (calls, applied) = (Mutex::default(), Mutex::default());
        Arc::new(Self { behaviour: Box::new(behaviour), calls, applied })
    }

    fn applied(&self) -> Vec<u64> {
        let mut applied = self.applied.lock().unwrap().clone();
        applied.sort_unstable();
        applied
    }

    fn calls(&self) -> Vec<Vec<u64>> {
        self.calls.lock().unwrap().clone()
    }
}

#[async_trait]
impl Handler for Recorder {
    async fn handle(&self, batch: &[Envelope]) -> Result<(), HandleError> {
        let versions: Vec<u64> = batch.iter().filter_map(Envelope::version).collect();
        self.calls.lock().unwrap().push(versions.clone());
        (self.behaviour)(batch)?;
        self.applied.lock().unwrap().extend(versions);
        Ok(())
    }
}

fn has(batch: &[Envelope], version: u64) -> bool {
    batch.iter().any(|event| event.version() == Some(version))
}

struct Consuming {
    test: TestBroker,
    handler: Arc<Recorder>,
    channel: Channel,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Consuming {
    async fn start(handler: Arc<Recorder>, adjust: fn(&mut AmqpConfig)) -> Self {
        let test = TestBroker::new();
        let mut config = test.config();
        adjust(&mut config);
        let stop = CancellationToken::new();
        let consume =
            test.broker().consume(NAME, &["order.*"], handler.clone(), &config, stop.clone());
        let task = tokio::spawn(consume);
        let this = Self { channel: test.channel().await, test, handler, stop, task };
        // The queue exists once the consumer is there.
        eventually("the consumer", || async { this.consumers().await == Some(1) }).await;
        this
    }

    async fn publish(&self, versions: std::ops::Range<u64>) {
        let results = self.test.broker().publisher().publish(&messages(versions)).await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }

    async fn publish_raw(&self, bytes: &[u8]) {
        let exchange = self.test.broker().topology().events();
        let options = BasicPublishOptions::default();
        self.channel
            .basic_publish(
                exchange.as_str().into(),
                "order.raw".into(),
                options,
                bytes,
                <_>::default(),
            )
            .await
            .unwrap();
    }

    /// Asks on a channel of its own, because asking for what is not there closes the channel.
    async fn consumers(&self) -> Option<u32> {
        let queue = self.test.broker().topology().queue(NAME);
        let options = QueueDeclareOptions { passive: true, ..<_>::default() };
        let channel = self.test.channel().await;
        let queue = channel.queue_declare(queue.as_str().into(), options, <_>::default()).await;
        queue.ok().map(|queue| queue.consumer_count())
    }

    async fn get(&self, queue: &str) -> Option<BasicGetMessage> {
        let options = BasicGetOptions { no_ack: true };
        self.channel.basic_get(queue.into(), options).await.unwrap()
    }

    async fn dead_letter(&self) -> BasicGetMessage {
        let queue = self.test.broker().topology().dead_queue(NAME);
        let found = Mutex::new(None);
        eventually("a dead letter", || async {
            let message = self.get(&queue).await;
            *found.lock().unwrap() = message;
            found.lock().unwrap().is_some()
        })
        .await;
        found.into_inner().unwrap().unwrap()
    }

    async fn applied(&self, expected: &[u64]) {
        eventually("the events", || async { self.handler.applied() == expected }).await;
    }

    /// Stops, and checks that everything was settled.
    async fn finish(self) {
        self.stop.cancel();
        self.task.await.unwrap();
        let topology = self.test.broker().topology().clone();
        for queue in [topology.queue(NAME), topology.dead_queue(NAME)] {
            let options = BasicGetOptions { no_ack: true };
            let left = self.channel.basic_get(queue.as_str().into(), options).await.unwrap();
            assert!(left.is_none(), "left in {queue}: {left:?}");
        }
        self.test.finish(&[NAME]).await;
    }
}

fn reason(headers: Option<&FieldTable>) -> Option<String> {
    match headers?.inner().get("x-first-death-reason")? {
        AMQPValue::LongString(reason) => Some(reason.to_string()),
        other => panic!("{other:?}"),
    }
}

fn death(message: &BasicGetMessage) -> Option<String> {
    reason(message.properties.headers().as_ref())
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo ehub test"]
async fn events_are_applied_in_batches() {
    let consuming = Consuming::start(Recorder::new(|_| Ok(())), |config| {
        config.batch_max = 30;
        config.batch_wait_ms = 2_000;
    })
    .await;
    consuming.publish(0..60).await;
    consuming.applied(&(0..60).collect::<Vec<_>>()).await;
    let sizes: Vec<usize> = consuming.handler.calls().iter().map(Vec::len).collect();
    assert_eq!(sizes, [30, 30]);
    consuming.finish().await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo ehub test"]
async fn poison_among_good_events_goes_to_the_dead_letters_alone() {
    let poison = |batch: &[Envelope]| {
        if has(batch, 7) {
            return Err(HandleError::Poison("seven".to_owned()));
        }
        Ok(())
    };
    let consuming = Consuming::start(Recorder::new(poison), |_| {}).await;
    consuming.publish(0..20).await;
    let expected: Vec<u64> = (0..20).filter(|version| *version != 7).collect();
    consuming.applied(&expected).await;
    let letter = consuming.dead_letter().await;
    assert_eq!(Envelope::from_json(&letter.data).unwrap().version(), Some(7));
    assert_eq!(death(&letter).as_deref(), Some("rejected"));
    consuming.finish().await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo ehub test"]
async fn bytes_that_are_no_event_never_reach_the_handler() {
    let consuming = Consuming::start(Recorder::new(|_| Ok(())), |_| {}).await;
    consuming.publish_raw(b"\xff not json").await;
    consuming.publish(0..1).await;
    consuming.applied(&[0]).await;
    assert_eq!(consuming.dead_letter().await.data, b"\xff not json");
    assert_eq!(consuming.handler.calls(), [[0]]);
    consuming.finish().await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo ehub test"]
async fn an_event_that_makes_the_handler_panic_dies_of_the_delivery_limit() {
    let panicking = Recorder::new(|batch| {
        assert!(!has(batch, 3), "three");
        Ok(())
    });
    let consuming = Consuming::start(panicking, |config| config.delivery_limit = 2).await;
    consuming.publish(0..6).await;
    consuming.applied(&[0, 1, 2, 4, 5]).await;
    let letter = consuming.dead_letter().await;
    assert_eq!(death(&letter).as_deref(), Some("delivery_limit"));
    consuming.finish().await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo ehub test"]
async fn an_event_that_never_works_out_dies_of_the_delivery_limit() {
    let failing = Recorder::new(|_| Err(HandleError::Retry(anyhow::anyhow!("not today"))));
    let consuming = Consuming::start(failing, |config| {
        config.delivery_limit = 1;
        config.retry_backoff_max_ms = 20;
    })
    .await;
    consuming.publish(0..1).await;
    let letter = consuming.dead_letter().await;
    assert_eq!(death(&letter).as_deref(), Some("delivery_limit"));
    consuming.finish().await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo ehub test"]
async fn events_wait_for_an_outage_to_end_and_none_dies() {
    let down = Arc::new(AtomicBool::new(true));
    let outage = Arc::clone(&down);
    let handler = Recorder::new(move |_| {
        if outage.load(Ordering::SeqCst) {
            return Err(HandleError::Retry(anyhow::anyhow!("the database is down")));
        }
        Ok(())
    });
    let consuming = Consuming::start(handler, |config| config.delivery_limit = 3).await;
    consuming.publish(0..50).await;
    eventually("a few tries", || async { consuming.handler.calls().len() > 10 }).await;
    down.store(false, Ordering::SeqCst);
    consuming.applied(&(0..50).collect::<Vec<_>>()).await;
    consuming.finish().await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo ehub test"]
async fn a_queue_with_another_delivery_limit_is_consumed_all_the_same() {
    let consuming = Consuming::start(Recorder::new(|_| Ok(())), |_| {}).await;
    let declared = consuming.test.config();
    let changed = AmqpConfig { delivery_limit: declared.delivery_limit + 2, ..declared };
    let (stop, handler) = (CancellationToken::new(), Recorder::new(|_| Ok(())));
    let broker = consuming.test.broker();
    let consume = broker.consume(NAME, &["order.*"], handler, &changed, stop.clone());
    let second = tokio::spawn(consume);
    eventually("the second consumer", || async { consuming.consumers().await == Some(2) }).await;
    stop.cancel();
    second.await.unwrap();
    consuming.finish().await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo ehub test"]
async fn a_stop_finishes_what_was_delivered() {
    let consuming = Consuming::start(Recorder::new(|_| Ok(())), |config| {
        config.batch_max = 1_000;
        config.batch_wait_ms = 60_000;
    })
    .await;
    consuming.publish(0..40).await;
    let queue = consuming.test.broker().topology().queue(NAME);
    eventually("the delivery", || async {
        let options = QueueDeclareOptions { passive: true, ..<_>::default() };
        let declared =
            consuming.channel.queue_declare(queue.as_str().into(), options, <_>::default()).await;
        declared.unwrap().message_count() == 0
    })
    .await;
    let handler = Arc::clone(&consuming.handler);
    consuming.finish().await;
    assert_eq!(handler.applied(), (0..40).collect::<Vec<_>>());
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo ehub test"]
async fn consuming_goes_on_after_a_broken_connection() {
    let test = TestBroker::new();
    test.connected().await;
    let (proxy, url) = Proxy::before(test.config().url.expose(), Mode::Pass).await;
    let config = AmqpConfig { url: Secret::new(url), ..test.config() };
    let broker = Broker::new(&config, "test", EventKeys::for_anybody()).unwrap();
    let shutdown = Shutdown::new();
    let supervisor = tokio::spawn(broker.clone().supervise(shutdown.clone()));
    let handler = Recorder::new(|_| Ok(()));
    let consume = broker.consume(NAME, &["order.*"], handler.clone(), &config, shutdown.soft());
    let consumer = tokio::spawn(consume);
    let publisher = test.broker().publisher();
    // Each at least once: an acknowledgement may be lost with the connection.
    let applied = |versions: &'static [u64]| {
        let handler = Arc::clone(&handler);
        let is_applied = move || {
            let distinct: BTreeSet<_> = handler.applied().into_iter().collect();
            async move { distinct.into_iter().eq(versions.iter().copied()) }
        };
        eventually("the events", is_applied)
    };
    let queue = test.broker().topology().queue(NAME);
    eventually("the queue", || async {
        let options = QueueDeclareOptions { passive: true, ..<_>::default() };
        let channel = test.channel().await;
        let queue = channel.queue_declare(queue.as_str().into(), options, <_>::default()).await;
        queue.is_ok_and(|queue| queue.consumer_count() == 1)
    })
    .await;
    assert_eq!(publisher.publish(&messages(0..1)).await, [Ok(())]);
    applied(&[0]).await;

    proxy.set(Mode::Break);
    eventually("the loss of the connection", || async { !broker.is_connected() }).await;
    assert_eq!(publisher.publish(&messages(1..2)).await, [Ok(())]);
    proxy.set(Mode::Pass);
    applied(&[0, 1]).await;

    shutdown.begin();
    consumer.await.unwrap();
    supervisor.await.unwrap();
    drop(publisher);
    test.finish(&[NAME]).await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo ehub test"]
async fn what_no_producer_signed_becomes_a_dead_letter_and_has_no_effect() {
    let consuming = Consuming::start(Recorder::new(|_| Ok(())), |_| {}).await;
    let plain = event(1).to_json().unwrap();
    let signed = Signer::for_anybody().sign(&plain);
    let altered = signed.replace("order.paid:", "order.paid;");
    let foreign = plain.replace("\"order-service\"", "\"auth-service\"");
    let foreign = Signer::for_anybody().sign(&foreign);
    for forged in [&plain, &altered, &foreign] {
        assert_ne!(forged, &signed);
        consuming.publish_raw(forged.as_bytes()).await;
        let dead = consuming.dead_letter().await;
        assert_eq!(death(&dead).as_deref(), Some("rejected"));
        assert_eq!(&dead.data, forged.as_bytes());
    }
    // Twice, as a relay may: whether that has a second effect is for the handler to see to.
    for _ in 0..2 {
        consuming.publish_raw(signed.as_bytes()).await;
    }
    consuming.applied(&[1, 1]).await;
    consuming.finish().await;
}

/// Remembers what it is given to keep.
#[derive(Default)]
struct Cemetery(Mutex<Vec<DeadMessage>>);

#[async_trait]
impl Graveyard for Cemetery {
    async fn bury(&self, message: DeadMessage) -> Result<(), HandleError> {
        self.0.lock().unwrap().push(message);
        Ok(())
    }
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo ehub test"]
async fn a_dead_letter_tells_that_nobody_signed_it() {
    let consuming = Consuming::start(Recorder::new(|_| Ok(())), |_| {}).await;
    let cemetery = Arc::new(Cemetery::default());
    let (config, stop) = (consuming.test.config(), CancellationToken::new());
    let broker = consuming.test.broker();
    let keep = broker.keep_dead_letters(NAME, cemetery.clone(), &config, stop.clone());
    let keeping = tokio::spawn(keep);
    let plain = event(1).to_json().unwrap();
    let no_event = Signer::for_anybody().sign("{\"hello\":\"world\"}");
    for message in [&plain, &no_event] {
        consuming.publish_raw(message.as_bytes()).await;
    }
    eventually("both letters", || async { cemetery.0.lock().unwrap().len() == 2 }).await;
    let mut reasons: Vec<_> =
        cemetery.0.lock().unwrap().iter().map(|letter| letter.reason.clone()).collect();
    reasons.sort();
    assert_eq!(reasons, ["rejected", "rejected: the message is not signed"]);
    stop.cancel();
    keeping.await.unwrap();
    drop(broker);
    consuming.finish().await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo ehub test"]
async fn messages_that_wait_are_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let may_apply = Arc::new(AtomicBool::new(false));
    let permitted = Arc::clone(&may_apply);
    let handler = Recorder::new(move |_| {
        let not_yet = || HandleError::Retry(anyhow::anyhow!("not yet"));
        permitted.load(Ordering::SeqCst).then_some(()).ok_or_else(not_yet)
    });
    let consuming = Consuming::start(handler, |config| {
        (config.prefetch, config.batch_max, config.measure_every_ms) = (1, 1, 100);
    })
    .await;
    let waiting = |count: u32| {
        let queue = consuming.test.broker().topology().queue(NAME);
        let line = format!("eh_consumer_queue_messages{{queue=\"{queue}\"}} {count}\n");
        recorder.handle().render().contains(&line)
    };
    consuming.publish(1..5).await;
    eventually("three of four waiting", || async { waiting(3) }).await;
    may_apply.store(true, Ordering::SeqCst);
    consuming.applied(&[1, 2, 3, 4]).await;
    eventually("none waiting", || async { waiting(0) }).await;
    consuming.finish().await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo ehub test"]
async fn dead_letters_that_nobody_keeps_are_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let handler = Recorder::new(|_| Ok(()));
    let consuming = Consuming::start(handler, |config| config.measure_every_ms = 100).await;
    let queue = consuming.test.broker().topology().queue(NAME);
    let waiting = |count: u32| {
        let line = format!("eh_consumer_dead_queue_messages{{queue=\"{queue}\"}} {count}\n");
        recorder.handle().render().contains(&line)
    };
    assert!(waiting(0), "known from the start");
    consuming.publish_raw(b"no event").await;
    eventually("one letter waiting", || async { waiting(1) }).await;
    consuming.dead_letter().await;
    eventually("none waiting", || async { waiting(0) }).await;
    consuming.finish().await;
}
