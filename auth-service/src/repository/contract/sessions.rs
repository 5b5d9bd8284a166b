//! What keeps sessions.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;

use super::now;
use crate::model::{
    Client, EndOfUser, EndReason, Exchange, Identity, Lifetimes, Login, Moment, Opened, Presented,
    Session, SessionError, SessionId, TokenDigest, TokenState, UserId, Verdict,
};
use crate::repository::SessionRepository;
use crate::token::RefreshSecret;

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

pub(super) async fn open(sessions: &dyn SessionRepository) -> Opened {
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

pub(super) async fn session_suite(sessions: Arc<dyn SessionRepository>) {
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
