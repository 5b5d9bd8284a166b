//! Tables of callers, checked against the contract.

use prost::Message;
use prost_types::FileDescriptorSet;

use crate::grpc::Callers;

/// Every method of a gRPC service (`pkg.Service`) in the encoded descriptors, as a path.
///
/// # Panics
///
/// When there is no such service.
#[expect(clippy::expect_used, reason = "a test cannot go on without its contract")]
pub fn methods(descriptors: &[u8], service: &str) -> Vec<String> {
    let set = FileDescriptorSet::decode(descriptors).expect("encoded descriptors");
    let mut found = Vec::new();
    for file in &set.file {
        let is_it = |name: &str| format!("{}.{name}", file.package()) == service;
        for declared in file.service.iter().filter(|declared| is_it(declared.name())) {
            let path = |method: &prost_types::MethodDescriptorProto| {
                format!("/{service}/{}", method.name())
            };
            found.extend(declared.method.iter().map(path));
        }
    }
    assert!(!found.is_empty(), "{service} is not in the contract");
    found
}

/// Checks that `callers` has one line for each method of the service, and no other.
///
/// # Panics
///
/// When it has not.
pub fn assert_complete(callers: &Callers, descriptors: &[u8], service: &str) {
    let mut expected = methods(descriptors, service);
    let mut listed: Vec<_> =
        callers.lines().iter().map(|(method, _)| (*method).to_owned()).collect();
    expected.sort();
    listed.sort();
    assert_eq!(listed, expected, "the table of callers and the contract of {service}");
}
