//! The manifests: who may write unsafe code, and where crates come from.

use fleet::dependencies::Lock;
use toml::{Table, Value};

use crate::{root, toml};

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn members() -> Vec<String> {
    let manifest = toml("Cargo.toml");
    let members = manifest["workspace"]["members"].as_array().unwrap();
    members.iter().map(|member| member.as_str().unwrap().to_owned()).collect()
}

/// What keeps a manifest from forbidding unsafe code.
fn fault_of_lints(manifest: &Table) -> Option<String> {
    let lints = manifest.get("lints")?.as_table()?;
    let inherits = lints.get("workspace").and_then(Value::as_bool) == Some(true);
    (!inherits || lints.len() > 1).then(|| format!("has lints of its own: {lints}"))
}

#[test]
fn a138_no_unsafe_code_in_any_crate() {
    let workspace = toml("Cargo.toml");
    let level = &workspace["workspace"]["lints"]["rust"]["unsafe_code"];
    assert_eq!(level.as_str(), Some("forbid"), "`forbid` is what no crate can take back");
    for member in members() {
        let manifest = toml(format!("{member}/Cargo.toml"));
        assert!(manifest.contains_key("lints"), "{member} does not inherit the workspace's lints");
        assert_eq!(fault_of_lints(&manifest), None, "{member}");
    }
    let folders = std::fs::read_dir(root()).unwrap().map(Result::unwrap);
    for folder in folders.filter(|folder| folder.path().join("Cargo.toml").is_file()) {
        let name = folder.file_name().into_string().unwrap();
        assert!(members().contains(&name), "{name} is a crate outside the workspace");
    }
}

#[test]
fn lints_of_a_crates_own_are_seen() {
    let fault = |text: &str| fault_of_lints(&text.parse().unwrap());
    assert_eq!(fault("[lints]\nworkspace = true"), None);
    assert!(fault("[lints]\nworkspace = false").is_some());
    assert!(fault("[lints.rust]\nunsafe_code = \"allow\"").is_some());
}

#[test]
fn a138_crates_from_the_registry_alone() {
    let (lock, members) = (Lock::read(&root()).unwrap(), members());
    for (package, locked) in lock.packages() {
        match &locked.source {
            None => assert!(members.contains(&package.name), "{package} is of no known source"),
            Some(source) => {
                assert_eq!(source, REGISTRY, "{package}");
                let digest = locked.checksum.as_deref().unwrap_or_default();
                assert_eq!(digest.len(), 64, "{package} has no digest");
            }
        }
    }
}
