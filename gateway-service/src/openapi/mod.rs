//! The OpenAPI document: made from the route table, committed as `docs/openapi.json`, and served.
//!
//! What follows from an operation's form (its body, its parameters, who may use it) is added here,
//! with titles and statuses from the error catalogue, so that no handler repeats it.

mod answers;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::ExitCode;

use chassis::error::codes as fleet;
use serde::Serialize;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::schema::SchemaType;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, Header, HeaderBuilder, InfoBuilder, LicenseBuilder,
    ObjectBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required, Response, ResponseBuilder,
    Schema, Type,
};
use utoipa::{PartialSchema, ToSchema};

use self::answers::codes_of_route;
use crate::api::{self, Route};
use crate::middleware::guard::Access;

const BEARER: &str = "bearer";

/// An error (RFC 9457). The page at `type` explains the code in English and Chinese.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
struct ProblemDocument {
    /// Page of the code.
    #[schema(example = "/docs/errors/VALIDATION_FAILED")]
    r#type: String,
    /// Short, constant text of the code.
    #[schema(example = "Validation failed")]
    title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599, example = 422)]
    status: u16,
    /// What happened this time.
    #[schema(example = "the request has 1 invalid field(s)")]
    detail: Option<String>,
    /// Path of the request.
    #[schema(example = "/api/v1/orders")]
    instance: String,
    /// The stable code.
    #[schema(pattern = "^[A-Z0-9_]{1,63}$", example = "VALIDATION_FAILED")]
    code: String,
    /// Trace of the request, for operators.
    #[schema(pattern = "^[0-9a-f]{32}$", example = "0af7651916cd43dd8448eb211c80319c")]
    trace_id: String,
    /// The fields at fault.
    violations: Option<Vec<FieldViolation>>,
}

/// A field that breaks a rule.
#[derive(Serialize, ToSchema)]
#[schema(as = Violation)]
struct FieldViolation {
    /// Path of the member, or name of the parameter.
    #[schema(example = "items[0].quantity")]
    field: String,
    /// The rule.
    #[schema(example = "OUT_OF_RANGE")]
    reason: String,
    /// One sentence for a person.
    #[schema(example = "must be between 1 and 1000")]
    description: String,
}

/// Prints the document to standard output.
pub fn print() -> ExitCode {
    match std::io::stdout().write_all(text().as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The document as committed and served.
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
}

/// The document.
pub fn document() -> OpenApi {
    let mut components = ComponentsBuilder::new()
        .schema("Problem", ProblemDocument::schema())
        .schema("Violation", FieldViolation::schema())
        .security_scheme(BEARER, bearer());
    let mut document = OpenApiBuilder::new().info(info()).build();
    let mut problems = Problems::default();
    for mut route in api::table() {
        for (name, schema) in std::mem::take(&mut route.schemas) {
            components = components.schema(name, schema);
        }
        let Some((path, method, operation)) = route.operation() else { continue };
        let operation = complete(&route, path, operation.clone(), &mut problems);
        let item = document.paths.paths.entry(path.to_owned()).or_default();
        match method {
            http::Method::GET => item.get = Some(operation),
            http::Method::POST => item.post = Some(operation),
            http::Method::PUT => item.put = Some(operation),
            http::Method::PATCH => item.patch = Some(operation),
            _ => item.delete = Some(operation),
        }
    }
    let mut components = components.build();
    components.responses = problems.0.into_iter().map(|(name, one)| (name, one.into())).collect();
    components.headers = shared_headers().collect();
    document.components = Some(components);
    document
}

/// Path and method of every operation.
pub(crate) fn operations() -> Vec<(String, http::Method)> {
    let table = api::table();
    let operations = table.iter().filter_map(Route::operation);
    operations.map(|(path, method, _)| (path.to_owned(), method)).collect()
}

fn info() -> utoipa::openapi::Info {
    InfoBuilder::new()
        .title("EnterpriseHub")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Users, orders, payments and notifications. Every error is a problem document \
             (RFC 9457); `/docs/errors` explains every code. What is no request of HTTP, or longer \
             than the limits, is refused before its operation is known: 400, 408, 413, 414 or 431.",
        ))
        .license(Some(
            LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build(),
        ))
        .build()
}

fn bearer() -> SecurityScheme {
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
    let text = "The access token of `POST /api/v1/auth/login`.";
    SecurityScheme::Http(scheme.description(Some(text)).build())
}

/// Adds what follows from the operation's form.
fn complete(
    route: &Route,
    path: &str,
    mut operation: Operation,
    problems: &mut Problems,
) -> Operation {
    let tag = operation.tags.iter().flatten().next().cloned().unwrap_or_default();
    let name = operation.operation_id.take().unwrap_or_default();
    operation.operation_id = Some(format!("{tag}_{name}"));
    if route.access != Access::Anyone {
        let requirement = SecurityRequirement::new(BEARER, Vec::<String>::new());
        operation.security = Some(vec![requirement]);
    }
    operation.parameters.iter_mut().flatten().for_each(forbid_null);
    if let (true, Some(RefOr::T(body))) = (route.is_body_optional, &mut operation.request_body) {
        body.required = Some(Required::False);
    }
    let is_limited = route.class.is_some();
    let refusals = by_status(&codes_of_route(route, path, &operation));
    let responses = &mut operation.responses.responses;
    for response in responses.values_mut() {
        if let RefOr::T(response) = response {
            add_headers(response, is_limited);
        }
    }
    for (status, codes) in refusals {
        let problem = || problems.reference(status, &codes, is_limited);
        responses.entry(status.to_string()).or_insert_with(problem);
    }
    operation
}

