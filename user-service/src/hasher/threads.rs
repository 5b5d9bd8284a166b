//! The threads that hash: few of them, and behind everything else that this machine has to do.
//!
//! A hash takes a core for tens of milliseconds, where an answer from the price list wants one for less
//! than a millisecond and must not wait for a time slice to end. So the threads that hash give way,
//! and are not the ones on which the service's runtime does its other blocking work, such as to look up
//! names.

use std::io;

use tokio::runtime::{Builder, Runtime};

use crate::model::UserError;

/// What is added to the nice value of a thread that hashes. Beside a thread that does not give way it
/// gets a tenth of a core that both want: each step is a factor of about 1.25 (sched(7)). A core that
/// nobody else wants it has to itself. Between containers their shares decide, not this.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Threads that hash.
pub(super) struct Threads(Option<Runtime>);

impl Threads {
    /// Makes a set of at most `number` threads, which start when they are needed.
    pub(super) fn new(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(number)
            .thread_name("hash")
            .on_thread_start(give_way)
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Works on one of the threads. The work is done even if nobody waits for it any more.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, UserError> + Send + 'static,
    ) -> Result<T, UserError> {
        let Self(Some(runtime)) = self else {
            return Err(UserError::internal("the threads that hash have ended"));
        };
        runtime.spawn_blocking(work).await.map_err(UserError::internal)?
    }
}

impl Drop for Threads {
    /// Does not wait for what runs: whoever drops this is a task that must not block.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(target_os = "linux")]
fn give_way() {
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::warn!(%error, "a thread that hashes does not give way to others");
    }
}

/// Elsewhere the value is that of the whole process, which must not give way.
#[cfg(not(target_os = "linux"))]
fn give_way() {}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_thread_that_hashes_gives_way_and_no_other_does() {
        let niceness = || rustix::process::getpriority_process(None).map_err(UserError::internal);
        let own = niceness().unwrap();
        let threads = Threads::new(1).unwrap();
        let hashing = threads.run(niceness).await.unwrap();
        // 19 is the highest there is.
        assert_eq!(hashing, (own + NICENESS).min(19));
        assert_eq!(niceness().unwrap(), own);
        let other = tokio::task::spawn_blocking(niceness).await.unwrap();
        assert_eq!(other.unwrap(), own);
    }

    #[tokio::test]
    async fn work_that_panics_is_a_defect_and_the_thread_works_on() {
        let threads = Threads::new(1).unwrap();
        let panicked = threads.run::<()>(|| panic!("a defect in a hash")).await;
        assert!(matches!(panicked, Err(UserError::Internal { .. })));
        let name = threads.run(|| Ok(thread::current().name().map(str::to_owned))).await;
        assert_eq!(name.unwrap().as_deref(), Some("hash"));
    }
}
