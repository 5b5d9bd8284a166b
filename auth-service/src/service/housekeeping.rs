//! Worker: forgets sessions that expired long ago, revocations that no access token can run into, and
//! devices that were not seen for long.

use std::time::Duration;

use chassis::error::Chain;
use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use super::AuthService;
use crate::model::SessionError;

/// Sessions deleted in one statement: each has up to some thousand spent tokens.
const BATCH: u32 = 50;
/// Devices deleted in one statement.
const DEVICES: u32 = 1_000;

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
            if let Err(error) = self.forget_devices().await {
                tracing::warn!(error = %Chain(&error), "old devices not forgotten");
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

    async fn forget_devices(&self) -> Result<(), SessionError> {
        let now = self.clock.now();
        while self.throttle.purge(now, DEVICES).await? == u64::from(DEVICES) {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chassis::clock::Clock as _;

    use super::super::testing::{Fixture, PASSWORD, from};
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

    #[tokio::test]
    async fn devices_that_were_not_seen_for_long_are_forgotten() {
        let fixture = Fixture::new().await;
        fixture.accounts.add("alice@example.com", PASSWORD);
        let login = from("alice@example.com", PASSWORD, "192.0.2.1");
        fixture.service.login(login.clone()).await.unwrap();
        fixture.clock.advance(TimeDelta::days(90));
        fixture.service.forget_devices().await.unwrap();
        let later = || fixture.clock.now() + TimeDelta::seconds(1);
        assert_eq!(fixture.service.throttle.purge(later(), 10).await.unwrap(), 1, "it was kept");
        fixture.service.login(login).await.unwrap();
        fixture.clock.advance(TimeDelta::days(91));
        fixture.service.forget_devices().await.unwrap();
        assert_eq!(fixture.service.throttle.purge(later(), 10).await.unwrap(), 0);
    }
}
