//! Orders and their way through payment and delivery.

mod reply;
mod story;
mod timeline;

use axum::extract::State;
use axum::response::Response;
use proto::order::v1 as pb;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

pub(crate) use self::reply::Order;
pub(crate) use self::timeline::{__path_timeline, timeline};
use super::extract::{IdempotencyKey, PathId, Query, invalid};
use super::json::{Json, NoBody};
use super::object::Object;
use super::wire::{Page, required};
use crate::error::ApiError;
use crate::state::Shared;

/// An order as a client asks for it. Prices are the shop's, never the client's.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderBody {
    /// One line per product.
    #[schema(value_type = Vec<LineBody>, min_items = 1, max_items = 100)]
    items: Vec<Object<LineBody>>,
    /// A token of the payment provider, never a card number.
    #[schema(pattern = "^pm_[a-z0-9_]{1,60}$", example = "pm_ok")]
    payment_method: String,
}

/// One line of an order.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LineBody {
    /// The product's code.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Z0-9._-]+$", example = "TEA-001")]
    sku: String,
    /// Pieces.
    #[schema(minimum = 1, maximum = 1000, example = 1)]
    quantity: u32,
}

/// How an order is to be paid.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PayBody {
    /// A token of the payment provider, never a card number.
    #[schema(pattern = "^pm_[a-z0-9_]{1,60}$", example = "pm_ok")]
    payment_method: String,
}

/// Parameters of the list of orders.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters that the extractor reads by name")]
pub(crate) struct OrderListParameters {
    /// Items per page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    page_size: Option<i32>,
    /// `next_page_token` of the page before. Bound to the user and the filter.
    #[param(pattern = "^([A-Za-z0-9_-]{22,1024})?$")]
    page_token: Option<String>,
    /// Only orders in this state.
    #[param(
        pattern = "^(CREATED|PAID|PAYMENT_FAILED|CANCELLED|EXPIRED|SHIPPED|COMPLETED|REFUNDING|REFUNDED)$"
    )]
    status: Option<String>,
}

/// The header that makes a request repeatable.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes a header that the extractor reads")]
pub(crate) struct IdempotencyHeader {
    /// Chosen by the client, a UUID is best. The same key with the same body gets the stored
    /// answer, with `Idempotent-Replayed: true`.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    idempotency_key: String,
}

/// Places an order and tries to pay it.
#[utoipa::path(post, path = "/api/v1/orders", tag = "orders", request_body = OrderBody,
    params(IdempotencyHeader),
    responses(
        (status = 201, description = "The order, `PAID` or `PAYMENT_FAILED`.", body = Order,
            headers(("Location" = String, description = "The order."),
                ("Idempotent-Replayed" = String, description = "`true` for a stored answer."))),
        (status = 202, description = "The payment is not settled yet: the order is `CREATED`.",
            body = Order, headers(("Location" = String, description = "The order."),
                ("Idempotent-Replayed" = String, description = "`true` for a stored answer."))),
    ))]
pub(crate) async fn create(
    State(gateway): State<Shared>,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Json(body): Json<OrderBody>,
) -> Result<Response, ApiError> {
    let line =
        |Object(line): Object<LineBody>| pb::OrderLine { sku: line.sku, quantity: line.quantity };
    let message = pb::CreateOrderRequest {
        items: body.items.into_iter().map(line).collect(),
        payment_method: body.payment_method,
        idempotency_key,
    };
    let orders = &gateway.upstreams.orders;
    let reply = orders
        .idempotent(message, async |mut orders, message| orders.create_order(message).await)
        .await?;
    Ok(reply::placed(required(reply.order, "placed order")?, reply.replayed))
}

/// Lists the caller's orders, newest first.
#[utoipa::path(get, path = "/api/v1/orders", tag = "orders", params(OrderListParameters),
    responses((status = 200, description = "One page.", body = Page<Order>)))]
pub(crate) async fn list(
    State(gateway): State<Shared>,
    query: Query,
) -> Result<axum::Json<Page<Order>>, ApiError> {
    let message = pb::ListOrdersRequest {
        page_size: query.page_size()?,
        page_token: query.page_token(),
        status: status(query.find("status"))?.into(),
    };
    let orders = &gateway.upstreams.orders;
    let reply = orders
        .idempotent(message, async |mut orders, message| orders.list_orders(message).await)
        .await?;
    Page::of(reply.orders, reply.next_page_token).map(axum::Json)
}

fn status(name: Option<&str>) -> Result<pb::OrderStatus, ApiError> {
    let Some(name) = name else { return Ok(pb::OrderStatus::Unspecified) };
    let status = pb::OrderStatus::from_str_name(&format!("ORDER_STATUS_{name}"));
    status
        .filter(|status| *status != pb::OrderStatus::Unspecified)
        .ok_or_else(|| invalid("status", "UNKNOWN_VALUE", "must be the name of an order's state"))
}

/// Reads one order.
#[utoipa::path(get, path = "/api/v1/orders/{id}", tag = "orders",
    params(("id" = Uuid, Path, description = "The order.")),
    responses((status = 200, description = "The order.", body = Order)))]
