//! A bill of materials in CycloneDX 1.6, JSON.
//!
//! It holds no time and no random name: the same lock makes the same bill, byte for byte.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Lock, Package, Tree};

/// What one binary is made of.
#[derive(Clone, Debug)]
pub struct Bill {
    binary: Package,
    document: Value,
}

impl Bill {
    /// Lists what is below a binary, with the digests that are locked. Fails when something is not
    /// locked.
    pub fn new(binary: &Package, tree: &Tree, lock: &Lock) -> Result<Self> {
        let below = tree.below(binary);
        let components: Vec<Value> =
            below.iter().map(|package| component(package, tree, lock)).collect::<Result<_>>()?;
        let dependencies: Vec<Value> = std::iter::once(binary)
            .chain(below.iter().copied())
            .map(|package| {
                let needs: Vec<String> = tree.needs(package).map(reference).collect();
                json!({"ref": reference(package), "dependsOn": needs})
            })
            .collect();
        let mut itself = component(binary, tree, lock)?;
        itself["type"] = json!("application");
        let document = json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {"component": itself},
            "components": components,
            "dependencies": dependencies,
        });
        Ok(Self { binary: binary.clone(), document })
    }

    /// The package of the binary.
    pub fn binary(&self) -> &Package {
        &self.binary
    }

    /// The document.
    pub fn document(&self) -> &Value {
        &self.document
    }
}

fn component(package: &Package, tree: &Tree, lock: &Lock) -> Result<Value> {
    let locked = lock.get(package)?;
    let mut component = json!({
        "type": "library",
        "bom-ref": reference(package),
        "name": package.name,
        "version": package.version,
    });
    let licence = expression(tree.licence(package));
    if !licence.is_empty() {
        component["licenses"] = json!([{"expression": licence}]);
    }
    if let Some(checksum) = &locked.checksum {
        component["purl"] = json!(reference(package));
        component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
    }
    Ok(component)
}

/// The package's URL, by which other documents name it too. A `+` of a version is written out.
fn reference(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version.replace('+', "%2B"))
}

/// Old manifests write `MIT/Apache-2.0`, which SPDX does not know.
fn expression(licence: &str) -> String {
    licence.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "0hub v0.1.0 (/x)|Apache-2.0\n1zstd v2.0.0+1.5|MIT/Apache-2.0\n";
    const LOCK: &str = "[[package]]\nname = \"hub\"\nversion = \"0.1.0\"\n\
        dependencies = [\"zstd\"]\n[[package]]\nname = \"zstd\"\nversion = \"2.0.0+1.5\"\n\
        source = \"registry+x\"\nchecksum = \"0a\"\n";

    fn bill(lock: &str) -> Result<Bill> {
        let tree = Tree::parse(TREE)?;
        Bill::new(&tree.roots()[0], &tree, &Lock::parse(lock)?)
    }

    #[test]
    fn a_bill_names_the_binary_its_parts_and_their_digests() {
        let bill = bill(LOCK).unwrap();
        let document = bill.document();
        assert_eq!(document["metadata"]["component"]["name"], "hub");
        assert_eq!(document["metadata"]["component"]["type"], "application");
        let [part] = document["components"].as_array().unwrap().as_slice() else { panic!() };
        assert_eq!(part["purl"], "pkg:cargo/zstd@2.0.0%2B1.5");
        assert_eq!(part["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(part["hashes"][0]["content"], "0a");
        assert_eq!(document["dependencies"][0]["dependsOn"], json!([part["purl"]]));
    }

    #[test]
    fn what_is_not_locked_has_no_bill() {
        let refused = bill(&LOCK.replace("2.0.0+1.5", "2.0.1+1.5")).unwrap_err().to_string();
        assert!(refused.contains("zstd 2.0.0+1.5 is not in Cargo.lock"), "{refused}");
    }
}
