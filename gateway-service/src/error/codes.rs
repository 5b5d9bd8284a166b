//! The codes that only the HTTP edge answers with.

use chassis::error::{ErrorCode, Kind};

/// The body is longer than the limit.
pub const BODY_TOO_LARGE: ErrorCode = ErrorCode::new("BODY_TOO_LARGE", Kind::Malformed);
/// The body has a member twice.
pub const DUPLICATE_FIELD: ErrorCode = ErrorCode::new("DUPLICATE_FIELD", Kind::InvalidArgument);
/// There is no such error code.
pub const ERROR_PAGE_NOT_FOUND: ErrorCode = ErrorCode::new("ERROR_PAGE_NOT_FOUND", Kind::NotFound);
/// The headers are more, or longer, than the limit.
pub const HEADERS_TOO_LARGE: ErrorCode = ErrorCode::new("HEADERS_TOO_LARGE", Kind::Malformed);
/// The request names no host, several, or one that is not served.
pub const HOST_INVALID: ErrorCode = ErrorCode::new("HOST_INVALID", Kind::Malformed);
/// `If-Match` holds something else than entity tags.
pub const IF_MATCH_INVALID: ErrorCode = ErrorCode::new("IF_MATCH_INVALID", Kind::Malformed);
/// The body is not JSON.
pub const JSON_INVALID: ErrorCode = ErrorCode::new("JSON_INVALID", Kind::Malformed);
/// The body is of a type or encoding that is not accepted.
pub const MEDIA_TYPE_UNSUPPORTED: ErrorCode =
    ErrorCode::new("MEDIA_TYPE_UNSUPPORTED", Kind::Malformed);
/// The path exists, the method does not.
pub const METHOD_NOT_ALLOWED: ErrorCode = ErrorCode::new("METHOD_NOT_ALLOWED", Kind::Malformed);
/// A query parameter is unknown or repeated.
pub const QUERY_INVALID: ErrorCode = ErrorCode::new("QUERY_INVALID", Kind::Malformed);
/// The caller's quota is used up.
pub const RATE_LIMITED: ErrorCode = ErrorCode::new("RATE_LIMITED", Kind::RateLimited);
/// What came is not a request of HTTP.
pub const REQUEST_MALFORMED: ErrorCode = ErrorCode::new("REQUEST_MALFORMED", Kind::Malformed);
/// The head or the body did not arrive in time.
pub const REQUEST_TIMEOUT: ErrorCode = ErrorCode::new("REQUEST_TIMEOUT", Kind::Malformed);
/// There is no such path.
pub const ROUTE_NOT_FOUND: ErrorCode = ErrorCode::new("ROUTE_NOT_FOUND", Kind::NotFound);
/// The body has a member that the operation does not know.
pub const UNKNOWN_FIELD: ErrorCode = ErrorCode::new("UNKNOWN_FIELD", Kind::InvalidArgument);
/// A service behind the gateway broke its contract.
pub const UPSTREAM_INVALID: ErrorCode = ErrorCode::new("UPSTREAM_INVALID", Kind::Internal);
/// The URI is longer than the limit.
pub const URI_TOO_LONG: ErrorCode = ErrorCode::new("URI_TOO_LONG", Kind::Malformed);

/// Every code of this module.
pub const ALL: &[ErrorCode] = &[
    BODY_TOO_LARGE,
    DUPLICATE_FIELD,
    ERROR_PAGE_NOT_FOUND,
    HEADERS_TOO_LARGE,
    HOST_INVALID,
    IF_MATCH_INVALID,
    JSON_INVALID,
    MEDIA_TYPE_UNSUPPORTED,
    METHOD_NOT_ALLOWED,
    QUERY_INVALID,
    RATE_LIMITED,
    REQUEST_MALFORMED,
    REQUEST_TIMEOUT,
    ROUTE_NOT_FOUND,
    UNKNOWN_FIELD,
    UPSTREAM_INVALID,
    URI_TOO_LONG,
];
