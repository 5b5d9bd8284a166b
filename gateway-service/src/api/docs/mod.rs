//! The documentation: the OpenAPI document, its page, and the pages of the error codes. Everything
//! is served by the gateway itself; no page loads anything from elsewhere.

mod markdown;

use std::sync::{Arc, LazyLock};

use axum::response::{IntoResponse, Redirect, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, header};
use utoipa_swagger_ui::Config;

use super::extract::PathText;
use crate::error::{ApiError, codes};
use crate::openapi;

type Headers<const N: usize> = [(HeaderName, &'static str); N];

/// What the docs page needs: its own files, styles set by its scripts, and the API to try out.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// The pages of the codes need their style sheet and nothing else.
const TEXT_POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Documentation changes with a release only.
const CACHED: (HeaderName, &str) = (header::CACHE_CONTROL, "public, max-age=300");

const STYLE: &str = include_str!("style.css");

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(openapi::text()));

static PAGE: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    Arc::new(Config::from("/openapi.json").validator_url("none").deep_linking(true))
});

/// Reads this document.
#[utoipa::path(get, path = "/openapi.json", tag = "documentation",
    responses((status = 200, description = "OpenAPI 3.1.", content_type = "application/json", body = Object)))]
pub(crate) async fn document() -> Response {
    let headers: Headers<2> = [(header::CONTENT_TYPE, "application/json"), CACHED];
    (headers, DOCUMENT.clone()).into_response()
}

/// Leads to the documentation page.
#[utoipa::path(get, path = "/docs", tag = "documentation",
    responses((status = 308, description = "The page is at `/docs/`.")))]
pub(crate) async fn page() -> Redirect {
    // With the slash, so that the page's relative references work.
    Redirect::permanent("/docs/")
}

/// Shows the documentation page.
#[utoipa::path(get, path = "/docs/", tag = "documentation",
    responses((status = 200, description = "The page.", content_type = "text/html", body = String)))]
pub(crate) async fn index() -> Result<Response, ApiError> {
    asset("index.html")
}

/// Reads a file of the documentation page.
#[utoipa::path(get, path = "/docs/{file}", tag = "documentation",
    params(("file" = String, Path, description = "Name of the file.")),
    responses((status = 200, description = "The file.", content_type = "application/octet-stream")))]
pub(crate) async fn file(PathText(name): PathText) -> Result<Response, ApiError> {
    asset(&name)
}

fn asset(name: &str) -> Result<Response, ApiError> {
    let not_found = || ApiError::new(codes::ROUTE_NOT_FOUND, "there is no such path");
    if name == "errors.css" {
        let headers: Headers<2> = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), CACHED];
        return Ok((headers, STYLE).into_response());
    }
    let found = utoipa_swagger_ui::serve(name, Arc::clone(&PAGE)).ok().flatten();
    let file = found.ok_or_else(not_found)?;
    let headers: Headers<2> = [CACHED, (header::CONTENT_SECURITY_POLICY, PAGE_POLICY)];
    let mut response =
        (headers, [(header::CONTENT_TYPE, file.content_type)], file.bytes.into_owned())
            .into_response();
    if file.gzpipped {
        let encoding = http::HeaderValue::from_static("gzip");
        response.headers_mut().insert(header::CONTENT_ENCODING, encoding);
    }
    Ok(response)
}

/// Lists every error code.
#[utoipa::path(get, path = "/docs/errors", tag = "documentation",
    params(("Accept" = Option<String>, Header, description = "`text/html` for a page; Markdown otherwise.")),
    responses((status = 200, description = "The list.",
        content((String = "text/markdown"), (String = "text/html")))))]
pub(crate) async fn errors(headers: HeaderMap) -> Response {
    text_page(&headers, "Error codes", &markdown::index(proto::errors::PAGES))
}

/// Explains an error code, in English and in Chinese.
#[utoipa::path(get, path = "/docs/errors/{code}", tag = "documentation",
    params(
        ("code" = String, Path, description = "The code.", pattern = "^[A-Z0-9_]{1,63}$",
            example = "ORDER_NOT_FOUND"),
        ("Accept" = Option<String>, Header, description = "`text/html` for a page; Markdown otherwise."),
    ),
    responses((status = 200, description = "Cause and remedy.",
        content((String = "text/markdown"), (String = "text/html")))))]
pub(crate) async fn error(
    headers: HeaderMap,
    PathText(code): PathText,
) -> Result<Response, ApiError> {
    let page = proto::errors::find(&code)
        .ok_or_else(|| ApiError::new(codes::ERROR_PAGE_NOT_FOUND, "there is no such error code"))?;
    Ok(text_page(&headers, page.code, page.text))
}

fn text_page(request: &HeaderMap, title: &str, text: &str) -> Response {
    let (kind, body) = if wants_html(request) {
        ("text/html; charset=utf-8", markdown::page(title, text))
    } else {
        ("text/markdown; charset=utf-8", text.to_owned())
    };
    let headers: Headers<4> = [
        (header::CONTENT_TYPE, kind),
        (header::VARY, "accept"),
        CACHED,
        (header::CONTENT_SECURITY_POLICY, TEXT_POLICY),
    ];
    (headers, body).into_response()
}

fn wants_html(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.any(|value| value.contains("text/html"))
}
