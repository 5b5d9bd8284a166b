//! The OpenAPI document: as committed, as served, and as it hangs together.

use std::path::Path;
use std::process::Command;

use gateway_service::openapi;
use serde_json::Value;

use crate::contract::{DOCUMENT, operations};
use crate::harness::{Ask, Gateway, texts};

/// Writes the document anew.
const REGENERATE: &str =
    "cargo run -p gateway-service --quiet -- --print-openapi > docs/openapi.json";

#[test]
fn the_committed_document_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(
        committed == openapi::text(),
        "docs/openapi.json has drifted from the code; regenerate it:\n\n    {REGENERATE}\n"
    );
}

#[test]
fn the_program_prints_the_document() {
    let printed = Command::new(env!("CARGO_BIN_EXE_gateway-service"))
        .arg("--print-openapi")
        .env_clear()
        .output()
        .unwrap();
    assert!(printed.status.success());
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), openapi::text());
}

#[tokio::test]
async fn the_document_is_served() {
    let gateway = Gateway::start().await;
    let reply = gateway.ask(Ask::get("/openapi.json")).await;
    assert_eq!(reply.text(), openapi::text());
    assert_eq!(reply.header("cache-control"), Some("public, max-age=300"));
    assert_eq!(reply.json()["openapi"], "3.1.0");
}

#[test]
fn every_reference_leads_somewhere() {
    fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    references(&DOCUMENT, &mut found);
    assert!(found.len() > 100);
    for reference in found {
        assert!(DOCUMENT.pointer(&reference[1..]).is_some(), "{reference}");
    }
}

#[test]
fn every_operation_is_described() {
    for (path, method, operation) in operations() {
        for member in ["operationId", "summary"] {
            assert!(operation[member].as_str().is_some_and(|text| !text.is_empty()), "{path}");
        }
        assert_eq!(texts(&operation["tags"]).len(), 1, "{method} {path}");
        let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
        let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path");
        let named: Vec<_> = in_path.map(|parameter| parameter["name"].as_str().unwrap()).collect();
        let expected: Vec<_> = path.split(['{', '}']).skip(1).step_by(2).collect();
        assert_eq!(named, expected, "{method} {path}");
    }
}

#[test]
fn every_member_of_a_body_says_what_it_takes() {
    let schemas = DOCUMENT["components"]["schemas"].as_object().unwrap();
    let bodies = schemas.iter().filter(|(name, _)| name.ends_with("Body"));
    let mut members = 0;
    for (name, schema) in bodies {
        assert_eq!(schema["additionalProperties"], false, "{name}");
        for (member, property) in schema["properties"].as_object().unwrap() {
            assert!(property.get("description").is_some(), "{name}.{member}");
            members += 1;
        }
    }
    assert!(members > 20);
}

#[test]
fn money_and_keys_are_bounded_as_the_server_bounds_them() {
    let parameters = |path: &str, method: &str| {
        let operation = &DOCUMENT["paths"][path][method];
        operation["parameters"].as_array().unwrap().clone()
    };
    let orders = parameters("/api/v1/orders", "post");
    let key = orders.iter().find(|parameter| parameter["name"] == "Idempotency-Key").unwrap();
    assert_eq!((&key["required"], &key["in"]), (&Value::from(true), &Value::from("header")));
    assert_eq!(
        (&key["schema"]["minLength"], &key["schema"]["maxLength"]),
        (&1.into(), &255.into())
    );
    let lists = parameters("/api/v1/orders", "get");
    let size = lists.iter().find(|parameter| parameter["name"] == "page_size").unwrap();
    assert_eq!((&size["schema"]["minimum"], &size["schema"]["maximum"]), (&1.into(), &100.into()));
    let money = &DOCUMENT["components"]["schemas"]["Money"]["properties"]["amount"];
    assert_eq!(money["maximum"], 9_007_199_254_740_991_u64);
}
