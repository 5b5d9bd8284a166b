//! The suites that every adapter of the ports passes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use chassis::doorbell::Doorbell;
use chassis::outbox::Outbox;
use chassis::testing::mysql::TestDatabase;
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;

use super::{
    KeyRepository, MIGRATOR, MemoryKeyRepository, MemorySessionRepository, MySqlKeyRepository,
    MySqlRevocationRepository, MySqlSessionRepository, RevocationRepository, SessionRepository,
};
use crate::model::{
    AccountRule, Client, EndOfUser, EndReason, Exchange, Identity, KeyState, Lifetimes, Login,
    Moment, Opened, Presented, Revocation, Session, SessionError, SessionId, StoredKey,
    TokenDigest, TokenState, UserId, Verdict,
};
use crate::token::RefreshSecret;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_767_323_045_006).unwrap()
}

fn moment() -> Moment {
    Moment { now: now(), shared: now() }
}

fn lifetimes() -> Lifetimes {
    Lifetimes {
        absolute: TimeDelta::days(30),
        idle: TimeDelta::days(7),
        retry_grace: TimeDelta::seconds(10),
    }
}

fn digest() -> TokenDigest {
    RefreshSecret::generate().unwrap().digest()
}

async fn open(sessions: &dyn SessionRepository) -> Opened {
    open_for(sessions, UserId::generate(), now()).await
}

async fn open_for(sessions: &dyn SessionRepository, user_id: UserId, at: DateTime<Utc>) -> Opened {
    let login = Login {
        identity: Identity { user_id, roles: Vec::new(), session_epoch: 3, version: 3 },
        client: Client {
            user_agent: "浏览器 👍".to_owned(), address: "2001:db8::1".to_owned()
        },
        first_token: digest(),
    };
    let opened = Session::open(login, &lifetimes(), at);
    sessions.insert(&opened).await.unwrap();
    opened
}

async fn exchange(
    sessions: &dyn SessionRepository,
    session: SessionId,
    token: TokenDigest,
) -> Result<(Exchange, TokenDigest), SessionError> {
    let fresh = digest();
    let decide = |presented: &_| Exchange::decide(presented, fresh, &lifetimes(), moment());
    Ok((sessions.exchange(session, token, &decide).await?, fresh))
}

async fn what_was_stored_is_found(sessions: &dyn SessionRepository) {
    let opened = open(sessions).await;
    let presented = sessions.find_presented(opened.token.digest).await.unwrap().unwrap();
    assert_eq!((presented.session, presented.token), (opened.session, opened.token));
    assert_eq!(presented.successor, None);
    assert_eq!(sessions.find_presented(digest()).await.unwrap(), None);
}

/// One clock tells every replica when a token was presented: also inside an exchange, and it goes on.
async fn the_storage_tells_the_time(sessions: &dyn SessionRepository) {
    let opened = open(sessions).await;
    let (id, token) = (opened.session.id(), opened.token.digest);
    let before = sessions.find_presented(token).await.unwrap().unwrap().seen_at;
    let seen_at = Mutex::new(None);
    let decide = |presented: &Presented| {
        *seen_at.lock().unwrap() = Some(presented.seen_at);
        Exchange::decide(presented, digest(), &lifetimes(), moment())
    };
    sessions.exchange(id, token, &decide).await.unwrap();
    let after = sessions.find_presented(token).await.unwrap().unwrap().seen_at;
    let within = seen_at.into_inner().unwrap().unwrap();
    assert!(before <= within && within <= after, "{before} {within} {after}");
    assert!(after - before < TimeDelta::minutes(1));
}

