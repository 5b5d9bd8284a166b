//! Orders as clients see them.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use proto::order::v1 as pb;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::wire::{Money, Time, money, non_empty, short_name};
use crate::error::ApiError;

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// An order.
#[derive(Serialize, ToSchema)]
pub(crate) struct Order {
    /// UUIDv7.
    #[schema(format = Uuid)]
    id: String,
    /// Who placed it.
    #[schema(format = Uuid)]
    user_id: String,
    /// `CREATED`, `PAID`, `PAYMENT_FAILED`, `CANCELLED`, `EXPIRED`, `SHIPPED`, `COMPLETED`,
    /// `REFUNDING`, `REFUNDED`; more may come.
    #[schema(example = "PAID")]
    status: &'static str,
    /// What was ordered.
    items: Vec<OrderItem>,
    /// Sum over the items.
    total: Money,
    /// Rises with every transition.
    #[schema(example = 2)]
    version: u64,
    /// When it was placed.
    created_at: Time,
    /// When it last changed.
    updated_at: Time,
    /// When it expires unless it is paid.
    expires_at: Option<Time>,
    /// The payment that settled it, or the latest attempt.
    #[schema(format = Uuid)]
    payment_id: Option<String>,
    /// Why the latest attempt failed.
    #[schema(example = "card_declined")]
    failure_reason: Option<String>,
}

/// A line of an order, at the price of the moment it was placed.
#[derive(Serialize, ToSchema)]
pub(crate) struct OrderItem {
    /// The product's code.
    #[schema(example = "TEA-001")]
    sku: String,
    /// Its name when the order was placed.
    #[schema(example = "Longjing green tea, 100 g")]
    name: String,
    /// Its price when the order was placed.
    unit_price: Money,
    /// Pieces.
    #[schema(example = 1)]
    quantity: u32,
}

impl TryFrom<pb::Order> for Order {
    type Error = ApiError;

    fn try_from(order: pb::Order) -> Result<Self, ApiError> {
        let items = order.items.into_iter().map(OrderItem::try_from);
        Ok(Self {
            id: order.id,
            user_id: order.user_id,
            status: short_name(order.status, "ORDER_STATUS_", pb::OrderStatus::as_str_name)?,
            items: items.collect::<Result<_, _>>()?,
            total: money(order.total)?,
            version: order.version,
            created_at: Time::required(order.created_at, "order.created_at")?,
            updated_at: Time::required(order.updated_at, "order.updated_at")?,
            expires_at: Time::optional(order.expires_at)?,
            payment_id: non_empty(order.payment_id),
            failure_reason: non_empty(order.failure_reason),
        })
    }
}

impl TryFrom<pb::OrderItem> for OrderItem {
    type Error = ApiError;

    fn try_from(item: pb::OrderItem) -> Result<Self, ApiError> {
        Ok(Self {
            sku: item.sku,
            name: item.name,
            unit_price: money(item.unit_price)?,
            quantity: item.quantity,
        })
    }
}

/// Answers a client that placed an order.
pub(super) fn placed(order: Order, replayed: bool) -> Response {
    let status = if order.is_settled() { StatusCode::CREATED } else { StatusCode::ACCEPTED };
    let location = HeaderValue::try_from(format!("/api/v1/orders/{}", order.id));
    let mut response = answer(status, order, replayed);
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Answers a client that changed an order.
pub(super) fn changed(order: Order, replayed: bool) -> Response {
    let status = if order.is_settled() { StatusCode::OK } else { StatusCode::ACCEPTED };
    answer(status, order, replayed)
}

fn answer(status: StatusCode, order: Order, replayed: bool) -> Response {
    let mut response = (status, axum::Json(order)).into_response();
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

impl Order {
    /// Whether nothing that was asked for is still under way.
    fn is_settled(&self) -> bool {
        !matches!(self.status, "CREATED" | "REFUNDING")
    }
}
