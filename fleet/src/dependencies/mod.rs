//! What the binaries are made of: the crates that cargo builds into them, and a bill of materials of
//! each.
//!
//! Cargo is asked instead of `Cargo.lock` alone: the lock also names what only other systems or
//! features that are off would need.

mod bill;
mod lock;
mod tree;

use std::path::Path;

use anyhow::{Context, Result, bail};

pub use self::bill::Bill;
pub use self::lock::{Lock, Locked};
pub use self::tree::{Package, Tree};
use crate::services::{Service, cargo};

/// Build dependencies are part of what is shipped: OpenSSL's source comes by one of them.
const SHIPPED: [&str; 2] = ["--edges", "normal,build"];

/// The crates of the shipped binaries, which are the services and the tool, as they are built
/// together for the images.
pub async fn shipped(root: &Path) -> Result<Tree> {
    let mut arguments = SHIPPED.map(str::to_owned).to_vec();
    for name in Service::ALL.iter().map(|service| service.name).chain(["fleet"]) {
        arguments.extend(["--package".to_owned(), name.to_owned()]);
    }
    tree(root, &arguments).await
}

/// The crates that anything of the workspace is built from on this machine, tests included.
pub async fn all(root: &Path) -> Result<Tree> {
    let words = ["--workspace", "--all-features", "--edges", "normal,build,dev"];
    tree(root, &words.map(str::to_owned)).await
}

/// The bills of materials of the shipped binaries.
pub async fn bills(root: &Path) -> Result<Vec<Bill>> {
    let (tree, lock) = (shipped(root).await?, Lock::read(root)?);
    tree.roots().iter().map(|binary| Bill::new(binary, &tree, &lock)).collect()
}

/// Fails when `Cargo.lock` is not what the manifests ask for.
async fn tree(root: &Path, arguments: &[String]) -> Result<Tree> {
    let mut command = cargo(root);
    command.args(["tree", "--locked", "--color", "never", "--prefix", "depth"]);
    command.args(["--format", "{p}|{l}"]).args(arguments);
    let output = command.output().await.context("cargo cannot be run")?;
    if !output.status.success() {
        bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Tree::parse(&String::from_utf8(output.stdout)?)
}
