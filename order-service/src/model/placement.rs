//! Placing an order: from what a client asks for to an order with prices.

use chrono::{DateTime, Utc};

use super::{
    Actor, Attempt, Cart, Change, Claim, Effect, Guard, Item, Line, Money, Order, OrderError,
    OrderId, OrderParts, OrderStatus, PaymentId, PaymentMethod, Product, Transition, UserId,
};

/// What the timeline shows as the cause of an order's first state.
pub(super) const PLACED: &str = "order_placed";

/// An order to be placed, before it has prices: they are read in the transaction that reserves the
/// stock.
#[derive(Clone, Debug)]
pub struct Placement {
    /// Identity of the order to be.
    pub order_id: OrderId,
    /// Who places it.
    pub user_id: UserId,
    /// What is ordered.
    pub cart: Cart,
    /// Identity of its first attempt.
    pub payment_id: PaymentId,
    /// How it is paid.
    pub method: PaymentMethod,
    /// When it is placed.
    pub now: DateTime<Utc>,
    /// When it expires unless it is paid.
    pub expires_at: DateTime<Utc>,
    /// When recovery first asks about the attempt.
    pub check_at: DateTime<Utc>,
    /// The claim of the call.
    pub claim: Claim,
    /// Until when other calls with the same key keep out.
    pub lease_until: DateTime<Utc>,
    /// How many unpaid orders a user may have, this one included.
    pub open_max: u32,
}

impl Placement {
    /// Refuses the order to somebody who has so many unpaid ones with it.
    pub fn check_open(&self, open: u32) -> Result<(), OrderError> {
        if open <= self.open_max {
            return Ok(());
        }
        Err(OrderError::QuotaExceeded { max: self.open_max })
    }

    /// The change that places the order at the prices of `products`.
    pub fn price(&self, products: &[Product]) -> Result<Change, OrderError> {
        let items = self.items(products)?;
        let order = Order::restore(OrderParts {
            id: self.order_id,
            user_id: self.user_id,
            status: OrderStatus::Created,
            total: total(&items)?,
            items,
            version: 1,
            payment_id: Some(self.payment_id),
            failure_reason: None,
            created_at: self.now,
            updated_at: self.now,
            expires_at: self.expires_at,
        });
        let placed = Transition {
            from: None,
            to: OrderStatus::Created,
            cause: PLACED,
            actor: Actor::User(self.user_id),
        };
        Ok(Change {
            guard: Guard { status: OrderStatus::Created, version: 0, payment_id: None },
            order,
            effects: vec![Effect::Transition(placed), Effect::StartAttempt(self.attempt())],
            at: self.now,
        })
    }

    /// The first attempt to pay the order.
    pub fn attempt(&self) -> Attempt {
        Attempt {
            id: self.payment_id,
            order_id: self.order_id,
            method: self.method.clone(),
            actor: Actor::User(self.user_id),
            outcome: None,
            checks: 0,
            check_at: self.check_at,
            created_at: self.now,
        }
    }

    fn items(&self, products: &[Product]) -> Result<Vec<Item>, OrderError> {
        let mut unknown = Vec::new();
        let mut items = Vec::with_capacity(self.cart.lines().len());
        for (at, line) in self.cart.lines().iter().enumerate() {
            match products.iter().find(|product| product.sku == line.sku) {
                Some(product) => items.push(item(line, product)),
                None => unknown.push(at),
            }
        }
        if unknown.is_empty() {
            Ok(items)
        } else {
            Err(OrderError::ProductUnknown { lines: unknown })
        }
    }
}

fn item(line: &Line, product: &Product) -> Item {
    Item {
        sku: line.sku.clone(),
        name: product.name.clone(),
        unit_price: product.unit_price,
        quantity: line.quantity,
    }
}

fn total(items: &[Item]) -> Result<Money, OrderError> {
    let mut sum: Option<Money> = None;
    for item in items {
        let line = item.unit_price.times(item.quantity)?;
        sum = Some(sum.map_or(Ok(line), |sum| sum.plus(line))?);
    }
    sum.ok_or(OrderError::AmountOutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Currency, MAX_AMOUNT, Sku, fixtures};

    fn product(sku: &str, amount: i64, currency: &str) -> Product {
        Product {
            sku: Sku::parse(sku, "sku").unwrap(),
            name: format!("Product {sku}"),
            unit_price: Money::new(amount, Currency::parse(currency).unwrap()).unwrap(),
            stock: 10,
            version: 1,
            updated_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_total_is_the_sum_of_the_lines() {
        let placement = fixtures::placement(&[("TEA", 2), ("CUP", 3)]);
        let products = [product("CUP", 500, "CNY"), product("TEA", 1990, "CNY")];
        let change = placement.price(&products).unwrap();
        assert_eq!(change.order.total.amount(), 2 * 1990 + 3 * 500);
        assert_eq!(change.order.status, OrderStatus::Created);
        assert_eq!(change.order.version, 1);
        assert_eq!(change.order.payment_id, Some(placement.payment_id));
        let skus: Vec<_> = change.order.items.iter().map(|item| item.sku.as_str()).collect();
        assert_eq!(skus, ["TEA", "CUP"], "items keep the order of the client");
    }

    #[test]
    fn every_unknown_product_is_named() {
        let placement = fixtures::placement(&[("A", 1), ("TEA", 1), ("B", 1)]);
        let refused = placement.price(&[product("TEA", 1, "CNY")]);
        assert!(matches!(refused, Err(OrderError::ProductUnknown { lines }) if lines == [0, 2]));
    }

    #[test]
    fn one_order_has_one_currency() {
        let placement = fixtures::placement(&[("A", 1), ("B", 1)]);
        let refused = placement.price(&[product("A", 1, "CNY"), product("B", 1, "USD")]);
        assert!(matches!(refused, Err(OrderError::CurrencyMixed)));
    }

    #[test]
    fn totals_are_bounded() {
        let placement = fixtures::placement(&[("A", 1), ("B", 1)]);
        let most = placement.price(&[product("A", MAX_AMOUNT - 1, "CNY"), product("B", 1, "CNY")]);
        assert_eq!(most.unwrap().order.total.amount(), MAX_AMOUNT);
        let refused = placement.price(&[product("A", MAX_AMOUNT, "CNY"), product("B", 1, "CNY")]);
        assert!(matches!(refused, Err(OrderError::AmountOutOfRange)));
    }
}
