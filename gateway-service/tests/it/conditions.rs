//! Versions of one's own account: ETag, If-None-Match and If-Match.

use chassis::error::codes;
use proto::user::v1 as user;

use crate::fleet::Answer;
use crate::harness::{Ask, Gateway};
use crate::samples::{self, CUSTOMER, ID};

const PATH: &str = "/api/v1/users/me";

fn etag(version: u64) -> String {
    format!("\"{CUSTOMER}.{version}\"")
}

#[tokio::test]
async fn what_the_client_holds_already_is_not_sent_again() {
    let gateway = Gateway::start().await;
    let ask = || Ask::get(PATH).token(&gateway.customer());
    let first = gateway.ask(ask()).await;
    assert_eq!(first.header("etag"), Some(etag(7).as_str()));
    assert_eq!(first.header("cache-control"), Some("private, no-cache"));
    let other = format!("\"{ID}.7\"");
    for (held, expected) in [
        (etag(7), 304),
        (format!("W/{}", etag(7)), 304),
        (format!("{}, {}", etag(6), etag(7)), 304),
        ("*".to_owned(), 304),
        (etag(6), 200),
        (other, 200),
        ("\"\"".to_owned(), 200),
        ("7".to_owned(), 200),
    ] {
        let reply = gateway.ask(ask().header("if-none-match", &held)).await;
        assert_eq!(reply.status, expected, "{held}");
        assert_eq!(reply.body.is_empty(), expected == 304);
        assert_eq!(reply.header("etag"), Some(etag(7).as_str()));
        assert_eq!(reply.header("cache-control"), Some("private, no-cache"));
    }
    let changed = user::User { version: 8, ..samples::account() };
    let changed = Answer::reply(&user::GetUserResponse { user: Some(changed) });
    gateway.fleet.script("GetUser", [changed]);
    let reply = gateway.ask(ask().header("if-none-match", etag(7))).await;
    assert_eq!((reply.status, reply.header("etag")), (200, Some(etag(8).as_str())));
}

#[tokio::test]
async fn a_change_is_based_on_the_version_that_was_read() {
    let gateway = Gateway::start().await;
    let ask = || Ask::new("PATCH", PATH).json(r#"{"locale":"en"}"#).token(&gateway.customer());
    for (tag, version) in [(None, None), (Some("*".to_owned()), None), (Some(etag(7)), Some(7))] {
        let ask = tag.iter().fold(ask(), |ask, tag| ask.header("if-match", tag));
        let reply = gateway.ask(ask).await;
        assert_eq!((reply.status, reply.header("etag")), (200, Some(etag(7).as_str())));
        let asked: user::UpdateProfileRequest = gateway.fleet.take_call().decode();
        let expected = user::UpdateProfileRequest {
            display_name: None,
            locale: Some("en".to_owned()),
            expected_version: version,
        };
        assert_eq!(asked, expected, "{tag:?}");
    }
    gateway.fleet.script("UpdateProfile", [Answer::code(codes::VERSION_MISMATCH)]);
    assert_eq!(gateway.code(ask().header("if-match", etag(6))).await, "VERSION_MISMATCH");
}

#[tokio::test]
async fn a_tag_that_cannot_match_stands_for_a_version_that_is_never_current() {
    let gateway = Gateway::start().await;
    let ask = || Ask::new("PATCH", PATH).json(r#"{"locale":"en"}"#).token(&gateway.customer());
    let requests = [
        format!("\"{ID}.7\""),
        format!("W/{}", etag(7)),
        format!("{}, {}", etag(6), etag(7)),
        format!("\"{CUSTOMER}.-1\""),
        format!("\"{CUSTOMER}.18446744073709551616\""),
        format!("\"{CUSTOMER}\""),
        "\"\"".to_owned(),
    ]
    .map(|tag| ask().header("if-match", &tag));
    let twice = ask().header("if-match", etag(7)).header("if-match", etag(7));
    let foreign = ask().header("if-match", b"\"\xff\"");
    for request in requests.into_iter().chain([twice, foreign]) {
        gateway.fleet.script("UpdateProfile", [Answer::code(codes::VERSION_MISMATCH)]);
        assert_eq!(gateway.code(request).await, "VERSION_MISMATCH");
        let asked: user::UpdateProfileRequest = gateway.fleet.take_call().decode();
        assert_eq!(asked.expected_version, Some(0));
    }
}

#[tokio::test]
async fn what_is_no_tag_is_said_so() {
    let gateway = Gateway::start().await;
    let ask = || Ask::new("PATCH", PATH).json(r#"{"locale":"en"}"#).token(&gateway.customer());
    for value in [&b""[..], b"7", b"null", b"**", b"\"7", b"\"6\" \"7\"", b"\xff"] {
        let code = gateway.code(ask().header("if-match", value)).await;
        assert_eq!(code, "IF_MATCH_INVALID", "{value:?}");
    }
    assert!(!gateway.fleet.has_calls());
}

#[tokio::test]
async fn what_is_wrong_with_a_change_goes_before_what_it_is_based_on() {
    let gateway = Gateway::start().await;
    let ask = |body: &'static str| Ask::new("PATCH", PATH).json(body).token(&gateway.customer());
    for tag in [format!("\"{ID}.7\""), etag(6), "null".to_owned()] {
        let spoilt = ask(r#"{"locale":1}"#).header("if-match", &tag);
        assert_eq!(gateway.code(spoilt).await, "VALIDATION_FAILED", "{tag}");
    }
    assert!(!gateway.fleet.has_calls());
    // What only the service can judge, it judges before it compares versions.
    gateway.fleet.script("UpdateProfile", [Answer::code(codes::VALIDATION_FAILED)]);
    let unknown = ask(r#"{"locale":"tlh"}"#).header("if-match", format!("\"{ID}.7\""));
    assert_eq!(gateway.code(unknown).await, "VALIDATION_FAILED");
}
