//! Callbacks that come again.

use anyhow::{Result, ensure};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::provider::{Notice, now, rulings, send_with, signed_at};
use crate::support::problem::refused;
use crate::support::stage::Stage;
use crate::support::{PATIENCE, order, read, text};

/// How often a callback comes again.
const REPETITIONS: usize = 100;

pub(super) async fn a108_callbacks_sent_again(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let placed = order(&user.api, "pm_never").await?;
    let id = text(&placed, "id")?;
    let notice = Notice::success_of(&placed)?;
    let body = notice.body();
    let header = signed_at(now(), &body);
    let headers = [header.as_str()];
    let sent = stream::iter(0..REPETITIONS).map(|_| send_with(stage, &body, &headers));
    for reply in sent.buffer_unordered(8).try_collect::<Vec<_>>().await? {
        reply.require(200)?;
    }
    let paid = fleet::wait::until("the order being paid", PATIENCE, || async {
        let found = read(&user.api, &id).await?;
        Ok((found["status"] == "PAID").then_some(found))
    })
    .await?;
    ensure!(paid["version"] == 2, "{paid}");
    let expected = [("APPLIED".to_owned(), 1), ("DUPLICATE".to_owned(), 99)];
    ensure!(
        rulings(stage, &notice.id).await? == expected,
        "{:?}",
        rulings(stage, &notice.id).await?
    );
    let postings: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM ledger_entries WHERE payment_id = ?")
            .bind(notice.reference.parse::<uuid::Uuid>()?)
            .fetch_one(&mut stage.database("payment-service").await?)
            .await?;
    ensure!(postings == 2, "{postings} postings");
    // The same, sent on after its time.
    let late = signed_at(now() - 301, &body);
    refused(&send_with(stage, &body, &[&late]).await?, 401, "TIMESTAMP_OUT_OF_RANGE")?;
    ensure!(rulings(stage, &notice.id).await? == expected, "the late one counts");
    Ok(())
}
