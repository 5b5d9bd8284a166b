//! Sessions that are over are forgotten in the end.

use std::time::Duration;

use chrono::TimeDelta;
use futures::future::{join, join_all};
use tokio_util::sync::CancellationToken;

use crate::harness::{Harness, Instance, code};

/// One round of the worker that runs in every instance.
async fn tidy(harness: &Harness, instance: &Instance) {
    let stop = CancellationToken::new();
    stop.cancel();
    let retention = harness.config.sessions.retention();
    instance.service.clone().keep_house(Duration::from_hours(1), retention, stop).await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn expired_sessions_are_deleted_with_their_tokens_after_their_retention() {
    const SESSIONS: &str = "SELECT COUNT(*) FROM sessions";
    // So many at once would pass for guessing.
    let patient = [("THROTTLE__ACCOUNT__FREE", "1000"), ("THROTTLE__ADDRESS__FREE", "1000")];
    let harness = Harness::with(&patient).await;
    let replica = harness.replica().await;
    // More than one round deletes in one statement.
    join_all((0..120).map(|_| harness.login())).await;
    let spent = harness.login().await;
    harness.refresh(&spent).await.unwrap();
    harness.clock.advance(TimeDelta::days(20));
    let young = harness.login().await;
    harness.clock.advance(TimeDelta::days(17));
    tidy(&harness, &harness.instance).await;
    assert_eq!(harness.count(SESSIONS).await, 122, "30 days of life and 7 more");

    harness.clock.advance(TimeDelta::seconds(1));
    join(tidy(&harness, &harness.instance), tidy(&harness, &replica)).await;
    assert_eq!(harness.count(SESSIONS).await, 1);
    assert_eq!(harness.count("SELECT COUNT(*) FROM refresh_tokens").await, 1);
    assert_eq!(code(harness.refresh(&spent).await), "REFRESH_INVALID");
    assert_eq!(harness.state_of(&young).await, "LIVE");
    harness.finish().await;
}
