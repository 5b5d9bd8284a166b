//! What requests are made of: A064 to A078.

mod form;
mod members;
mod values;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fleet::harness::api::new_key;
use fleet::harness::{Api, Reply};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::contract::{Operation, Who, operations};
use crate::support::order_body;
use crate::support::run::{Row, row};
use crate::support::schema::Schemas;
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
        row!(a071_deep_nesting).alone().within(Duration::from_mins(4)),
        row!(a072_very_large_documents).alone().within(Duration::from_mins(4)),
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

/// The one operation with a body that is no concern of these rows: its bytes are signed, and looked at
/// behind their signature (A104 to A113).
const SIGNED: &str = "POST /api/v1/payments/callback";

/// An operation that takes a body, with a good one. Rates are limited by user and by address, so that
/// each body comes from somebody else; all of them are refused before anybody looks who that is.
struct Target<'s> {
    method: Method,
    path: String,
    body: Value,
    /// Whether no body at all is one too.
    may_be_absent: bool,
    who: Who,
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
        let roles = match self.who {
            Who::Anyone => return Ok(visitor),
            Who::User => json!(["customer"]),
            Who::Admin => json!(["admin"]),
        };
        let somebody = Uuid::from_u128(rand::random());
        let token = self.stage.forger(somebody).with_claims(json!({"roles": roles}));
        Ok(visitor.with_token(token))
    }
}

/// Every operation of the served document that takes a body which the gateway reads.
async fn targets(stage: &Stage) -> Result<Vec<Target<'_>>> {
    let visitor = stage.visitor()?;
    let schemas = Schemas::read(&visitor).await?;
    let nobody = Uuid::from_u128(1).to_string();
    let mut targets = Vec::new();
    for operation in operations(&visitor).await? {
        let name = format!("{} {}", operation.method, operation.path);
        if !operation.has_body || name == SIGNED {
            continue;
        }
        targets.push(Target {
            body: good_body(&name, &operation, &schemas)?,
            may_be_absent: schemas.may_lack_body(&operation),
            path: operation.path.replace("{id}", &nobody).replace("{sku}", "SPARE-001"),
            method: operation.method,
            who: operation.who,
            stage,
        });
    }
    ensure!(targets.len() >= 16, "only {} operations take a body", targets.len());
    Ok(targets)
}

/// A good body: the canary stands where a secret belongs, and members that may be absent are there.
/// Whatever needs neither is as the document shows it, which goes for an operation that is new as well.
fn good_body(name: &str, operation: &Operation, schemas: &Schemas) -> Result<Value> {
    let body = match name {
        "POST /api/v1/users" => {
            json!({"email": "li.lei@example.com", "password": CANARY, "display_name": "Li"})
        }
        "POST /api/v1/auth/login" => json!({"email": "a@b.cn", "password": CANARY}),
        "POST /api/v1/auth/refresh" => json!({"refresh_token": CANARY}),
        "POST /api/v1/auth/email-verification" => json!({"token": CANARY}),
        "POST /api/v1/auth/password-recovery/complete" => {
            json!({"token": CANARY, "new_password": CANARY})
        }
        "PUT /api/v1/users/me/password" => {
            json!({"current_password": CANARY, "new_password": CANARY})
        }
        "PATCH /api/v1/users/me" => json!({"display_name": "Li", "locale": "en"}),
        "POST /api/v1/admin/dead-letters/{id}/discard" => json!({"reason": CANARY}),
        "POST /api/v1/orders" => order_body("pm_ok"),
        _ => schemas.sample_for(operation),
    };
    let is_empty = body.as_object().is_none_or(serde_json::Map::is_empty);
    ensure!(!is_empty, "no members are known for {name}: {body}");
    Ok(body)
}
