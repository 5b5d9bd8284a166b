//! JSON bodies: read within a time and a size, parsed strictly, refused with the member's path.
//!
//! What is not JSON at all is 400; what is JSON but not what the operation takes is 422. Messages
//! are built from what was expected, never from what came: a value may be a password.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use chassis::error::codes as fleet;
use http::{HeaderMap, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::object::{Object, Syntax};
use crate::error::{ApiError, codes};
use crate::middleware::admission::Admitted;
use crate::middleware::client_address::client_address;
use crate::state::Shared;

/// A JSON object of type `T`.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, gateway: &Shared) -> Result<Self, ApiError> {
        check_media_type(request.headers())?;
        let body = read(request, gateway).await?;
        parse(&body).map(Self)
    }
}

/// The body as it came, for what is signed byte for byte.
pub(crate) struct Raw(pub(crate) Bytes);

impl FromRequest<Shared> for Raw {
    type Rejection = ApiError;

    async fn from_request(request: Request, gateway: &Shared) -> Result<Self, ApiError> {
        check_encoding(request.headers())?;
        read(request, gateway).await.map(Self)
    }
}

/// No body, or an empty object, where an operation takes none. Whoever sends more believes that it
/// has an effect, such as the refund of a part, and is told that it has not.
pub(crate) struct NoBody;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl FromRequest<Shared> for NoBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, gateway: &Shared) -> Result<Self, ApiError> {
        let Raw(body) = Raw::from_request(request, gateway).await?;
        if body.is_empty() {
            return Ok(Self);
        }
        parse::<Nothing>(&body).map(|Nothing {}| Self)
    }
}

/// A JSON object, or no body at all, which stands for an empty object: for an operation that took none
/// before there was something to say. A body that is there has to say that it is JSON, like any other.
pub(crate) struct JsonOrNothing<T>(pub(crate) T);

impl<T: DeserializeOwned + Default> FromRequest<Shared> for JsonOrNothing<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, gateway: &Shared) -> Result<Self, ApiError> {
        let media_type = check_media_type(request.headers());
        let Raw(body) = Raw::from_request(request, gateway).await?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        media_type?;
        parse(&body).map(Self)
    }
}

/// Reads the whole body, while others may use the place of this request.
async fn read(request: Request, gateway: &Shared) -> Result<Bytes, ApiError> {
    let trusted = &gateway.trusted_proxies;
    let address = client_address(request.headers(), request.extensions(), trusted);
    let admitted = request.extensions().get::<Admitted>().cloned();
    let reading = gateway.bodies.read(address, request.into_body());
    match admitted {
        Some(admitted) => admitted.step_out(reading).await?,
        None => reading.await,
    }
}

fn check_media_type(headers: &HeaderMap) -> Result<(), ApiError> {
    check_encoding(headers)?;
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let is_json = match (types.next(), types.next()) {
        (Some(value), None) => value.to_str().is_ok_and(is_json),
        _ => false,
    };
    if is_json {
        return Ok(());
    }
    Err(ApiError::new(codes::MEDIA_TYPE_UNSUPPORTED, "the body must be application/json in UTF-8"))
}

fn check_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.contains_key(header::CONTENT_ENCODING) {
        let text = "the body must not be compressed";
        return Err(ApiError::new(codes::MEDIA_TYPE_UNSUPPORTED, text));
    }
    Ok(())
}

fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    is_json
        && parts.all(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.trim_matches('"');
            !name.eq_ignore_ascii_case("charset") || value.eq_ignore_ascii_case("utf-8")
        })
}

/// Parses one JSON object and nothing else.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize::<_, Object<T>>(&mut deserializer);
    let parsed = parsed.map_err(|error| refuse(body, &error))?;
    deserializer.end().map_err(|error| not_json(&error))?;
    Ok(parsed.0)
}

fn not_json(error: &serde_json::Error) -> ApiError {
    let (line, column) = (error.line(), error.column());
    let detail = format!("the body is not valid JSON: line {line}, column {column}");
    ApiError::new(codes::JSON_INVALID, detail)
}

