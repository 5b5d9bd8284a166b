//! Whether this process, and those that it starts, may have as many connections as are asked for.

use anyhow::{Context, Result, ensure};

/// Descriptors beside those of the slow clients: of the tool, and of a gateway.
const SPARE: usize = 200;

/// Refuses a crowd for which this process is not allowed enough file descriptors; what it starts is
/// allowed no more.
pub fn require_descriptors_for(connections: usize) -> Result<()> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let allowed = allowed(&limits).context("the limits of this process are not told")?;
    let needed = connections.saturating_add(SPARE);
    ensure!(
        needed <= allowed,
        "{connections} connections need {needed} file descriptors and {allowed} are allowed: \
         ulimit -n {needed}"
    );
    Ok(())
}

/// The limit in force (proc(5)).
fn allowed(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(usize::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_in_force_counts() {
        let limits = |soft: &str| {
            format!("Limit  Soft Limit  Hard Limit  Units\nMax open files  {soft}  4096  files\n")
        };
        assert_eq!(allowed(&limits("1024")), Some(1_024));
        assert_eq!(allowed(&limits("unlimited")), Some(usize::MAX));
        assert_eq!(allowed("Max processes  1  1  processes"), None);
    }

    #[test]
    fn a_crowd_that_does_not_fit_is_refused_with_what_it_takes() {
        assert!(require_descriptors_for(1).is_ok());
        let refused = require_descriptors_for(1_000_000_000).unwrap_err().to_string();
        assert!(refused.ends_with("ulimit -n 1000000200"), "{refused}");
    }
}
