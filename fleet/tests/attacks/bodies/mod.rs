//! What requests are made of: A064 to A078.

mod form;
mod members;
mod values;

use anyhow::{Context, Result};
use fleet::harness::api::new_key;
use fleet::harness::{Api, Reply};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::TEA;
use crate::support::run::{Row, row};
use crate::support::stage::Stage;

use self::form::{
    a068_bodies_that_are_no_json, a069_bodies_that_are_no_object, a070_other_media_types,
    a071_deep_nesting, a072_very_large_documents, a078_accepting_html_only,
};
use self::members::{
    a064_registering_with_more, a065_profile_with_more, a066_order_with_more,
    a073_members_given_twice, a075_values_of_other_types,
};
use self::values::{
    a074_text_that_is_none, a076_text_that_means_something, a077_text_at_its_limits,
};

/// The rows of this section.
pub(crate) fn rows() -> Vec<Row> {
    vec![
        row!(a064_registering_with_more),
        row!(a065_profile_with_more),
        row!(a066_order_with_more),
        row!(a068_bodies_that_are_no_json),
        row!(a069_bodies_that_are_no_object),
        row!(a070_other_media_types),
        row!(a071_deep_nesting).alone(),
        row!(a072_very_large_documents).alone(),
        row!(a073_members_given_twice),
        row!(a074_text_that_is_none),
        row!(a075_values_of_other_types),
        row!(a076_text_that_means_something),
        row!(a077_text_at_its_limits),
        row!(a078_accepting_html_only),
    ]
}

/// A secret that no answer may repeat.
const CANARY: &str = "hunter2-canary";

/// Whoever sends a body. Rates are limited by user and by address, so that each body comes from
/// somebody else; all of them are refused before anybody looks who that is.
#[derive(Clone, Copy)]
enum Sender {
    Visitor,
    Customer,
    Admin,
}

/// An operation that takes a body, with a good one.
struct Target<'s> {
    method: Method,
    path: String,
    body: Value,
    sender: Sender,
    stage: &'s Stage,
}

impl Target<'_> {
    /// Sends these bytes as JSON.
    async fn send(&self, body: impl Into<reqwest::Body>) -> Result<Reply> {
        self.send_as(Some("application/json"), body).await
    }

    /// Sends these bytes under this media type.
    async fn send_as(
        &self,
        media_type: Option<&str>,
        body: impl Into<reqwest::Body>,
    ) -> Result<Reply> {
        let api = self.sender()?;
        let request = api.request(self.method.clone(), &self.path).body(body);
        let request = request.header("idempotency-key", new_key());
        let request = match media_type {
            Some(media_type) => request.header("content-type", media_type),
            None => request,
        };
        api.send(request).await.with_context(|| self.path.clone())
    }

    fn sender(&self) -> Result<Api> {
        let visitor = self.stage.visitor()?;
        let roles = match self.sender {
            Sender::Visitor => return Ok(visitor),
            Sender::Customer => json!(["customer"]),
            Sender::Admin => json!(["admin"]),
        };
        let somebody = Uuid::from_u128(rand::random());
        let token = self.stage.forger(somebody).with_claims(json!({"roles": roles}));
        Ok(visitor.with_token(token))
    }
}

/// Every operation that takes a body.
fn targets(stage: &Stage) -> Result<Vec<Target<'_>>> {
    let account = json!({"email": "li.lei@example.com", "password": CANARY, "display_name": "Li"});
    let product =
        json!({"name": "Spare", "unit_price": {"amount": 1, "currency": "CNY"}, "stock": 1});
    let preference = json!({"event": "order.paid", "channel": "in_app", "enabled": false});
    let order = json!({"items": [{"sku": TEA, "quantity": 1}], "payment_method": "pm_ok"});
    let passwords = json!({"current_password": CANARY, "new_password": CANARY});
    let nobody = Uuid::from_u128(1);
    let pay = format!("POST /api/v1/orders/{nobody}/pay");
    let status = format!("PUT /api/v1/users/{nobody}/status");
    let roles = format!("PUT /api/v1/users/{nobody}/roles");
    let operations = [
        (Sender::Visitor, "POST /api/v1/users", account),
        (
            Sender::Visitor,
            "POST /api/v1/auth/login",
            json!({"email": "a@b.cn", "password": CANARY}),
        ),
        (Sender::Visitor, "POST /api/v1/auth/refresh", json!({"refresh_token": CANARY})),
        (Sender::Customer, "PATCH /api/v1/users/me", json!({"display_name": "Li", "locale": "en"})),
        (Sender::Customer, "PUT /api/v1/users/me/password", passwords),
        (Sender::Customer, "POST /api/v1/orders", order),
        (Sender::Customer, pay.as_str(), json!({"payment_method": "pm_ok"})),
        (
            Sender::Customer,
            "PUT /api/v1/notifications/preferences",
            json!({"preferences": [preference]}),
        ),
        (Sender::Admin, "PUT /api/v1/products/SPARE-001", product),
        (Sender::Admin, status.as_str(), json!({"status": "ACTIVE"})),
        (Sender::Admin, roles.as_str(), json!({"roles": ["customer"]})),
    ];
    let target = |(sender, operation, body): (Sender, &str, Value)| {
        let (method, path) = operation.split_once(' ').context("no method")?;
        Ok(Target { method: method.parse()?, path: path.to_owned(), body, sender, stage })
    };
    operations.into_iter().map(target).collect()
}
