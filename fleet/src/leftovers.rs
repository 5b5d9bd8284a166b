//! Folders of test runs, measurements and private fleets, and the removal of what they leave.
//!
//! Each lies in `.ehub/test` and is named after the process that it belongs to, `PID` or `PID-NAME`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result};

use crate::layout::Layout;
use crate::middleware::stop_containers;
use crate::process::identity;

/// A layout whose state is this process' own, apart from its others by the name.
pub fn own(layout: &Layout, name: Option<&str>) -> Layout {
    let pid = std::process::id();
    let folder = name.map_or_else(|| pid.to_string(), |name| format!("{pid}-{name}"));
    layout.with_state(all(layout).join(folder))
}

/// Removes a folder of state with the containers that belong to it.
pub fn remove(layout: &Layout) -> Result<()> {
    stop_containers(layout, true)?;
    if layout.state().exists() {
        let folder = layout.state().display();
        fs::remove_dir_all(layout.state()).with_context(|| format!("{folder} remains"))?;
    }
    Ok(())
}

/// Removes what killed runs and failed tests have left. While another run or measurement is under
/// way nothing is removed, and the answer is `false`: a test of it that failed has named its folder.
/// What cannot be removed does not keep the rest; it is told as an error.
pub fn sweep(layout: &Layout) -> Result<bool> {
    let Ok(entries) = fs::read_dir(all(layout)) else {
        return Ok(true);
    };
    let folders: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
    let mut owners = folders.iter().filter_map(|folder| owner(folder));
    // A folder with the number of this process is of an earlier one: this one has made none yet.
    if owners.any(|pid| pid != std::process::id() && identity(pid).is_some()) {
        return Ok(false);
    }
    let removals = folders.into_iter().map(|folder| remove(&layout.with_state(folder)));
    let errors: Vec<Error> = removals.filter_map(Result::err).collect();
    errors.into_iter().next().map_or(Ok(true), Err)
}

fn all(layout: &Layout) -> PathBuf {
    layout.root().join(".ehub/test")
}

/// The process that a folder belongs to.
fn owner(folder: &Path) -> Option<u32> {
    folder.file_name()?.to_str()?.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_known_by_its_process() {
        let layout = Layout::discover().unwrap();
        for name in [None, Some("t0a1b2c3d")] {
            assert_eq!(owner(own(&layout, name).state()), Some(std::process::id()), "{name:?}");
        }
        assert_ne!(own(&layout, None).state(), own(&layout, Some("t0a1b2c3d")).state());
        assert_eq!(owner(Path::new("/x/.ehub/test/fleets")), None);
    }

    /// A checkout with folders of a test, of an earlier harness, and of `pid`.
    fn checkout(pid: u32) -> Layout {
        let root = std::env::temp_dir().join(format!("ehub-leftovers-{}", rand::random::<u64>()));
        let layout = Layout::at(root);
        for name in ["4294967295-t0a1b2c3d", "fleets", &format!("{pid}-bench")] {
            fs::create_dir_all(all(&layout).join(name).join("data")).unwrap();
        }
        fs::write(all(&layout).join("a-file"), "somebody else's").unwrap();
        layout
    }

    fn left(layout: &Layout) -> usize {
        fs::read_dir(all(layout)).unwrap().count()
    }

    #[test]
    fn what_nobody_owns_is_removed_also_under_the_number_of_this_process() {
        let layout = checkout(std::process::id());
        assert!(sweep(&layout).unwrap());
        assert_eq!(left(&layout), 1, "the file");
        fs::remove_dir_all(layout.root()).unwrap();
        assert!(sweep(&layout).unwrap(), "there is nothing to remove");
    }

    #[test]
    fn nothing_is_removed_while_another_process_works() {
        let parent = std::os::unix::process::parent_id();
        let layout = checkout(parent);
        assert!(!sweep(&layout).unwrap());
        assert_eq!(left(&layout), 4);
        fs::remove_dir_all(layout.root()).unwrap();
    }
}
