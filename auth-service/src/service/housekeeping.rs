//! Worker: forgets sessions that expired long ago, and revocations that no access token can run into.

use std::time::Duration;

use chassis::error::Chain;
use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use super::AuthService;
use crate::model::SessionError;

/// Sessions deleted in one statement: each has up to some thousand spent tokens.
const BATCH: u32 = 50;

impl AuthService {
    /// Purges every `interval` until `stop` is cancelled. Any number of replicas may do so.
    pub async fn keep_house(
        self,
        interval: Duration,
        retention: TimeDelta,
        stop: CancellationToken,
    ) {
        loop {
            if let Err(error) = self.purge(retention).await {
                tracing::warn!(error = %Chain(&error), "expired sessions not purged");
            }
            if let Err(error) = self.sweep_revocations().await {
                tracing::warn!(error = %Chain(&error), "old revocations not swept");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
        }
    }

    async fn purge(&self, retention: TimeDelta) -> Result<(), SessionError> {
        let before = self.clock.now() - retention;
        while self.sessions.purge(before, BATCH).await? == u64::from(BATCH) {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;

    #[tokio::test]
    async fn expired_sessions_are_forgotten_after_their_retention() {
        let fixture = Fixture::new().await;
        let (_, pair) = fixture.logged_in().await;
        let find = || fixture.sessions_port().find_presented(pair.refresh_token.digest());
        fixture.clock.advance(TimeDelta::days(36));
        fixture.service.purge(TimeDelta::days(7)).await.unwrap();
        assert!(find().await.unwrap().is_some());
        fixture.clock.advance(TimeDelta::days(2));
        let stop = CancellationToken::new();
        stop.cancel();
        let worker = fixture.service.clone();
        worker.keep_house(Duration::from_hours(1), TimeDelta::days(7), stop).await;
        assert!(find().await.unwrap().is_none());
    }
}
