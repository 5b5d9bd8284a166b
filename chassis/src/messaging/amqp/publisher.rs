//! Publishing with confirms.

use std::collections::HashSet;

use async_trait::async_trait;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};
use opentelemetry::KeyValue;
use opentelemetry::global::BoxedSpan;
use opentelemetry::trace::{SpanBuilder, SpanKind};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::broker::{Claim, LinkError, within};
use crate::failpoint;
use crate::messaging::envelope::CONTENT_TYPE;
use crate::messaging::{OutboundMessage, PublishError, Publisher, trace};
use crate::telemetry::traceparent::TRACEPARENT;

/// AMQP's delivery mode of messages that survive a restart of the broker.
const PERSISTENT: u8 = 2;

/// Publishes events to the topic exchange of a [`Broker`](super::Broker).
///
/// A message counts as published when the broker confirmed it and did not send it back. When a
/// confirm did not come, the channel is given up: late confirms of given-up messages must not be
/// taken for those of their repetition.
pub struct AmqpPublisher {
    claim: Claim,
    exchange: ShortString,
    channel: Mutex<Option<Channel>>,
}

impl AmqpPublisher {
    pub(super) fn new(claim: Claim) -> Self {
        let exchange = claim.broker.topology().events().as_str().into();
        Self { claim, exchange, channel: Mutex::new(None) }
    }

    /// Returns the open channel, or opens one with confirms on.
    async fn open(&self, slot: &mut Option<Channel>) -> Result<Channel, PublishError> {
        let connection = self.claim.broker.connection().ok_or(PublishError::Disconnected)?;
        if connection.status().blocked() {
            return Err(PublishError::Blocked);
        }
        if let Some(channel) = slot.as_ref().filter(|channel| channel.status().connected()) {
            return Ok(channel.clone());
        }
        let opened = within(self.claim.broker.config().confirm_timeout(), async {
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(channel)
        });
        let channel = opened.await.map_err(reason)?;
        Ok(slot.insert(channel).clone())
    }

    async fn send(
        &self,
        channel: &Channel,
        message: &OutboundMessage,
    ) -> Result<PublisherConfirm, LinkError> {
        // Mandatory: without it the broker confirms, and forgets, what it cannot route.
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let signed = self.claim.broker.signer().sign(&message.payload);
        let sent = channel.basic_publish(
            self.exchange.clone(),
            message.routing_key.as_str().into(),
            options,
            signed.as_bytes(),
            properties(message),
        );
        Ok(sent.await?)
    }

    /// Begins the span of sending a message, in the trace of what made it.
    fn send_span(&self, message: &OutboundMessage) -> Option<BoxedSpan> {
        let destination = format!("{}:{}", self.exchange, message.routing_key);
        let name = format!("send {destination}");
        let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Producer).with_attributes([
            KeyValue::new("messaging.system", "rabbitmq"),
            KeyValue::new("messaging.operation.type", "send"),
            KeyValue::new("messaging.operation.name", "send"),
            KeyValue::new("messaging.destination.name", destination),
            KeyValue::new(
                "messaging.rabbitmq.destination.routing_key",
                message.routing_key.clone(),
            ),
            KeyValue::new("messaging.message.id", message.id.clone()),
        ]);
        trace::begin(message.traceparent.as_deref(), builder)
    }

    /// Sends everything, then collects the confirms: one round trip for the batch. Fails as a whole
    /// when one of them is missing, because it may be the one that brings the return of another.
    async fn send_all(
        &self,
        channel: &Channel,
        batch: &[OutboundMessage],
    ) -> Result<Vec<Confirmation>, PublishError> {
        let deadline = Instant::now() + self.claim.broker.config().confirm_timeout();
        let mut sent = Vec::with_capacity(batch.len());
        for message in batch {
            // Sending waits too, when the broker does not read.
            sent.push(match timeout_at(deadline, self.send(channel, message)).await {
                Ok(sent) => sent.map_err(reason),
                Err(_) => Err(PublishError::Timeout),
            });
        }
        failpoint!("outbox.published");
        let mut confirmations = Vec::with_capacity(batch.len());
        for sent in sent {
            confirmations.push(confirmation(deadline, sent?).await?);
        }
        Ok(confirmations)
    }
}

