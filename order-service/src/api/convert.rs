//! Between wire and model. Everything that a caller sends is validated here or in the model's own
//! constructors, before any use case begins.

use chassis::auth::Caller;
use chassis::error::Invalid;
use chrono::{DateTime, Utc};
use proto::money::v1::Money as WireMoney;
use proto::order::v1 as pb;

use crate::model::{
    Cart, Currency, IdempotencyKey, Item, Language, Money, Order, OrderError, OrderId, OrderStatus,
    PaymentMethod, Product, ProductDraft, Requester, Role, Sku, TimelineEntry, UserId,
};
use crate::service::{CancelOrder, CreateOrder, PayOrder, RefundOrder, Told};

const PAGE_SIZE_DEFAULT: u32 = 20;
const PAGE_SIZE_MAX: u32 = 100;

/// The verified caller, as the use cases know them.
pub(super) fn requester(caller: &Caller) -> Requester {
    let role = if caller.is_admin() { Role::Admin } else { Role::Customer };
    Requester { user_id: UserId::from_uuid(caller.user_id), role }
}

pub(super) fn page_size(size: i32) -> Result<u32, Invalid> {
    match u32::try_from(size) {
        Ok(0) => Ok(PAGE_SIZE_DEFAULT),
        Ok(size) if size <= PAGE_SIZE_MAX => Ok(size),
        _ => Err(Invalid::single("page_size", "OUT_OF_RANGE", "must be between 1 and 100")),
    }
}

/// The filter of a list; UNSPECIFIED means all.
pub(super) fn status_filter(status: i32) -> Result<Option<OrderStatus>, Invalid> {
    let known = pb::OrderStatus::try_from(status);
    let known =
        known.map_err(|_| Invalid::single("status", "UNKNOWN", "must be a known status"))?;
    Ok(OrderStatus::ALL.into_iter().find(|candidate| wire_status(*candidate) == known))
}

pub(super) fn draft(request: pb::PutProductRequest) -> Result<ProductDraft, OrderError> {
    let sku = Sku::parse(&request.sku, "sku")?;
    let price = request.unit_price;
    let price = price.ok_or_else(|| Invalid::single("unit_price", "REQUIRED", "must be given"))?;
    let price = Money::new(price.amount, Currency::parse(&price.currency)?).map_err(|_| {
        let rule = "must be between 1 and 99,999,999,999 minor units";
        Invalid::single("unit_price.amount", "OUT_OF_RANGE", rule)
    })?;
    Ok(ProductDraft::new(sku, &request.name, price, request.stock)?)
}

pub(super) fn create(
    caller: Requester,
    request: &pb::CreateOrderRequest,
) -> Result<CreateOrder, OrderError> {
    let lines: Vec<(&str, u32)> =
        request.items.iter().map(|line| (line.sku.as_str(), line.quantity)).collect();
    Ok(CreateOrder {
        user_id: caller.user_id,
        key: IdempotencyKey::parse(&request.idempotency_key)?,
        cart: Cart::parse(&lines)?,
        method: PaymentMethod::parse(&request.payment_method)?,
    })
}

pub(super) fn pay(
    requester: Requester,
    request: &pb::PayOrderRequest,
) -> Result<PayOrder, OrderError> {
    Ok(PayOrder {
        requester,
        key: IdempotencyKey::parse(&request.idempotency_key)?,
        order_id: OrderId::parse(&request.order_id)?,
        method: PaymentMethod::parse(&request.payment_method)?,
    })
}

pub(super) fn cancel(
    requester: Requester,
    request: &pb::CancelOrderRequest,
) -> Result<CancelOrder, OrderError> {
    Ok(CancelOrder {
        requester,
        key: IdempotencyKey::parse(&request.idempotency_key)?,
        order_id: OrderId::parse(&request.order_id)?,
    })
}

pub(super) fn refund(
    requester: Requester,
    request: &pb::RefundOrderRequest,
) -> Result<RefundOrder, OrderError> {
    Ok(RefundOrder {
        requester,
        key: IdempotencyKey::parse(&request.idempotency_key)?,
        order_id: OrderId::parse(&request.order_id)?,
    })
}

pub(super) fn product(product: Product) -> pb::Product {
    pb::Product {
        sku: product.sku.to_string(),
        name: product.name,
        unit_price: Some(money(product.unit_price)),
        stock: product.stock,
        version: product.version,
        updated_at: Some(timestamp(product.updated_at)),
    }
}

pub(super) fn order(order: &Order) -> pb::Order {
    pb::Order {
        id: order.id.to_string(),
        user_id: order.user_id.to_string(),
        status: wire_status(order.status).into(),
        items: order.items.iter().map(item).collect(),
        total: Some(money(order.total)),
        version: order.version,
        created_at: Some(timestamp(order.created_at)),
        updated_at: Some(timestamp(order.updated_at)),
        expires_at: Some(timestamp(order.expires_at)),
        payment_id: order.payment_id.map(|id| id.to_string()).unwrap_or_default(),
        failure_reason: order.failure_reason.clone().unwrap_or_default(),
    }
}