async fn an_exchange_is_stored_whole(sessions: &dyn SessionRepository) {
    let opened = open(sessions).await;
    let id = opened.session.id();
    let (first, second_token) = exchange(sessions, id, opened.token.digest).await.unwrap();
    assert_eq!(first.verdict, Verdict::Rotate);
    let spent = sessions.find_presented(opened.token.digest).await.unwrap().unwrap();
    assert_eq!(spent.token.state, TokenState::Spent);
    assert_eq!(spent.token.spent_at, Some(now()));
    assert_eq!(spent.successor.unwrap().digest, second_token);
    assert_eq!(spent.session.version(), 2);
    let (again, third_token) = exchange(sessions, id, opened.token.digest).await.unwrap();
    assert_eq!(again.verdict, Verdict::Reissue);
    let replaced = sessions.find_presented(second_token).await.unwrap().unwrap();
    assert_eq!(replaced.token.state, TokenState::Replaced);
    let (next, _) = exchange(sessions, id, third_token).await.unwrap();
    assert_eq!(next.verdict, Verdict::Rotate);
    let (reused, _) = exchange(sessions, id, opened.token.digest).await.unwrap();
    assert_eq!((reused.verdict, reused.ended), (Verdict::Reused, Some(EndReason::TokenReuse)));
    let ended = sessions.find_presented(third_token).await.unwrap().unwrap();
    assert!(ended.session.stored().has_ended);
    let (late, _) = exchange(sessions, id, third_token).await.unwrap();
    assert_eq!(late.verdict, Verdict::Refused);
}

async fn an_unknown_token_is_not_exchanged(sessions: &dyn SessionRepository) {
    let opened = open(sessions).await;
    let unknown = exchange(sessions, opened.session.id(), digest()).await;
    assert!(matches!(unknown, Err(SessionError::RefreshInvalid)));
    let no_session = exchange(sessions, SessionId::generate(), digest()).await;
    assert!(matches!(no_session, Err(SessionError::RefreshInvalid)));
}

async fn parallel_exchanges_leave_one_live_branch(sessions: &dyn SessionRepository) {
    let opened = open(sessions).await;
    let (id, token) = (opened.session.id(), opened.token.digest);
    let results = join_all((0..50).map(|_| exchange(sessions, id, token))).await;
    let mut live = 0;
    for result in results {
        let (exchange, fresh) = result.unwrap();
        assert!(matches!(exchange.verdict, Verdict::Rotate | Verdict::Reissue));
        let presented = sessions.find_presented(fresh).await.unwrap().unwrap();
        live += usize::from(presented.token.state == TokenState::Live);
    }
    assert_eq!(live, 1);
}

/// Who asks for a lost reply again and again must never pass for a thief.
async fn an_exchange_is_never_seen_half_done(sessions: &dyn SessionRepository) {
    let opened = open(sessions).await;
    let (id, token) = (opened.session.id(), opened.token.digest);
    exchange(sessions, id, token).await.unwrap();
    let is_done = AtomicBool::new(false);
    let change = async {
        for _ in 0..200 {
            exchange(sessions, id, token).await.unwrap();
        }
        is_done.store(true, Ordering::SeqCst);
    };
    let look = || async {
        while !is_done.load(Ordering::SeqCst) {
            let seen = sessions.find_presented(token).await.unwrap().unwrap();
            assert_eq!(seen.judge(&lifetimes(), moment()), Verdict::Reissue);
            tokio::task::yield_now().await;
        }
    };
    futures::join!(change, look(), look(), look());
}

async fn ending_twice_ends_once(sessions: &dyn SessionRepository) {
    let opened = open(sessions).await;
    let id = opened.session.id();
    for _ in 0..2 {
        sessions.end(id, EndReason::Logout, now()).await.unwrap();
    }
    let ended = sessions.find_presented(opened.token.digest).await.unwrap().unwrap().session;
    assert!(ended.stored().has_ended);
    assert_eq!(ended.version(), 2);
    sessions.end(SessionId::generate(), EndReason::Logout, now()).await.unwrap();
}

