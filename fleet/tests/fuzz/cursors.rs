//! Page tokens, and the places of walks through payments.

use chassis::config::Secret;
use chassis::page::PageCodec;
use payment_service::service::Cursor;
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

/// A place that is read is written as it is read again, in the shortest form, of visible characters.
#[test]
fn a140_places_of_walks() {
    let words = [
        "charge:",
        "absent:",
        "payment:",
        ":",
        "0:",
        "64:",
        "+",
        "ch_1",
        "\u{e9}",
        "0193a1b2-0000-7000-8000-000000000004",
    ];
    fuzz(&Target { name: "walks", words: &words, seeds: vec![] }, |input| {
        let text = String::from_utf8_lossy(input);
        let Ok(cursor) = Cursor::parse("after", &text) else {
            // The refusals are all alike: they differ by what the text claims to be.
            return format!("refused as {:?}", known_part(&text));
        };
        let written = cursor.to_string();
        assert_eq!(Cursor::parse("after", &written).as_ref(), Ok(&cursor));
        assert!(written.len() <= text.len().min(138), "{written}");
        assert!(written.bytes().all(|byte| byte.is_ascii_graphic()), "{written:?}");
        known_part(&written).to_owned()
    });
}

/// Which kind of place a text says it is.
fn known_part(text: &str) -> &str {
    let kind = text.split_once(':').map_or("", |(kind, _)| kind);
    if ["charge", "absent", "payment"].contains(&kind) { kind } else { "" }
}
