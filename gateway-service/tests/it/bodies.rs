//! Bodies that are not JSON, not of the right type, or too long, and those that are passed on as
//! they came. What is refused reaches no service, and no refusal repeats it.

use crate::harness::{Ask, Gateway, login};

const LOGIN: &str = "/api/v1/auth/login";

#[tokio::test]
async fn what_is_not_one_json_document_is_not_parsed() {
    let gateway = Gateway::start().await;
    let nested = |depth, open: &str| open.repeat(depth);
    let inside = |text: &str| format!("{{\"email\":{text},\"password\":\"hunter2\"}}").into_bytes();
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("space", b" ".to_vec()),
        ("truncated", br#"{"email":"a","password":"hunter2""#.to_vec()),
        ("truncated text", br#"{"email":"a","password":"hunter2"#.to_vec()),
        ("trailing garbage", br#"{"email":"a","password":"hunter2"}x"#.to_vec()),
        ("two documents", br#"{"email":"a","password":"hunter2"}{}"#.to_vec()),
        ("trailing comma", br#"{"email":"a","password":"hunter2",}"#.to_vec()),
        ("comment", br#"{"email":"a",/**/"password":"hunter2"}"#.to_vec()),
        ("single quotes", b"{'email':'a'}".to_vec()),
        ("form", b"email=a&password=hunter2".to_vec()),
        ("byte order mark", [b"\xef\xbb\xbf".to_vec(), inside("\"a\"")].concat()),
        ("lone surrogate", inside("\"\\ud800\"")),
        ("surrogates in the wrong order", inside("\"\\udc00\\ud800\"")),
        ("invalid UTF-8", [br#"{"email":""#.as_slice(), b"\xff", br#"","password":"p"}"#].concat()),
        ("overlong UTF-8", [br#"{"email":""#.as_slice(), b"\xc0\xaf", b"\"}"].concat()),
        ("control character", b"{\"email\":\"a\nb\",\"password\":\"hunter2\"}".to_vec()),
        ("NaN", inside("NaN")),
        ("128 deep", nested(128, "[").into_bytes()),
        ("10^6 deep", nested(1_000_000, "[").into_bytes()),
        ("10^5 deep as a member", inside(&nested(100_000, "["))),
        ("200 deep and closed", inside(&format!("{}{}", "[".repeat(200), "]".repeat(200)))),
        ("10^5 objects deep", nested(100_000, "{\"email\":").into_bytes()),
        ("a number of 10^6 digits", inside(&nested(1_000_000, "1"))),
    ];
    for (what, body) in bodies {
        let reply = gateway.ask(Ask::post(LOGIN).json(body)).await;
        assert_eq!(reply.code(), "JSON_INVALID", "{what}");
        assert!(!reply.text().contains("hunter2"), "{what}");
    }
    assert!(!gateway.fleet.has_calls());
}

#[tokio::test]
async fn only_json_in_utf_8_is_taken() {
    let gateway = Gateway::start().await;
    let body = r#"{"email":"a","password":"hunter2"}"#;
    let ask = || Ask::post(LOGIN).body(body);
    let refused = [
        ("none", ask()),
        ("empty", ask().header("content-type", "")),
        ("text", ask().header("content-type", "text/plain")),
        ("XML", ask().header("content-type", "application/xml")),
        ("form", ask().header("content-type", "application/x-www-form-urlencoded")),
        ("multipart", ask().header("content-type", "multipart/form-data; boundary=x")),
        ("JSON lines", ask().header("content-type", "application/jsonl")),
        ("UTF-16", ask().header("content-type", "application/json; charset=utf-16")),
        ("two", ask().json(body).header("content-type", "application/json")),
        ("not ASCII", ask().header("content-type", b"application/json\xff")),
        ("gzip", ask().json(body).header("content-encoding", "gzip")),
        ("identity, then br", ask().json(body).header("content-encoding", "identity, br")),
    ];
    for (what, ask) in refused {
        assert_eq!(gateway.code(ask).await, "MEDIA_TYPE_UNSUPPORTED", "{what}");
    }
    assert!(!gateway.fleet.has_calls());
    for good in ["application/json; charset=utf-8", "APPLICATION/JSON;charset=\"UTF-8\""] {
        let reply = gateway.ask(ask().header("content-type", good)).await;
        assert_eq!(reply.status, 200, "{good}");
    }
}

#[tokio::test]
async fn a_body_as_long_as_the_limit_is_taken_and_no_longer_one() {
    let gateway = Gateway::with(&[("HTTP__MAX_BODY_BYTES", "1000")]).await;
    let body = |length: usize| format!("{:length$}", r#"{"email":"a","password":"hunter2"}"#);
    let ask = |length| Ask::post(LOGIN).json(body(length));
    assert_eq!(gateway.ask(ask(1_000)).await.status, 200);
    assert_eq!(gateway.code(ask(1_001)).await, "BODY_TOO_LARGE");
    assert_eq!(gateway.fleet.take_calls().len(), 1);
    let unread = Ask::get("/livez").header("content-length", "1001");
    assert_eq!(gateway.code(unread).await, "BODY_TOO_LARGE", "also where no body belongs");
}

#[tokio::test]
async fn a_provider_message_is_passed_on_byte_for_byte() {
    let gateway = Gateway::start().await;
    let body = b"{ \"a\":1,\"a\":2 }\n\xff\x00".to_vec();
    let ask = Ask::post("/api/v1/payments/callback")
        .header("enterprisehub-signature", "t=1,v1=aa")
        .header("enterprisehub-signature", "v1=bb")
        .body(body.clone());
    assert_eq!(gateway.ask(ask).await.json()["received"], true);
    let passed: proto::payment::v1::HandleCallbackRequest = gateway.fleet.take_call().decode();
    assert_eq!((passed.body, passed.signature.as_str()), (body, "t=1,v1=aa,v1=bb"));
    let unsigned = Ask::post("/api/v1/payments/callback").body("{}");
    gateway.ask(unsigned).await.json();
    let passed: proto::payment::v1::HandleCallbackRequest = gateway.fleet.take_call().decode();
    assert_eq!(passed.signature, "", "the service refuses it, under its own code");
    let packed = Ask::post("/api/v1/payments/callback").header("content-encoding", "gzip");
    assert_eq!(gateway.code(packed).await, "MEDIA_TYPE_UNSUPPORTED");
}

#[tokio::test]
async fn odd_texts_are_texts() {
    let gateway = Gateway::start().await;
    for text in ["' OR '1'='1", "{{7*7}}", "${jndi:ldap://x}", "\\u0000", "😀", "<script>"] {
        let body = format!("{{\"email\":\"{text}\",\"password\":\"p\"}}");
        let expected: serde_json::Value = serde_json::from_str(&body).unwrap();
        gateway.ask(Ask::post(LOGIN).json(body)).await.json();
        let passed: proto::auth::v1::LoginRequest = gateway.fleet.take_call().decode();
        assert_eq!(passed.email, expected["email"], "{text}");
    }
    assert_eq!(gateway.ask(login()).await.status, 200);
}