async fn live_sessions_of_a_user_are_listed(sessions: &dyn SessionRepository) {
    let user = UserId::generate();
    let at = |minute| now() + TimeDelta::minutes(minute);
    let mut opened = Vec::new();
    for minute in 0..4 {
        opened.push(open_for(sessions, user, at(minute)).await.session.id());
    }
    open(sessions).await;
    sessions.end(opened[2], EndReason::Logout, at(5)).await.unwrap();
    let list = async |when, limit| {
        let live = sessions.list_live(user, &lifetimes(), when, limit).await.unwrap();
        live.iter().map(Session::id).collect::<Vec<_>>()
    };
    assert_eq!(list(at(6), 100).await, [opened[3], opened[1], opened[0]]);
    assert_eq!(list(at(6), 2).await, [opened[3], opened[1]]);
    assert_eq!(list(at(1) + TimeDelta::days(7), 100).await, [opened[3]], "the others are idle");
    let found = sessions.find(opened[2]).await.unwrap().unwrap();
    assert!(found.stored().has_ended && found.user_id() == user);
    assert_eq!(sessions.find(SessionId::generate()).await.unwrap(), None);
}

async fn sessions_of_a_user_end_together(sessions: &dyn SessionRepository) {
    let user = UserId::generate();
    let mut opened = Vec::new();
    for _ in 0..25 {
        opened.push(open_for(sessions, user, now()).await.session.id());
    }
    let other = open(sessions).await.session.id();
    let end = |kept, below_epoch| EndOfUser {
        user_id: user,
        kept,
        below_epoch,
        reason: EndReason::EpochMoved,
    };
    let kept = Some(opened[7]);
    let ended = async |end: EndOfUser| sessions.end_of_user(&end, now()).await.unwrap();
    assert_eq!(ended(end(kept, Some(3))).await, 0, "they began under this epoch");
    assert_eq!(ended(end(kept, Some(4))).await, 24);
    assert_eq!(ended(end(kept, Some(4))).await, 0);
    let live = sessions.list_live(user, &lifetimes(), now(), 100).await.unwrap();
    assert_eq!(live.iter().map(Session::id).collect::<Vec<_>>(), [opened[7]]);
    assert_eq!(ended(end(None, None)).await, 1);
    assert!(!sessions.find(other).await.unwrap().unwrap().stored().has_ended);
}

async fn what_expired_long_ago_is_purged(sessions: &dyn SessionRepository) {
    let opened = open(sessions).await;
    assert_eq!(sessions.purge(now() + TimeDelta::days(30), 100).await.unwrap(), 0);
    let late = now() + TimeDelta::days(31);
    assert_eq!(sessions.purge(late, 1).await.unwrap(), 1);
    while sessions.purge(late, 100).await.unwrap() > 0 {}
    assert_eq!(sessions.find_presented(opened.token.digest).await.unwrap(), None);
}

async fn session_suite(sessions: Arc<dyn SessionRepository>) {
    what_was_stored_is_found(&*sessions).await;
    the_storage_tells_the_time(&*sessions).await;
    an_exchange_is_stored_whole(&*sessions).await;
    an_unknown_token_is_not_exchanged(&*sessions).await;
    parallel_exchanges_leave_one_live_branch(&*sessions).await;
    an_exchange_is_never_seen_half_done(&*sessions).await;
    ending_twice_ends_once(&*sessions).await;
    live_sessions_of_a_user_are_listed(&*sessions).await;
    sessions_of_a_user_end_together(&*sessions).await;
    what_expired_long_ago_is_purged(&*sessions).await;
}

fn rule(user_id: UserId, version: u64) -> AccountRule {
    AccountRule {
        user_id,
        version,
        is_disabled: version == 3,
        sessions_from: version,
        kept_session: (version == 2).then(SessionId::generate),
        roles_from: 1,
    }
}

/// Everything in the feed from a cursor on, in pages of three, and where it goes on.
async fn read(revocations: &dyn RevocationRepository, cursor: &str) -> (Vec<Revocation>, String) {
    let (mut all, mut cursor) = (Vec::new(), cursor.to_owned());
    loop {
        let page = revocations.list(&cursor, 600, 3).await.unwrap();
        assert!(page.entries.len() <= 3);
        assert!(page.entries.iter().all(|(_, keep_s)| (590..=600).contains(keep_s)));
        all.extend(page.entries.into_iter().map(|(entry, _)| entry));
        cursor = page.cursor;
        if !page.more {
            return (all, cursor);
        }
    }
}

