//! Refresh tokens that are presented twice.

use std::sync::Arc;

use chassis::clock::Clock as _;
use chassis::error::{Kind, codes};
use chassis::testing::clock::FixedClock;
use chrono::TimeDelta;
use futures::future::join_all;

use crate::accounts::Mood;
use crate::harness::{Harness, code};

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_token_used_twice_ends_its_session_and_is_told() {
    let harness = Harness::start().await;
    let other = harness.login().await;
    let first = harness.login().await;
    let second = harness.refresh(&first).await.unwrap();
    let third = harness.refresh(&second).await.unwrap();
    harness.events().await;
    let refusal = harness.refresh(&first).await.unwrap_err();
    assert_eq!((refusal.reason.as_str(), refusal.kind), ("REFRESH_REUSED", Kind::Unauthenticated));
    for pair in [&first, &second, &third] {
        assert_eq!(code(harness.refresh(pair).await), "REFRESH_INVALID");
    }
    let events = harness.events().await;
    let ids: Vec<_> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    let session = &first.session_id;
    let expected = [
        format!("auth.sessions_revoked:{session}:4"),
        format!("auth.token_reuse_detected:{session}:4"),
    ];
    assert_eq!(ids, expected);
    assert_eq!(events[0]["data"]["reason"], "token_reuse");
    assert_eq!(events[1]["data"]["user_id"], harness.alice.to_string());
    harness.refresh(&other).await.unwrap();
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn asking_again_too_late_is_reuse_however_often_it_was_asked() {
    let harness = Harness::start().await;
    let first = harness.login().await;
    harness.refresh(&first).await.unwrap();
    // Far enough from the end of the grace for a slow machine.
    harness.antedate_exchange(&first, 3).await;
    let again = harness.refresh(&first).await.unwrap();
    harness.antedate_exchange(&first, 8).await;
    assert_eq!(code(harness.refresh(&first).await), "REFRESH_REUSED");
    assert_eq!(code(harness.refresh(&again).await), "REFRESH_INVALID");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_clocks_of_replicas_make_no_thief_of_who_lost_a_reply_and_hide_none() {
    let harness = Harness::start().await;
    let first = harness.login().await;
    harness.refresh(&first).await.unwrap();
    for skew in [-5, 5] {
        let now = harness.clock.now() + TimeDelta::minutes(skew);
        let replica = harness.replica_under(&Arc::new(FixedClock::new(now))).await;
        replica.refresh(&first.refresh_token).await.unwrap();
    }
    harness.antedate_exchange(&first, 11).await;
    let now = harness.clock.now() - TimeDelta::minutes(5);
    let behind = harness.replica_under(&Arc::new(FixedClock::new(now))).await;
    assert_eq!(code(behind.refresh(&first.refresh_token).await), "REFRESH_REUSED");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_replaced_token_proves_a_second_holder() {
    let harness = Harness::start().await;
    let first = harness.login().await;
    let stolen = harness.refresh(&first).await.unwrap();
    let again = harness.refresh(&first).await.unwrap();
    assert_eq!(code(harness.refresh(&stolen).await), "REFRESH_REUSED");
    assert_eq!(code(harness.refresh(&again).await), "REFRESH_INVALID");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_reuse_at_once_is_told_once() {
    let harness = Harness::start().await;
    let first = harness.login().await;
    let second = harness.refresh(&first).await.unwrap();
    harness.refresh(&second).await.unwrap();
    let codes = join_all((0..20).map(|_| harness.refresh(&first))).await.into_iter().map(code);
    let (reused, others): (Vec<_>, Vec<_>) = codes.partition(|code| code == "REFRESH_REUSED");
    assert_eq!(reused.len(), 1);
    assert!(others.iter().all(|code| code == "REFRESH_INVALID"), "{others:?}");
    let told = harness.told().await;
    let expected = ["auth.sessions_revoked 4 token_reuse", "auth.token_reuse_detected 4"];
    assert_eq!(told[1..], expected);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn reuse_is_found_out_also_while_user_service_is_away() {
    let harness = Harness::start().await;
    let first = harness.login().await;
    let second = harness.refresh(&first).await.unwrap();
    harness.refresh(&second).await.unwrap();
    harness.accounts.set_mood(Mood::Failing(codes::SERVICE_UNAVAILABLE, None));
    assert_eq!(code(harness.refresh(&first).await), "REFRESH_REUSED");
    harness.finish().await;
}
