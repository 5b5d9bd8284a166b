//! What is asked, and how often.

use serde::Serialize;
use serde_json::json;

use super::customers::{Customer, PASSWORD};
use crate::chaos::draw::Draw;
use crate::harness::api::new_key;
use crate::seed::DEMO_SKU;

/// What customers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Mix {
    /// Products, one product, and the customer's own orders.
    Read,
    /// Orders of one product, paid at once.
    Checkout,
    /// Logins with the right password.
    Login,
    /// Three calls of `read` to each order of `checkout`, as in a shop.
    Shop,
}

/// How urgent a call is. Under overload the gateway refuses the less urgent ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// What changes something: orders, logins.
    Change,
    /// What only looks.
    Read,
}

/// One thing to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    /// The price list.
    Products,
    /// One product.
    Product,
    /// The customer's orders.
    Orders,
    /// A new order.
    Place,
    /// A login.
    Login,
}

impl Mix {
    /// What is asked next.
    pub(super) fn next(self, draw: &mut Draw) -> Ask {
        const READ: [(Ask, u64); 3] = [(Ask::Products, 40), (Ask::Product, 40), (Ask::Orders, 20)];
        const SHOP: [(Ask, u64); 4] =
            [(Ask::Products, 30), (Ask::Product, 30), (Ask::Orders, 15), (Ask::Place, 25)];
        match self {
            Self::Read => draw.weighted(&READ).copied().unwrap_or(Ask::Products),
            Self::Checkout => Ask::Place,
            Self::Login => Ask::Login,
            Self::Shop => draw.weighted(&SHOP).copied().unwrap_or(Ask::Place),
        }
    }
}

impl Ask {
    /// Method and route.
    pub fn route(self) -> &'static str {
        match self {
            Self::Products => "GET /api/v1/products",
            Self::Product => "GET /api/v1/products/{sku}",
            Self::Orders => "GET /api/v1/orders",
            Self::Place => "POST /api/v1/orders",
            Self::Login => "POST /api/v1/auth/login",
        }
    }

    /// How urgent it is.
    pub fn class(self) -> Class {
        match self {
            Self::Products | Self::Product | Self::Orders => Class::Read,
            Self::Place | Self::Login => Class::Change,
        }
    }

    pub(super) fn request(self, customer: &Customer) -> reqwest::RequestBuilder {
        let api = &customer.api;
        match self {
            Self::Products => api.request(reqwest::Method::GET, "/api/v1/products"),
            Self::Product => {
                api.request(reqwest::Method::GET, &format!("/api/v1/products/{DEMO_SKU}"))
            }
            Self::Orders => api.request(reqwest::Method::GET, "/api/v1/orders"),
            Self::Place => {
                let items = json!([{"sku": DEMO_SKU, "quantity": 1}]);
                api.request(reqwest::Method::POST, "/api/v1/orders")
                    .header("Idempotency-Key", new_key())
                    .json(&json!({"items": items, "payment_method": "pm_ok"}))
            }
            Self::Login => api
                .request(reqwest::Method::POST, "/api/v1/auth/login")
                .json(&json!({"email": customer.email, "password": PASSWORD})),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_asks_for_all_that_it_has_and_for_nothing_else() {
        let mut draw = Draw::new(1);
        let asked = |mix: Mix, draw: &mut Draw| {
            let mut asked: Vec<Ask> = (0..200).map(|_| mix.next(draw)).collect();
            asked.sort();
            asked.dedup();
            asked
        };
        assert_eq!(asked(Mix::Read, &mut draw), [Ask::Products, Ask::Product, Ask::Orders]);
        assert_eq!(asked(Mix::Checkout, &mut draw), [Ask::Place]);
        assert_eq!(asked(Mix::Login, &mut draw), [Ask::Login]);
        let of_shop = asked(Mix::Shop, &mut draw);
        assert_eq!(of_shop, [Ask::Products, Ask::Product, Ask::Orders, Ask::Place]);
        assert!(of_shop.iter().all(|ask| {
            let is_get = ask.route().starts_with("GET ");
            ask.class() == if is_get { Class::Read } else { Class::Change }
        }));
    }
}
