//! Money and the way of orders: A079 to A093.

mod amounts;
mod quotas;
mod terms;
mod ways;

use std::time::Duration;

use anyhow::Result;
use fleet::harness::Api;
use fleet::harness::api::new_key;
use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::read;
use crate::support::run::{Row, row};

use self::amounts::{
    a079_amounts_that_are_none, a080_amounts_that_are_no_integers, a081_very_large_amounts,
    a082_totals_that_overflow, a083_odd_quantities, a084_odd_currencies,
};
use self::quotas::{a092_very_many_unpaid_orders, a093_stale_versions};
use self::terms::{a085_prices_named_by_clients, a086_payments_of_other_amounts};
use self::ways::{
    a087_paying_what_cannot_be_paid, a088_paying_with_fifty_keys_at_once,
    a089_cancelling_and_refunding_too_much, a090_skipping_steps,
};

/// The rows of this section.
pub(crate) fn rows() -> Vec<Row> {
    vec![
        row!(a079_amounts_that_are_none),
        row!(a080_amounts_that_are_no_integers),
        row!(a081_very_large_amounts),
        row!(a082_totals_that_overflow),
        row!(a083_odd_quantities),
        row!(a084_odd_currencies),
        row!(a085_prices_named_by_clients),
        row!(a086_payments_of_other_amounts),
        row!(a087_paying_what_cannot_be_paid),
        row!(a088_paying_with_fifty_keys_at_once),
        row!(a089_cancelling_and_refunding_too_much),
        row!(a090_skipping_steps),
        row!(a092_very_many_unpaid_orders).within(Duration::from_mins(4)),
        row!(a093_stale_versions),
    ]
}

/// Waits until an order has this status.
async fn until_status(api: &Api, order: &str, status: &str) -> Result<Value> {
    fleet::wait::until(&format!("order {order} being {status}"), PATIENCE, || async {
        let found = read(api, order).await?;
        Ok((found["status"] == status).then_some(found))
    })
    .await
}

/// Places an order with this body, as it is.
async fn place(api: &Api, body: String) -> Result<fleet::harness::Reply> {
    let request = api.request(reqwest::Method::POST, "/api/v1/orders");
    let request = request.header("content-type", "application/json").body(body);
    api.send(request.header("idempotency-key", new_key())).await
}