#[async_trait]
impl Publisher for AmqpPublisher {
    async fn publish(&self, batch: &[OutboundMessage]) -> Vec<Result<(), PublishError>> {
        let mut slot = self.channel.lock().await;
        let channel = match self.open(&mut slot).await {
            Ok(channel) => channel,
            Err(error) => return vec![Err(error); batch.len()],
        };
        let spans: Vec<_> = batch.iter().map(|message| self.send_span(message)).collect();
        let verdicts = match self.send_all(&channel, batch).await {
            Ok(confirmations) => verdicts(batch, &confirmations),
            Err(error) => {
                *slot = None;
                vec![Err(error); batch.len()]
            }
        };
        for (span, verdict) in spans.into_iter().zip(&verdicts) {
            trace::end(span, verdict.as_ref().err().map(PublishError::kind));
        }
        verdicts
    }
}

async fn confirmation(
    deadline: Instant,
    confirm: PublisherConfirm,
) -> Result<Confirmation, PublishError> {
    match timeout_at(deadline, confirm).await {
        Ok(Ok(confirmation)) => Ok(confirmation),
        Ok(Err(error)) => Err(reason(error.into())),
        Err(_) => Err(PublishError::Timeout),
    }
}

/// Judges each message of a batch by its confirmation and by the returns of them all.
///
/// The client library gives a returned message to whichever confirmation comes next. Where the
/// broker confirms several messages at once, that is not its own; the message's id tells.
fn verdicts(
    batch: &[OutboundMessage],
    confirmations: &[Confirmation],
) -> Vec<Result<(), PublishError>> {
    let returned: HashSet<&str> = confirmations.iter().filter_map(returned_id).collect();
    let verdict = |(message, confirmation): (&OutboundMessage, &Confirmation)| match confirmation {
        _ if returned.contains(message.id.as_str()) => {
            Err(PublishError::Unroutable(message.routing_key.clone()))
        }
        Confirmation::Ack(_) => Ok(()),
        Confirmation::Nack(_) => Err(PublishError::Refused),
        // The channel was opened with confirms; without them nothing is certain.
        Confirmation::NotRequested => Err(PublishError::Disconnected),
    };
    batch.iter().zip(confirmations).map(verdict).collect()
}

fn returned_id(confirmation: &Confirmation) -> Option<&str> {
    match confirmation {
        Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
            returned.properties.message_id().as_ref().map(ShortString::as_str)
        }
        _ => None,
    }
}

fn reason(error: LinkError) -> PublishError {
    match error {
        LinkError::Timeout => PublishError::Timeout,
        LinkError::Broker(error) => {
            tracing::debug!(%error, "publishing failed");
            PublishError::Disconnected
        }
        LinkError::Cancelled => PublishError::Disconnected,
    }
}

fn properties(message: &OutboundMessage) -> BasicProperties {
    let properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type(CONTENT_TYPE.into())
        .with_message_id(message.id.as_str().into());
    let Some(traceparent) = &message.traceparent else {
        return properties;
    };
    let mut headers = FieldTable::default();
    headers.insert(TRACEPARENT.into(), AMQPValue::LongString(traceparent.as_str().into()));
    properties.with_headers(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_ack_without_a_return_counts() {
        let message = OutboundMessage {
            id: "order.paid:1:1".to_owned(),
            routing_key: "order.paid".to_owned(),
            payload: "{}".to_owned(),
            traceparent: None,
        };
        let verdict =
            |confirmation| verdicts(std::slice::from_ref(&message), &[confirmation]).remove(0);
        assert_eq!(verdict(Confirmation::Ack(None)), Ok(()));
        assert_eq!(verdict(Confirmation::Nack(None)), Err(PublishError::Refused));
        assert!(verdict(Confirmation::NotRequested).is_err());
    }

    #[test]
    fn messages_are_durable_and_carry_their_trace() {
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let message = OutboundMessage {
            id: "order.paid:1:1".to_owned(),
            routing_key: "order.paid".to_owned(),
            payload: "{}".to_owned(),
            traceparent: Some(traceparent.to_owned()),
        };
        let properties = properties(&message);
        assert_eq!(*properties.delivery_mode(), Some(PERSISTENT));
        let headers = properties.headers().as_ref().unwrap();
        let value = headers.inner().get(TRACEPARENT).unwrap();
        assert_eq!(value, &AMQPValue::LongString(traceparent.into()));
    }
}
