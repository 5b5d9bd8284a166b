//! The threads that hash: few of them, and they give way to what else this machine has to do.
//!
//! A hash takes a core for tens of milliseconds, where an answer from the price list wants one for less
//! than a millisecond and must not wait for a time slice to end. So the threads that hash get less of a
//! core that others want, as is configured, and are not the ones on which the service's runtime does
//! its other blocking work, such as to look up names.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::model::UserError;

/// Threads that hash.
pub(super) struct Threads {
    handle: Handle,
    /// There until this is dropped.
    runtime: Option<Runtime>,
}

impl Threads {
    /// Makes a set of at most `number` threads, which start when they are needed. `niceness` is added
    /// to the nice value of each.
    pub(super) fn new(number: usize, niceness: u8) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(number)
            .thread_name("hash")
            .on_thread_start(move || give_way(niceness))
            .build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Works on one of the threads. The work is done even if nobody waits for it any more.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, UserError> + Send + 'static,
    ) -> Result<T, UserError> {
        self.handle.spawn_blocking(work).await.map_err(UserError::internal)?
    }
}

impl Drop for Threads {
    /// Does not wait for what runs: whoever drops this is a task that must not block.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(target_os = "linux")]
fn give_way(niceness: u8) {
    if let Err(error) = rustix::process::nice(i32::from(niceness)) {
        tracing::warn!(%error, "a thread that hashes does not give way to others");
    }
}

/// Elsewhere the value is that of the whole process, which must not give way.
#[cfg(not(target_os = "linux"))]
fn give_way(_: u8) {}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_thread_that_hashes_gives_way_and_no_other_does() {
        let niceness = || rustix::process::getpriority_process(None).map_err(UserError::internal);
        let own = niceness().unwrap();
        for more in [0, 5] {
            let threads = Threads::new(1, more).unwrap();
            let hashing = threads.run(niceness).await.unwrap();
            // 19 is the highest there is.
            assert_eq!(hashing, (own + i32::from(more)).min(19));
        }
        assert_eq!(niceness().unwrap(), own);
        let other = tokio::task::spawn_blocking(niceness).await.unwrap();
        assert_eq!(other.unwrap(), own);
    }

    #[tokio::test]
    async fn work_that_panics_is_a_defect_and_the_thread_works_on() {
        let threads = Threads::new(1, 0).unwrap();
        let panicked = threads.run::<()>(|| panic!("a defect in a hash")).await;
        assert!(matches!(panicked, Err(UserError::Internal { .. })));
        let name = threads.run(|| Ok(thread::current().name().map(str::to_owned))).await;
        assert_eq!(name.unwrap().as_deref(), Some("hash"));
    }
}
