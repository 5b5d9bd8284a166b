//! What tests ask of the service, and how they word it.

use chassis::error::RemoteError;
use proto::money::v1::Money;
use proto::order::v1 as pb;
use tonic::{Response, Status};

use crate::harness::{Harness, TEA, User};

/// What a keyed call answers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) order: pb::Order,
    pub(crate) replayed: bool,
}

impl Answer {
    fn new(order: Option<pb::Order>, replayed: bool) -> Self {
        Self { order: order.unwrap(), replayed }
    }
}

impl Harness {
    /// Puts a product with a price in CNY on the list, once per product.
    pub(crate) async fn shelve(&self, sku: &str, price: i64, stock: u32) {
        self.shelved.lock().unwrap().insert(sku.to_owned(), stock);
        self.put(product(sku, (price, "CNY"), stock)).await.unwrap();
    }

    pub(crate) async fn put(
        &self,
        product: pb::PutProductRequest,
    ) -> Result<pb::PutProductResponse, RemoteError> {
        refused(self.client().put_product(self.by(self.admin, product)).await)
    }

    pub(crate) async fn product(&self, sku: &str) -> Result<pb::Product, RemoteError> {
        let request = pb::GetProductRequest { sku: sku.to_owned() };
        Ok(refused(self.client().get_product(request).await)?.product.unwrap())
    }

    pub(crate) async fn stock(&self, sku: &str) -> u32 {
        self.product(sku).await.unwrap().stock
    }

    pub(crate) async fn create(
        &self,
        user: User,
        request: pb::CreateOrderRequest,
    ) -> Result<Answer, RemoteError> {
        let reply = refused(self.client().create_order(self.by(user, request)).await)?;
        Ok(Answer::new(reply.order, reply.replayed))
    }

    /// Orders one piece of tea.
    pub(crate) async fn place(&self, user: User, method: &str) -> pb::Order {
        self.create(user, cart(&[(TEA, 1)], method)).await.unwrap().order
    }

    pub(crate) async fn pay(
        &self,
        user: User,
        request: pb::PayOrderRequest,
    ) -> Result<Answer, RemoteError> {
        let reply = refused(self.client().pay_order(self.by(user, request)).await)?;
        Ok(Answer::new(reply.order, reply.replayed))
    }

    pub(crate) async fn cancel(
        &self,
        user: User,
        request: pb::CancelOrderRequest,
    ) -> Result<Answer, RemoteError> {
        let reply = refused(self.client().cancel_order(self.by(user, request)).await)?;
        Ok(Answer::new(reply.order, reply.replayed))
    }

    pub(crate) async fn refund(
        &self,
        user: User,
        request: pb::RefundOrderRequest,
    ) -> Result<Answer, RemoteError> {
        let reply = refused(self.client().refund_order(self.by(user, request)).await)?;
        Ok(Answer::new(reply.order, reply.replayed))
    }

    pub(crate) async fn ship(&self, user: User, id: &str) -> Result<pb::Order, RemoteError> {
        let request = self.by(user, pb::ShipOrderRequest { order_id: id.to_owned() });
        Ok(refused(self.client().ship_order(request).await)?.order.unwrap())
    }

    pub(crate) async fn complete(&self, user: User, id: &str) -> Result<pb::Order, RemoteError> {
        let request = self.by(user, pb::CompleteOrderRequest { order_id: id.to_owned() });
        Ok(refused(self.client().complete_order(request).await)?.order.unwrap())
    }

    pub(crate) async fn read(&self, user: User, id: &str) -> Result<pb::Order, RemoteError> {
        let request = self.by(user, pb::GetOrderRequest { order_id: id.to_owned() });
        Ok(refused(self.client().get_order(request).await)?.order.unwrap())
    }

    /// Reads an order as the administrator.
    pub(crate) async fn get(&self, id: &str) -> pb::Order {
        self.read(self.admin, id).await.unwrap()
    }

    pub(crate) async fn timeline(
        &self,
        user: User,
        id: &str,
    ) -> Result<Vec<pb::TimelineEntry>, RemoteError> {
        Ok(self.explained(user, (id, "en")).await?.entries)
    }

    /// The timeline with the explanation in a language.
    pub(crate) async fn explained(
        &self,
        user: User,
        (id, locale): (&str, &str),
    ) -> Result<pb::GetTimelineResponse, RemoteError> {
        let (order_id, locale) = (id.to_owned(), locale.to_owned());
        let request = self.by(user, pb::GetTimelineRequest { order_id, locale });
        refused(self.client().get_timeline(request).await)
    }
}

pub(crate) fn refused<T>(reply: Result<Response<T>, Status>) -> Result<T, RemoteError> {
    reply.map(Response::into_inner).map_err(|status| RemoteError::from_status(&status))
}

/// The code of a refusal.
pub(crate) fn code<T>(reply: Result<T, RemoteError>) -> String {
    reply.map(|_| "none").unwrap_err().reason
}

/// The fields at fault of a refusal, in order.
pub(crate) fn fields(refusal: &RemoteError) -> Vec<&str> {
    refusal.violations.iter().map(|found| found.field.as_str()).collect()
}

/// A new idempotency key.
pub(crate) fn key() -> String {
    chassis::id::new_id().to_string()
}

/// A product at a price in minor units of a currency.
pub(crate) fn product(
    sku: &str,
    (amount, currency): (i64, &str),
    stock: u32,
) -> pb::PutProductRequest {
    pb::PutProductRequest {
        sku: sku.to_owned(),
        name: format!("Product {sku}"),
        unit_price: Some(Money { amount, currency: currency.to_owned() }),
        stock,
    }
}

/// An order of these products and quantities, under a new key.
pub(crate) fn cart(lines: &[(&str, u32)], method: &str) -> pb::CreateOrderRequest {
    let line = |&(sku, quantity): &(&str, u32)| pb::OrderLine { sku: sku.to_owned(), quantity };
    pb::CreateOrderRequest {
        items: lines.iter().map(line).collect(),
        payment_method: method.to_owned(),
        idempotency_key: key(),
    }
}

/// Another attempt to pay, under a new key.
pub(crate) fn payment_of(order: &pb::Order, method: &str) -> pb::PayOrderRequest {
    pb::PayOrderRequest {
        order_id: order.id.clone(),
        payment_method: method.to_owned(),
        idempotency_key: key(),
    }
}

/// The end of an order, under a new key.
pub(crate) fn cancel_of(order: &pb::Order) -> pb::CancelOrderRequest {
    pb::CancelOrderRequest { order_id: order.id.clone(), idempotency_key: key() }
}

/// The wish to have the money back, under a new key.
pub(crate) fn refund_of(order: &pb::Order) -> pb::RefundOrderRequest {
    pb::RefundOrderRequest { order_id: order.id.clone(), idempotency_key: key() }
}
