//! Whether this process, and those that it starts, may have as many connections as are asked for.

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// Descriptors beside those of the slow clients: of the tool, and of a gateway.
const SPARE: usize = 200;

/// Sees to it that this process, and what it starts from now on, is allowed enough file descriptors
/// for a crowd; refuses one for which not even the hard limit has room.
///
/// A shell's soft limit is often 1,024, for the sake of programs that cannot handle more.
pub fn require_descriptors_for(connections: usize) -> Result<()> {
    let needed = connections.saturating_add(SPARE);
    let wanted = rlim_t::try_from(needed)?;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    ensure!(
        wanted <= hard,
        "{connections} connections need {needed} file descriptors and {hard} are allowed at most; \
         as root: ulimit -n {needed}"
    );
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)
            .context("the limit of file descriptors cannot be raised")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> (rlim_t, rlim_t) {
        getrlimit(Resource::RLIMIT_NOFILE).unwrap()
    }

    #[test]
    fn the_soft_limit_is_raised_as_far_as_it_takes() {
        let (_, hard) = limits();
        // As in an ordinary shell, and enough for the tests beside this one.
        let ordinary = hard.min(1_024);
        setrlimit(Resource::RLIMIT_NOFILE, ordinary, hard).unwrap();
        assert!(require_descriptors_for(1).is_ok());
        assert_eq!(limits(), (ordinary, hard), "what is enough stays");
        let most = usize::try_from(hard.min(2_200)).unwrap();
        assert!(require_descriptors_for(most - SPARE).is_ok());
        assert_eq!(limits(), (hard.min(2_200), hard));
    }

    #[test]
    fn a_crowd_that_does_not_fit_is_refused_with_what_it_takes() {
        let connections = usize::MAX / 2;
        let refused = require_descriptors_for(connections).unwrap_err().to_string();
        let advice = format!("ulimit -n {}", connections + SPARE);
        assert!(refused.ends_with(&advice), "{refused}");
    }
}
