//! Members of JSON bodies: known, single, complete, and of their type. The table's bodies are good;
//! here each of them is spoilt in one place, and the refusal names the place.

use chassis::error::{Violation, codes, grpc};
use serde_json::{Value, json};

use crate::fleet::Answer;
use crate::harness::{Ask, Gateway};
use crate::table::{Row, table};

/// Members that may be absent or null.
const OPTIONAL: [&str; 2] = ["locale", "display_name"];

/// A place in a body: as JSON pointers and as violations write it.
#[derive(Clone, Debug, Default)]
struct Place {
    pointer: String,
    field: String,
}

impl Place {
    fn member(&self, name: &str) -> Self {
        let dot = if self.field.is_empty() { "" } else { "." };
        Self {
            pointer: format!("{}/{name}", self.pointer),
            field: format!("{}{dot}{name}", self.field),
        }
    }

    fn item(&self, index: usize) -> Self {
        let pointer = format!("{}/{index}", self.pointer);
        Self { pointer, field: format!("{}[{index}]", self.field) }
    }

    /// This place and everything below it.
    fn walk(self, value: &Value) -> Vec<Self> {
        let below: Vec<_> = match value {
            Value::Object(members) => {
                members.iter().flat_map(|(name, value)| self.member(name).walk(value)).collect()
            }
            Value::Array(items) => items
                .iter()
                .enumerate()
                .flat_map(|(index, value)| self.item(index).walk(value))
                .collect(),
            _ => vec![],
        };
        [vec![self], below].concat()
    }

    /// The last name of a member.
    fn name(&self) -> Option<&str> {
        self.pointer
            .rsplit_once('/')
            .map(|(_, name)| name)
            .filter(|name| name.parse::<usize>().is_err())
    }

    fn is_optional(&self, row: &Row) -> bool {
        row.method == "PATCH" && self.name().is_some_and(|name| OPTIONAL.contains(&name))
    }
}

/// Every row with a body that the gateway reads, and every place in it.
fn places() -> Vec<(Row, Value, Place)> {
    let strict = table().into_iter().filter(|row| row.body.len() > "{}".len());
    let all = strict.flat_map(|row| {
        let body: Value = serde_json::from_str(row.body).unwrap();
        let places = Place::default().walk(&body);
        places.into_iter().map(move |place| (row, body.clone(), place))
    });
    all.collect()
}

/// Sends a spoilt body; returns code, field and reason.
async fn spoil(gateway: &Gateway, row: &Row, body: String) -> (String, String, String) {
    let ask = Ask::new(row.method, &row.path()).header("idempotency-key", "key-1");
    gateway.ask(ask.json(body).token(&gateway.admin())).await.fault()
}

fn fault(code: &str, place: &Place, reason: &str) -> (String, String, String) {
    (code.to_owned(), place.field.clone(), reason.to_owned())
}

/// Values of other types than this one.
fn others(value: &Value) -> Vec<Value> {
    let all =
        [json!("text"), json!(17), json!(1.5), json!(true), json!([]), json!({}), Value::Null];
    let kind = std::mem::discriminant(value);
    let other = |other: &Value| {
        std::mem::discriminant(other) != kind || (value.is_number() && other.is_f64())
    };
    all.into_iter().filter(other).collect()
}

#[tokio::test]
async fn values_of_another_type_are_refused_where_they_are() {
    let gateway = Gateway::unlimited().await;
    for (row, body, place) in places() {
        for other in others(body.pointer(&place.pointer).unwrap()) {
            if other.is_null() && place.is_optional(&row) {
                continue;
            }
            let mut spoilt = body.clone();
            *spoilt.pointer_mut(&place.pointer).unwrap() = other;
            let refused = spoil(&gateway, &row, spoilt.to_string()).await;
            assert_eq!(refused, fault("VALIDATION_FAILED", &place, "TYPE"), "{spoilt}");
        }
    }
    assert!(!gateway.fleet.has_calls());
}

#[tokio::test]
async fn members_that_are_not_known_are_refused_where_they_are() {
    let gateway = Gateway::unlimited().await;
    let objects = places().into_iter().filter_map(|(row, body, place)| {
        body.pointer(&place.pointer).unwrap().is_object().then_some((row, body, place))
    });
    for (row, body, place) in objects {
        for name in ["surprise", "__proto__", "id", "version", "Role"] {
            let mut spoilt = body.clone();
            spoilt.pointer_mut(&place.pointer).unwrap()[name] = json!(1);
            let refused = spoil(&gateway, &row, spoilt.to_string()).await;
            assert_eq!(refused, fault("UNKNOWN_FIELD", &place.member(name), "UNKNOWN"), "{spoilt}");
        }
    }
    assert!(!gateway.fleet.has_calls());
}

