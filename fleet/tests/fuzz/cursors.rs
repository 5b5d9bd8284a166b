//! Page tokens.

use chassis::config::Secret;
use chassis::page::PageCodec;
use uuid::Uuid;

use crate::engine::{Target, fuzz};

/// A token that is read is the one that was made, character by character; one of another list never
/// is.
#[test]
fn a140_page_tokens() {
    let codec = PageCodec::new(&Secret::new("for-fuzzing-only-page-token-key-0001"));
    let (id, own, other) = (Uuid::from_u128(7), "orders;user=1", "orders;user=2");
    let seeds = [codec.encode_uuid(own, id), codec.encode_uuid(other, id), codec.encode(own, b"k")];
    let seeds = seeds.map(String::into_bytes).to_vec();
    fuzz(&Target { name: "cursors", words: &["AAAA", "=", "-", "_", "+", "/"], seeds }, |input| {
        let text = String::from_utf8_lossy(input);
        if let Ok(key) = codec.decode_uuid(own, &text) {
            assert_eq!(codec.encode_uuid(own, key), text);
            return "of this list".to_owned();
        }
        match codec.decode(own, &text) {
            Ok(_) => "of this list, with another key".to_owned(),
            Err(_) if codec.decode_uuid(other, &text).is_ok() => "of another list".to_owned(),
            Err(error) => error.to_string(),
        }
    });
}
