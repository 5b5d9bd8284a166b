//! Exchanging refresh tokens as their holder does.

use chassis::error::{Kind, codes};
use chrono::TimeDelta;

use crate::accounts::Mood;
use crate::harness::{EMAIL, Harness, PASSWORD, code};

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_refresh_continues_the_session_with_the_roles_of_now() {
    let harness = Harness::start().await;
    let first = harness.login().await;
    harness.clock.advance(TimeDelta::minutes(14));
    harness.accounts.alter(harness.alice, |account| account.roles = vec!["admin".to_owned()]);
    let second = harness.refresh(&first).await.unwrap();
    assert_eq!(second.session_id, first.session_id);
    assert_ne!(second.refresh_token, first.refresh_token);
    let caller = harness.instance.caller(&second).await;
    assert!(caller.is_admin() && caller.user_id == harness.alice);
    assert_eq!(harness.state_of(&first).await, "SPENT");
    let third = harness.refresh(&second).await.unwrap();
    assert_eq!(harness.state_of(&third).await, "LIVE");
    assert_eq!(harness.told().await, ["auth.session_started 1"], "a refresh is no news");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_lost_reply_can_be_asked_for_again_for_a_moment() {
    let harness = Harness::start().await;
    let first = harness.login().await;
    let lost = harness.refresh(&first).await.unwrap();
    harness.antedate_exchange(&first, 2).await;
    let lost_too = harness.refresh(&first).await.unwrap();
    harness.antedate_exchange(&first, 2).await;
    let again = harness.refresh(&first).await.unwrap();
    for (pair, state) in
        [(&first, "SPENT"), (&lost, "REPLACED"), (&lost_too, "REPLACED"), (&again, "LIVE")]
    {
        assert_eq!(harness.state_of(pair).await, state);
    }
    assert_eq!(again.session_id, first.session_id);
    harness.refresh(&again).await.unwrap();
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn twenty_refreshes_of_one_token_at_once_leave_one_branch() {
    let harness = Harness::start().await;
    let replica = harness.replica().await;
    for _ in 0..5 {
        let first = harness.login().await;
        let calls = (0..20).map(|n| {
            let instance = if n % 2 == 0 { &harness.instance } else { &replica };
            instance.refresh(&first.refresh_token)
        });
        let pairs: Vec<_> =
            futures::future::join_all(calls).await.into_iter().map(Result::unwrap).collect();
        let mut live = Vec::new();
        for pair in &pairs {
            // Whichever answer arrives is a good one until the next access token.
            assert_eq!(harness.instance.caller(pair).await.roles, ["customer"]);
            match harness.state_of(pair).await.as_str() {
                "LIVE" => live.push(pair),
                state => assert_eq!(state, "REPLACED"),
            }
        }
        assert_eq!(live.len(), 1);
        harness.refresh(live[0]).await.unwrap();
    }
    assert_eq!(harness.told().await, ["auth.session_started 1"; 5]);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_session_ends_with_what_its_account_has_become() {
    let harness = Harness::start().await;
    for reason in ["account_disabled", "credentials_changed"] {
        let user = harness.accounts.add(reason, PASSWORD);
        let pair = harness.instance.login(reason, PASSWORD).await.unwrap();
        let before = harness.instance.refresh(&pair.refresh_token).await.unwrap();
        harness.accounts.alter(user, |account| match reason {
            "account_disabled" => account.is_active = false,
            _ => account.session_epoch += 1,
        });
        let refusal = harness.refresh(&before).await.unwrap_err();
        assert_eq!(
            (refusal.reason.as_str(), refusal.kind),
            ("REFRESH_INVALID", Kind::Unauthenticated)
        );
        // What has ended stays so, also when the account may act again.
        harness.accounts.alter(user, |account| {
            account.is_active = true;
            account.session_epoch = 1;
        });
        assert_eq!(code(harness.refresh(&before).await), "REFRESH_INVALID");
        let told =
            ["auth.session_started 1".to_owned(), format!("auth.sessions_revoked 3 {reason}")];
        assert_eq!(harness.told().await, told);
    }
    let gone = harness.accounts.add("gone", PASSWORD);
    let pair = harness.instance.login("gone", PASSWORD).await.unwrap();
    harness.accounts.remove(gone);
    assert_eq!(code(harness.refresh(&pair).await), "REFRESH_INVALID");
    assert_eq!(harness.told().await[1], "auth.sessions_revoked 2 account_disabled");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_session_begun_after_the_change_goes_on() {
    let harness = Harness::start().await;
    let before = harness.login().await;
    harness.accounts.alter(harness.alice, |account| account.session_epoch = 2);
    let after = harness.login().await;
    assert_eq!(code(harness.refresh(&before).await), "REFRESH_INVALID");
    harness.refresh(&after).await.unwrap();
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn idle_and_old_sessions_are_over() {
    let harness = Harness::start().await;
    let idle = harness.login().await;
    harness.clock.advance(TimeDelta::days(7));
    assert_eq!(code(harness.refresh(&idle).await), "REFRESH_INVALID");
    let mut used = harness.login().await;
    for _ in 0..4 {
        harness.clock.advance(TimeDelta::days(6));
        used = harness.refresh(&used).await.unwrap();
    }
    harness.clock.advance(TimeDelta::days(6));
    assert_eq!(code(harness.refresh(&used).await), "REFRESH_INVALID", "30 days are over");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn what_is_no_refresh_token_is_refused_without_asking_anyone() {
    let harness = Harness::start().await;
    let pair = harness.login().await;
    harness.accounts.take_calls();
    let unknown = auth_service::token::RefreshSecret::generate().unwrap();
    for odd in
        ["", "x", &pair.access_token, &pair.refresh_token[1..], unknown.expose(), &"é".repeat(9999)]
    {
        assert_eq!(code(harness.instance.refresh(odd).await), "REFRESH_INVALID");
    }
    assert_eq!(harness.accounts.take_calls(), 0);
    harness.refresh(&pair).await.unwrap();
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_outage_of_user_service_costs_no_session() {
    let harness = Harness::with(&[("UPSTREAM__TIMEOUT_MS", "1000")]).await;
    let pair = harness.instance.login(EMAIL, PASSWORD).await.unwrap();
    let down = Mood::Failing(codes::SERVICE_UNAVAILABLE, None);
    for (mood, expected, calls) in
        [(down, "SERVICE_UNAVAILABLE", 2), (Mood::Silent, "DEADLINE_EXCEEDED", 1)]
    {
        harness.accounts.set_mood(mood);
        harness.accounts.take_calls();
        assert_eq!(code(harness.refresh(&pair).await), expected);
        assert_eq!(harness.accounts.take_calls(), calls, "{mood:?}");
    }
    harness.accounts.set_mood(Mood::Well);
    assert_eq!(harness.state_of(&pair).await, "LIVE");
    harness.refresh(&pair).await.unwrap();
    harness.finish().await;
}
