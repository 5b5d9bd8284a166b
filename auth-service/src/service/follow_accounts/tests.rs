//! The follower, over accounts and sessions in memory.

use super::super::testing::{Fixture, PASSWORD};
use super::*;
use crate::model::{Revocation, SessionId};
use crate::repository::Fault;

fn change(user_id: UserId, version: u64) -> AccountChange {
    AccountChange {
        user_id,
        version,
        is_active: true,
        session_epoch: 1,
        sessions_from: 0,
        kept_session: None,
        roles_from: 0,
    }
}

/// A change that ends all sessions.
fn disabled(user_id: UserId, version: u64) -> AccountChange {
    let (session_epoch, sessions_from) = (version, version);
    AccountChange { is_active: false, session_epoch, sessions_from, ..change(user_id, version) }
}

async fn rules(fixture: &Fixture) -> Vec<AccountRule> {
    let mut rules = Vec::new();
    for entry in fixture.feed().await {
        if let Revocation::Account(rule) = entry {
            rules.push(rule);
        }
    }
    rules
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions_and_not_its_own() {
    let fixture = Fixture::new().await;
    let (alice, own) = fixture.logged_in().await;
    let other = fixture.login("alice@example.com", PASSWORD).await.unwrap();
    let kept_session = Some(own.session_id);
    let told =
        AccountChange { session_epoch: 2, sessions_from: 2, kept_session, ..change(alice, 2) };
    fixture.accounts.tell(told);
    let mut follower = AccountFollower::new(fixture.service.clone());
    for _ in 0..2 {
        follower.follow().await.unwrap();
    }
    let rules = rules(&fixture).await;
    let [rule] = &rules[..] else { panic!("one rule: {rules:?}") };
    assert_eq!((rule.version, rule.sessions_from, rule.kept_session), (2, 2, kept_session));
    assert!(fixture.feed().await.contains(&Revocation::Session(other.session_id)));
    assert!(matches!(fixture.refresh(&other).await, Err(SessionError::RefreshInvalid)));
    fixture.refresh(&own).await.unwrap();
}

#[tokio::test]
async fn a_disabled_account_loses_all_sessions_and_changed_roles_none() {
    let fixture = Fixture::new().await;
    let (alice, pair) = fixture.logged_in().await;
    let mut follower = AccountFollower::new(fixture.service.clone());
    fixture.accounts.tell(AccountChange { roles_from: 2, ..change(alice, 2) });
    follower.follow().await.unwrap();
    let pair = fixture.refresh(&pair).await.unwrap();
    let disabled =
        AccountChange { is_active: false, session_epoch: 2, sessions_from: 3, ..change(alice, 3) };
    fixture.accounts.tell(disabled);
    follower.follow().await.unwrap();
    assert!(matches!(fixture.refresh(&pair).await, Err(SessionError::RefreshInvalid)));
    let rules = rules(&fixture).await;
    let [rule] = &rules[..] else { panic!("one rule: {rules:?}") };
    assert!(rule.is_disabled && rule.version == 3);
    assert_eq!(fixture.event_names(), ["auth.session_started", "auth.sessions_revoked"]);
}

#[tokio::test]
async fn a_session_that_was_kept_ends_with_the_next_change_in_another_one() {
    let fixture = Fixture::new().await;
    let (alice, first) = fixture.logged_in().await;
    let kept_session = Some(first.session_id);
    let told =
        AccountChange { session_epoch: 2, sessions_from: 2, kept_session, ..change(alice, 2) };
    fixture.accounts.tell(told.clone());
    let first = fixture.refresh(&first).await.unwrap();
    let kept_session = Some(SessionId::generate());
    fixture.accounts.tell(AccountChange {
        session_epoch: 3,
        sessions_from: 3,
        version: 3,
        kept_session,
        ..told
    });
    assert!(matches!(fixture.refresh(&first).await, Err(SessionError::RefreshInvalid)));
}

/// Ten accounts that were disabled, one of which has a session.
async fn ten_disabled(fixture: &Fixture) -> Vec<UserId> {
    let (alice, _) = fixture.logged_in().await;
    let others = (0..9).map(|n| fixture.accounts.add(&format!("{n}@example.com"), PASSWORD));
    let users: Vec<_> = std::iter::once(alice).chain(others).collect();
    for user in &users {
        fixture.accounts.tell(disabled(*user, 2));
    }
    users
}

#[tokio::test]
async fn all_rules_are_recorded_before_sessions_are_ended() {
    let fixture = Fixture::new().await;
    ten_disabled(&fixture).await;
    fixture.break_storage(Some(Fault::EndingSessions));
    let mut follower = AccountFollower::new(fixture.service.clone());
    assert!(follower.follow().await.is_err());
    assert_eq!(rules(&fixture).await.len(), 10, "whatever becomes of the sessions");
    assert_eq!(follower.owed(), 10);
    fixture.break_storage(None);
    follower.follow().await.unwrap();
    assert_eq!(fixture.event_names(), ["auth.session_started", "auth.sessions_revoked"]);
    assert_eq!(follower.owed(), 0);
}

#[tokio::test]
async fn an_account_for_which_nothing_works_holds_up_no_other_one_and_is_tried_again() {
    let fixture = Fixture::new().await;
    let users = ten_disabled(&fixture).await;
    fixture.break_storage(Some(Fault::Everything(users[0])));
    let mut follower = AccountFollower::new(fixture.service.clone());
    assert!(follower.follow().await.is_err());
    let told: Vec<_> = rules(&fixture).await.into_iter().map(|rule| rule.user_id).collect();
    assert_eq!(told.len(), 9);
    assert!(!told.contains(&users[0]));
    // The change is not told again, and later ones of others go on.
    fixture.accounts.tell(disabled(users[1], 3));
    assert!(follower.follow().await.is_err());
    assert!(rules(&fixture).await.iter().any(|rule| rule.version == 3));
    fixture.break_storage(None);
    follower.follow().await.unwrap();
    assert_eq!(rules(&fixture).await.len(), 10);
    assert_eq!(fixture.event_names(), ["auth.session_started", "auth.sessions_revoked"]);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_was_committed_behind_what_was_read_is_found_within_a_minute() {
    let fixture = Fixture::new().await;
    let (alice, _) = fixture.logged_in().await;
    let bob = fixture.accounts.add("bob@example.com", PASSWORD);
    fixture.accounts.tell(disabled(bob, 2));
    let mut follower = AccountFollower::new(fixture.service.clone());
    follower.follow().await.unwrap();
    fixture.accounts.tell_late(disabled(alice, 2));
    follower.follow().await.unwrap();
    assert_eq!(rules(&fixture).await.len(), 1, "it lies behind");
    tokio::time::advance(FULL_READ_EVERY).await;
    follower.follow().await.unwrap();
    assert_eq!(rules(&fixture).await.len(), 2);
}

#[tokio::test]
async fn a_refused_cursor_leads_to_reading_everything_at_once() {
    let fixture = Fixture::new().await;
    let users = ten_disabled(&fixture).await;
    let mut follower = AccountFollower::new(fixture.service.clone());
    follower.follow().await.unwrap();
    fixture.accounts.forget_changes();
    fixture.accounts.tell(disabled(users[0], 3));
    follower.follow().await.unwrap();
    assert!(rules(&fixture).await.iter().any(|rule| rule.version == 3));
}
