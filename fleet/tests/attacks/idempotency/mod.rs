//! Idempotency keys: A094 to A103.

mod crashes;
mod keys;
mod replays;

use std::time::Duration;

use anyhow::Result;
use fleet::harness::Api;
use serde_json::json;

use crate::support::run::{Row, row};
use crate::support::{order, text};

use self::crashes::a103_killed_in_between;
use self::keys::{a094_no_key, a095_odd_keys};
use self::replays::{
    a096_same_request_again, a097_same_key_for_another_request, a098_fifty_at_once,
    a099_key_of_another_user, a100_replay_everywhere, a101_same_key_for_another_operation,
    a102_refused_requests_keep_no_key,
};

/// The rows of this section.
pub(crate) fn rows() -> Vec<Row> {
    vec![
        row!(a094_no_key),
        row!(a095_odd_keys),
        row!(a096_same_request_again),
        row!(a097_same_key_for_another_request),
        row!(a098_fifty_at_once),
        row!(a099_key_of_another_user),
        row!(a100_replay_everywhere).alone(),
        row!(a101_same_key_for_another_operation),
        row!(a102_refused_requests_keep_no_key),
        row!(a103_killed_in_between).alone().within(Duration::from_mins(5)),
    ]
}

/// Tells that an answer is one that was given before.
const REPLAYED: &str = "idempotent-replayed";

/// Every operation that needs a key, each with an order that allows it.
async fn operations(api: &Api) -> Result<Vec<(String, serde_json::Value)>> {
    let place = async |method: &str| text(&order(api, method).await?, "id");
    let (unpaid, unwanted, paid) =
        (place("pm_declined").await?, place("pm_declined").await?, place("pm_ok").await?);
    Ok(vec![
        ("/api/v1/orders".to_owned(), crate::support::order_body("pm_ok")),
        (format!("/api/v1/orders/{unpaid}/pay"), json!({"payment_method": "pm_ok"})),
        (format!("/api/v1/orders/{unwanted}/cancel"), json!({})),
        (format!("/api/v1/orders/{paid}/refund"), json!({})),
    ])
}
