//! What every adapter promises of dead letters.

use std::collections::BTreeMap;

use chassis::testing::mysql::TestDatabase;

use super::{Repository, now};
use crate::model::{DeadLetter, DeadLetterId, DeadLetterStatus, UserId, Verdict};
use crate::repository::memory::MemoryRepository;
use crate::repository::mysql::{MIGRATOR, MySqlRepository};
use crate::repository::{DeadLetterQuery, DeadLetterRepository};

fn letter(payload: &[u8]) -> DeadLetter {
    DeadLetter {
        id: DeadLetterId::generate(),
        event_id: "order.paid:1:2".into(),
        routing_key: "order.paid".into(),
        reason: "rejected".into(),
        payload: payload.to_vec(),
        status: DeadLetterStatus::Open,
        created_at: now(),
        decided_at: None,
        decided_by: None,
        decision_reason: None,
    }
}

fn letters(status: Option<DeadLetterStatus>) -> DeadLetterQuery {
    DeadLetterQuery { status, before: None, limit: 101 }
}

pub(super) async fn a_death_is_buried_once_and_listed_without_its_payload(
    repository: &impl Repository,
) {
    let first = letter(b"{\xff");
    repository.bury(&[([1; 32], first.clone())]).await.unwrap();
    let second = letter(b"other");
    repository.bury(&[([1; 32], letter(b"again")), ([2; 32], second.clone())]).await.unwrap();
    let found = DeadLetterRepository::list(repository, letters(None)).await.unwrap();
    let bare = |letter: &DeadLetter| DeadLetter { payload: Vec::new(), ..letter.clone() };
    assert_eq!(found, [bare(&second), bare(&first)]);
    assert_eq!(repository.find(first.id).await.unwrap(), Some(first));
    assert_eq!(repository.find(DeadLetterId::generate()).await.unwrap(), None);
}

pub(super) async fn a_dead_letter_is_decided_once(repository: &impl Repository) {
    let open = letter(b"{");
    repository.bury(&[([1; 32], open.clone()), ([2; 32], letter(b"other"))]).await.unwrap();
    assert_eq!(repository.count_open(10).await.unwrap(), 2);
    assert_eq!(repository.count_open(1).await.unwrap(), 1, "no further than is worth knowing");
    let by = UserId::generate();
    let reason = Some("上游已更正 ✓".to_owned());
    let verdict =
        Verdict { status: DeadLetterStatus::Discarded, by, at: now(), reason: reason.clone() };
    assert!(repository.decide(open.id, verdict.clone()).await.unwrap());
    let replay = Verdict { status: DeadLetterStatus::Replayed, reason: None, ..verdict };
    assert!(!repository.decide(open.id, replay).await.unwrap());
    let decided = repository.find(open.id).await.unwrap().unwrap();
    assert_eq!((decided.status, decided.decided_by), (DeadLetterStatus::Discarded, Some(by)));
    assert_eq!(decided.decision_reason, reason);
    let still_open = DeadLetterRepository::list(repository, letters(Some(DeadLetterStatus::Open)));
    assert!(still_open.await.unwrap().iter().all(|letter| letter.id != open.id));
    assert_eq!(repository.count_open(10).await.unwrap(), 1);
}

#[tokio::test]
async fn a_decision_has_one_row_in_the_audit_log() {
    let repository = MemoryRepository::default();
    a_dead_letter_is_decided_once(&repository).await;
    assert_eq!(repository.audit(), ["dead_letter.discarded"]);
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_decision_has_one_row_in_the_audit_log_of_the_schema() {
    let (database, audit) =
        (TestDatabase::create(&MIGRATOR).await, chassis::testing::audit::log("notify-service"));
    a_dead_letter_is_decided_once(&MySqlRepository::new(database.pool(), audit)).await;
    let told = chassis::testing::audit::counts(&database.pool()).await;
    assert_eq!(told, BTreeMap::from([("dead_letter.discarded".to_owned(), 1)]));
    database.finish().await;
}
