//! How the document describes the roles of an account: by all names that there are.

use serde_json::json;
use utoipa::openapi::schema::{Array, ArrayBuilder, ObjectBuilder, Schema, Type};

/// Every role that user-service knows; it refuses any other name.
const ROLES: [&str; 2] = ["customer", "admin"];

/// Those that an account has.
pub(super) fn held() -> Schema {
    Schema::Array(named("`customer`, `admin`."))
}

/// Those that an account is given.
pub(super) fn given() -> Schema {
    let mut roles = named("Any of `customer` and `admin`.");
    roles.min_items = Some(1);
    roles.max_items = Some(ROLES.len());
    Schema::Array(roles)
}

fn named(description: &str) -> Array {
    let role = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(ROLES));
    let mut roles = ArrayBuilder::new().items(role).description(Some(description)).build();
    roles.example = Some(json!(["customer"]));
    roles
}
