//! The OpenAPI document as a client reads it: what it says about an answer must be true.

use std::sync::LazyLock;

use gateway_service::openapi;
use serde_json::{Value, json};

use crate::replies::Reply;

/// The document.
pub(crate) static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(&openapi::text()).unwrap());

/// Path and methods of everything that is documented.
pub(crate) fn operations() -> impl Iterator<Item = (&'static str, String, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (path.as_str(), method.to_uppercase(), operation))
    })
}

/// The operation that a request is about, if there is one. A path that is spelt out goes first,
/// also when it lacks the method.
pub(crate) fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let paths = DOCUMENT["paths"].as_object().unwrap().iter();
    let fitting = paths.filter(|(template, _)| fits(template, path));
    let (_, item) = fitting.min_by_key(|(template, _)| template.matches('{').count())?;
    item.get(method.to_lowercase())
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    template.clone().count() == path.clone().count()
        && template
            .zip(path)
            .all(|(one, other)| one == other || (one.starts_with('{') && !other.is_empty()))
}

/// Holds an answer against what is said about its operation.
pub(crate) fn check(operation: &'static Value, reply: &Reply) {
    let Reply { method, path, status, .. } = reply;
    let Some(response) = operation["responses"].get(status.to_string()) else {
        panic!("{method} {path}: {status} is not documented: {}", reply.text());
    };
    let response = resolve(response);
    let Some(media_type) = reply.media_type() else {
        assert!(reply.body.is_empty(), "{method} {path}");
        return;
    };
    if media_type == "application/problem+json" {
        let code = reply.code();
        let described = response["description"].as_str().unwrap();
        assert!(described.contains(&format!("[`{code}`]")), "{method} {path}: {code} {described}");
    }
    let content = &response["content"];
    let schema = &content[media_type]["schema"];
    assert!(content.get(media_type).is_some(), "{method} {path}: {media_type} is not documented");
    if media_type.ends_with("json") && schema.is_object() {
        validate(schema, &serde_json::from_slice(&reply.body).unwrap(), path);
    }
}

fn resolve(response: &'static Value) -> &'static Value {
    let Some(reference) = response.get("$ref") else { return response };
    let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
    DOCUMENT.pointer(pointer).unwrap()
}

fn validate(schema: &Value, body: &Value, path: &str) {
    let mut schema = schema.clone();
    schema["components"] = json!({"schemas": DOCUMENT["components"]["schemas"]});
    let options = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    if let Err(error) = options.validate(body) {
        panic!("{path}: {error} at {}: {body}", error.instance_path);
    }
}
