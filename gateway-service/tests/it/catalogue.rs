//! Every error code of this service has a test.

use chassis::testing::catalogue::Tests;

#[test]
fn every_code_is_expected_by_a_test() {
    let codes = proto::errors::owned_by("gateway-service");
    assert!(!codes.is_empty());
    let tests = Tests::of(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(tests.unexpected(codes.iter().map(|(code, _)| *code)), [""; 0]);
}
