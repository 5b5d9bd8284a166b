//! The audit log, as somebody reads it who wants to know who did what to an account.

use proto::user::v1::UserStatus;

use crate::harness::{Harness, refused, roles_of};

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn whoever_changes_an_account_is_told_and_no_address_is() {
    let harness = Harness::start().await;
    let user = harness.register("secretive@example.com").await;
    let mut request = harness.by_admin(roles_of(&user.id, &["admin", "customer"]));
    request.metadata_mut().insert("x-request-id", "req-of-admin".parse().unwrap());
    refused(harness.client().set_roles(request).await).unwrap();
    harness.set_status(&user.id, UserStatus::Disabled).await.unwrap();
    let told: Vec<(String, String, Option<String>, Option<String>)> = sqlx::query_as(
        "SELECT action, actor, request_id, JSON_UNQUOTE(JSON_EXTRACT(after_state, '$.roles')) \
         FROM audit_log WHERE object = ? ORDER BY seq",
    )
    .bind(format!("user:{}", user.id))
    .fetch_all(&harness.pool)
    .await
    .unwrap();
    let line = |action: &str, actor: String, request: Option<&str>, roles: &str| {
        (action.to_owned(), actor, request.map(str::to_owned), Some(roles.to_owned()))
    };
    let admin = || format!("admin:{}", harness.admin);
    assert_eq!(
        told,
        [
            line("user.registered", format!("user:{}", user.id), None, "customer"),
            line("user.roles_changed", admin(), Some("req-of-admin"), "admin,customer"),
            line("user.disabled", admin(), None, "admin,customer"),
        ]
    );
    let leaks = "SELECT COUNT(*) FROM audit_log WHERE CONCAT_WS(' ', before_state, after_state, \
        object, actor) LIKE '%@%' OR CONCAT_WS(' ', before_state, after_state) LIKE '%argon2%'";
    assert_eq!(harness.count(leaks).await, 0);
    let bootstrap = "SELECT COUNT(*) FROM audit_log WHERE actor = 'system:bootstrap' \
        AND action = 'user.registered'";
    assert_eq!(harness.count(bootstrap).await, 1);
    harness.finish().await;
}
