//! Logging out.

use futures::future::{join, join_all};
use proto::auth::v1 as pb;

use crate::harness::{Harness, code, refused};

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_logout_ends_this_session_and_no_other() {
    let harness = Harness::start().await;
    let (first, other) = (harness.login().await, harness.login().await);
    for _ in 0..2 {
        harness.instance.logout(&first.access_token).await.unwrap();
    }
    assert_eq!(code(harness.refresh(&first).await), "REFRESH_INVALID");
    harness.refresh(&other).await.unwrap();
    let events = harness.events().await;
    assert_eq!(events.len(), 3, "logging out twice is logging out");
    assert_eq!(events[2]["id"], format!("auth.sessions_revoked:{}:2", first.session_id));
    assert_eq!(events[2]["data"]["reason"], "logout");
    assert_eq!(events[2]["data"]["user_id"], harness.alice.to_string());
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn only_the_holder_of_a_good_token_logs_out() {
    let harness = Harness::start().await;
    let pair = harness.login().await;
    let anonymous = harness.instance.client.clone().logout(pb::LogoutRequest {}).await;
    assert_eq!(code(refused(anonymous)), "TOKEN_MISSING");
    let (message, signature) = pair.access_token.rsplit_once('.').unwrap();
    let forged = format!("{message}.{}", signature.chars().rev().collect::<String>());
    for odd in [&forged, &pair.refresh_token, "x.y.z"] {
        assert_eq!(code(harness.instance.logout(odd).await), "TOKEN_INVALID");
    }
    harness.refresh(&pair).await.unwrap();
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn no_refresh_outlives_a_logout_at_the_same_time() {
    let harness = Harness::start().await;
    for _ in 0..5 {
        let pair = harness.login().await;
        let refreshes = join_all((0..6).map(|_| harness.refresh(&pair)));
        let (answers, logout) = join(refreshes, harness.instance.logout(&pair.access_token)).await;
        logout.unwrap();
        for answer in answers {
            match answer {
                Ok(next) => assert_eq!(code(harness.refresh(&next).await), "REFRESH_INVALID"),
                Err(refusal) => assert_eq!(refusal.reason, "REFRESH_INVALID"),
            }
        }
    }
    assert_eq!(harness.count("SELECT COUNT(*) FROM sessions WHERE status = 'ACTIVE'").await, 0);
    harness.finish().await;
}