fn refuse(body: &[u8], error: &serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    if error.inner().classify() != Category::Data {
        return not_json(error.inner());
    }
    // The parser stopped at the first member that does not fit: the rest may not be JSON at all.
    // Reading it twice costs time on this path only.
    if let Err(error) = serde_json::from_slice::<Syntax>(body) {
        return not_json(&error);
    }
    let message = error.inner().to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(text, _)| text);
    describe(&error.path().to_string(), message)
}

/// Turns the library's message into a violation.
fn describe(path: &str, message: &str) -> ApiError {
    let path = if path == "." { "" } else { path };
    let member = |prefix| quoted(message, prefix).map(|name| join(path, name));
    if message.starts_with("unknown field ") {
        let text = "this member is not known";
        return ApiError::field(codes::UNKNOWN_FIELD, path, "UNKNOWN", text);
    }
    if let Some(field) = member("duplicate field ") {
        let text = "may be given once only";
        return ApiError::field(codes::DUPLICATE_FIELD, field, "DUPLICATE", text);
    }
    if let Some(field) = member("missing field ") {
        return ApiError::field(fleet::VALIDATION_FAILED, field, "REQUIRED", "is required");
    }
    let reason = if message.starts_with("invalid value") { "OUT_OF_RANGE" } else { "TYPE" };
    let expected = message.rsplit_once(", expected ").map_or("another value", |(_, text)| text);
    let text = format!("must be {}", expectation(expected));
    ApiError::field(fleet::VALIDATION_FAILED, path, reason, text)
}

/// The name between backticks after `prefix`.
fn quoted<'m>(message: &'m str, prefix: &str) -> Option<&'m str> {
    message.strip_prefix(prefix)?.strip_prefix('`')?.split('`').next()
}

fn join(path: &str, member: &str) -> String {
    if path.is_empty() { member.to_owned() } else { format!("{path}.{member}") }
}

