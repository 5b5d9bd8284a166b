//! `Cargo.lock`: which version of each crate is used, where it comes from, and what its archive's
//! digest is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::Package;

/// A package as it is locked.
#[derive(Clone, Debug)]
pub struct Locked {
    /// Where it comes from; `None` for what lies in this checkout.
    pub source: Option<String>,
    /// SHA-256 of its archive in hexadecimal; `None` where there is no archive.
    pub checksum: Option<String>,
    /// Everything that it needs on any system, for builds and tests too.
    pub needs: BTreeSet<Package>,
}

/// The whole file.
#[derive(Clone, Debug)]
pub struct Lock(BTreeMap<Package, Locked>);

#[derive(Deserialize)]
struct File {
    package: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

impl Lock {
    /// Reads the lock of a checkout.
    pub fn read(root: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(root.join("Cargo.lock"))
            .context("Cargo.lock cannot be read")?;
        Self::parse(&text)
    }

    /// Reads the text of a lock.
    pub fn parse(text: &str) -> Result<Self> {
        let file: File = toml::from_str(text).context("Cargo.lock is no lock file")?;
        let mut versions = BTreeMap::<&str, Vec<&str>>::new();
        for entry in &file.package {
            versions.entry(&entry.name).or_default().push(&entry.version);
        }
        let mut packages = BTreeMap::new();
        for entry in &file.package {
            let needs = entry.dependencies.iter().map(|words| resolve(words, &versions));
            let locked = Locked {
                source: entry.source.clone(),
                checksum: entry.checksum.clone(),
                needs: needs.collect::<Result<_>>()?,
            };
            let package = Package { name: entry.name.clone(), version: entry.version.clone() };
            if packages.insert(package.clone(), locked).is_some() {
                bail!("{package} is locked twice, from two sources");
            }
        }
        Ok(Self(packages))
    }

    /// Every package.
    pub fn packages(&self) -> impl Iterator<Item = (&Package, &Locked)> {
        self.0.iter()
    }

    /// A package, which has to be there.
    pub fn get(&self, package: &Package) -> Result<&Locked> {
        self.0.get(package).with_context(|| format!("{package} is not in Cargo.lock"))
    }
}

/// Reads `name`, `name version` or `name version (source)`: the version is left out where there is
/// one alone.
fn resolve(words: &str, versions: &BTreeMap<&str, Vec<&str>>) -> Result<Package> {
    let mut parts = words.split(' ');
    let name = parts.next().unwrap_or_default();
    let known = versions.get(name).with_context(|| format!("{name} is needed and not locked"))?;
    let version = match (parts.next(), known.as_slice()) {
        (Some(version), _) if known.contains(&version) => version,
        (None, [only]) => only,
        _ => bail!("{words} is needed and not locked"),
    };
    Ok(Package { name: name.to_owned(), version: version.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        version = 4
        [[package]]
        name = "hub"
        version = "0.1.0"
        dependencies = ["rand 0.9.0", "serde"]
        [[package]]
        name = "rand"
        version = "0.8.0"
        source = "registry+x"
        checksum = "aa"
        [[package]]
        name = "rand"
        version = "0.9.0"
        source = "registry+x"
        checksum = "bb"
        [[package]]
        name = "serde"
        version = "1.0.1"
        source = "registry+x"
        checksum = "cc"
    "#;

    #[test]
    fn a_version_is_named_where_there_are_several() {
        let lock = Lock::parse(TEXT).unwrap();
        let hub = Package { name: "hub".to_owned(), version: "0.1.0".to_owned() };
        let needs: Vec<String> =
            lock.get(&hub).unwrap().needs.iter().map(ToString::to_string).collect();
        assert_eq!(needs, ["rand 0.9.0", "serde 1.0.1"]);
        let missing = Package { version: "0.2.0".to_owned(), ..hub };
        assert!(lock.get(&missing).is_err());
    }

    #[test]
    fn what_names_no_locked_package_is_an_error() {
        for (from, to) in [("rand 0.9.0\"", "rand\""), ("rand 0.9.0\"", "rand 1.0.0\"")] {
            assert!(Lock::parse(&TEXT.replacen(from, to, 1)).is_err(), "{to}");
        }
        let twice = TEXT.replacen("0.8.0", "0.9.0", 1);
        assert!(Lock::parse(&twice).unwrap_err().to_string().contains("locked twice"));
    }
}
