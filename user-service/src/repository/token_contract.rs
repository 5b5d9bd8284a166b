//! The suite that every adapter of [`TokenRepository`] passes, together with accounts.

use std::sync::Arc;

use chassis::outbox::Outbox;
use chassis::testing::mysql::TestDatabase;
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;

use super::{
    Issue, MIGRATOR, MemoryUserRepository, MySqlUserRepository, TokenRepository, UserRepository,
};
use crate::model::{
    DisplayName, Email, IssuedToken, LiveToken, Locale, PasswordHash, Purpose, RecoveryRequestId,
    Registration, Roles, Status, TokenDigest, TokenId, User, UserError,
};

/// Tokens of one account and purpose that are good at once.
const LIVE_MAX: u32 = 3;

trait Storage: UserRepository + TokenRepository {}
impl<S: UserRepository + TokenRepository> Storage for S {}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_767_323_045_006).unwrap()
}

fn later() -> DateTime<Utc> {
    now() + TimeDelta::hours(1)
}

async fn registered(storage: &dyn Storage, email: &str) -> User {
    let registration = Registration {
        email: Email::parse(email).unwrap(),
        display_name: DisplayName::parse("Alice").unwrap(),
        locale: Locale::ZhCn,
        roles: Roles::customer(),
        password_hash: PasswordHash::new("hash"),
    };
    let change = User::register(registration, now());
    storage.insert(&change).await.unwrap();
    change.user
}

fn token(user: &User, purpose: Purpose) -> IssuedToken {
    let id = TokenId::generate();
    let mut digest = [0; 32];
    digest[..16].copy_from_slice(id.as_uuid().as_bytes());
    IssuedToken {
        token: LiveToken {
            id,
            user_id: user.id(),
            purpose,
            email: Email::to_find(user.email().normalized()).unwrap(),
            session_epoch: Some(user.session_epoch()),
            expires_at: later(),
        },
        digest: TokenDigest::new(digest),
        issued_at: now(),
        locale: user.locale(),
        sealed: "c2VhbGVk".repeat(20),
    }
}

async fn issued(storage: &dyn Storage, user: &User, purpose: Purpose) -> IssuedToken {
    let token = token(user, purpose);
    assert_eq!(storage.issue(&token, LIVE_MAX, None).await.unwrap(), Issue::Done);
    token
}

async fn is_live(storage: &dyn Storage, issued: &IssuedToken) -> bool {
    let purpose = issued.token.purpose;
    storage.find_live(&issued.digest, purpose, now()).await.unwrap().is_some()
}

async fn a_token_is_found_for_its_purpose_in_its_time(storage: &dyn Storage) {
    let user = registered(storage, "Find@example.com").await;
    let one = issued(storage, &user, Purpose::VerifyEmail).await;
    let find = async |digest: &TokenDigest, purpose, at| {
        storage.find_live(digest, purpose, at).await.unwrap()
    };
    let last = later() - TimeDelta::milliseconds(1);
    assert_eq!(find(&one.digest, Purpose::VerifyEmail, last).await, Some(one.token.clone()));
    assert_eq!(find(&one.digest, Purpose::VerifyEmail, later()).await, None);
    assert_eq!(find(&one.digest, Purpose::RecoverPassword, now()).await, None);
    assert_eq!(find(&TokenDigest::new([9; 32]), Purpose::VerifyEmail, now()).await, None);
}

async fn a_token_comes_with_its_registration_or_not_at_all(storage: &dyn Storage) {
    let user = registered(storage, "first@example.com").await;
    let registration = |email: &str| Registration {
        email: Email::parse(email).unwrap(),
        display_name: DisplayName::parse("Alice").unwrap(),
        locale: Locale::En,
        roles: Roles::customer(),
        password_hash: PasswordHash::new("hash"),
    };
    let change = User::register(registration("second@example.com"), now());
    let first = token(&change.user, Purpose::VerifyEmail);
    storage.insert(&change.issuing(first.clone())).await.unwrap();
    assert!(is_live(storage, &first).await);
    let taken = User::register(registration(user.email().as_given()), now());
    let second = token(&taken.user, Purpose::VerifyEmail);
    let refused = storage.insert(&taken.issuing(second.clone())).await;
    assert!(matches!(refused, Err(UserError::AccountExists)));
    assert!(!is_live(storage, &second).await);
}

