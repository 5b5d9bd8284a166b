//! What keeps revocations.

use std::sync::Arc;

use futures::future::join_all;

use super::now;
use super::sessions::open;
use crate::model::{AccountRule, EndReason, Revocation, SessionError, SessionId, UserId};
use crate::repository::{RevocationRepository, SessionRepository};

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

pub(super) async fn revocation_suite(
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