pub(crate) async fn read(
    State(gateway): State<Shared>,
    PathId(id): PathId,
) -> Result<axum::Json<Order>, ApiError> {
    let message = pb::GetOrderRequest { order_id: id.to_string() };
    let orders = &gateway.upstreams.orders;
    let reply = orders
        .idempotent(message, async |mut orders, message| orders.get_order(message).await)
        .await?;
    required(reply.order, "order").map(axum::Json)
}

/// Tries to pay an order again.
#[utoipa::path(post, path = "/api/v1/orders/{id}/pay", tag = "orders", request_body = PayBody,
    params(("id" = Uuid, Path, description = "The order."), IdempotencyHeader),
    responses(
        (status = 200, description = "The order after the attempt.", body = Order),
        (status = 202, description = "The payment is not settled yet.", body = Order),
    ))]
pub(crate) async fn pay(
    State(gateway): State<Shared>,
    PathId(id): PathId,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Json(body): Json<PayBody>,
) -> Result<Response, ApiError> {
    let message = pb::PayOrderRequest {
        order_id: id.to_string(),
        payment_method: body.payment_method,
        idempotency_key,
    };
    let orders = &gateway.upstreams.orders;
    let reply = orders
        .idempotent(message, async |mut orders, message| orders.pay_order(message).await)
        .await?;
    Ok(reply::changed(required(reply.order, "paid order")?, reply.replayed))
}

/// Cancels an order that is not paid.
#[utoipa::path(post, path = "/api/v1/orders/{id}/cancel", tag = "orders",
    params(("id" = Uuid, Path, description = "The order."), IdempotencyHeader),
    responses(
        (status = 200, description = "The cancelled order.", body = Order),
        (status = 202, description = "The cancellation is under way.", body = Order),
    ))]
pub(crate) async fn cancel(
    State(gateway): State<Shared>,
    PathId(id): PathId,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    NoBody: NoBody,
) -> Result<Response, ApiError> {
    let message = pb::CancelOrderRequest { order_id: id.to_string(), idempotency_key };
    let orders = &gateway.upstreams.orders;
    let reply = orders
        .idempotent(message, async |mut orders, message| orders.cancel_order(message).await)
        .await?;
    Ok(reply::changed(required(reply.order, "cancelled order")?, reply.replayed))
}

/// Asks for the refund of a paid order.
#[utoipa::path(post, path = "/api/v1/orders/{id}/refund", tag = "orders",
    params(("id" = Uuid, Path, description = "The order."), IdempotencyHeader),
    responses(
        (status = 200, description = "The money went back.", body = Order),
        (status = 202, description = "The refund is under way: the order is `REFUNDING`.", body = Order),
    ))]
pub(crate) async fn refund(
    State(gateway): State<Shared>,
    PathId(id): PathId,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    NoBody: NoBody,
) -> Result<Response, ApiError> {
    let message = pb::RefundOrderRequest { order_id: id.to_string(), idempotency_key };
    let orders = &gateway.upstreams.orders;
    let reply = orders
        .idempotent(message, async |mut orders, message| orders.refund_order(message).await)
        .await?;
    Ok(reply::changed(required(reply.order, "refunded order")?, reply.replayed))
}

/// Marks a paid order as shipped.
#[utoipa::path(post, path = "/api/v1/orders/{id}/ship", tag = "orders",
    params(("id" = Uuid, Path, description = "The order.")),
    responses((status = 200, description = "The shipped order.", body = Order)))]
pub(crate) async fn ship(
    State(gateway): State<Shared>,
    PathId(id): PathId,
    NoBody: NoBody,
) -> Result<axum::Json<Order>, ApiError> {
    let message = pb::ShipOrderRequest { order_id: id.to_string() };
    let orders = &gateway.upstreams.orders;
    let reply =
        orders.once(message, async |mut orders, message| orders.ship_order(message).await).await?;
    required(reply.order, "shipped order").map(axum::Json)
}

/// Marks a shipped order as completed.
#[utoipa::path(post, path = "/api/v1/orders/{id}/complete", tag = "orders",
    params(("id" = Uuid, Path, description = "The order.")),
    responses((status = 200, description = "The completed order.", body = Order)))]
pub(crate) async fn complete(
    State(gateway): State<Shared>,
    PathId(id): PathId,
    NoBody: NoBody,
) -> Result<axum::Json<Order>, ApiError> {
    let message = pb::CompleteOrderRequest { order_id: id.to_string() };
    let orders = &gateway.upstreams.orders;
    let reply = orders
        .once(message, async |mut orders, message| orders.complete_order(message).await)
        .await?;
    required(reply.order, "completed order").map(axum::Json)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::damage;
    use super::*;

    const BODY: &str = r#"{"items":[{"sku":"TEA-001","quantity":20}],"payment_method":"pm_ok"}"#;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_damaged_order_says_what_is_read_of_it_and_nothing_else(changes in damage::changes()) {
            let read = damage::read::<OrderBody>(BODY, &changes);
            let Some((order, document)) = read else { return Ok(()) };
            let line = |Object(line): &Object<LineBody>| {
                json!({"sku": line.sku, "quantity": line.quantity})
            };
            let items: Vec<_> = order.items.iter().map(line).collect();
            let method = order.payment_method;
            prop_assert_eq!(json!({"items": items, "payment_method": method}), document);
        }
    }
}
