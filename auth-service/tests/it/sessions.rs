//! Looking at one's sessions and ending some.

use chrono::TimeDelta;
use proto::auth::v1 as pb;

use crate::harness::{EMAIL, Harness, Instance, PASSWORD, code, refused};

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_list_shows_device_address_and_times_and_which_one_asks() {
    let harness = Harness::start().await;
    let first = harness.login().await;
    harness.clock.advance(TimeDelta::minutes(5));
    let request = pb::LoginRequest {
        email: EMAIL.to_owned(),
        password: PASSWORD.to_owned(),
        user_agent: "curl/8".to_owned(),
        client_address: "2001:db8::1".to_owned(),
    };
    let second = harness.instance.client.clone().login(request).await.unwrap().into_inner();
    let second = second.tokens.unwrap();
    harness.accounts.add("bob@example.com", PASSWORD);
    let bob = harness.instance.login("bob@example.com", PASSWORD).await.unwrap();
    let [newest, oldest] = &harness.instance.sessions(&second).await[..] else { panic!("two") };
    assert_eq!((&newest.id, newest.current), (&second.session_id, true));
    assert_eq!((&oldest.id, oldest.current), (&first.session_id, false));
    assert_eq!((&*newest.user_agent, &*newest.client_address), ("curl/8", "2001:db8::1"));
    let created = |session: &pb::Session| session.created_at.as_ref().unwrap().seconds;
    assert_eq!(created(newest) - created(oldest), 300);
    let idle = oldest.expires_at.as_ref().unwrap().seconds - created(oldest);
    assert_eq!(idle, 7 * 86_400);
    assert_eq!(harness.instance.sessions(&bob).await.len(), 1);
    let mut client = harness.instance.client.clone();
    let anonymous = client.list_sessions(pb::ListSessionsRequest {}).await;
    assert_eq!(code(refused(anonymous)), "TOKEN_MISSING");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn one_ends_ones_own_sessions_and_nobody_elses() {
    let harness = Harness::start().await;
    let (own, other) = (harness.login().await, harness.login().await);
    harness.accounts.add("bob@example.com", PASSWORD);
    let bob = harness.instance.login("bob@example.com", PASSWORD).await.unwrap();
    for id in [&own.session_id, &harness.alice.to_string()] {
        assert_eq!(code(harness.instance.revoke(&bob, id).await), "SESSION_NOT_FOUND");
    }
    assert_eq!(code(harness.instance.revoke(&own, "1").await), "ID_INVALID");
    for _ in 0..2 {
        harness.instance.revoke(&own, &other.session_id).await.unwrap();
    }
    assert_eq!(code(harness.refresh(&other).await), "REFRESH_INVALID");
    let own = harness.refresh(&own).await.unwrap();
    assert_eq!(harness.instance.sessions(&own).await.len(), 1);
    let revoked = harness.told().await.into_iter().filter(|event| event.contains("revoked"));
    assert_eq!(revoked.collect::<Vec<_>>(), ["auth.sessions_revoked 2 revoked"]);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn all_sessions_end_at_once_or_all_but_the_one_that_asks() {
    let harness = Harness::start().await;
    let own = harness.login().await;
    for _ in 0..30 {
        harness.login().await;
    }
    let end = async |keep_current| {
        let message = pb::RevokeAllSessionsRequest { keep_current };
        let request = Instance::request(&own, message);
        let reply = harness.instance.client.clone().revoke_all_sessions(request).await;
        refused(reply).unwrap().ended
    };
    assert_eq!(end(true).await, 30);
    assert_eq!(harness.instance.sessions(&own).await.len(), 1);
    assert_eq!(end(false).await, 1);
    assert_eq!(harness.instance.sessions(&own).await, []);
    assert_eq!(end(false).await, 0);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn administrators_end_the_sessions_of_others_and_nobody_else_does() {
    let harness = Harness::start().await;
    let (own, other) = (harness.login().await, harness.login().await);
    let chief_id = harness.accounts.add("chief@example.com", PASSWORD);
    let chief = || harness.instance.login("chief@example.com", PASSWORD);
    let end = async |pair: &pb::TokenPair, user_id: &str| {
        let message = pb::RevokeUserSessionsRequest { user_id: user_id.to_owned() };
        let request = Instance::request(pair, message);
        let reply = harness.instance.client.clone().revoke_user_sessions(request).await;
        refused(reply).map(|reply| reply.ended)
    };
    let (alice, customer) = (harness.alice.to_string(), chief().await.unwrap());
    assert_eq!(code(end(&customer, &alice).await), "PERMISSION_DENIED");
    harness.accounts.alter(chief_id, |account| account.roles = vec!["admin".to_owned()]);
    let admin = chief().await.unwrap();
    assert_eq!(code(end(&admin, "1").await), "ID_INVALID");
    assert_eq!(code(end(&admin, &own.session_id).await), "USER_NOT_FOUND");
    let before = harness.instance.revocations("").await;
    assert_eq!(end(&admin, &alice).await.unwrap(), 2);
    assert_eq!(end(&admin, &alice).await.unwrap(), 0);
    let revoked = harness.instance.revocations(&before.cursor).await.sessions;
    assert_eq!(revoked.len(), 2, "{revoked:?}");
    for pair in [&own, &other] {
        assert_eq!(code(harness.refresh(pair).await), "REFRESH_INVALID");
    }
    let rows: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM audit_log WHERE action = 'session.ended' AND actor_id = ? \
         AND user_id = ? AND after_state LIKE '%revoked_by_admin%'",
    )
    .bind(chief_id)
    .bind(harness.alice)
    .fetch_one(&harness.pool)
    .await
    .unwrap();
    assert_eq!(rows, 2, "each says who ended it, and whose it was");
    let told = harness.told().await;
    let revoked = told.iter().filter(|event| event.ends_with(" revoked_by_admin"));
    assert_eq!(revoked.count(), 2, "{told:?}");
    harness.login().await;
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn there_are_never_more_live_sessions_than_may_be() {
    let harness = Harness::with(&[("SESSIONS__PER_USER_MAX", "3")]).await;
    let mut pairs = Vec::new();
    for _ in 0..5 {
        harness.clock.advance(TimeDelta::seconds(1));
        pairs.push(harness.login().await);
    }
    let sessions = harness.instance.sessions(&pairs[4]).await;
    let listed: Vec<_> = sessions.iter().map(|session| &session.id).collect();
    assert_eq!(listed, [&pairs[4].session_id, &pairs[3].session_id, &pairs[2].session_id]);
    assert_eq!(code(harness.refresh(&pairs[0]).await), "REFRESH_INVALID");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_refresh_token_beside_another_users_access_token_is_refused_and_stays_good() {
    let harness = Harness::start().await;
    let pair = harness.login().await;
    harness.accounts.add("bob@example.com", PASSWORD);
    let bob = harness.instance.login("bob@example.com", PASSWORD).await.unwrap();
    let refresh = async |access_token: &str| {
        let refresh_token = pair.refresh_token.clone();
        let message = pb::RefreshRequest { refresh_token, access_token: access_token.to_owned() };
        refused(harness.instance.client.clone().refresh(message).await)
    };
    assert_eq!(code(refresh(&bob.access_token).await), "REFRESH_INVALID");
    harness.clock.advance(TimeDelta::hours(1));
    assert_eq!(code(refresh(&bob.access_token).await), "REFRESH_INVALID", "also when it is over");
    refresh("whatever").await.unwrap();
    refresh(&pair.access_token).await.unwrap();
    harness.finish().await;
}
