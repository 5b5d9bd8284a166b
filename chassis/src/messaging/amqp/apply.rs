//! Applying events and settling their deliveries.
//!
//! An acknowledgement follows the handler's success, never precedes it. What fails comes in three
//! kinds. Poison goes to the dead letters at once. What may pass is held here, unacknowledged, and
//! tried again after growing pauses; after [`PATIENCE`] it is returned to the queue, whose delivery
//! limit then counts. A panic is returned after one pause. Held events do not hold up others.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use lapin::options::{BasicAckOptions, BasicNackOptions, BasicRejectOptions};
use tracing::Instrument as _;
use tracing::field::Empty;

use super::batch::{Batch, Item, Ticket};
use super::broker::FIRST_PAUSE;
use super::failure::{Failure, panic_message};
use super::tally::Tally;
use crate::backoff::Backoff;
use crate::error::Chain;
use crate::messaging::{Envelope, HandleError, Handler, Untrusted, trace};
use crate::{failpoint, mutant};

/// How many of the longest pauses an event is held before it is returned to the queue. With the
/// default of ten seconds an outage of the database for a minute makes no dead letters.
const PATIENCE: u32 = 6;

/// After so many events in a row that may pass later, the reason is taken to lie outside of them,
/// and the rest of the batch is held without a try.
const SYSTEMIC: u32 = 3;

/// What becomes of a held event when its pause is over.
#[derive(Debug)]
pub(super) enum Held {
    /// It is handed to the handler again.
    TryAgain(Item),
    /// It goes back to the queue.
    Return(Ticket),
}

type Pause = Pin<Box<dyn Future<Output = Held> + Send + Sync>>;

/// Applies batches by a handler and settles their deliveries.
pub(super) struct Applier {
    handler: Arc<dyn Handler>,
    queue: String,
    /// Exchange and queue.
    destination: String,
    pause_max: Duration,
    held: FuturesUnordered<Pause>,
    tally: Tally,
}

impl Applier {
    pub(super) fn new(
        handler: Arc<dyn Handler>,
        (exchange, queue): (String, String),
        pause_max: Duration,
    ) -> Self {
        let tally = Tally::new(&queue);
        let destination = format!("{exchange}:{queue}");
        Self { handler, queue, destination, pause_max, held: FuturesUnordered::new(), tally }
    }

    /// Waits until the pause of a held event is over; never ends while nothing is held. Nothing is
    /// lost when the caller stops waiting.
    pub(super) async fn due(&mut self) -> Held {
        match self.held.next().await {
            Some(held) => held,
            None => std::future::pending().await,
        }
    }

    /// Collects what is due besides `first`, at most `max`, and returns to the queue what is to go
    /// back there.
    pub(super) async fn gather(&mut self, first: Held, max: usize) -> lapin::Result<Batch> {
        let mut batch = Batch::default();
        let mut next = Some(first);
        while let Some(held) = next {
            match held {
                Held::TryAgain(item) => batch.push(item),
                Held::Return(ticket) => self.requeue(&ticket).await?,
            }
            if batch.len() >= max {
                break;
            }
            next = self.held.next().now_or_never().flatten();
        }
        Ok(batch)
    }

    /// Applies `batch` as a whole, or after a failure event by event.
    pub(super) async fn apply(&mut self, batch: Batch) -> lapin::Result<()> {
        if batch.len() == 0 {
            return Ok(());
        }
        if mutant!("acknowledged_before_commit") {
            self.acknowledge(&batch.tickets).await?;
        }
        failpoint!("consumer.received");
        match self.call(&batch.envelopes).await {
            Ok(()) => {
                self.tally.applied(&batch.envelopes);
                self.acknowledge(&batch.tickets).await
            }
            Err(failure) if batch.len() > 1 => {
                // Correct, and slow: whoever sees it often has a handler that fails on batches.
                tracing::warn!(
                    messaging.queue = %self.queue,
                    messaging.batch.message_count = batch.len(),
                    error = %failure,
                    "batch failed, events are applied one by one"
                );
                self.tally.split();
                self.apply_singly(batch).await
            }
            Err(failure) => {
                for item in batch.into_items() {
                    self.settle_failed(item, &failure).await?;
                }
                Ok(())
            }
        }
    }

    async fn apply_singly(&mut self, batch: Batch) -> lapin::Result<()> {
        let mut in_a_row = 0;
        for item in batch.into_items() {
            if in_a_row >= SYSTEMIC {
                self.hold(item);
                continue;
            }
            match self.call(std::slice::from_ref(&item.envelope)).await {
                Ok(()) => {
                    in_a_row = 0;
                    self.tally.applied(std::slice::from_ref(&item.envelope));
                    item.ticket.acker.ack(BasicAckOptions::default()).await?;
                    self.tally.count("applied", 1);
                }
                Err(failure) => {
                    in_a_row = if matches!(failure, Failure::Retry(_)) { in_a_row + 1 } else { 0 };
                    self.settle_failed(item, &failure).await?;
                }
            }
        }
        Ok(())
    }

