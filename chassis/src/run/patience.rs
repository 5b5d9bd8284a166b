//! Steps of a start that need something that may be away for a moment.

use std::error::Error;
use std::time::Duration;

use crate::backoff::Backoff;
use crate::error::Chain;

/// Bounds of the pause between two tries.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Repeats a step until it does not fail for want of something that will be back.
///
/// A database that answered when the schema was opened may be gone when the next step needs it. A
/// process that ended for that would only be started again to find the same.
pub async fn until_available<T, E: Error, F: Future<Output = Result<T, E>>>(
    what: &'static str,
    mut step: impl FnMut() -> F,
    is_transient: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    loop {
        match step().await {
            Err(error) if is_transient(&error) => {
                tracing::warn!(start.step = what, error = %Chain(&error), "waiting for a dependency");
                backoff.pause().await;
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, thiserror::Error)]
    enum Failure {
        #[error("away")]
        Away,
        #[error("wrong")]
        Wrong,
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_is_repeated_until_what_it_needs_is_back() {
        let mut tries = 0;
        let step = || {
            tries += 1;
            std::future::ready(if tries < 5 { Err(Failure::Away) } else { Ok(tries) })
        };
        let done = until_available("a step", step, |error| *error == Failure::Away).await;
        assert_eq!(done, Ok(5));
    }

    #[tokio::test]
    async fn what_waiting_will_not_mend_ends_the_start() {
        let step = || std::future::ready(Err::<(), _>(Failure::Wrong));
        let done = until_available("a step", step, |error| *error == Failure::Away).await;
        assert_eq!(done, Err(Failure::Wrong));
    }
}
