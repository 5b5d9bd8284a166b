//! Which crate needs which, as `cargo tree --prefix depth --format '{p}|{l}'` tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context, Result, ensure};

/// Stands behind a package whose dependencies were told before.
const REPEATED: &str = " (*)";

/// A version of a crate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Name of the crate.
    pub name: String,
    /// Its version, such as `1.2.3`.
    pub version: String,
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

#[derive(Debug, Default)]
struct Node {
    licence: String,
    needs: BTreeSet<Package>,
}

/// Packages and what each of them needs.
#[derive(Debug, Default)]
pub struct Tree {
    roots: Vec<Package>,
    nodes: BTreeMap<Package, Node>,
}

impl Tree {
    /// Reads what cargo printed.
    pub fn parse(text: &str) -> Result<Self> {
        let (mut tree, mut above) = (Self::default(), Vec::<Package>::new());
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let (depth, package, licence) =
                read(line).with_context(|| format!("not a line of a tree: {line}"))?;
            ensure!(depth <= above.len(), "nothing is above {package}");
            above.truncate(depth);
            match above.last() {
                Some(parent) => {
                    let parent = tree.nodes.entry(parent.clone()).or_default();
                    parent.needs.insert(package.clone());
                }
                None => tree.roots.push(package.clone()),
            }
            licence.clone_into(&mut tree.nodes.entry(package.clone()).or_default().licence);
            above.push(package);
        }
        ensure!(!tree.roots.is_empty(), "an empty tree");
        Ok(tree)
    }

    /// What was asked about.
    pub fn roots(&self) -> &[Package] {
        &self.roots
    }

    /// Every package, the roots included.
    pub fn packages(&self) -> impl Iterator<Item = &Package> {
        self.nodes.keys()
    }

    /// The licence that a package declares, an SPDX expression; empty when it declares none.
    pub fn licence(&self, package: &Package) -> &str {
        self.nodes.get(package).map_or("", |node| &node.licence)
    }

    /// What a package needs itself.
    pub fn needs(&self, package: &Package) -> impl Iterator<Item = &Package> {
        self.nodes.get(package).into_iter().flat_map(|node| &node.needs)
    }

    /// The packages that need a crate of this name themselves.
    pub fn users_of(&self, name: &str) -> impl Iterator<Item = &Package> {
        let needs = move |node: &Node| node.needs.iter().any(|needed| needed.name == name);
        self.nodes.iter().filter(move |(_, node)| needs(node)).map(|(package, _)| package)
    }

    /// Everything below a package, without itself.
    pub fn below(&self, package: &Package) -> BTreeSet<&Package> {
        let (mut found, mut open) = (BTreeSet::new(), self.needs(package).collect::<Vec<_>>());
        while let Some(next) = open.pop() {
            if found.insert(next) {
                open.extend(self.needs(next));
            }
        }
        found
    }
}

/// Reads `2serde v1.0.0 (proc-macro)|MIT OR Apache-2.0 (*)`.
fn read(line: &str) -> Option<(usize, Package, &str)> {
    let line = line.strip_suffix(REPEATED).unwrap_or(line);
    let name_at = line.find(|c: char| !c.is_ascii_digit())?;
    let (depth, rest) = line.split_at(name_at);
    let (package, licence) = rest.split_once('|')?;
    let mut words = package.split_whitespace();
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    let package = Package { name: name.to_owned(), version: version.to_owned() };
    Some((depth.parse().ok()?, package, licence.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
0gateway v0.1.0 (/somewhere/gateway)|Apache-2.0
1serde v1.0.1|MIT OR Apache-2.0
2serde_derive v1.0.1 (proc-macro)|MIT OR Apache-2.0
1tower v0.5.0|MIT

0order v0.1.0 (/somewhere/order)|Apache-2.0
1serde v1.0.1|MIT OR Apache-2.0 (*)
1nameless v2.0.0|
";

    fn package(name: &str, version: &str) -> Package {
        Package { name: name.to_owned(), version: version.to_owned() }
    }

    #[test]
    fn what_was_told_once_counts_wherever_it_is_needed() {
        let tree = Tree::parse(TEXT).unwrap();
        assert_eq!(tree.roots(), [package("gateway", "0.1.0"), package("order", "0.1.0")]);
        let names = |of: &Package| {
            tree.below(of).iter().map(|package| package.name.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(names(&tree.roots()[0]), ["serde", "serde_derive", "tower"]);
        assert_eq!(names(&tree.roots()[1]), ["nameless", "serde", "serde_derive"]);
        let users: Vec<&str> =
            tree.users_of("serde").map(|package| package.name.as_str()).collect();
        assert_eq!(users, ["gateway", "order"]);
    }

    #[test]
    fn licences_are_told_with_and_without_a_repetition() {
        let tree = Tree::parse(TEXT).unwrap();
        assert_eq!(tree.licence(&package("serde", "1.0.1")), "MIT OR Apache-2.0");
        assert_eq!(tree.licence(&package("nameless", "2.0.0")), "");
    }

    #[test]
    fn what_is_no_tree_is_an_error() {
        for text in ["", "serde v1.0.1|MIT", "0serde|MIT", "0serde 1.0.1|MIT", "1serde v1.0.1|MIT"]
        {
            assert!(Tree::parse(text).is_err(), "{text}");
        }
    }
}