/// Replicas apply the changes of an account at once and in any order.
async fn the_highest_of_rules_recorded_at_once_stays(revocations: &dyn RevocationRepository) {
    let users: Vec<_> = (0..25).map(|_| UserId::generate()).collect();
    for user in &users {
        let rules = [4, 7, 1, 8, 2, 6, 3, 5].map(|version| rule(*user, version));
        for outcome in join_all(rules.iter().map(|rule| revocations.record(rule))).await {
            outcome.unwrap();
        }
    }
    let (told, _) = read(revocations, "").await;
    for user in users {
        assert!(told.contains(&Revocation::Account(rule(user, 8))), "a lower version is left");
    }
}

async fn revocation_suite(
    sessions: Arc<dyn SessionRepository>,
    revocations: Arc<dyn RevocationRepository>,
) {
    let (_, begin) = read(&*revocations, "").await;
    let mut ended = Vec::new();
    for _ in 0..5 {
        let id = open(&*sessions).await.session.id();
        sessions.end(id, EndReason::Logout, now()).await.unwrap();
        ended.push(Revocation::Session(id));
    }
    let user = UserId::generate();
    let [first, second, third] = [1, 2, 3].map(|version| rule(user, version));
    assert!(revocations.record(&second).await.unwrap());
    assert!(!revocations.record(&second).await.unwrap(), "it is there");
    assert!(!revocations.record(&first).await.unwrap(), "an older one undoes nothing");
    let (told, middle) = read(&*revocations, &begin).await;
    assert!(ended.iter().all(|entry| told.contains(entry)), "every page is read");
    assert!(told.contains(&Revocation::Account(second.clone())));
    let many = join_all((0..8).map(|_| revocations.record(&third))).await;
    assert_eq!(many.into_iter().filter(|stored| *stored.as_ref().unwrap()).count(), 1);
    let (told, _) = read(&*revocations, &middle).await;
    assert!(told.contains(&Revocation::Account(third)));
    assert!(!told.contains(&Revocation::Account(second)), "one rule per account");
    the_highest_of_rules_recorded_at_once_stays(&*revocations).await;
    let refused = revocations.list("nowhere", 600, 3).await;
    assert!(matches!(refused, Err(SessionError::CursorInvalid)));
    assert_eq!(revocations.sweep(600, 100).await.unwrap(), 0);
    while revocations.sweep(0, 2).await.unwrap() > 0 {}
}

fn key(kid: &str) -> StoredKey {
    StoredKey {
        kid: kid.to_owned(),
        public_key: vec![7; 32],
        sealed_key: vec![1, 2, 3],
        signs: true,
        created_at: now(),
        signs_from: None,
        published_until: None,
    }
}

async fn key_suite(keys: Arc<dyn KeyRepository>) {
    assert_eq!(keys.list().await.unwrap(), []);
    let many: Vec<_> = (0..10).map(|n| key(&format!("kid-{n}"))).collect();
    let results = join_all(many.iter().map(|key| keys.insert_signing(key))).await;
    let won: Vec<_> = results.iter().map(|result| *result.as_ref().unwrap()).collect();
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
    let winner = won.iter().position(|won| *won).unwrap();
    let signing = many[winner].clone();
    assert_eq!(keys.list().await.unwrap(), std::slice::from_ref(&signing));
    rotation_suite(&*keys, &signing.kid).await;
    of_orders_given_at_once_one_key_is_left(&*keys).await;
}

/// Whoever withdraws all keys at the same moment as others either does so or is told, and never fails
/// for a reason that nobody understands.
async fn of_orders_given_at_once_one_key_is_left(keys: &dyn KeyRepository) {
    let at = now() + TimeDelta::hours(1);
    let made = |n: u32| StoredKey { created_at: at, ..key(&format!("order-{n}")) };
    let made: Vec<_> = (0..6).map(made).collect();
    let outcomes = join_all(made.iter().map(|key| keys.replace_all(key, at))).await;
    for outcome in &outcomes {
        let is_clear = matches!(
            outcome,
            Ok(()) | Err(SessionError::KeysChanged | SessionError::Unavailable { .. })
        );
        assert!(is_clear, "{outcome:?}");
    }
    assert!(outcomes.iter().any(Result::is_ok));
    let left = keys.list().await.unwrap();
    let left: Vec<_> = left.iter().filter(|key| key.signs || key.is_published(at)).collect();
    assert!(matches!(&left[..], [key] if key.state() == KeyState::Signing), "{left:?}");
}