/// A parameter that may be absent has no null: text is all that a header or a query can hold.
fn forbid_null(parameter: &mut RefOr<Parameter>) {
    let RefOr::T(Parameter { schema: Some(RefOr::T(Schema::Object(schema))), .. }) = parameter
    else {
        return;
    };
    if let SchemaType::Array(types) = &schema.schema_type
        && let Some(other) = types.iter().find(|one| **one != Type::Null)
    {
        schema.schema_type = SchemaType::Type(other.clone());
    }
}

fn by_status(codes: &BTreeSet<&'static str>) -> BTreeMap<u16, Vec<&'static str>> {
    let mut grouped: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for code in codes {
        if let Some(page) = proto::errors::find(code) {
            grouped.entry(page.status).or_default().push(code);
        }
    }
    grouped
}

/// The responses of errors, shared by all operations that answer with the same codes.
#[derive(Default)]
struct Problems(BTreeMap<String, Response>);

impl Problems {
    /// A reference to the response of these codes.
    fn reference(&mut self, status: u16, codes: &[&str], is_limited: bool) -> RefOr<Response> {
        let kind = if is_limited { "" } else { "-unlimited" };
        let name = format!("{}{kind}", codes.join("-"));
        let response = self.0.entry(name.clone());
        response.or_insert_with(|| problem(status, codes, is_limited));
        RefOr::Ref(Ref::from_response_name(name))
    }
}

fn problem(status: u16, codes: &[&str], is_limited: bool) -> Response {
    let comes_again = codes.contains(&fleet::IDEMPOTENCY_IN_PROGRESS.reason);
    let codes: Vec<String> =
        codes.iter().map(|code| format!("[`{code}`](/docs/errors/{code})")).collect();
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = ResponseBuilder::new()
        .description(codes.join(", "))
        .content("application/problem+json", content);
    let mut response = response.build();
    add_headers(&mut response, is_limited);
    if status == 401 {
        add_header(&mut response, "WWW-Authenticate");
    }
    if comes_again || [429, 503, 504].contains(&status) {
        add_header(&mut response, "Retry-After");
    }
    response
}

/// Headers that many answers have.
const HEADERS: [(&str, &str); 5] = [
    ("X-Request-Id", "Names the request: as sent, if it was well formed."),
    ("RateLimit", "What is left of the quota: `\"NAME\";r=REMAINING;t=SECONDS`."),
    ("RateLimit-Policy", "The quota: `\"NAME\";q=REQUESTS;w=SECONDS`."),
    ("WWW-Authenticate", "The challenge (RFC 6750)."),
    ("Retry-After", "Seconds until trying again makes sense."),
];

fn add_headers(response: &mut Response, is_limited: bool) {
    add_header(response, "X-Request-Id");
    if is_limited {
        add_header(response, "RateLimit");
        add_header(response, "RateLimit-Policy");
    }
}

fn add_header(response: &mut Response, name: &str) {
    let reference = Ref::new(format!("#/components/headers/{name}"));
    response.headers.insert(name.to_owned(), RefOr::Ref(reference));
}

fn shared_headers() -> impl Iterator<Item = (String, RefOr<Header>)> {
    HEADERS.into_iter().map(|(name, description)| {
        let schema = ObjectBuilder::new().schema_type(Type::String).build();
        let header = HeaderBuilder::new().schema(Some(schema)).description(Some(description));
        (name.to_owned(), RefOr::T(header.build()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::route;

    #[test]
    fn every_code_of_the_table_has_a_page() {
        for route in api::table() {
            for code in route.codes {
                assert!(proto::errors::find(code).is_some(), "{code}");
            }
        }
    }

    #[test]
    fn operation_ids_are_unique() {
        let mut seen = BTreeSet::new();
        for item in document().paths.paths.values() {
            for (_, operation) in route::operations(item) {
                let id = operation.operation_id.clone().unwrap();
                assert!(seen.insert(id.clone()), "{id}");
            }
        }
    }

    #[test]
    fn each_entry_of_the_table_is_one_documented_operation() {
        let table = api::table();
        let operations: usize =
            document().paths.paths.values().map(|item| route::operations(item).len()).sum();
        assert_eq!(table.len(), operations);
        for route in table {
            assert!(route.operation().is_some());
            assert_eq!(route.paths.paths.len(), 1);
        }
    }

    #[test]
    fn every_reference_resolves() {
        let document = document();
        let text = serde_json::to_string(&document).unwrap();
        let schemas = document.components.unwrap().schemas;
        for reference in text.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "{name}");
        }
    }
}