    async fn call(&self, envelopes: &[Envelope]) -> Result<(), Failure> {
        let process = trace::Process { destination: &self.destination };
        let span = tracing::info_span!(
            "messaging.process",
            otel.name = process.name(),
            otel.kind = "consumer",
            otel.status_code = Empty,
            messaging.system = "rabbitmq",
            messaging.operation.type = "process",
            messaging.operation.name = "process",
            messaging.destination.name = %self.destination,
            messaging.batch.message_count = envelopes.len(),
            error.type = Empty,
        );
        trace::join(&span, envelopes.iter().filter_map(|event| event.traceparent.as_deref()));
        let others = trace::accompany(&span, envelopes, &process);
        // Unwind safety: after a panic nothing of the call is used but the events, which it could
        // only read; a handler's own state is behind its own locks.
        let handled = AssertUnwindSafe(self.handler.handle(envelopes)).catch_unwind();
        let outcome = match handled.instrument(span.clone()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(HandleError::Retry(error))) => Err(Failure::Retry(error)),
            Ok(Err(HandleError::Poison(reason))) => Err(Failure::Poison(reason)),
            Err(panic) => Err(Failure::Panic(panic_message(panic.as_ref()))),
        };
        let error = outcome.as_ref().err().map(Failure::kind);
        if let Some(kind) = error {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", kind);
        }
        for other in others {
            trace::end(Some(other), error);
        }
        outcome
    }

    /// Acknowledges a batch that was applied.
    ///
    /// One multiple acknowledgement covers everything delivered before it, so it is only right
    /// while nothing is held.
    async fn acknowledge(&self, tickets: &[Ticket]) -> lapin::Result<()> {
        failpoint!("consumer.committed");
        if self.held.is_empty() && tickets.iter().all(|ticket| ticket.failures == 0) {
            if let Some(last) = tickets.last() {
                last.acker.ack(BasicAckOptions { multiple: true }).await?;
            }
        } else {
            for ticket in tickets {
                ticket.acker.ack(BasicAckOptions::default()).await?;
            }
        }
        self.tally.count("applied", tickets.len());
        Ok(())
    }

    async fn settle_failed(&mut self, item: Item, failure: &Failure) -> lapin::Result<()> {
        let (event, redeliveries) = (&item.envelope.id, item.ticket.redeliveries);
        match failure {
            Failure::Poison(reason) => {
                tracing::warn!(event.id = %event, reason, "event is poison");
                // Without requeue a rejected message becomes a dead letter.
                item.ticket.acker.reject(BasicRejectOptions { requeue: false }).await?;
                self.tally.count("poison", 1);
            }
            Failure::Panic(message) => {
                tracing::error!(event.id = %event, redeliveries, message, "event handler panicked");
                let pause = self.pause(&item.ticket);
                let ticket = item.ticket;
                self.held.push(Box::pin(async move {
                    tokio::time::sleep(pause).await;
                    Held::Return(ticket)
                }));
            }
            Failure::Retry(_) => {
                tracing::warn!(
                    event.id = %event, redeliveries, error = %failure, "event not applied yet"
                );
                if mutant!("failure_acknowledged") {
                    return item.ticket.acker.ack(BasicAckOptions::default()).await.map(drop);
                }
                if item.ticket.age() >= self.pause_max.saturating_mul(PATIENCE) {
                    self.requeue(&item.ticket).await?;
                } else {
                    self.hold(item);
                }
            }
        }
        Ok(())
    }

    fn hold(&mut self, mut item: Item) {
        let pause = self.pause(&item.ticket);
        item.ticket.failures = item.ticket.failures.saturating_add(1);
        self.held.push(Box::pin(async move {
            tokio::time::sleep(pause).await;
            Held::TryAgain(item)
        }));
    }

    fn pause(&self, ticket: &Ticket) -> Duration {
        let first = FIRST_PAUSE.saturating_mul(1 << ticket.attempts().min(16));
        Backoff::new(first, self.pause_max).step()
    }

    async fn requeue(&self, ticket: &Ticket) -> lapin::Result<()> {
        ticket.acker.nack(BasicNackOptions { requeue: true, multiple: false }).await?;
        self.tally.count("requeued", 1);
        Ok(())
    }

    /// Rejects a message that is no event.
    pub(super) async fn reject(
        &self,
        acker: &lapin::Acker,
        error: &Untrusted,
    ) -> lapin::Result<()> {
        tracing::warn!(messaging.queue = %self.queue, error = %Chain(error), "message is no event");
        acker.reject(BasicRejectOptions { requeue: false }).await?;
        let is_known = matches!(error, Untrusted::NoEvent(_));
        self.tally.count(if is_known { "undecodable" } else { "untrusted" }, 1);
        Ok(())
    }
}
