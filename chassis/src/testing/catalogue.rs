//! Looks through a service's integration tests for what they must mention: every rpc of its
//! contract and every error code that it owns.

#![expect(clippy::panic, reason = "a test that cannot read the other tests fails")]

use std::io;
use std::path::Path;

/// The file that asks these questions, which is no answer to them.
const ASKING: &str = "catalogue.rs";

/// The sources of all integration tests of a service but the one that asks.
#[derive(Debug)]
pub struct Tests(String);

impl Tests {
    /// Reads the tests of the crate in `folder`: `env!("CARGO_MANIFEST_DIR")`.
    ///
    /// # Panics
    ///
    /// When they cannot be read.
    pub fn of(folder: &str) -> Self {
        let folder = Path::new(folder).join("tests/it");
        let mut text = String::new();
        for entry in std::fs::read_dir(folder).unwrap_or_else(failed) {
            let path = entry.unwrap_or_else(failed).path();
            if !path.ends_with(ASKING) {
                text += &std::fs::read_to_string(path).unwrap_or_else(failed);
            }
        }
        Self(text)
    }

    /// The rpcs of a contract (the text of its `.proto`) that no test calls.
    pub fn uncalled<'p>(&self, contract: &'p str) -> Vec<&'p str> {
        let mut rpcs = rpcs(contract);
        rpcs.retain(|rpc| !self.0.contains(&call(rpc)));
        rpcs
    }

    /// Those of `codes` that no test expects.
    pub fn unexpected<'c>(&self, codes: impl IntoIterator<Item = &'c str>) -> Vec<&'c str> {
        codes.into_iter().filter(|code| !self.0.contains(&format!("\"{code}\""))).collect()
    }
}

/// The names of the rpcs of a contract.
pub fn rpcs(contract: &str) -> Vec<&str> {
    let lines = contract.lines().filter_map(|line| line.trim().strip_prefix("rpc "));
    lines.filter_map(|line| line.split('(').next()).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "stands where errors are handed over")]
fn failed<T>(error: io::Error) -> T {
    panic!("cannot read the tests: {error}")
}

/// `ListUsers` as the client's method is called: `.list_users(`.
fn call(rpc: &str) -> String {
    let mut call = String::from(".");
    for (at, letter) in rpc.char_indices() {
        if letter.is_uppercase() && at > 0 {
            call.push('_');
        }
        call.extend(letter.to_lowercase());
    }
    call + "("
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTRACT: &str = "service S {\n  // rpc of old\n  rpc ListUsers(A) returns (B);\n  \
                            rpc GetUser(C) returns (D);\n}";

    #[test]
    fn what_no_test_mentions_is_named() {
        let tests = Tests("client.get_user(x); assert_eq!(code, \"ID_INVALID\")".to_owned());
        assert_eq!(rpcs(CONTRACT), ["ListUsers", "GetUser"]);
        assert_eq!(tests.uncalled(CONTRACT), ["ListUsers"]);
        assert_eq!(tests.unexpected(["ID_INVALID", "ID", "INTERNAL"]), ["ID", "INTERNAL"]);
    }

    #[test]
    fn the_file_that_asks_is_left_out() {
        let folder = std::env::temp_dir().join(crate::id::new_id().to_string());
        let tests = folder.join("tests/it");
        std::fs::create_dir_all(&tests).unwrap();
        std::fs::write(tests.join(ASKING), "\"ASKED\"").unwrap();
        std::fs::write(tests.join("answer.rs"), "\"ANSWERED\"").unwrap();
        let read = Tests::of(&folder.to_string_lossy());
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(read.unexpected(["ASKED", "ANSWERED"]), ["ASKED"]);
    }
}
