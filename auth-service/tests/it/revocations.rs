//! What verifiers at the edge read: sessions that ended, and what became of accounts.

use std::collections::BTreeSet;
use std::sync::Arc;

use auth_service::service::AccountFollower;
use chassis::auth::{
    AuthError, FeedPage, GrpcRevocationFeed, RevocationFeed, Revocations, Verifier,
};
use chassis::config::RevocationConfig;
use chrono::TimeDelta;
use proto::auth::v1 as pb;
use proto::user::v1 as user_pb;

use crate::harness::{Harness, Instance, code, refused, verifier};

/// What an edge knows after it has read everything.
async fn edge(harness: &Harness) -> (Verifier, FeedPage) {
    let method = RevocationConfig::default().method;
    let page =
        GrpcRevocationFeed::new(harness.instance.channel.clone(), method).read("").await.unwrap();
    let revocations = Arc::new(Revocations::new(harness.clock.clone()));
    revocations.apply(&page);
    let verifier = verifier(&harness.instance.channel, &harness.config, &harness.clock);
    (verifier.refusing(revocations), page)
}

fn change(harness: &Harness, version: u64) -> user_pb::AccessChange {
    user_pb::AccessChange {
        user_id: harness.alice.to_string(),
        version,
        status: user_pb::UserStatus::Active.into(),
        session_epoch: 1,
        ..user_pb::AccessChange::default()
    }
}

