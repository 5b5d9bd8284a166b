//! Failpoints: named places where a test may make the process die.
//!
//! A crash between two lines cannot be provoked from outside with any precision, so the lines that
//! matter are marked with [`failpoint!`](crate::failpoint!). Without the feature `failpoints` the
//! marks leave nothing behind, not even their names; no shipped binary has the feature.
//!
//! A point is armed by a file of its name in the folder [`FOLDER`]. Whoever reaches it removes the
//! file and dies as by SIGKILL: no destructor runs, no buffer is flushed, no connection is closed in
//! order. Because the file is gone, the process that is started in its place lives.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Names the environment variable with the folder of armed points.
pub const FOLDER: &str = "EH_FAILPOINTS";

static ARMED: LazyLock<Option<PathBuf>> = LazyLock::new(|| folder_of(FOLDER));

/// Marks a place where a test may make the process die: `failpoint!("order.place.before_commit")`.
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        $crate::failpoint::reach($name)
    };
}

/// Ends the process if the point is armed; see [`failpoint!`](crate::failpoint!).
pub fn reach(name: &str) {
    if ARMED.as_deref().is_some_and(|folder| disarm(folder, name)) {
        // Straight to the descriptor: what the logger holds back is lost, as in any crash.
        eprintln!("failpoint {name} reached, the process dies");
        std::process::abort();
    }
}

/// Takes the file of a point away. Of several processes that reach it at once, one succeeds.
fn disarm(folder: &Path, name: &str) -> bool {
    std::fs::remove_file(folder.join(name)).is_ok()
}

#[expect(clippy::disallowed_methods, reason = "a test arms it; it is no part of the configuration")]
fn folder_of(variable: impl AsRef<OsStr>) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_armed_point_fires_once() {
        let folder = std::env::temp_dir().join(format!("failpoints-{}", crate::id::new_id()));
        std::fs::create_dir_all(&folder).unwrap();
        assert!(!disarm(&folder, "a.point"));
        std::fs::write(folder.join("a.point"), "").unwrap();
        assert!(!disarm(&folder, "another.point"));
        assert!(disarm(&folder, "a.point"));
        assert!(!disarm(&folder, "a.point"));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn nothing_is_armed_without_a_folder() {
        reach("a.point");
    }
}
