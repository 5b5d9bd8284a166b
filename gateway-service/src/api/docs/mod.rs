//! The documentation: the OpenAPI document, its page, and the pages of the error codes. Everything
//! is served by the gateway itself; no page loads anything from elsewhere.

mod markdown;
mod prepared;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use axum::response::{IntoResponse, Redirect, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use utoipa_swagger_ui::Config;

use self::prepared::{CACHED, Prepared};
use super::extract::PathText;
use crate::error::{ApiError, codes};
use crate::openapi;

type Headers<const N: usize> = [(HeaderName, HeaderValue); N];

/// What the docs page needs: its own files, styles set by its scripts, and the API to try out.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; font-src 'self'; connect-src 'self'; object-src 'none'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The pages of the codes need their style sheet and nothing else.
const TEXT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; object-src 'none'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);

/// The page, and the files that it loads.
const FILES: [&str; 8] = [
    "index.html",
    "index.css",
    "swagger-ui.css",
    "swagger-ui-bundle.js",
    "swagger-ui-standalone-preset.js",
    "swagger-initializer.js",
    "favicon-16x16.png",
    "favicon-32x32.png",
];

static DOCUMENT: LazyLock<Prepared> = LazyLock::new(|| {
    Prepared::new(HeaderValue::from_static("application/json"), openapi::text().into())
});

/// The style sheet of the pages of the codes.
static STYLE: LazyLock<Prepared> = LazyLock::new(|| {
    let style = include_bytes!("style.css");
    let kind = HeaderValue::from_static("text/css; charset=utf-8");
    Prepared::new(kind, Bytes::from_static(style))
});

static PAGE: LazyLock<BTreeMap<&str, Prepared>> = LazyLock::new(|| {
    let config = Config::from("/openapi.json").validator_url("none").deep_linking(true);
    let config = Arc::new(config);
    FILES.iter().filter_map(|name| Some((*name, prepare(name, &config)?))).collect()
});

/// Takes a file from the library that brings it, as it is.
fn prepare(name: &str, config: &Arc<Config<'static>>) -> Option<Prepared> {
    let file = utoipa_swagger_ui::serve(name, Arc::clone(config)).ok()??;
    let plain = match file.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    };
    // All of its texts are in UTF-8, which the library does not say.
    let kind = match file.content_type {
        text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        other => other,
    };
    Some(Prepared::new(HeaderValue::try_from(kind).ok()?, plain))
}

/// Reads this document.
#[utoipa::path(get, path = "/openapi.json", tag = "documentation",
    responses((status = 200, description = "OpenAPI 3.1.", content_type = "application/json", body = Object)))]
pub(crate) async fn document(headers: HeaderMap) -> Response {
    DOCUMENT.answer(&headers)
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
pub(crate) async fn index(headers: HeaderMap) -> Result<Response, ApiError> {
    asset(&headers, "index.html")
}

/// Reads a file of the documentation page.
#[utoipa::path(get, path = "/docs/{file}", tag = "documentation",
    params(("file" = String, Path, description = "Name of the file.", example = "index.css")),
    responses((status = 200, description = "The file.",
        content((String = "text/html"), (String = "text/css"), (String = "text/javascript"),
            (String = "image/png")))))]
pub(crate) async fn file(
    headers: HeaderMap,
    PathText(name): PathText,
) -> Result<Response, ApiError> {
    asset(&headers, &name)
}

fn asset(request: &HeaderMap, name: &str) -> Result<Response, ApiError> {
    if name == "errors.css" {
        return Ok(STYLE.answer(request));
    }
    let not_found = || ApiError::new(codes::ROUTE_NOT_FOUND, "there is no such path");
    let mut response = PAGE.get(name).ok_or_else(not_found)?.answer(request);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
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
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::VARY, HeaderValue::from_static("accept")),
        (header::CACHE_CONTROL, CACHED),
        (header::CONTENT_SECURITY_POLICY, TEXT_POLICY),
    ];
    (headers, body).into_response()
}

fn wants_html(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.any(|value| value.contains("text/html"))
}
