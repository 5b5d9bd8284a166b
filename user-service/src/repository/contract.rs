//! The suite that every adapter of [`UserRepository`] passes.

use std::collections::BTreeSet;
use std::sync::Arc;

use chassis::audit::Entry;
use chassis::outbox::Outbox;
use chassis::testing::mysql::TestDatabase;
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;

use super::{MIGRATOR, MemoryUserRepository, MySqlUserRepository, UserRepository};
use crate::model::{
    AccessChange, Change, DisplayName, Email, Locale, PasswordHash, ProfileChange, Registration,
    Roles, Status, User, UserError, UserEvent,
};

/// What the changes of the suite tell, by name.
const EVENTS: [&str; 4] =
    ["user.disabled", "user.password_changed", "user.profile_updated", "user.registered"];

/// What the audit log says of them.
const AUDITED: [&str; 6] = [
    "user.disabled",
    "user.password_changed",
    "user.password_rehashed",
    "user.profile_changed",
    "user.registered",
    "user.roles_changed",
];

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_767_323_045_006).unwrap()
}

fn registration(email: &str, roles: Roles) -> Change {
    let registration = Registration {
        email: Email::parse(email).unwrap(),
        display_name: DisplayName::parse("Zoë 小明 👍").unwrap(),
        locale: Locale::ZhCn,
        roles,
        password_hash: PasswordHash::new("$argon2id$v=19$m=19456,t=2,p=1$salt$hash"),
    };
    User::register(registration, now())
}

async fn insert(users: &dyn UserRepository, email: &str, roles: Roles) -> User {
    let change = registration(email, roles);
    users.insert(&change).await.unwrap();
    change.user
}

async fn what_was_stored_is_found(users: &dyn UserRepository) {
    let user = insert(users, "Élodie+Shop@Example.com", Roles::administrator()).await;
    assert_eq!(users.find(user.id()).await.unwrap(), Some(user.clone()));
    let spelt_differently = Email::parse("E\u{301}LODIE+shop@EXAMPLE.com").unwrap();
    assert_eq!(users.find_by_email(&spelt_differently).await.unwrap(), Some(user));
    let other = Email::parse("elodie+shop@example.com").unwrap();
    assert_eq!(users.find_by_email(&other).await.unwrap(), None);
    assert_eq!(users.find(crate::model::UserId::generate()).await.unwrap(), None);
}

async fn one_address_is_one_account(users: &dyn UserRepository) {
    let many: Vec<_> =
        (0..20).map(|_| registration("same@example.com", Roles::customer())).collect();
    let results = join_all(many.iter().map(|change| users.insert(change))).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    for refused in results.into_iter().filter_map(Result::err) {
        assert!(matches!(refused, UserError::AccountExists), "{refused:?}");
    }
}

async fn a_change_is_stored_whole(users: &dyn UserRepository) {
    let user = insert(users, "change@example.com", Roles::customer()).await;
    let later = now() + TimeDelta::hours(1);
    let promoted = user.set_roles(Roles::administrator(), later).unwrap();
    users.save(&promoted).await.unwrap();
    let changed =
        promoted.user.change_password(PasswordHash::new("other"), None, later).unwrap().unwrap();
    users.save(&changed).await.unwrap();
    let disabled = changed.user.set_status(Status::Disabled, later);
    // Another administrator exists from an earlier case.
    users.save(&disabled.clone().unwrap()).await.unwrap();
    let stored = users.find(user.id()).await.unwrap();
    assert_eq!(stored, disabled.map(|change| change.user));
}

async fn a_change_of_an_outdated_account_is_refused(users: &dyn UserRepository) {
    let user = insert(users, "race@example.com", Roles::customer()).await;
    let rename = |name: &str| {
        let display_name = Some(DisplayName::parse(name).unwrap());
        let wanted = ProfileChange { display_name, ..ProfileChange::default() };
        user.update_profile(wanted, now()).unwrap().unwrap()
    };
    let (first, second) = (rename("First"), rename("Second"));
    users.save(&first).await.unwrap();
    assert!(matches!(users.save(&second).await, Err(UserError::VersionMismatch)));
    let stored = users.find(user.id()).await.unwrap().unwrap();
    assert_eq!(stored.display_name().as_str(), "First");
}

async fn a_hash_is_renewed_in_the_place_of_the_one_in_force_only(users: &dyn UserRepository) {
    let user = insert(users, "rehash@example.com", Roles::customer()).await;
    let (renewed, other) = (PasswordHash::new("renewed"), PasswordHash::new("other"));
    assert!(users.replace_hash(user.id(), user.password_hash(), &renewed).await.unwrap());
    assert!(!users.replace_hash(user.id(), user.password_hash(), &other).await.unwrap());
    let stored = users.find(user.id()).await.unwrap().unwrap();
    assert_eq!(stored, user.rehashed(renewed));
    // A change that was worked out before is no outdated one.
    let changed = user.change_password(other.clone(), None, now()).unwrap().unwrap();
    users.save(&changed).await.unwrap();
    assert_eq!(users.find(user.id()).await.unwrap().unwrap().password_hash(), &other);
}

async fn pages_follow_each_other(users: &dyn UserRepository) {
    for n in 0..5 {
        insert(users, &format!("page{n}@example.com"), Roles::customer()).await;
    }
    let all = users.list(None, 1000).await.unwrap();
    assert!(all.len() >= 5 && all.is_sorted_by(|a, b| a.id() > b.id()));
    let first = users.list(None, 2).await.unwrap();
    let second = users.list(Some(first[1].id()), 2).await.unwrap();
    assert_eq!([first, second].concat(), all[..4]);
    assert_eq!(users.list(Some(all.last().unwrap().id()), 10).await.unwrap(), []);
}

