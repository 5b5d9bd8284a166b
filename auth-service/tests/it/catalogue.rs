//! Every rpc and every error code of this service has a test.

use chassis::testing::catalogue::{Tests, rpcs};

/// The contract.
const PROTO: &str = include_str!("../../../proto/proto/enterprisehub/auth/v1/auth.proto");

fn tests() -> Tests {
    Tests::of(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_rpc_is_called_by_a_test() {
    assert_eq!(rpcs(PROTO).len(), 11);
    assert_eq!(tests().uncalled(PROTO), [""; 0]);
}

#[test]
fn every_code_is_expected_by_a_test() {
    let codes = proto::errors::owned_by("auth-service");
    assert!(!codes.is_empty());
    assert_eq!(tests().unexpected(codes.iter().map(|(code, _)| *code)), [""; 0]);
}