/// What happened to an order, explained in a language.
pub(super) fn timeline(told: Told, language: Language) -> pb::GetTimelineResponse {
    let explanation = told.explanation.map(|explanation| pb::Explanation {
        code: explanation.code.to_owned(),
        text: explanation.text(language),
        parameters: explanation
            .parameters
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    });
    pb::GetTimelineResponse {
        entries: told.timeline.entries.into_iter().map(timeline_entry).collect(),
        truncated: told.timeline.truncated,
        explanation,
    }
}

fn timeline_entry(entry: TimelineEntry) -> pb::TimelineEntry {
    pb::TimelineEntry {
        time: Some(timestamp(entry.time)),
        kind: entry.kind.as_str().to_owned(),
        actor: entry.actor,
        from: entry.from.unwrap_or_default(),
        to: entry.to,
        cause: entry.cause,
        payment_id: entry.payment_id.map(|id| id.to_string()).unwrap_or_default(),
        trace_id: entry.trace_id,
    }
}

fn item(item: &Item) -> pb::OrderItem {
    pb::OrderItem {
        sku: item.sku.to_string(),
        name: item.name.clone(),
        unit_price: Some(money(item.unit_price)),
        quantity: item.quantity,
    }
}

fn money(money: Money) -> WireMoney {
    WireMoney { amount: money.amount(), currency: money.currency().code().to_owned() }
}

fn timestamp(time: DateTime<Utc>) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.timestamp(),
        // Below one billion, or below two during a leap second.
        nanos: i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default(),
    }
}

fn wire_status(status: OrderStatus) -> pb::OrderStatus {
    match status {
        OrderStatus::Created => pb::OrderStatus::Created,
        OrderStatus::Paid => pb::OrderStatus::Paid,
        OrderStatus::PaymentFailed => pb::OrderStatus::PaymentFailed,
        OrderStatus::Cancelled => pb::OrderStatus::Cancelled,
        OrderStatus::Expired => pb::OrderStatus::Expired,
        OrderStatus::Shipped => pb::OrderStatus::Shipped,
        OrderStatus::Completed => pb::OrderStatus::Completed,
        OrderStatus::Refunding => pb::OrderStatus::Refunding,
        OrderStatus::Refunded => pb::OrderStatus::Refunded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixtures;

    #[test]
    fn page_sizes_are_bounded_and_have_a_default() {
        assert_eq!(page_size(0).unwrap(), 20);
        assert_eq!(page_size(100).unwrap(), 100);
        for bad in [-1, 101, i32::MIN, i32::MAX] {
            assert_eq!(page_size(bad).unwrap_err().violations[0].field, "page_size");
        }
    }

    #[test]
    fn every_status_can_be_filtered_by() {
        for status in OrderStatus::ALL {
            assert_eq!(status_filter(wire_status(status).into()).unwrap(), Some(status));
        }
        assert_eq!(status_filter(0).unwrap(), None);
        assert!(status_filter(99).is_err());
    }

    #[test]
    fn status_names_on_the_wire_are_those_of_the_model() {
        for status in OrderStatus::ALL {
            let name = format!("ORDER_STATUS_{status}");
            assert_eq!(wire_status(status).as_str_name(), name);
        }
    }

    #[test]
    fn an_order_is_rendered_with_everything_in_it() {
        let model = fixtures::order_in(OrderStatus::Paid);
        let wire = order(&model);
        assert_eq!(wire.id, model.id.to_string());
        assert_eq!(wire.status(), pb::OrderStatus::Paid);
        assert_eq!(wire.items[0].quantity, 2);
        assert_eq!(wire.total.unwrap().amount, 3980);
        assert_eq!(wire.payment_id, model.payment_id.unwrap().to_string());
        assert_eq!(wire.failure_reason, "");
    }

    #[test]
    fn a_price_must_be_given_in_a_known_currency_and_range() {
        let request = |price: Option<(i64, &str)>| pb::PutProductRequest {
            sku: "TEA".to_owned(),
            name: "Tea".to_owned(),
            unit_price: price
                .map(|(amount, currency)| WireMoney { amount, currency: currency.to_owned() }),
            stock: 1,
        };
        assert!(draft(request(Some((1, "CNY")))).is_ok());
        assert!(matches!(draft(request(None)), Err(OrderError::Invalid(_))));
        assert!(matches!(draft(request(Some((0, "CNY")))), Err(OrderError::Invalid(_))));
        let unknown = draft(request(Some((1, "RMB"))));
        assert!(matches!(unknown, Err(OrderError::CurrencyInvalid)));
    }
}
