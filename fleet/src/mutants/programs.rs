//! The test programs of the workspace.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Result, bail};
use serde::Deserialize;

use crate::process::Group;
use crate::services::{TEST_BUILD, cargo};

/// What a program tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// The library from within: its unit tests.
    Unit,
    /// What `tests/it` sees of it.
    Integration,
}

/// A test program that cargo has built.
#[derive(Debug, PartialEq, Eq)]
pub struct TestProgram {
    /// The package whose tests it holds.
    pub package: String,
    /// What it tests.
    pub suite: Suite,
    /// The program itself.
    pub executable: PathBuf,
    /// The package's folder, in which cargo runs its tests.
    pub folder: PathBuf,
}

impl TestProgram {
    /// Builds all tests, with failpoints and planted bugs, and returns those of a [`Suite`].
    ///
    /// It is the build of `ehub test`, and shares everything with it. One package alone would have other
    /// features of its dependencies, and compile most of them again.
    ///
    /// # Errors
    ///
    /// If they do not compile; cargo has told why.
    pub async fn build_all(root: &Path) -> Result<Vec<Self>> {
        let mut command = cargo(root);
        command.args(TEST_BUILD).arg("--workspace").stdout(Stdio::piped());
        command.args(["--message-format", "json-render-diagnostics"]);
        let (status, output) = Group::start(&mut command)?.output().await?;
        if !status.success() {
            bail!("the tests do not build ({status}); the compiler's message is above");
        }
        Ok(Self::of_messages(&String::from_utf8_lossy(&output)))
    }

    /// Reads what cargo tells about a build, a JSON object in each line.
    fn of_messages(text: &str) -> Vec<Self> {
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok().and_then(Self::of_artifact))
            .collect()
    }

    fn of_artifact(artifact: Artifact) -> Option<Self> {
        let is_kind = |kind: &str| artifact.target.kind.iter().any(|it| it == kind);
        let suite = if is_kind("lib") {
            Suite::Unit
        } else if is_kind("test") && artifact.target.name == "it" {
            Suite::Integration
        } else {
            return None;
        };
        let folder = artifact.manifest_path.parent()?.to_owned();
        let package = folder.file_name().and_then(OsStr::to_str)?.to_owned();
        // A library itself is no program.
        Some(Self { package, suite, executable: artifact.executable?, folder })
    }
}

/// The message `compiler-artifact`, as the
/// [reference](https://doc.rust-lang.org/cargo/reference/external-tools.html) has it.
#[derive(Deserialize)]
struct Artifact {
    manifest_path: PathBuf,
    target: Target,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    name: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn artifact(kind: &str, name: &str, executable: Option<&str>) -> String {
        json!({
            "reason": "compiler-artifact",
            "package_id": "path+file:///hub/order-service#0.1.0",
            "manifest_path": "/hub/order-service/Cargo.toml",
            "target": { "kind": [kind], "name": name },
            "executable": executable,
            "fresh": true,
        })
        .to_string()
    }

    #[test]
    fn test_programs_are_found_among_all_that_is_built() {
        let messages = [
            artifact("lib", "order_service", None),
            artifact("lib", "order_service", Some("/hub/target/debug/deps/order_service-1")),
            artifact("bin", "order-service", Some("/hub/target/debug/order-service")),
            artifact("test", "it", Some("/hub/target/debug/deps/it-2")),
            artifact("test", "docs", Some("/hub/target/debug/deps/docs-3")),
            json!({ "reason": "build-finished", "success": true }).to_string(),
            "no JSON".to_owned(),
        ];
        let expected = |suite, executable: &str| TestProgram {
            package: "order-service".to_owned(),
            suite,
            executable: executable.into(),
            folder: "/hub/order-service".into(),
        };
        assert_eq!(
            TestProgram::of_messages(&messages.join("\n")),
            [
                expected(Suite::Unit, "/hub/target/debug/deps/order_service-1"),
                expected(Suite::Integration, "/hub/target/debug/deps/it-2"),
            ]
        );
    }
}
