//! Which host a request is for: one, the same in every place that names it, and one of ours.
//!
//! Two readers that take different hosts from one request are how caches and filters in front are
//! deceived (RFC 9112, section 3.2).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::uri::{Authority, Uri};
use http::{HeaderMap, Method, Version, header};

use crate::error::{ApiError, codes};

/// The hosts that are served; any, if none are named.
pub(crate) struct Hosts(Vec<String>);

impl Hosts {
    /// Takes names such as `api.shop.example`, for any port, or `api.shop.example:8443`.
    pub(crate) fn parse(names: &[String]) -> anyhow::Result<Self> {
        for name in names {
            let is_host = parse(name.as_bytes()).is_ok() && !name.contains('*');
            anyhow::ensure!(
                is_host,
                "http.allowed_hosts: {name:?} is not a host such as api.shop.example"
            );
        }
        Ok(Self(names.iter().map(|name| name.to_ascii_lowercase()).collect()))
    }

    fn serves(&self, host: &Authority) -> bool {
        let is_meant = |name: &String| {
            host.as_str().eq_ignore_ascii_case(name) || host.host().eq_ignore_ascii_case(name)
        };
        self.0.is_empty() || self.0.iter().any(is_meant)
    }
}

/// Lets a request through if it is for a host of ours.
pub(crate) async fn check(
    State(hosts): State<Arc<Hosts>>,
    request: Request,
    next: Next,
) -> Response {
    // A tunnel names its far end instead; no path has this method.
    if request.method() == Method::CONNECT {
        return next.run(request).await;
    }
    let refusal = match host(request.version(), request.uri(), request.headers()) {
        Ok(None) => None,
        Ok(Some(host)) if hosts.serves(&host) => None,
        Ok(Some(_)) => Some("this host is not served here"),
        Err(text) => Some(text),
    };
    match refusal {
        Some(text) => ApiError::new(codes::HOST_INVALID, text).into_response(),
        None => next.run(request).await,
    }
}

/// The one host that a request names; `None` in HTTP/1.0, which need not name any.
fn host(
    version: Version,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Option<Authority>, &'static str> {
    let mut values = headers.get_all(header::HOST).iter();
    let (value, more) = (values.next(), values.next());
    if more.is_some() {
        return Err("the request names more than one host");
    }
    let named = value.map(|value| parse(value.as_bytes())).transpose()?;
    if uri.scheme_str().is_some_and(|scheme| !matches!(scheme, "http" | "https")) {
        return Err("the target of the request is not of http");
    }
    let target = uri.authority().map(|host| parse(host.as_str().as_bytes())).transpose()?;
    match (named, target) {
        (Some(named), Some(target)) if named != target => Err("the request names different hosts"),
        (None, None) if version == Version::HTTP_10 => Ok(None),
        (None, None) => Err("the request names no host"),
        // Whoever speaks HTTP/1.1 sends the header also beside a whole URI.
        (None, Some(_)) if version == Version::HTTP_11 => Err("the request has no Host"),
        (named, target) => Ok(named.or(target)),
    }
}

fn parse(text: &[u8]) -> Result<Authority, &'static str> {
    let host = Authority::try_from(text).ok().filter(is_host_and_port);
    host.ok_or("the host of the request is not one")
}

