//! What clients see of an order's past: one list, whoever recorded it.

use std::collections::BTreeMap;

use proto::notify::v1 as notify;
use proto::order::v1 as order;
use proto::payment::v1 as payment;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::wire::{Time, non_empty};
use crate::error::ApiError;

/// What happened to an order.
#[derive(Serialize, ToSchema)]
pub(crate) struct Timeline {
    /// Oldest first.
    items: Vec<TimelineEntry>,
    /// Services that did not answer, so that what they know is missing: `payment-service`,
    /// `notify-service`.
    #[schema(example = json!([]))]
    incomplete: Vec<&'static str>,
    /// Whether older entries are left out.
    truncated: bool,
    /// Why the order is in its state.
    explanation: Option<Explanation>,
}

/// Why an order is in its state.
#[derive(Serialize, ToSchema)]
pub(crate) struct Explanation {
    /// The reason, for programs; more may come.
    #[schema(example = "REFUNDED")]
    code: String,
    /// What the text names.
    #[schema(example = json!({"at": "2026-01-02 03:34:05 UTC"}))]
    parameters: BTreeMap<String, String>,
    /// One sentence in the language of the answer.
    #[schema(example = "The money went back at 2026-01-02 03:34:05 UTC.")]
    text: String,
}

/// One thing that happened.
#[derive(Serialize, ToSchema)]
pub(crate) struct TimelineEntry {
    /// When.
    time: Time,
    /// `transition`, `payment_attempt`, `refund`, `callback` (the payment provider told something),
    /// `message` (an event arrived at notify-service) or `notice` (a notification was made of it);
    /// more may come.
    #[schema(example = "transition")]
    kind: String,
    /// `user:ID`, `admin:ID` or `system:NAME`.
    #[schema(example = "system:payment-service")]
    actor: String,
    /// State before; null for what begins.
    #[schema(example = "CREATED")]
    from: Option<String>,
    /// State after: of the order, the attempt or the refund; what became of the callback;
    /// `RECEIVED` for a message; `CREATED` for a notice.
    #[schema(example = "PAID")]
    to: String,
    /// What caused it: what the callback said, the event of a message or notice.
    #[schema(example = "payment.succeeded")]
    cause: String,
    /// The payment concerned, if any.
    #[schema(format = Uuid)]
    payment_id: Option<String>,
    /// Trace of the work that did it.
    trace_id: Option<String>,
    /// More about callbacks, messages and notices.
    details: Option<TimelineDetails>,
}

/// What only some kinds of entries have.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct TimelineDetails {
    /// The provider's name of a callback.
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_id: Option<String>,
    /// The event of a message or notice.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    /// Version of the order that a message tells of.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    /// How often a callback or message was delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    deliveries: Option<u32>,
    /// When it was last delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_received_at: Option<Time>,
    /// The notification of a notice.
    #[serde(skip_serializing_if = "Option::is_none")]
    notification_id: Option<String>,
    /// Over which channel it went.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    /// When it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    read_at: Option<Time>,
}

/// A timeline while it is put together.
pub(super) struct Story {
    told: Timeline,
}

impl Story {
    /// Begins with what order-service tells.
    pub(super) fn of(reply: order::GetTimelineResponse) -> Result<Self, ApiError> {
        let explanation = reply.explanation.map(|explanation| Explanation {
            code: explanation.code,
            parameters: explanation.parameters.into_iter().collect(),
            text: explanation.text,
        });
        let (items, incomplete, truncated) = (Vec::new(), Vec::new(), reply.truncated);
        let told = Timeline { items, incomplete, truncated, explanation };
        let mut story = Self { told };
        for entry in reply.entries {
            let time = Time::required(entry.time, "timeline entry's time")?;
            story.told.items.push(TimelineEntry {
                time,
                kind: entry.kind,
                actor: entry.actor,
                from: non_empty(entry.from),
                to: entry.to,
                cause: entry.cause,
                payment_id: non_empty(entry.payment_id),
                trace_id: non_empty(entry.trace_id),
                details: None,
            });
        }
        Ok(story)
    }

    /// Goes on with what another service tells; if it tells nothing that can be understood, with
    /// its name. Why was logged where it was found.
    pub(super) fn add<T>(
        &mut self,
        service: &'static str,
        answer: Result<T, ApiError>,
        tell: fn(&mut Self, T) -> Result<(), ApiError>,
    ) {
        let before = self.told.items.len();
        if answer.and_then(|answer| tell(self, answer)).is_err() {
            self.told.items.truncate(before);
            self.told.incomplete.push(service);
        }
    }

    pub(super) fn tell_callbacks(
        &mut self,
        reply: payment::ListCallbacksResponse,
    ) -> Result<(), ApiError> {
        for callback in reply.callbacks {
            self.told.items.push(TimelineEntry {
                time: Time::required(callback.received_at, "callback's time")?,
                kind: "callback".to_owned(),
                actor: "system:payment-provider".to_owned(),
                from: None,
                to: callback.ruling,
                cause: callback.r#type,
                payment_id: non_empty(callback.payment_id),
                trace_id: None,
                details: Some(TimelineDetails {
                    callback_id: Some(callback.callback_id),
                    deliveries: Some(callback.deliveries),
                    last_received_at: Time::optional(callback.last_received_at)?,
                    ..TimelineDetails::default()
                }),
            });
        }
        Ok(())
    }

    pub(super) fn tell_receipts(
        &mut self,
        reply: notify::ListEventReceiptsResponse,
    ) -> Result<(), ApiError> {
        for receipt in reply.receipts {
            let trace_id = non_empty(receipt.trace_id);
            let entry = |kind: &str, time, to: &str, details| TimelineEntry {
                time,
                kind: kind.to_owned(),
                actor: "system:notify-service".to_owned(),
                from: None,
                to: to.to_owned(),
                cause: receipt.r#type.clone(),
                payment_id: None,
                trace_id: trace_id.clone(),
                details: Some(details),
            };
            let details = TimelineDetails {
                event_id: Some(receipt.event_id.clone()),
                version: Some(receipt.version),
                deliveries: Some(receipt.deliveries),
                last_received_at: Time::optional(receipt.last_received_at)?,
                ..TimelineDetails::default()
            };
            let time = Time::required(receipt.received_at, "receipt's time")?;
            self.told.items.push(entry("message", time, "RECEIVED", details));
            for notice in receipt.notices {
                let details = TimelineDetails {
                    event_id: Some(receipt.event_id.clone()),
                    notification_id: Some(notice.notification_id),
                    channel: Some(notice.channel),
                    read_at: Time::optional(notice.read_at)?,
                    ..TimelineDetails::default()
                };
                let time = Time::required(notice.created_at, "notice's time")?;
                self.told.items.push(entry("notice", time, "CREATED", details));
            }
        }
        Ok(())
    }

    /// The timeline in order of time. What happened at once stays in the order in which it was
    /// told.
    pub(super) fn end(mut self) -> Timeline {
        // By the exact time, of which clients see milliseconds.
        self.told.items.sort_by_key(|entry| entry.time);
        self.told
    }
}
