//! Clients that behave well, and how they are served beside others that do not.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::samples::Samples;
use crate::harness::Api;
use crate::load::counts;

/// The price list, which is open to everybody.
pub const PRODUCTS: &str = "/api/v1/products";

/// Pause between two requests: with it a client stays within its quota.
const PACE: Duration = Duration::from_millis(60);

/// How a client was served.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// How long good answers took.
    pub times: Samples,
    /// How often it was answered otherwise, by status.
    pub refused: BTreeMap<String, u64>,
}

impl Served {
    /// Answers that were not good ones.
    pub fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }

    /// How long answers took, if all were good ones.
    pub fn throughout(self) -> Result<Samples> {
        ensure!(self.refused.is_empty(), "refused meanwhile: {}", counts(&self.refused));
        Ok(self.times)
    }
}

/// How a client that behaves well is served at a path, where one request is sent after another.
pub async fn well_behaved(api: &Api, path: &str, time: Duration) -> Result<Served> {
    let end = Instant::now() + time;
    let mut served = Served::default();
    while Instant::now() < end {
        let reply = api.get(path).await?;
        if reply.status == 200 {
            served.times.add(reply.elapsed);
        } else {
            *served.refused.entry(reply.status.to_string()).or_default() += 1;
        }
        tokio::time::sleep(PACE).await;
    }
    Ok(served)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_refused_was_not_served_throughout() {
        let times: Samples = [Duration::from_millis(2)].into_iter().collect();
        let served = Served { times, refused: BTreeMap::new() };
        assert_eq!(served.clone().throughout().unwrap().count(), 1);
        let refused = BTreeMap::from([("429".to_owned(), 1), ("503".to_owned(), 2)]);
        let served = Served { refused, ..served };
        assert_eq!(served.refusals(), 3);
        let error = served.throughout().unwrap_err().to_string();
        assert!(error.ends_with("429 x 1, 503 x 2"), "{error}");
    }
}