/// Whether nobody is named in front of the host, and nothing but a port behind it: the library lets
/// other text through there.
fn is_host_and_port(authority: &Authority) -> bool {
    let Some(behind) = authority.as_str().strip_prefix(authority.host()) else { return false };
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    // A colon with no number behind it is the usual port (RFC 3986, section 3.2.3).
    let is_port = |text: &str| text.is_empty() || (is_number(text) && text.parse::<u16>().is_ok());
    behind.is_empty() || behind.strip_prefix(':').is_some_and(is_port)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    /// What hosts are made of, and what is no part of one.
    const PARTS: &[&str] = &[
        "shop.example",
        "SHOP.example",
        "evil.example",
        ":80",
        ":",
        "@",
        "/",
        "?",
        "#",
        "\\",
        " ",
        "\t",
        ".",
        ",",
        "[",
        "]",
        "%",
        "::1",
        "\u{e9}",
    ];

    fn named(version: Version, uri: &str, hosts: &[&'static str]) -> Result<String, &'static str> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_static(host));
        }
        let host = host(version, &uri.parse().unwrap(), &headers)?;
        Ok(host.map_or_else(|| "none".to_owned(), |host| host.to_string()))
    }

    #[test]
    fn a_request_names_one_host() {
        let (one, two) = (Version::HTTP_11, Version::HTTP_2);
        assert_eq!(named(one, "/", &["shop.example:80"]).unwrap(), "shop.example:80");
        assert_eq!(named(one, "http://shop.example/", &["SHOP.example"]).unwrap(), "SHOP.example");
        assert_eq!(named(one, "/", &["[::1]:8080"]).unwrap(), "[::1]:8080");
        assert_eq!(named(one, "/", &["shop.example:"]).unwrap(), "shop.example:");
        assert_eq!(named(Version::HTTP_10, "/", &[]).unwrap(), "none");
        assert_eq!(named(two, "http://shop.example/", &[]).unwrap(), "shop.example");
        assert_eq!(named(two, "http://shop.example/", &["shop.example"]).unwrap(), "shop.example");
        let refused: [(Version, &str, &[&'static str]); 16] = [
            (one, "/", &[]),
            (one, "/", &[""]),
            (one, "/", &["a", "a"]),
            (one, "/", &["a b"]),
            (one, "/", &["user@a"]),
            (one, "/", &["a/b"]),
            (one, "/", &["shop.example:evil.example"]),
            (one, "/", &["shop.example:[::1]"]),
            (one, "/", &["a:+80"]),
            (one, "/", &["a:65536"]),
            (one, "http://a/", &[]),
            (one, "http://a/", &["b"]),
            (one, "http://a/", &["a:80"]),
            (one, "gopher://a/", &["a"]),
            (two, "http://a/", &["b"]),
            (two, "/", &[]),
        ];
        for (version, uri, hosts) in refused {
            assert!(named(version, uri, hosts).is_err(), "{version:?} {uri} {hosts:?}");
        }
    }

    #[test]
    fn only_named_hosts_are_served_if_any_are_named() {
        let host = |text: &str| text.parse::<Authority>().unwrap();
        let any = Hosts::parse(&[]).unwrap();
        assert!(any.serves(&host("evil.example")));
        let names = ["Shop.example".to_owned(), "api.example:8443".to_owned()];
        let ours = Hosts::parse(&names).unwrap();
        for good in ["shop.example", "SHOP.EXAMPLE:8080", "api.example:8443"] {
            assert!(ours.serves(&host(good)), "{good}");
        }
        for bad in ["shop.example.evil", "evil-shop.example", "api.example", "api.example:80", "x"]
        {
            assert!(!ours.serves(&host(bad)), "{bad}");
        }
        for name in ["", "*", "*.example", "a/b", "user@a", "a:b"] {
            assert!(Hosts::parse(&[name.to_owned()]).is_err(), "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_host_of_ours_is_no_other_to_another_reader(
            parts in prop::collection::vec(prop::sample::select(PARTS), 0..5),
            has_uri in any::<bool>(),
        ) {
            let text = parts.concat();
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::try_from(&text).unwrap());
            let uri = Uri::from_static(if has_uri { "http://shop.example/" } else { "/" });
            let Ok(named) = host(Version::HTTP_11, &uri, &headers) else { return Ok(()) };
            let named = named.unwrap();
            prop_assert_eq!(named.as_str(), text.as_str());
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{:?}", text);
            prop_assert!(!text.contains(['@', '/', '?', '#', '\\']), "{:?}", text);
            // One name at most, whichever part of the text another reader takes for it.
            prop_assert!(!text.contains("ple:evil") && !text.contains("PLE:evil"), "{:?}", text);
            let ours = Hosts::parse(&["shop.example".to_owned()]).unwrap();
            let name = text.split(':').next().unwrap_or_default();
            let is_ours = name.eq_ignore_ascii_case("shop.example");
            prop_assert_eq!(ours.serves(&named), is_ours, "{:?}", text);
            prop_assert!(!has_uri || text.eq_ignore_ascii_case("shop.example"), "{:?}", text);
        }
    }
}
