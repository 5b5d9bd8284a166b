//! What customers do, and how often.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::draw::Draw;
use super::super::history::Op;
use super::client::{Account, Ask};
use super::shop::Shop;
use crate::seed;

/// What is asked, of a hundred arrivals.
const OPS: [(Op, u64); 6] = [
    (Op::Place, 55),
    (Op::Read, 18),
    (Op::List, 4),
    (Op::Refund, 9),
    (Op::Cancel, 7),
    (Op::Pay, 7),
];

/// How orders are paid, whichever the provider is. `pm_never` is missing: what is never decided
/// never comes to rest.
const METHODS: &[(&str, u64)] = &[
    ("pm_ok", 50),
    ("pm_declined", 12),
    ("pm_insufficient_funds", 4),
    ("pm_pending_then_ok", 10),
    ("pm_pending_then_failed", 6),
    ("pm_timeout", 4),
    ("pm_duplicate_callback", 5),
    ("pm_slow_2s", 2),
];
/// Methods that only the sandbox knows.
const SANDBOX: &[(&str, u64)] =
    &[("pm_wrong_amount", 3), ("pm_reordered", 4), ("pm_lost_callback", 4), ("pm_delayed_5s", 2)];
/// Share of the orders that must be refused, in a hundred: they name a product that is not sold.
const REFUSED: u64 = 3;
/// A product that is not sold.
const UNKNOWN_SKU: &str = "NOT-SOLD-001";

/// Draws what is asked next.
#[derive(Debug)]
pub struct Mix {
    draw: Draw,
    methods: Vec<(&'static str, u64)>,
}

impl Mix {
    /// The mix of a seed.
    pub fn new(seed: u64, sandbox: bool) -> Self {
        let mut methods = METHODS.to_vec();
        if sandbox {
            methods.extend_from_slice(SANDBOX);
        }
        Self { draw: Draw::new(seed).fork("load"), methods }
    }

    /// The next thing to ask; placing an order where there is none that fits.
    pub fn next(&mut self, shop: &Shop) -> Option<Ask> {
        let op = *self.draw.weighted(&OPS)?;
        let statuses: &[&str] = match op {
            Op::Place | Op::List => return self.without_order(op, shop),
            Op::Read => &[],
            Op::Refund => &["PAID"],
            Op::Cancel => &["CREATED", "PAYMENT_FAILED"],
            Op::Pay => &["PAYMENT_FAILED"],
        };
        match shop.order(statuses, &mut self.draw) {
            Some((order, account)) => Some(self.about(op, order, account)),
            None => self.without_order(Op::Place, shop),
        }
    }

    /// A draw of the mix' own, for what becomes of a call.
    pub fn fork(&mut self) -> Draw {
        Draw::new(self.draw.number())
    }

    fn without_order(&mut self, op: Op, shop: &Shop) -> Option<Ask> {
        let account = shop.customer(&mut self.draw)?;
        let (key, body) = match op {
            Op::Place => (Some(self.key()), Some(self.order())),
            _ => (None, None),
        };
        Some(Ask { op, account, order_id: None, key, body })
    }

    fn about(&mut self, op: Op, order: String, account: Arc<Account>) -> Ask {
        let (key, body) = match op {
            Op::Pay => (Some(self.key()), Some(json!({"payment_method": self.method()}))),
            Op::Cancel | Op::Refund => (Some(self.key()), Some(json!({}))),
            _ => (None, None),
        };
        Ask { op, account, order_id: Some(order), key, body }
    }

    fn order(&mut self) -> Value {
        let sku = if self.draw.percent(REFUSED) { UNKNOWN_SKU } else { seed::DEMO_SKU };
        let items = json!([{"sku": sku, "quantity": self.draw.between(1, 2)}]);
        json!({"items": items, "payment_method": self.method()})
    }

    fn method(&mut self) -> &'static str {
        self.draw.weighted(&self.methods).copied().unwrap_or("pm_ok")
    }

    /// Keys come from the seed too: a replay sends the same ones.
    fn key(&mut self) -> String {
        format!("chaos-{:016x}{:016x}", self.draw.number(), self.draw.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> Shop {
        Shop::new(vec![Account { user_id: "u".to_owned(), token: "t".to_owned() }])
    }

    #[test]
    fn a_seed_asks_the_same_again() {
        let asked = |seed| {
            let (mut mix, shop) = (Mix::new(seed, true), shop());
            let text = |ask: Ask| format!("{:?} {:?} {:?}", ask.op, ask.key, ask.body);
            (0..50).map(|_| text(mix.next(&shop).unwrap())).collect::<Vec<_>>()
        };
        assert_eq!(asked(1), asked(1));
        assert_ne!(asked(1), asked(2));
    }

    #[test]
    fn the_simulated_provider_is_not_asked_for_what_it_does_not_know() {
        let (mut mix, shop) = (Mix::new(1, false), shop());
        for _ in 0..500 {
            let body = mix.next(&shop).unwrap().body.unwrap_or_default();
            let method = body["payment_method"].as_str().unwrap_or("pm_ok");
            assert!(!SANDBOX.iter().any(|(name, _)| *name == method), "{method}");
        }
    }
}
