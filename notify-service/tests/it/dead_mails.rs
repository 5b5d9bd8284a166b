//! What administrators do with messages that were given up.

use std::collections::BTreeMap;

use chassis::error::RemoteError;
use chrono::TimeDelta;
use notify_service::client::MailError;
use proto::notify::v1 as pb;
use tonic::Status;
use uuid::Uuid;

use crate::harness::Harness;
use crate::mails::{Post, RECOVERY, order};

const USER: Uuid = Uuid::from_u128(7);

async fn dead(harness: &Harness) -> Vec<pb::DeadMail> {
    let request = harness.admin(pb::ListDeadMailsRequest::default());
    harness.client().list_dead_mails(request).await.unwrap().into_inner().dead_mails
}

async fn replay(harness: &Harness, id: &str) -> Result<pb::DeadMail, Status> {
    let request = harness.admin(pb::ReplayDeadMailRequest { dead_mail_id: id.to_owned() });
    let reply = harness.client().replay_dead_mail(request).await?.into_inner();
    Ok(reply.dead_mail.unwrap())
}

fn code<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    RemoteError::from_status(&answer.unwrap_err()).reason
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_mail_that_was_given_up_is_listed_replayed_and_sent_once() {
    let harness = Harness::start().await;
    let post = Post::of(&harness);
    harness.handle(&[order(RECOVERY, USER, "en")]).await;
    post.mailer.refuse(MailError::Refused { code: 550 });
    post.send().await;
    let found = dead(&harness).await;
    let [mail] = &found[..] else { panic!("one event, one message") };
    assert_eq!((mail.event.as_str(), mail.attempts), (RECOVERY, 1));
    assert_eq!(mail.user_id, USER.to_string());
    assert_eq!(mail.reason, "the message was refused with code 550");
    assert!(!format!("{mail:?}").contains("alice"), "nobody is told an address");
    assert_eq!(replay(&harness, &mail.id).await.unwrap(), *mail);
    assert_eq!(code(replay(&harness, &mail.id).await), "DEAD_MAIL_NOT_FOUND");
    post.send().await;
    post.send().await;
    let [letter] = &post.mailer.taken()[..] else { panic!("one replay, one message") };
    assert_eq!(letter.id.to_string(), mail.id);
    assert!(letter.text.contains("#token=the-secret-token"), "{}", letter.text);
    assert!(dead(&harness).await.is_empty());
    assert_eq!(code(replay(&harness, &mail.id).await), "DEAD_MAIL_NOT_FOUND");
    let told = chassis::testing::audit::counts(&harness.pool()).await;
    assert_eq!(told, BTreeMap::from([("mail.replayed".to_owned(), 1)]));
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_mail_that_used_its_attempts_up_has_all_of_them_again() {
    let harness = Harness::start().await;
    let post = Post::of(&harness);
    harness.handle(&[order(RECOVERY, USER, "en")]).await;
    let attempts = "UPDATE mails SET attempts = 299";
    sqlx::query(attempts).execute(&harness.pool()).await.unwrap();
    post.mailer.refuse(MailError::unavailable("busy"));
    post.send().await;
    let id = dead(&harness).await.remove(0).id;
    replay(&harness, &id).await.unwrap();
    post.mailer.refuse(MailError::unavailable("busy"));
    post.send().await;
    assert!(dead(&harness).await.is_empty(), "it waits as after its first attempt");
    post.clock.advance(TimeDelta::seconds(5));
    post.send().await;
    assert_eq!(post.mailer.taken().len(), 1);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_mail_whose_link_is_over_stays_dead() {
    let harness = Harness::start().await;
    let post = Post::of(&harness);
    harness.handle(&[order(RECOVERY, USER, "en")]).await;
    post.clock.advance(TimeDelta::minutes(31));
    post.send().await;
    let id = dead(&harness).await.remove(0).id;
    assert_eq!(code(replay(&harness, &id).await), "REPLAY_FAILED");
    assert_eq!(dead(&harness).await.len(), 1);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn dead_mails_come_in_bounded_pages_to_administrators_alone() {
    let harness = Harness::start().await;
    let post = Post::of(&harness);
    let events: Vec<_> = (0..3).map(|_| order(RECOVERY, USER, "en")).collect();
    harness.handle(&events).await;
    for _ in &events {
        post.mailer.refuse(MailError::Refused { code: 550 });
    }
    post.send().await;
    let (mut client, mut seen) = (harness.client(), Vec::new());
    let mut page_token = String::new();
    for size in [2, 1] {
        let list = pb::ListDeadMailsRequest { page_size: 2, page_token };
        let page = client.list_dead_mails(harness.admin(list)).await.unwrap().into_inner();
        assert_eq!(page.dead_mails.len(), size);
        seen.extend(page.dead_mails.into_iter().map(|mail| mail.id));
        page_token = page.next_page_token;
    }
    assert_eq!(page_token, "");
    assert!(seen.is_sorted_by(|newer, older| newer > older), "{seen:?}");
    for (page_size, page_token, refused) in
        [(101, "", "VALIDATION_FAILED"), (1, "forged", "CURSOR_INVALID")]
    {
        let list = pb::ListDeadMailsRequest { page_size, page_token: page_token.to_owned() };
        assert_eq!(code(client.list_dead_mails(harness.admin(list)).await), refused);
    }
    let list = harness.user(USER, pb::ListDeadMailsRequest::default());
    assert_eq!(code(client.list_dead_mails(list).await), "PERMISSION_DENIED");
    let id = pb::ReplayDeadMailRequest { dead_mail_id: seen.remove(0) };
    assert_eq!(code(client.replay_dead_mail(harness.user(USER, id)).await), "PERMISSION_DENIED");
    let id = pb::ReplayDeadMailRequest { dead_mail_id: "17".to_owned() };
    assert_eq!(code(client.replay_dead_mail(harness.admin(id)).await), "ID_INVALID");
    harness.finish().await;
}