#[tokio::test]
async fn members_are_given_once_and_completely() {
    let gateway = Gateway::unlimited().await;
    for (row, body, place) in places() {
        let Some(name) = place.name() else { continue };
        let parent = place.pointer.rsplit_once('/').unwrap().0;
        let value = body.pointer(&place.pointer).unwrap().clone();
        let mut twice = body.clone();
        twice.pointer_mut(parent).unwrap()["TWICE"] = value;
        let twice = twice.to_string().replace("TWICE", name);
        let refused = spoil(&gateway, &row, twice.clone()).await;
        assert_eq!(refused, fault("DUPLICATE_FIELD", &place, "DUPLICATE"), "{twice}");
        if place.is_optional(&row) {
            continue;
        }
        let mut without = body.clone();
        without.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
        let refused = spoil(&gateway, &row, without.to_string()).await;
        assert_eq!(refused, fault("VALIDATION_FAILED", &place, "REQUIRED"), "{without}");
    }
    assert!(!gateway.fleet.has_calls());
}

#[tokio::test]
async fn what_only_looks_like_the_right_value_is_refused() {
    let gateway = Gateway::start().await;
    let order = |item: &str| format!("{{\"items\":[{item}],\"payment_method\":\"pm_ok\"}}");
    let price = |amount: &str| {
        let price = format!("{{\"amount\":{amount},\"currency\":\"CNY\"}}");
        format!("{{\"name\":\"A\",\"unit_price\":{price},\"stock\":1}}")
    };
    let status = format!("/api/v1/users/{}/status", crate::samples::ID);
    for (method, path, body, field, reason) in [
        ("POST", "/api/v1/orders", order("[\"A\",1]"), "items[0]", "TYPE"),
        ("POST", "/api/v1/orders", order("{\"quantity\":-1}"), "items[0].quantity", "OUT_OF_RANGE"),
        (
            "POST",
            "/api/v1/orders",
            order("{\"quantity\":4294967296}"),
            "items[0].quantity",
            "OUT_OF_RANGE",
        ),
        ("PUT", "/api/v1/products/A", price("100.0"), "unit_price.amount", "TYPE"),
        ("PUT", "/api/v1/products/A", price("1e2"), "unit_price.amount", "TYPE"),
        (
            "PUT",
            "/api/v1/products/A",
            price("9223372036854775808"),
            "unit_price.amount",
            "OUT_OF_RANGE",
        ),
        ("PUT", &status, "{\"status\":\"BANNED\"}".to_owned(), "status", "UNKNOWN_VALUE"),
        ("PUT", &status, "{\"status\":\"active\"}".to_owned(), "status", "UNKNOWN_VALUE"),
        (
            "POST",
            "/api/v1/auth/login",
            "{\"\\u0065mail\":\"a\",\"email\":1}".to_owned(),
            "email",
            "DUPLICATE",
        ),
    ] {
        let ask = Ask::new(method, path).header("idempotency-key", "key-1").json(body.clone());
        let (_, at, why) = gateway.ask(ask.token(&gateway.admin())).await.fault();
        assert_eq!((at.as_str(), why.as_str()), (field, reason), "{body}");
    }
    assert!(!gateway.fleet.has_calls());
}

#[tokio::test]
async fn no_refusal_repeats_a_value() {
    let gateway = Gateway::start().await;
    for body in [
        r#"{"email":"a","password":["hunter2"]}"#,
        r#"{"email":{"$gt":"hunter2"},"password":"p"}"#,
        r#"{"email":"a","password":"hunter2","otp":"hunter2"}"#,
        r#"{"email":"a","password":"hunter2","password":"hunter2"}"#,
        r#""hunter2""#,
    ] {
        let reply = gateway.ask(Ask::post("/api/v1/auth/login").json(body)).await;
        assert_eq!(reply.status, 422);
        assert!(!reply.text().contains("hunter2"), "{}", reply.text());
    }
}

#[tokio::test]
async fn the_faults_that_a_service_finds_are_passed_on() {
    let gateway = Gateway::start().await;
    let violation = |field: &str| Violation {
        field: field.to_owned(),
        reason: "TOO_LONG".to_owned(),
        description: "must be at most 64 characters".to_owned(),
    };
    let violations = vec![violation("display_name"), violation("locale")];
    let text = "the request has 2 invalid field(s)";
    let status = grpc::status(codes::VALIDATION_FAILED, text, violations, None);
    gateway.fleet.script("Register", [Answer::Refusal(status)]);
    let body = r#"{"email":"a@b.example","password":"hunter2","display_name":"x","locale":"y"}"#;
    let problem = gateway.ask(Ask::post("/api/v1/users").json(body)).await.problem();
    let told = (problem["code"].as_str(), problem["detail"].as_str());
    assert_eq!(told, (Some("VALIDATION_FAILED"), Some(text)));
    let fields = problem["violations"].as_array().unwrap().iter();
    let fields: Vec<_> = fields.map(|violation| violation["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["display_name", "locale"]);
}