async fn of_many_uses_at_once_one_is_done(storage: &dyn Storage) {
    let user = registered(storage, "once@example.com").await;
    let one = issued(storage, &user, Purpose::RecoverPassword).await;
    let uses: Vec<_> = (0..8)
        .map(|n| {
            let hash = PasswordHash::new(format!("hash {n}"));
            user.recover_password(&one.token, hash, now()).unwrap()
        })
        .collect();
    let outcomes = join_all(uses.iter().map(|change| storage.save(change))).await;
    let winner = outcomes.iter().position(Result::is_ok).unwrap();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let stored = storage.find(user.id()).await.unwrap().unwrap();
    assert_eq!(stored, uses[winner].user);
    assert_eq!(stored.email_verified_at(), Some(now()));
    assert!(!is_live(storage, &one).await);
    // Worked out anew on the account as it is now, the same use is refused for the token's sake.
    let hash = PasswordHash::new("late");
    let used = LiveToken { session_epoch: Some(stored.session_epoch()), ..one.token.clone() };
    let again = stored.recover_password(&used, hash, now()).unwrap();
    assert!(matches!(storage.save(&again).await, Err(UserError::TokenInvalid)));
    assert_eq!(storage.find(user.id()).await.unwrap(), Some(stored), "and nothing is changed");
}

async fn a_token_that_is_over_allows_nothing(storage: &dyn Storage) {
    let user = registered(storage, "over@example.com").await;
    let one = issued(storage, &user, Purpose::VerifyEmail).await;
    let late = user.verify_email(&one.token, later()).unwrap();
    assert!(matches!(storage.save(&late).await, Err(UserError::TokenInvalid)));
    let swapped = LiveToken { purpose: Purpose::RecoverPassword, ..one.token.clone() };
    let hash = PasswordHash::new("other");
    let swapped = user.recover_password(&swapped, hash, now()).unwrap();
    assert!(matches!(storage.save(&swapped).await, Err(UserError::TokenInvalid)));
    assert_eq!(storage.find(user.id()).await.unwrap(), Some(user));
}

async fn a_change_ends_what_it_ends_and_of_this_account_alone(storage: &dyn Storage) {
    let other = registered(storage, "bystander@example.com").await;
    let untouched = issued(storage, &other, Purpose::RecoverPassword).await;
    let user = registered(storage, "ends@example.com").await;
    let proof = issued(storage, &user, Purpose::VerifyEmail).await;
    let link = issued(storage, &user, Purpose::RecoverPassword).await;
    let changed = user.change_password(PasswordHash::new("other"), None, now()).unwrap().unwrap();
    storage.save(&changed).await.unwrap();
    assert!(!is_live(storage, &link).await);
    assert!(is_live(storage, &proof).await);
    let second = issued(storage, &user, Purpose::VerifyEmail).await;
    let verified = changed.user.verify_email(&proof.token, now()).unwrap();
    storage.save(&verified).await.unwrap();
    assert!(!is_live(storage, &proof).await && !is_live(storage, &second).await);
    let link = issued(storage, &user, Purpose::RecoverPassword).await;
    let disabled = verified.user.set_status(Status::Disabled, now()).unwrap();
    storage.save(&disabled).await.unwrap();
    assert!(!is_live(storage, &link).await);
    assert!(is_live(storage, &untouched).await);
}

async fn a_token_comes_too_late_for_its_epoch(storage: &dyn Storage) {
    let user = registered(storage, "late@example.com").await;
    let changed = user.change_password(PasswordHash::new("other"), None, now()).unwrap().unwrap();
    storage.save(&changed).await.unwrap();
    // Made for the account as it was, and stored afterwards: nobody was there to end it.
    let one = issued(storage, &user, Purpose::RecoverPassword).await;
    let found = storage.find_live(&one.digest, Purpose::RecoverPassword, now()).await.unwrap();
    let stored = storage.find(user.id()).await.unwrap().unwrap();
    let refused = stored.recover_password(&found.unwrap(), PasswordHash::new("third"), now());
    assert!(matches!(refused, Err(UserError::TokenInvalid)));
}

