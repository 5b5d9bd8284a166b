//! Waiting for a condition by probing it, never by a fixed sleep.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Probes until the answer is `Some`, with a growing pause between probes.
///
/// An error of the probe ends the wait at once: use it for what no waiting will mend.
pub async fn until<T, F, Fut>(what: &str, limit: Duration, mut probe: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let deadline = Instant::now() + limit;
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(value) = probe().await? {
            return Ok(value);
        }
        if Instant::now() + pause > deadline {
            bail!("{what} did not happen within {} s", limit.as_secs());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// As [`until`], for code that has no runtime around it.
pub fn until_blocking(limit: Duration, mut probe: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    let mut pause = FIRST_PAUSE;
    while !probe() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    true
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn waiting_ends_with_the_first_answer() {
        let probes = Cell::new(0);
        let answer = until("the third probe", Duration::from_secs(5), || async {
            probes.set(probes.get() + 1);
            Ok((probes.get() == 3).then_some("here"))
        });
        assert_eq!(answer.await.unwrap(), "here");
        assert_eq!(probes.get(), 3);
    }

    #[tokio::test]
    async fn a_wait_that_runs_out_names_what_was_awaited() {
        let answer =
            until("the impossible", Duration::from_millis(50), || async { Ok(None::<()>) });
        let message = answer.await.unwrap_err().to_string();
        assert!(message.starts_with("the impossible did not happen"), "{message}");
    }

    #[tokio::test]
    async fn an_error_of_the_probe_ends_the_wait() {
        let answer = until("anything", Duration::from_mins(1), || async {
            Err::<Option<()>, _>(anyhow::anyhow!("broken for good"))
        });
        assert_eq!(answer.await.unwrap_err().to_string(), "broken for good");
    }
}
