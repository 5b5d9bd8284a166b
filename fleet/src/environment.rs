//! The one place that reads this process' environment.

use std::path::PathBuf;

/// Reads a variable; an empty one counts as absent, as `EH_MYSQL_URL= cargo ehub up` suggests.
#[expect(
    clippy::disallowed_methods,
    reason = "the tool takes its addresses from the environment; nothing else in the crate reads it"
)]
pub fn find(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The names of all variables that begin with one of these.
#[expect(clippy::disallowed_methods, reason = "as above")]
pub fn names_with(prefixes: &[&str]) -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix))).collect()
}

/// The folders in which a program is looked for: the given one, PATH, and where Debian keeps
/// servers that an ordinary account has not on its PATH.
pub fn program_folders(own: PathBuf) -> Vec<PathBuf> {
    let path = find("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::iter::once(own).chain(std::env::split_paths(&path)).chain(system).collect()
}
