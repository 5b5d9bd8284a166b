//! What administrators do: listing accounts, setting status and roles.

use chassis::error::{Kind, RemoteError};
use proto::user::v1::{self as pb, UserStatus};
use tonic::Request;

use crate::harness::{Harness, PASSWORD, code, fields, refused, roles_of};

async fn page(
    harness: &Harness,
    page_size: i32,
    page_token: &str,
) -> Result<pb::ListUsersResponse, RemoteError> {
    let message = pb::ListUsersRequest { page_size, page_token: page_token.to_owned() };
    refused(harness.client().list_users(harness.by_admin(message)).await)
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn accounts_are_listed_newest_first_whoever_comes_meanwhile() {
    let harness = Harness::start().await;
    for n in 0..4 {
        harness.register(&format!("user{n}@example.com")).await;
    }
    let first = page(&harness, 2, "").await.unwrap();
    let newcomer = harness.register("late@example.com").await;
    let second = page(&harness, 2, &first.next_page_token).await.unwrap();
    let third = page(&harness, 2, &second.next_page_token).await.unwrap();
    assert!(third.next_page_token.is_empty());
    let seen = [first.users, second.users, third.users].concat();
    let emails: Vec<_> = seen.iter().map(|user| user.email.split('@').next().unwrap()).collect();
    assert_eq!(emails, ["user3", "user2", "user1", "user0", "admin"]);
    let all = page(&harness, 0, "").await.unwrap();
    assert_eq!(all.users, [vec![newcomer], seen].concat());
    let exact = page(&harness, 6, "").await.unwrap();
    assert_eq!((exact.users.len(), exact.next_page_token.as_str()), (6, ""));
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn odd_page_sizes_and_tokens_are_refused() {
    let harness = Harness::start().await;
    for size in [-1, 101, i32::MAX] {
        let refusal = page(&harness, size, "").await.unwrap_err();
        assert_eq!(
            (refusal.reason.as_str(), fields(&refusal)),
            ("VALIDATION_FAILED", vec!["page_size"])
        );
    }
    let other = harness.register("other@example.com").await;
    harness.set_roles(&other.id, &["admin"]).await.unwrap();
    let token = page(&harness, 1, "").await.unwrap().next_page_token;
    for odd in ["x", &token[1..], &format!("{token}A")] {
        let refusal = page(&harness, 1, odd).await.unwrap_err();
        assert_eq!((refusal.reason.as_str(), refusal.kind), ("CURSOR_INVALID", Kind::Malformed));
    }
    let message = pb::ListUsersRequest { page_size: 1, page_token: token };
    let stolen = harness.authorized(&other.id, &["admin"], message);
    assert_eq!(code(refused(harness.client().list_users(stolen).await)), "CURSOR_INVALID");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_customer_administers_nothing() {
    let harness = Harness::start().await;
    let alice = harness.register("alice@example.com").await;
    let status =
        pb::SetStatusRequest { user_id: alice.id.clone(), status: UserStatus::Disabled.into() };
    let (roles, list) = (roles_of(&alice.id, &["admin"]), pb::ListUsersRequest::default());
    let mut client = harness.client();
    let refusals = [
        refused(client.list_users(harness.by(&alice.id, list.clone())).await).map(|_| ()),
        refused(client.set_status(harness.by(&alice.id, status.clone())).await).map(|_| ()),
        refused(client.set_roles(harness.by(&alice.id, roles.clone())).await).map(|_| ()),
    ];
    for refusal in refusals.map(Result::unwrap_err) {
        assert_eq!(
            (refusal.reason.as_str(), refusal.kind),
            ("PERMISSION_DENIED", Kind::PermissionDenied)
        );
    }
    let anonymous = [
        refused(client.list_users(Request::new(list)).await).map(|_| ()),
        refused(client.set_status(Request::new(status)).await).map(|_| ()),
        refused(client.set_roles(Request::new(roles)).await).map(|_| ()),
    ];
    assert!(anonymous.into_iter().all(|refusal| code(refusal) == "TOKEN_MISSING"));
    assert_eq!(harness.get(&alice.id).await, alice);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn disabling_ends_sessions_and_is_told_once() {
    let harness = Harness::start().await;
    let alice = harness.register("alice@example.com").await;
    let disabled = harness.set_status(&alice.id, UserStatus::Disabled).await.unwrap();
    assert_eq!((disabled.status(), disabled.version), (UserStatus::Disabled, 2));
    assert_eq!(harness.set_status(&alice.id, UserStatus::Disabled).await, Ok(disabled));
    assert_eq!(harness.access(&alice.id).await.unwrap().session_epoch, 2);
    let enabled = harness.set_status(&alice.id, UserStatus::Active).await.unwrap();
    assert_eq!((enabled.status(), enabled.version), (UserStatus::Active, 3));
    let told = [format!("user.registered:{}:1", alice.id), format!("user.disabled:{}:2", alice.id)];
    assert_eq!(harness.events_of(&alice.id).await, told);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn roles_are_replaced_whole_and_answered_at_the_next_login() {
    let harness = Harness::start().await;
    let alice = harness.register("alice@example.com").await;
    let promoted = harness.set_roles(&alice.id, &["customer", "admin"]).await.unwrap();
    assert_eq!(
        (&promoted.roles[..], promoted.version),
        (&["admin".to_owned(), "customer".to_owned()][..], 2)
    );
    assert_eq!(harness.get(&alice.id).await, promoted);
    assert_eq!(harness.identify(&alice.email, PASSWORD).await.unwrap().roles, promoted.roles);
    assert_eq!(harness.set_roles(&alice.id, &["admin", "customer"]).await, Ok(promoted));
    let repeated = harness.set_roles(&alice.id, &["customer", "customer"]).await.unwrap();
    assert_eq!((&repeated.roles[..], repeated.version), (&["customer".to_owned()][..], 3));
    harness.set_roles(&alice.id, &["admin", "customer"]).await.unwrap();
    let demoted = harness.set_roles(&alice.id, &["customer"]).await.unwrap();
    assert_eq!((&demoted.roles[..], demoted.version), (&["customer".to_owned()][..], 5));
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn odd_orders_and_unknown_accounts_are_refused() {
    let harness = Harness::start().await;
    let alice = harness.register("alice@example.com").await;
    let unknown = chassis::id::new_id().to_string();
    for (roles, at_fault) in [
        (&[][..], vec!["roles"]),
        (&["root"], vec!["roles[0]"]),
        (&["Customer", ""], vec!["roles[0]", "roles[1]"]),
        (&["admin", "customer", "admin"], vec!["roles"]),
    ] {
        let refusal = harness.set_roles(&alice.id, roles).await.unwrap_err();
        assert_eq!((refusal.reason.as_str(), fields(&refusal)), ("VALIDATION_FAILED", at_fault));
    }
    let refusal = harness.set_status(&alice.id, UserStatus::Unspecified).await.unwrap_err();
    assert_eq!((refusal.reason.as_str(), fields(&refusal)), ("VALIDATION_FAILED", vec!["status"]));
    for (id, expected) in [(unknown.as_str(), "USER_NOT_FOUND"), ("alice", "ID_INVALID")] {
        assert_eq!(code(harness.set_status(id, UserStatus::Active).await), expected);
        assert_eq!(code(harness.set_roles(id, &["admin"]).await), expected);
    }
    assert_eq!(harness.get(&alice.id).await, alice);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_last_administrator_stays_one() {
    let harness = Harness::start().await;
    let admin = harness.admin.clone();
    let refusal = harness.set_roles(&admin, &["customer"]).await.unwrap_err();
    assert_eq!((refusal.reason.as_str(), refusal.kind), ("LAST_ADMIN", Kind::FailedPrecondition));
    assert_eq!(code(harness.set_status(&admin, UserStatus::Disabled).await), "OWN_ACCOUNT");

    // A disabled administrator administers nothing, so the other one is still the last.
    let other = harness.register("other@example.com").await;
    harness.set_roles(&other.id, &["admin"]).await.unwrap();
    harness.set_status(&other.id, UserStatus::Disabled).await.unwrap();
    assert_eq!(code(harness.set_roles(&admin, &["customer"]).await), "LAST_ADMIN");
    assert_eq!(harness.get(&admin).await.version, 1);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn administrators_who_all_resign_at_once_leave_one() {
    let harness = Harness::start().await;
    let mut admins = vec![harness.admin.clone()];
    for n in 0..3 {
        let user = harness.register(&format!("admin{n}@example.com")).await;
        admins.push(harness.set_roles(&user.id, &["admin"]).await.unwrap().id);
    }
    let resign = |id: &String| {
        let request = harness.authorized(id, &["admin"], roles_of(id, &["customer"]));
        let mut client = harness.client();
        async move { refused(client.set_roles(request).await) }
    };
    let answers = futures::future::join_all(admins.iter().map(resign)).await;
    let refusals: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
    assert_eq!(refusals.iter().map(|refusal| &*refusal.reason).collect::<Vec<_>>(), ["LAST_ADMIN"]);
    let left = "SELECT COUNT(*) FROM user_roles WHERE role = 'admin'";
    assert_eq!(harness.count(left).await, 1);
    harness.finish().await;
}

/// A token says what its holder was when it was issued.
#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_former_administrator_undoes_nothing_with_an_old_token() {
    let harness = Harness::start().await;
    let former = harness.register("former@example.com").await.id;
    harness.set_roles(&former, &["admin"]).await.unwrap();
    let attempts = || async {
        let token = |message| harness.authorized(&former, &["admin"], message);
        let status = UserStatus::Active.into();
        let enable = pb::SetStatusRequest { user_id: former.clone(), status };
        let promote = harness.authorized(&former, &["admin"], roles_of(&former, &["admin"]));
        let enabled = refused(harness.client().set_status(token(enable)).await).map(|_| ());
        let promoted = refused(harness.client().set_roles(promote).await).map(|_| ());
        [enabled, promoted].map(code)
    };
    harness.set_status(&former, UserStatus::Disabled).await.unwrap();
    assert_eq!(attempts().await, ["ACCOUNT_DISABLED"; 2]);
    harness.set_roles(&former, &["customer"]).await.unwrap();
    harness.set_status(&former, UserStatus::Active).await.unwrap();
    assert_eq!(attempts().await, ["PERMISSION_DENIED"; 2]);
    assert_eq!(harness.get(&former).await.roles, ["customer"]);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn what_makes_tokens_worthless_is_told_to_whoever_asks_again_and_again() {
    let harness = Harness::start().await;
    let list = async |cursor: &str| {
        let cursor = cursor.to_owned();
        let message = pb::ListAccessChangesRequest { cursor, lookback_s: 900 };
        refused(harness.client().list_access_changes(Request::new(message)).await)
    };
    let start = list("").await.unwrap();
    assert!(start.changes.is_empty() && !start.more);
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(harness.register(&format!("user{n}@example.com")).await.id);
    }
    harness.set_status(&ids[0], UserStatus::Disabled).await.unwrap();
    let promoted = harness.set_roles(&ids[1], &["customer", "admin"]).await.unwrap();
    let told = list(&start.cursor).await.unwrap();
    let of = |id: &str| told.changes.iter().find(|change| change.user_id == id);
    let (disabled, other) = (of(&ids[0]).unwrap(), of(&ids[1]).unwrap());
    assert_eq!(disabled.status(), UserStatus::Disabled);
    assert_eq!(disabled.sessions_from, disabled.version);
    assert_eq!((other.roles_from, other.status()), (other.version, promoted.status()));
    assert_eq!(of(&ids[2]), None, "nothing changed for it");
    assert_eq!(code(list("x").await), "CURSOR_INVALID");
    harness.finish().await;
}