async fn so_many_are_live_whoever_issues_at_once(storage: &dyn Storage) {
    let user = registered(storage, "many@example.com").await;
    let many: Vec<_> = (0..8).map(|_| token(&user, Purpose::VerifyEmail)).collect();
    let outcomes = join_all(many.iter().map(|one| storage.issue(one, LIVE_MAX, None))).await;
    let done = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Issue::Done)));
    assert_eq!(done.count(), LIVE_MAX as usize);
    let refused = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Issue::TooMany)));
    assert_eq!(refused.count(), 8 - LIVE_MAX as usize);
    issued(storage, &user, Purpose::RecoverPassword).await;
    let mut fresh = token(&user, Purpose::VerifyEmail);
    (fresh.issued_at, fresh.token.expires_at) = (later(), later() + TimeDelta::hours(1));
    let fresh = storage.issue(&fresh, LIVE_MAX, None).await.unwrap();
    assert_eq!(fresh, Issue::Done, "those that are over do not count");
}

async fn a_request_is_answered_once(storage: &dyn Storage) {
    let user = registered(storage, "asks@example.com").await;
    let ask = async |email: &str| {
        let email = Email::to_find(email).unwrap();
        storage.request_recovery(&email, now(), 3).await
    };
    ask("ASKS@example.com").await.unwrap();
    ask("asks@example.com").await.unwrap();
    ask("nobody@example.com").await.unwrap();
    let waiting = storage.waiting_requests(10).await.unwrap();
    let addresses: Vec<_> = waiting.iter().map(|one| one.email.normalized()).collect();
    assert_eq!(addresses, ["asks@example.com", "nobody@example.com"]);
    assert_eq!(storage.waiting_requests(1).await.unwrap(), waiting[..1]);
    let many: Vec<_> = (0..4).map(|_| token(&user, Purpose::RecoverPassword)).collect();
    let answers = many.iter().map(|one| storage.issue(one, LIVE_MAX, Some(waiting[0].id)));
    let outcomes = join_all(answers).await;
    let done = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Issue::Done)));
    assert_eq!(done.count(), 1);
    let late = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Issue::Answered)));
    assert_eq!(late.count(), 3);
    storage.drop_request(waiting[1].id).await.unwrap();
    storage.drop_request(RecoveryRequestId::generate()).await.unwrap();
    assert_eq!(storage.waiting_requests(10).await.unwrap(), []);
    for n in 0..3 {
        ask(&format!("waits{n}@example.com")).await.unwrap();
    }
    assert!(matches!(ask("late@example.com").await, Err(UserError::Unavailable { .. })));
}

/// The last case: it forgets what the others left.
async fn what_is_over_is_forgotten(storage: &dyn Storage) {
    let user = registered(storage, "old@example.com").await;
    let one = issued(storage, &user, Purpose::VerifyEmail).await;
    while storage.forget(now(), now(), 1000).await.unwrap() > 0 {}
    assert!(is_live(storage, &one).await);
    assert_eq!(storage.waiting_requests(10).await.unwrap().len(), 3);
    let after = later() + TimeDelta::hours(2);
    assert!(storage.forget(after, now(), 1).await.unwrap() == 1, "so many and no more");
    while storage.forget(after, after, 1000).await.unwrap() > 0 {}
    assert!(!is_live(storage, &one).await);
    assert_eq!(storage.waiting_requests(10).await.unwrap(), []);
}

async fn suite(storage: Arc<dyn Storage>) {
    a_token_is_found_for_its_purpose_in_its_time(&*storage).await;
    a_token_comes_with_its_registration_or_not_at_all(&*storage).await;
    of_many_uses_at_once_one_is_done(&*storage).await;
    a_token_that_is_over_allows_nothing(&*storage).await;
    a_change_ends_what_it_ends_and_of_this_account_alone(&*storage).await;
    a_token_comes_too_late_for_its_epoch(&*storage).await;
    so_many_are_live_whoever_issues_at_once(&*storage).await;
    a_request_is_answered_once(&*storage).await;
    what_is_over_is_forgotten(&*storage).await;
}

#[tokio::test]
async fn the_memory_adapter_keeps_the_contract_of_tokens() {
    suite(Arc::new(MemoryUserRepository::default())).await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_mysql_adapter_keeps_the_contract_of_tokens() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let audit = chassis::testing::audit::log("user-service");
    suite(Arc::new(MySqlUserRepository::new(database.pool(), Outbox::new(), audit))).await;
    let told: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT routing_key FROM outbox WHERE payload LIKE '%sealed%' ORDER BY routing_key",
    )
    .fetch_all(&database.pool())
    .await
    .unwrap();
    let events = [Purpose::RecoverPassword, Purpose::VerifyEmail].map(Purpose::event);
    assert_eq!(told, events, "a token is stored with what has it delivered");
    database.finish().await;
}
