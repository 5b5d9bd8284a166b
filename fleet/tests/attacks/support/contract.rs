//! Every operation that the gateway says it has, so that a new one is attacked as well.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use fleet::harness::Api;
use fleet::harness::api::new_key;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

/// Who may use an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Anybody.
    Anyone,
    /// Every user.
    User,
    /// Administrators.
    Admin,
}

/// A path and a method.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// The method.
    pub(crate) method: Method,
    /// The path with place holders such as `{id}`.
    pub(crate) path: String,
    /// Who may use it.
    pub(crate) who: Who,
    /// Whether it takes a body.
    pub(crate) has_body: bool,
}

impl Operation {
    /// The path with this id wherever one belongs.
    pub(crate) fn path_of(&self, id: &str) -> String {
        self.path.replace("{id}", id).replace("{sku}", "TEA-001")
    }

    /// A request about what does not exist, with an empty object where a body belongs.
    pub(crate) fn request(&self, api: &Api) -> RequestBuilder {
        let path = self.path_of(&Uuid::from_u128(1).to_string());
        let request = api.request(self.method.clone(), &path).header("idempotency-key", new_key());
        if self.has_body { request.json(&json!({})) } else { request }
    }
}

/// The operations of the document that the gateway serves.
pub(crate) async fn operations(visitor: &Api) -> Result<Vec<Operation>> {
    let document = visitor.get("/openapi.json").await?.require(200)?;
    let paths = document["paths"].as_object().context("no paths")?;
    let mut operations = Vec::new();
    for (path, item) in paths {
        let methods: BTreeMap<_, _> = item.as_object().context("no methods")?.iter().collect();
        for (method, operation) in methods {
            operations.push(Operation {
                method: method.to_uppercase().parse()?,
                path: path.clone(),
                who: who(operation),
                has_body: operation["requestBody"].is_object(),
            });
        }
    }
    ensure!(operations.len() > 30, "only {} operations", operations.len());
    Ok(operations)
}

fn who(operation: &Value) -> Who {
    let refusal = operation["responses"]["403"]["$ref"].as_str().unwrap_or_default();
    match (&operation["security"], refusal.contains("PERMISSION_DENIED")) {
        (Value::Null, _) => Who::Anyone,
        (_, false) => Who::User,
        (_, true) => Who::Admin,
    }
}
