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
fn every_example_is_what_its_schema_takes() {
    fn walk(value: &Value, seen: &mut usize) {
        if let Some(example) = value.get("example") {
            // That of a parameter stands beside its schema.
            let schema = value.get("schema").unwrap_or(value);
            let options = jsonschema::options().should_validate_formats(true);
            let fitting = options.build(schema).unwrap();
            assert!(fitting.is_valid(example), "{example}: {schema}");
            *seen += 1;
        }
        match value {
            Value::Object(members) => members.values().for_each(|member| walk(member, seen)),
            Value::Array(items) => items.iter().for_each(|item| walk(item, seen)),
            _ => {}
        }
    }
    let mut seen = 0;
    walk(&DOCUMENT, &mut seen);
    assert!(seen > 50, "{seen}");
}

#[test]
fn what_an_operation_may_be_asked_is_never_null() {
    for (path, method, operation) in operations() {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["schema"]["type"].is_string(), "{method} {path}: {parameter}");
        }
    }
}

#[test]
fn names_are_what_user_and_order_service_take() {
    let takes = |schema: &str, member: &str, text: &str| {
        let schema = &DOCUMENT["components"]["schemas"][schema]["properties"][member];
        jsonschema::options().build(schema).unwrap().is_valid(&text.into())
    };
    for good in ["A", "Li Lei", "王小明", "Zoë O'Neil", "👍 Max"] {
        assert!(takes("RegisterBody", "display_name", good), "{good}");
        assert!(takes("ProfileBody", "display_name", good), "{good}");
        assert!(takes("ProductBody", "name", good), "{good}");
    }
    for bad in ["", " ", "A ", "\u{3000}A", "A\n", "A\u{85}", "Al\u{200D}ice", "\u{202E}ecilA"] {
        assert!(!takes("RegisterBody", "display_name", bad), "{bad:?}");
        assert!(!takes("ProfileBody", "display_name", bad), "{bad:?}");
    }
    assert!(takes("ProductBody", "name", " Tea "), "the space is left out");
    for bad in ["", " ", "\u{3000}", "Tea\n", "a\u{7}b"] {
        assert!(!takes("ProductBody", "name", bad), "{bad:?}");
    }
}

#[test]
fn roles_are_those_that_user_service_takes() {
    let takes = |schema: &str, roles: &[&str]| {
        let schema = &DOCUMENT["components"]["schemas"][schema]["properties"]["roles"];
        jsonschema::options().build(schema).unwrap().is_valid(&roles.into())
    };
    for good in [&["customer"][..], &["admin"], &["admin", "customer"]] {
        assert!(takes("RolesBody", good) && takes("User", good), "{good:?}");
    }
    for bad in [&["root"][..], &["Admin"], &["customer", ""], &["administrator"]] {
        assert!(!takes("RolesBody", bad) && !takes("User", bad), "{bad:?}");
    }
    assert!(!takes("RolesBody", &[]) && !takes("RolesBody", &["customer", "admin", "admin"]));
}

#[test]
fn only_a_body_that_may_be_absent_is_not_required() {
    let described = operations().filter(|(_, _, operation)| operation["requestBody"].is_object());
    let optional: Vec<_> = described
        .filter(|(_, _, operation)| operation["requestBody"]["required"] == false)
        .map(|(path, _, _)| path)
        .collect();
    assert_eq!(optional, ["/api/v1/admin/dead-letters/{id}/discard"]);
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
    let price = &DOCUMENT["components"]["schemas"]["PriceBody"]["properties"]["amount"];
    assert_eq!((&price["minimum"], &price["maximum"]), (&1.into(), &99_999_999_999_u64.into()));
}
