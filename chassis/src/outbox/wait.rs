//! The time that events have waited in the outbox, as a span in the trace of what they tell of.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, SpanBuilder};

use crate::messaging::{OutboundMessage, PublishError, trace};

/// Shows of each message that was published how long it took since what it tells has happened.
pub(super) fn show(
    messages: &[OutboundMessage],
    occurred: &[Option<DateTime<Utc>>],
    results: &[Result<(), PublishError>],
) {
    let published = messages.iter().zip(occurred).zip(results).filter(|(_, result)| result.is_ok());
    for ((message, occurred), _) in published {
        let Some(occurred) = *occurred else { continue };
        let builder = SpanBuilder::from_name("outbox.wait")
            .with_start_time(SystemTime::from(occurred))
            .with_attributes([KeyValue::new("messaging.message.id", message.id.clone())]);
        if let Some(mut span) = trace::begin(message.traceparent.as_deref(), builder) {
            span.end();
        }
    }
}
