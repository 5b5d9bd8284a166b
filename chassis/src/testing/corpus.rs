//! Events of all releases, as their producers sent them; consumers must go on reading them.

use std::fs;
use std::path::Path;

/// An event that was released.
#[derive(Clone, Debug)]
pub struct Released {
    /// Release and name of the file, for messages.
    pub file: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Released {
    /// The same event as a later release may send it: with members that nobody knows yet.
    ///
    /// # Panics
    ///
    /// When it is no event.
    #[expect(clippy::expect_used, reason = "a corpus that is damaged fails its test")]
    pub fn with_unknown_members(&self) -> Vec<u8> {
        let mut event: serde_json::Value =
            serde_json::from_slice(&self.bytes).expect("an event in JSON");
        event["of_a_later_release"] = serde_json::json!({"a": [1, null]});
        event["data"]["of_a_later_release"] = serde_json::json!("new");
        serde_json::to_vec(&event).expect("JSON")
    }
}

/// Every event in the folder `corpus` of the contract.
///
/// # Panics
///
/// When the folder cannot be read.
#[expect(clippy::expect_used, reason = "a test cannot go on without the corpus")]
pub fn events() -> Vec<Released> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/corpus");
    let mut events = Vec::new();
    for release in fs::read_dir(corpus).expect("the corpus") {
        let release = release.expect("a release");
        for file in fs::read_dir(release.path().join("events")).expect("events of a release") {
            let path = file.expect("an event").path();
            let bytes = fs::read(&path).expect("a readable event");
            events.push(Released { file: path.display().to_string(), bytes });
        }
    }
    assert!(!events.is_empty(), "the corpus is empty");
    events
}