/// Rust's names of types mean nothing to a client.
fn expectation(expected: &str) -> &str {
    match expected {
        "i64" => "an integer",
        "u32" => "an integer from 0 to 4294967295",
        "a sequence" => "an array",
        _ if expected.starts_with("struct ") => "an object",
        _ => expected,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsing is tested")]
    struct Order {
        items: Vec<Object<Item>>,
        note: Option<String>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsing is tested")]
    struct Item {
        sku: String,
        quantity: u32,
        amount: i64,
    }

    fn refused(body: impl AsRef<[u8]>) -> (String, String) {
        let error = parse::<Order>(body.as_ref()).unwrap_err();
        let text = error.to_string();
        let problem = error.into_problem();
        let field = problem.violations.first().map(|violation| violation.field.clone());
        assert!(!text.contains("hunter2") && !format!("{problem:?}").contains("hunter2"));
        (problem.code, field.unwrap_or_default())
    }

    fn item(members: &str) -> String {
        format!("{{\"items\":[{{\"sku\":\"A\",{members}}}]}}")
    }

    #[test]
    fn what_is_not_one_json_document_is_not_parseable() {
        let nested = [128, 10_000, 1_000_000].map(|depth| "[".repeat(depth));
        let closed = format!("{{\"note\":{}{}}}", "[".repeat(200), "]".repeat(200));
        let number = format!("{{\"note\":{}}}", "1".repeat(1_000_000));
        let mut bodies: Vec<Vec<u8>> = [
            "",
            " ",
            "{",
            "{\"items\":[]",
            "{\"items\":[]}}",
            "{\"items\":[]}{}",
            "{\"items\":[],}",
            "\u{feff}{\"items\":[]}",
            "{\"note\":\"\\ud800\",\"items\":[]}",
            "{'items':[]}",
            "NaN",
            "{\"role\":1",
            "{\"note\":5,\"items\"",
            &closed,
            &number,
        ]
        .map(|body| body.as_bytes().to_vec())
        .into();
        bodies.extend(nested.map(String::into_bytes));
        bodies.push(b"{\"note\":\"\xff\",\"items\":[]}".to_vec());
        bodies.push(b"{\"note\":\"\xc0\xaf\",\"items\":[]}".to_vec());
        for body in bodies {
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            assert_eq!(refused(body).0, "JSON_INVALID", "{shown}");
        }
    }

    #[test]
    fn nesting_is_read_up_to_the_limit_and_no_further() {
        let place = |depth: usize| {
            let body = format!("{{\"note\":{}", "[".repeat(depth));
            parse::<Order>(body.as_bytes()).unwrap_err().into_problem().detail
        };
        assert_ne!(place(100), place(1_000), "the one ends before the limit");
        assert_eq!(place(1_000), place(1_000_000), "refused at the same place");
    }

    #[test]
    fn a_document_that_is_not_an_object_is_invalid() {
        for body in ["null", "[]", "\"x\"", "1", "[[],null]", "[[]]"] {
            assert_eq!(refused(body), ("VALIDATION_FAILED".to_owned(), String::new()), "{body}");
        }
    }

    #[test]
    fn an_array_does_not_stand_for_an_object() {
        let body = "{\"items\":[[\"A\",1,1]]}";
        assert_eq!(refused(body), ("VALIDATION_FAILED".to_owned(), "items[0]".to_owned()));
    }

    #[test]
    fn members_are_known_single_and_complete() {
        let unknown = item("\"quantity\":1,\"amount\":1,\"price\":\"hunter2\"");
        assert_eq!(refused(unknown), ("UNKNOWN_FIELD".to_owned(), "items[0].price".to_owned()));
        assert_eq!(
            refused("{\"role\":\"admin\"}"),
            ("UNKNOWN_FIELD".to_owned(), "role".to_owned())
        );
        let double = item("\"amount\":1,\"amount\":999,\"quantity\":1");
        assert_eq!(refused(double), ("DUPLICATE_FIELD".to_owned(), "items[0].amount".to_owned()));
        let missing = item("\"amount\":1");
        let expected = ("VALIDATION_FAILED".to_owned(), "items[0].quantity".to_owned());
        assert_eq!(refused(missing), expected);
    }

    #[test]
    fn nothing_is_an_empty_object() {
        assert!(parse::<Nothing>(b" { } ").is_ok());
        let code = |body: &str| parse::<Nothing>(body.as_bytes()).err().unwrap().code().to_owned();
        assert_eq!(code("{\"amount\":1}"), "UNKNOWN_FIELD");
        assert_eq!(code("[]"), "VALIDATION_FAILED");
        assert_eq!(code("amount=1"), "JSON_INVALID");
    }

    #[test]
    fn values_have_their_type() {
        for amount in
            ["1.5", "1e2", "1.0", "\"100\"", "-0", "true", "null", "[]", "9223372036854775808"]
        {
            let body = item(&format!("\"quantity\":1,\"amount\":{amount}"));
            let expected = ("VALIDATION_FAILED".to_owned(), "items[0].amount".to_owned());
            assert_eq!(refused(body), expected, "{amount}");
        }
        for quantity in ["-1", "4294967296", "1.5", "1000000000000000000000000000000"] {
            let body = item(&format!("\"quantity\":{quantity},\"amount\":1"));
            assert_eq!(refused(body).1, "items[0].quantity", "{quantity}");
        }
        let note = "{\"items\":[],\"note\":12345}";
        assert_eq!(refused(note), ("VALIDATION_FAILED".to_owned(), "note".to_owned()));
    }

    #[test]
    fn of_very_many_members_the_first_unknown_one_is_named() {
        let members: Vec<String> = (0..100_000).map(|n| format!("\"m{n}\":1")).collect();
        let body = format!("{{{}}}", members.join(","));
        let problem = parse::<Order>(body.as_bytes()).unwrap_err().into_problem();
        assert_eq!(problem.code, "UNKNOWN_FIELD");
        let fields: Vec<_> = problem.violations.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(fields, ["m0"]);
    }

    #[test]
    fn the_content_type_is_json_in_utf_8() {
        for good in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
        ] {
            assert!(is_json(good), "{good}");
        }
        for bad in [
            "",
            "text/plain",
            "application/json; charset=utf-16",
            "application/jsonp",
            "multipart/form-data",
        ] {
            assert!(!is_json(bad), "{bad}");
        }
    }
}
