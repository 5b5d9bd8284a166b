//! One queue's consumer: collects batches, has them applied, and begins anew when the connection
//! or the channel ended.

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection};
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::apply::Applier;
use super::batch::{Batch, Item, decode};
use super::broker::{Claim, FIRST_PAUSE, LinkError, within};
use crate::backoff::Backoff;
use crate::config::AmqpConfig;
use crate::error::Chain;
use crate::messaging::{Handler, Trust};

/// The consumer of one queue.
pub(super) struct Consumer {
    claim: Claim,
    name: String,
    patterns: Vec<String>,
    handler: Arc<dyn Handler>,
    config: AmqpConfig,
}

impl Consumer {
    pub(super) fn new(
        claim: Claim,
        name: &str,
        bindings: &[&str],
        handler: Arc<dyn Handler>,
        config: &AmqpConfig,
    ) -> Self {
        let patterns = bindings.iter().map(|pattern| (*pattern).to_owned()).collect();
        Self { claim, name: name.to_owned(), patterns, handler, config: config.clone() }
    }

    /// Consumes until `stop` is cancelled.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::new(FIRST_PAUSE, self.config.retry_backoff_max());
        loop {
            let connection = tokio::select! {
                connection = self.claim.broker.connected() => connection,
                () = stop.cancelled() => return,
            };
            let began = Instant::now();
            match self.consume(&connection, &stop).await {
                Ok(()) => return,
                Err(error) => {
                    let queue = self.name.as_str();
                    tracing::warn!(messaging.queue = queue, error = %Chain(&error), "consumer ended");
                }
            }
            if began.elapsed() > self.config.retry_backoff_max() {
                backoff.reset();
            }
            tokio::select! {
                () = backoff.pause() => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Consumes on one channel; ends well only when told to stop.
    async fn consume(
        &self,
        connection: &Connection,
        stop: &CancellationToken,
    ) -> Result<(), LinkError> {
        let (channel, deliveries) =
            within(self.config.connect_timeout(), self.subscribe(connection)).await?;
        let topology = self.claim.broker.topology();
        let names = (topology.events(), topology.queue(&self.name));
        let pause_max = self.config.retry_backoff_max();
        let applier = Applier::new(Arc::clone(&self.handler), names, pause_max);
        let trust = self.claim.broker.trust();
        let mut flow = Flow { deliveries, applier, config: &self.config, trust };
        while !stop.is_cancelled() {
            flow.turn(stop).await?;
        }
        flow.finish(&channel).await
    }

    async fn subscribe(
        &self,
        connection: &Connection,
    ) -> Result<(Channel, lapin::Consumer), LinkError> {
        let topology = self.claim.broker.topology();
        let limit = self.config.delivery_limit;
        let channel =
            topology.declare_consumer(connection, &self.name, &self.patterns, limit).await?;
        // Unacknowledged messages at most: bounds memory, and feeds the next batch while one is
        // applied.
        channel.basic_qos(self.config.prefetch, BasicQosOptions::default()).await?;
        let queue = topology.queue(&self.name);
        // Not exclusive, so that replicas share the queue; the broker names the consumer.
        let options = BasicConsumeOptions::default();
        let consumer = channel
            .basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default())
            .await?;
        tracing::info!(messaging.queue = queue, "consuming");
        Ok((channel, consumer))
    }
}

/// Deliveries on their way from one channel to the handler.
struct Flow<'c> {
    deliveries: lapin::Consumer,
    applier: Applier,
    config: &'c AmqpConfig,
    trust: &'c Trust,
}

impl Flow<'_> {
    /// Applies one batch: either new events or such as were held back, never a mixture, so that a
    /// bad event does not spoil the batches of good ones.
    async fn turn(&mut self, stop: &CancellationToken) -> Result<(), LinkError> {
        let batch = tokio::select! {
            delivery = self.deliveries.next() => {
                let first = self.accept(delivery).await?;
                self.collect(first, stop).await?
            }
            held = self.applier.due() => self.applier.gather(held, self.config.batch_max).await?,
            () = stop.cancelled() => return Ok(()),
        };
        Ok(self.applier.apply(batch).await?)
    }

    /// Adds to `first` what comes until the batch is full or has waited long enough.
    async fn collect(
        &mut self,
        first: Option<Item>,
        stop: &CancellationToken,
    ) -> Result<Batch, LinkError> {
        let mut batch = Batch::default();
        batch.extend(first);
        let full = sleep_until(tokio::time::Instant::now() + self.config.batch_wait());
        tokio::pin!(full);
        while batch.len() < self.config.batch_max {
            let delivery = tokio::select! {
                delivery = self.deliveries.next() => delivery,
                () = &mut full => break,
                () = stop.cancelled() => break,
            };
            batch.extend(self.accept(delivery).await?);
        }
        Ok(batch)
    }

    /// Decodes a delivery. What is no event, or none of a producer that is believed, is rejected
    /// here and yields nothing.
    async fn accept(
        &self,
        delivery: Option<lapin::Result<Delivery>>,
    ) -> Result<Option<Item>, LinkError> {
        match decode(delivery.ok_or(LinkError::Cancelled)??, self.trust) {
            Ok(item) => Ok(Some(item)),
            Err((acker, error)) => {
                self.applier.reject(&acker, &error).await?;
                Ok(None)
            }
        }
    }

    /// Takes no new deliveries, applies those that are already here, and closes the channel.
    ///
    /// Sending them back instead would count against their delivery limit. Held events do go back:
    /// their reason may last longer than the process may take to stop.
    async fn finish(mut self, channel: &Channel) -> Result<(), LinkError> {
        let tag = self.deliveries.tag();
        within(self.config.connect_timeout(), async {
            Ok(channel.basic_cancel(tag, BasicCancelOptions::default()).await?)
        })
        .await?;
        let mut batch = Batch::default();
        // After the cancellation the stream ends behind the last delivery.
        while let Ok(Some(delivery)) =
            timeout(self.config.connect_timeout(), self.deliveries.next()).await
        {
            batch.extend(self.accept(Some(delivery)).await?);
            if batch.len() >= self.config.batch_max {
                self.applier.apply(std::mem::take(&mut batch)).await?;
            }
        }
        self.applier.apply(batch).await?;
        let _ = timeout(self.config.connect_timeout(), channel.close(200, "bye".into())).await;
        Ok(())
    }
}