async fn rotation_suite(keys: &dyn KeyRepository, first: &str) {
    let later = now() + TimeDelta::minutes(1);
    let pending = |kid: &str| StoredKey {
        signs: false,
        created_at: later,
        signs_from: Some(later),
        ..key(kid)
    };
    let many: Vec<_> = (0..10).map(|n| pending(&format!("next-{n}"))).collect();
    let stored = join_all(many.iter().map(|key| keys.insert_pending(key))).await;
    let stored: Vec<_> = stored.into_iter().map(Result::unwrap).collect();
    assert_eq!(stored.iter().filter(|stored| **stored).count(), 1);
    let next = &many[stored.iter().position(|stored| *stored).unwrap()];
    let states = async || {
        let keys = keys.list().await.unwrap();
        keys.iter().map(|key| (key.kid.clone(), key.state())).collect::<Vec<_>>()
    };
    let named = |kid: &str, state| (kid.to_owned(), state);
    let expected = [named(first, KeyState::Signing), named(&next.kid, KeyState::Pending)];
    assert_eq!(states().await, expected);
    assert!(keys.list().await.unwrap().contains(next), "it is stored whole");
    let promoted = join_all((0..8).map(|_| keys.promote(&next.kid, later))).await;
    assert_eq!(promoted.into_iter().filter(|done| *done.as_ref().unwrap()).count(), 1);
    let expected = [named(first, KeyState::Retired), named(&next.kid, KeyState::Signing)];
    assert_eq!(states().await, expected);
    let retired = keys.list().await.unwrap().remove(0);
    assert_eq!((retired.published_until, retired.sealed_key), (Some(later), Vec::new()));
    assert!(keys.insert_pending(&pending("waits")).await.unwrap(), "the next one may come");
    let last = StoredKey { created_at: later + TimeDelta::minutes(1), ..key("only") };
    keys.replace_all(&last, later).await.unwrap();
    let states = states().await;
    let living: Vec<_> = states.iter().filter(|(_, state)| *state != KeyState::Retired).collect();
    assert_eq!(living, [&named("only", KeyState::Signing)]);
    assert!(keys.list().await.unwrap().iter().all(|key| key.signs || !key.is_published(later)));
    assert_eq!(keys.forget(later).await.unwrap(), 0);
    assert_eq!(keys.forget(later + TimeDelta::seconds(1)).await.unwrap(), 3);
}

#[tokio::test]
async fn the_memory_adapters_keep_the_contract() {
    let memory = Arc::new(MemorySessionRepository::default());
    revocation_suite(memory.clone(), memory.clone()).await;
    session_suite(memory).await;
    key_suite(Arc::new(MemoryKeyRepository::default())).await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_mysql_adapters_keep_the_contract() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let sessions = MySqlSessionRepository::new(database.pool(), Outbox::new(), Doorbell::new());
    let revocations = Arc::new(MySqlRevocationRepository::new(database.pool()));
    let sessions = Arc::new(sessions);
    session_suite(sessions.clone()).await;
    revocation_suite(sessions, revocations).await;
    key_suite(Arc::new(MySqlKeyRepository::new(database.pool()))).await;
    for (event, count) in [
        ("auth.session_started", 44),
        ("auth.token_reuse_detected", 1),
        ("auth.sessions_revoked", 33),
    ] {
        let stored: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM outbox WHERE routing_key = ?")
            .bind(event)
            .fetch_one(&database.pool())
            .await
            .unwrap();
        assert_eq!(stored, count, "{event}");
    }
    database.finish().await;
}
