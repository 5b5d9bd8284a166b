//! The suites that every adapter of the ports passes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chassis::outbox::Outbox;
use chassis::testing::mysql::TestDatabase;
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;

use super::{
    KeyRepository, MIGRATOR, MemoryKeyRepository, MemorySessionRepository, MySqlKeyRepository,
    MySqlSessionRepository, SessionRepository,
};
use crate::model::{
    Client, EndReason, Exchange, Identity, Lifetimes, Login, Opened, Session, SessionError,
    SessionId, StoredKey, TokenDigest, TokenState, UserId, Verdict,
};
use crate::token::RefreshSecret;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_767_323_045_006).unwrap()
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
    let login = Login {
        identity: Identity { user_id: UserId::generate(), roles: Vec::new(), session_epoch: 3 },
        client: Client {
            user_agent: "浏览器 👍".to_owned(), address: "2001:db8::1".to_owned()
        },
        first_token: digest(),
    };
    let opened = Session::open(login, &lifetimes(), now());
    sessions.insert(&opened).await.unwrap();
    opened
}

async fn exchange(
    sessions: &dyn SessionRepository,
    session: SessionId,
    token: TokenDigest,
) -> Result<(Exchange, TokenDigest), SessionError> {
    let fresh = digest();
    let decide = |presented: &_| Exchange::decide(presented, fresh, &lifetimes(), now());
    Ok((sessions.exchange(session, token, &decide).await?, fresh))
}

async fn what_was_stored_is_found(sessions: &dyn SessionRepository) {
    let opened = open(sessions).await;
    let presented = sessions.find_presented(opened.token.digest).await.unwrap().unwrap();
    assert_eq!((presented.session, presented.token), (opened.session, opened.token));
    assert_eq!(presented.successor, None);
    assert_eq!(sessions.find_presented(digest()).await.unwrap(), None);
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
            assert_eq!(seen.judge(&lifetimes(), now()), Verdict::Reissue);
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
    an_exchange_is_stored_whole(&*sessions).await;
    an_unknown_token_is_not_exchanged(&*sessions).await;
    parallel_exchanges_leave_one_live_branch(&*sessions).await;
    an_exchange_is_never_seen_half_done(&*sessions).await;
    ending_twice_ends_once(&*sessions).await;
    what_expired_long_ago_is_purged(&*sessions).await;
}

fn key(kid: &str) -> StoredKey {
    StoredKey {
        kid: kid.to_owned(),
        public_key: vec![7; 32],
        sealed_key: vec![1, 2, 3],
        signs: true,
        created_at: now(),
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
    assert_eq!(keys.list().await.unwrap(), [many[winner].clone()]);
}

#[tokio::test]
async fn the_memory_adapters_keep_the_contract() {
    session_suite(Arc::new(MemorySessionRepository::default())).await;
    key_suite(Arc::new(MemoryKeyRepository::default())).await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_mysql_adapters_keep_the_contract() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let sessions = MySqlSessionRepository::new(database.pool(), Outbox::new());
    session_suite(Arc::new(sessions)).await;
    key_suite(Arc::new(MySqlKeyRepository::new(database.pool()))).await;
    for (event, count) in [
        ("auth.session_started", 7),
        ("auth.token_reuse_detected", 1),
        ("auth.sessions_revoked", 2),
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
