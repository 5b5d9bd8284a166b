//! Links from before another password, which whoever put that in force has left behind.

use anyhow::Result;
use uuid::Uuid;

use super::{OTHER, link, recover};
use crate::support::problem::refused;
use crate::support::stage::Stage;

/// What a replica that does not know of links stores when a password changes.
const CHANGED: &str = "UPDATE users SET session_epoch = session_epoch + 1, version = version + 1, \
                       updated_at = UTC_TIMESTAMP(6) WHERE id = ?";
/// What a link of a replica looks like that does not know of epochs.
const FORGOTTEN: &str = "UPDATE one_time_tokens SET session_epoch = NULL WHERE user_id = ?";

async fn run(stage: &Stage, statement: &'static str, user: Uuid) -> Result<()> {
    let mut database = stage.database("user-service").await?;
    sqlx::query(statement).bind(user).execute(&mut database).await?;
    Ok(())
}

pub(super) async fn a150_a_link_from_before_another_password(stage: &Stage) -> Result<()> {
    for statements in [&[CHANGED][..], &[FORGOTTEN, CHANGED]] {
        let user = stage.user().await?;
        let mail = link(stage, &user).await?;
        for statement in statements.iter().copied() {
            run(stage, statement, user.id).await?;
        }
        let reply = recover(&stage.visitor()?, mail.token()?, OTHER).await?;
        refused(&reply, 422, "USER_TOKEN_INVALID")?;
    }
    // While nothing has changed, the link of such a replica is good: a fleet may be rolled.
    let user = stage.user().await?;
    let mail = link(stage, &user).await?;
    run(stage, FORGOTTEN, user.id).await?;
    recover(&stage.visitor()?, mail.token()?, OTHER).await?.require(204)?;
    Ok(())
}
