//! What the served document says of bodies: which members an answer may have, and what a request
//! that is taken may look like.

use anyhow::{Context, Result};
use fleet::harness::{Api, Reply};
use serde_json::{Map, Value, json};

use super::contract::Operation;

/// The OpenAPI document of a gateway.
pub(crate) struct Schemas(Value);

impl Schemas {
    /// Reads the document that the gateway serves.
    pub(crate) async fn read(visitor: &Api) -> Result<Self> {
        Ok(Self(visitor.get("/openapi.json").await?.require(200)?))
    }

    /// A body that an operation takes, of the examples in the document.
    pub(crate) fn sample_for(&self, operation: &Operation) -> Value {
        let content = &self.item(operation)["requestBody"]["content"]["application/json"];
        self.sample(&content["schema"])
    }

    /// Whether an operation that takes a body does without it.
    pub(crate) fn may_lack_body(&self, operation: &Operation) -> bool {
        self.item(operation)["requestBody"]["required"] != json!(true)
    }

    /// The places of an answer's members that the document does not announce for this operation.
    pub(crate) fn unannounced(&self, operation: &Operation, reply: &Reply) -> Result<Vec<String>> {
        if !reply.body.is_object() {
            return Ok(Vec::new());
        }
        let status = reply.status.to_string();
        let announced = self.resolve(&self.item(operation)["responses"][&status]);
        let kind = reply.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default();
        let schema = announced["content"].get(kind).map(|content| &content["schema"]);
        let missing = || format!("{}: {status} as {kind:?} is not announced", reply.request);
        let mut found = Vec::new();
        self.compare(schema.with_context(missing)?, &reply.body, "", &mut found);
        Ok(found)
    }

    fn item(&self, operation: &Operation) -> &Value {
        &self.0["paths"][&operation.path][operation.method.as_str().to_lowercase()]
    }

    fn resolve<'s>(&'s self, schema: &'s Value) -> &'s Value {
        let pointer = schema["$ref"].as_str().and_then(|text| text.strip_prefix('#'));
        pointer.and_then(|pointer| self.0.pointer(pointer)).unwrap_or(schema)
    }

    /// The schema with everything that it is put together from.
    fn parts<'s>(&'s self, schema: &'s Value) -> Vec<&'s Value> {
        let schema = self.resolve(schema);
        let lists =
            ["allOf", "oneOf", "anyOf"].into_iter().filter_map(|key| schema[key].as_array());
        let inner = lists.flatten().flat_map(|part| self.parts(part));
        std::iter::once(schema).chain(inner).collect()
    }

    fn compare(&self, schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
        let parts = self.parts(schema);
        match value {
            Value::Object(members) => self.compare_members(&parts, members, place, found),
            Value::Array(items) => {
                let Some(of_item) = parts.iter().find_map(|part| part.get("items")) else { return };
                for item in items {
                    self.compare(of_item, item, place, found);
                }
            }
            _ => {}
        }
    }

    fn compare_members(
        &self,
        parts: &[&Value],
        members: &Map<String, Value>,
        place: &str,
        found: &mut Vec<String>,
    ) {
        let others = parts.iter().find_map(|part| part["additionalProperties"].as_object());
        // An object without a word about its members, such as a key set of another standard.
        if others.is_none() && parts.iter().all(|part| part.get("properties").is_none()) {
            return;
        }
        for (name, value) in members {
            let inner = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
            let schema = parts.iter().find_map(|part| part["properties"].get(name));
            match schema {
                Some(schema) => self.compare(schema, value, &inner, found),
                None if others.is_some() => {}
                None => found.push(inner),
            }
        }
    }

    fn sample(&self, schema: &Value) -> Value {
        let schema = self.resolve(schema);
        if let Some(example) = schema.get("example") {
            return example.clone();
        }
        if let Some(members) = schema["properties"].as_object() {
            let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
            let is_needed = |name: &str| required.iter().any(|needed| needed == name);
            let sampled = members
                .iter()
                .filter(|(name, _)| is_needed(name))
                .map(|(name, schema)| (name.clone(), self.sample(schema)));
            return Value::Object(sampled.collect());
        }
        match schema["type"].as_str() {
            Some("array") => json!([self.sample(&schema["items"])]),
            Some("string") => json!("a-text-of-a-request"),
            Some("integer") => json!(1),
            Some("boolean") => json!(false),
            _ => json!({}),
        }
    }
}
