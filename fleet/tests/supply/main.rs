//! What is shipped and what it is made of: A137 and A138 of the catalogue of attacks, and of A115 what
//! the sources show.
//!
//! These rows look at files and at the crates that cargo builds, so they need no fleet and run with
//! every `cargo test`. `docs/SECURITY.md` lists them with the others.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a checkout that cannot be read is a failed test"
)]

mod compose;
mod crates;
mod dockerfile;
mod images;
mod kubernetes;
mod licence;
mod manifests;
mod policy;
mod secrets;
mod workflows;
mod yaml;

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn toml(path: impl AsRef<Path>) -> toml::Table {
    read(path).parse().unwrap()
}