async fn follow(harness: &Harness, change: user_pb::AccessChange) {
    harness.accounts.tell(change);
    let mut follower = AccountFollower::new(harness.instance.service.clone());
    follower.follow().await.unwrap();
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_edge_refuses_the_tokens_of_ended_sessions_and_no_others() {
    let harness = Harness::start().await;
    let (ended, other) = (harness.login().await, harness.login().await);
    harness.instance.logout(&ended.access_token).await.unwrap();
    let (edge, page) = edge(&harness).await;
    assert_eq!(edge.verify(&ended.access_token).await, Err(AuthError::Revoked));
    assert!(edge.verify(&other.access_token).await.is_ok());
    let kids: BTreeSet<_> = page.key_ids.into_iter().collect();
    let published = harness.instance.jwks().await;
    let published = published["keys"].as_array().unwrap().iter();
    assert_eq!(kids, published.map(|key| key["kid"].as_str().unwrap().to_owned()).collect());
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_feed_goes_on_where_it_ended_and_bears_no_nonsense() {
    let harness = Harness::start().await;
    let begin = harness.instance.revocations("").await;
    assert!(begin.sessions.is_empty() && !begin.more);
    let pair = harness.login().await;
    harness.instance.logout(&pair.access_token).await.unwrap();
    let next = harness.instance.revocations(&begin.cursor).await;
    let [entry] = &next.sessions[..] else { panic!("one: {next:?}") };
    assert_eq!(entry.session_id, pair.session_id.parse::<uuid::Uuid>().unwrap().as_bytes());
    assert!(entry.keep_s > 960 && entry.keep_s <= 1_260);
    for odd in ["x", "1.2", "'; DROP TABLE revocations"] {
        let request = pb::ListRevocationsRequest { cursor: odd.to_owned() };
        let reply = harness.instance.client.clone().list_revocations(request).await;
        assert_eq!(code(refused(reply)), "CURSOR_INVALID");
    }
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_changed_password_ends_the_other_sessions() {
    let harness = Harness::start().await;
    let (own, other) = (harness.login().await, harness.login().await);
    let kept: uuid::Uuid = own.session_id.parse().unwrap();
    harness.accounts.alter(harness.alice, |account| {
        account.session_epoch = 2;
        account.version = 2;
        account.kept_session = Some(kept);
    });
    // A login with the old password may be under way: its token bears the old version too.
    let change = user_pb::AccessChange {
        session_epoch: 2,
        sessions_from: 2,
        kept_session_id: own.session_id.clone(),
        ..change(&harness, 2)
    };
    follow(&harness, change).await;
    let (edge, _) = edge(&harness).await;
    assert_eq!(edge.verify(&other.access_token).await, Err(AuthError::Revoked));
    assert!(edge.verify(&own.access_token).await.is_ok());
    assert_eq!(code(harness.refresh(&other).await), "REFRESH_INVALID");
    let own = harness.refresh(&own).await.unwrap();
    assert!(edge.verify(&own.access_token).await.is_ok());
    assert_eq!(harness.instance.sessions(&own).await.len(), 1);
    let new = harness.login().await;
    assert!(edge.verify(&new.access_token).await.is_ok());
    let revoked = harness.told().await.into_iter().filter(|event| event.contains("revoked"));
    assert_eq!(revoked.collect::<Vec<_>>(), ["auth.sessions_revoked 2 credentials_changed"]);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_disabled_account_is_refused_and_an_enabled_one_may_log_in_again() {
    let harness = Harness::start().await;
    let old = harness.login().await;
    let disabled = user_pb::AccessChange {
        status: user_pb::UserStatus::Disabled.into(),
        session_epoch: 2,
        sessions_from: 2,
        ..change(&harness, 2)
    };
    follow(&harness, disabled.clone()).await;
    let (verifier, _) = edge(&harness).await;
    assert_eq!(verifier.verify(&old.access_token).await, Err(AuthError::AccountDisabled));
    let enabled = user_pb::AccessChange {
        version: 3,
        status: user_pb::UserStatus::Active.into(),
        ..disabled
    };
    follow(&harness, enabled).await;
    harness.accounts.alter(harness.alice, |account| {
        account.session_epoch = 2;
        account.version = 3;
    });
    let new = harness.login().await;
    let (verifier, _) = edge(&harness).await;
    assert_eq!(verifier.verify(&old.access_token).await, Err(AuthError::Revoked));
    assert!(verifier.verify(&new.access_token).await.is_ok());
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn changed_roles_make_tokens_be_refreshed() {
    let harness = Harness::start().await;
    let old = harness.login().await;
    harness.accounts.alter(harness.alice, |account| {
        account.version = 2;
        account.roles = vec!["customer".to_owned(), "admin".to_owned()];
    });
    follow(&harness, user_pb::AccessChange { roles_from: 2, ..change(&harness, 2) }).await;
    let (edge, _) = edge(&harness).await;
    assert_eq!(edge.verify(&old.access_token).await, Err(AuthError::Outdated));
    let new = harness.refresh(&old).await.unwrap();
    assert!(edge.verify(&new.access_token).await.unwrap().is_admin());
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn administrators_rotate_keys_and_nobody_else_does() {
    let harness = Harness::start().await;
    let customer = harness.login().await;
    let rotate = async |pair: &pb::TokenPair, withdraw_others| {
        let request = Instance::request(pair, pb::RotateKeysRequest { withdraw_others });
        refused(harness.instance.client.clone().rotate_keys(request).await)
    };
    assert_eq!(code(rotate(&customer, false).await), "PERMISSION_DENIED");
    harness.accounts.alter(harness.alice, |account| account.roles = vec!["admin".to_owned()]);
    let admin = harness.login().await;
    // Keys are listed by age.
    harness.clock.advance(TimeDelta::seconds(1));
    let keys = rotate(&admin, false).await.unwrap().keys;
    let states: Vec<_> = keys.iter().map(pb::SigningKey::state).collect();
    assert_eq!(states, [pb::KeyState::Signing, pb::KeyState::Pending]);
    assert_eq!(rotate(&admin, false).await.unwrap().keys, keys, "one rotation at a time");
    let list = async |pair: &pb::TokenPair| {
        let request = Instance::request(pair, pb::ListKeysRequest {});
        refused(harness.instance.client.clone().list_keys(request).await)
    };
    assert_eq!(list(&admin).await.unwrap().keys, keys);
    assert_eq!(code(list(&customer).await), "PERMISSION_DENIED");
    let replica = harness.replica().await;
    harness.clock.advance(harness.instance.service.rotation.publish_before);
    for instance in [&harness.instance, &replica] {
        instance.service.keys.tend(&instance.service.rotation).await.unwrap();
    }
    let next = harness.login().await;
    let other = replica.login(crate::harness::EMAIL, crate::harness::PASSWORD).await.unwrap();
    for pair in [&next, &other] {
        harness.instance.caller(pair).await;
        replica.caller(pair).await;
    }
    let keys = rotate(&next, true).await.unwrap().keys;
    assert_eq!(keys.len(), 1);
    let fresh = verifier(&harness.instance.channel, &harness.config, &harness.clock);
    for pair in [&admin, &next, &other] {
        assert_eq!(fresh.verify(&pair.access_token).await, Err(AuthError::Invalid("unknown key")));
    }
    harness.finish().await;
}