/// Takes every administrator away at once; one refuses to go.
async fn the_last_administrator_stays(users: &dyn UserRepository) {
    for n in 0..8 {
        insert(users, &format!("admin{n}@example.com"), Roles::administrator()).await;
    }
    let all = users.list(None, 1000).await.unwrap();
    let admins: Vec<_> = all.into_iter().filter(User::is_active_admin).collect();
    let take_away = |(n, admin): (usize, &User)| match n % 2 {
        0 => admin.set_status(Status::Disabled, now()).unwrap(),
        _ => admin.set_roles(Roles::customer(), now()).unwrap(),
    };
    let changes: Vec<_> = admins.iter().enumerate().map(take_away).collect();
    let results = join_all(changes.iter().map(|change| users.save(change))).await;
    let refused: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    assert!(matches!(refused[..], [UserError::LastAdmin]), "{refused:?}");
    let left = users.list(None, 1000).await.unwrap();
    assert_eq!(left.iter().filter(|user| user.is_active_admin()).count(), 1);
}

/// What tokens do not know yet is told once per account, in its latest state.
async fn changes_of_access_are_told(users: &dyn UserRepository) {
    let kept = uuid::Uuid::from_u128(5);
    let user = insert(users, "access@example.com", Roles::customer()).await;
    let list = async |cursor: &str| users.list_access_changes(cursor, 60, 100).await.unwrap();
    let own = |changes: Vec<AccessChange>| {
        changes.into_iter().filter(|change| change.user_id == user.id()).collect::<Vec<_>>()
    };
    let before = list("").await;
    assert_eq!(own(before.changes), [], "a new account has no tokens");
    let promoted = user.set_roles(Roles::administrator(), now()).unwrap();
    users.save(&promoted).await.unwrap();
    let hash = PasswordHash::new("other");
    let changed = promoted.user.change_password(hash, Some(kept), now()).unwrap().unwrap();
    users.save(&changed).await.unwrap();
    let expected = AccessChange {
        user_id: user.id(),
        version: 3,
        status: Status::Active,
        session_epoch: 2,
        sessions_from: 3,
        kept_session: Some(kept),
        roles_from: 2,
    };
    let told = list(&before.cursor).await;
    assert_eq!(own(told.changes), [expected]);
    assert_eq!(users.find_kept_session(user.id()).await.unwrap(), Some(kept));
    let demoted = changed.user.set_roles(Roles::customer(), now()).unwrap();
    users.save(&demoted).await.unwrap();
    let expected = AccessChange { version: 4, roles_from: 4, ..expected };
    assert_eq!(own(list(&told.cursor).await.changes), [expected], "the kept session stays so");
    let disabled = demoted.user.set_status(Status::Disabled, now()).unwrap();
    users.save(&disabled).await.unwrap();
    assert_eq!(users.find_kept_session(user.id()).await.unwrap(), None);
    let refused = users.list_access_changes("nowhere", 60, 100).await;
    assert!(matches!(refused, Err(UserError::CursorInvalid)));
}

async fn suite(users: Arc<dyn UserRepository>) {
    what_was_stored_is_found(&*users).await;
    one_address_is_one_account(&*users).await;
    a_change_is_stored_whole(&*users).await;
    a_change_of_an_outdated_account_is_refused(&*users).await;
    changes_of_access_are_told(&*users).await;
    a_hash_is_renewed_in_the_place_of_the_one_in_force_only(&*users).await;
    pages_follow_each_other(&*users).await;
    the_last_administrator_stays(&*users).await;
}

#[tokio::test]
async fn the_memory_adapter_keeps_the_contract() {
    let users = Arc::new(MemoryUserRepository::default());
    suite(users.clone()).await;
    let told: BTreeSet<_> = users.events().iter().map(UserEvent::name).collect();
    assert_eq!(Vec::from_iter(told), EVENTS, "events are stored with their change");
    let audit = users.audit();
    let told: BTreeSet<_> = audit.iter().map(Entry::action).collect();
    assert_eq!(Vec::from_iter(told), AUDITED);
    let is_version = |entry: &&Entry| entry.action() != "user.password_rehashed";
    let all = users.list(None, 1000).await.unwrap();
    let versions: u64 = all.iter().map(User::version).sum();
    assert_eq!(audit.iter().filter(is_version).count() as u64, versions, "a version has one row");
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_mysql_adapter_keeps_the_contract() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let audit = chassis::testing::audit::log("user-service");
    suite(Arc::new(MySqlUserRepository::new(database.pool(), Outbox::new(), audit))).await;
    let told: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT routing_key FROM outbox ORDER BY routing_key")
            .fetch_all(&database.pool())
            .await
            .unwrap();
    assert_eq!(told, EVENTS, "events are stored with their change");
    let odd = "SELECT COUNT(*) FROM users u WHERE u.version <> (SELECT COUNT(*) FROM audit_log a \
        WHERE a.user_id = u.id AND a.action <> 'user.password_rehashed')";
    let odd: i64 = sqlx::query_scalar(odd).fetch_one(&database.pool()).await.unwrap();
    assert_eq!(odd, 0, "a version has one row");
    let told = chassis::testing::audit::counts(&database.pool()).await;
    assert_eq!(told.keys().map(String::as_str).collect::<Vec<_>>(), AUDITED);
    assert_eq!(told["user.password_rehashed"], 1);
    database.finish().await;
}
