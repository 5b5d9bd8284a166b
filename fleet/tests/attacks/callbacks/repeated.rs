//! Callbacks that come again, and what the time of an answer tells.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::provider::{KEY, Notice, now, rulings, send_with, signed_at, tag};
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

/// How many bytes of a forged signature are right, and how many tries there are of each.
const RIGHT_BYTES: [usize; 5] = [0, 8, 16, 24, 31];
const TRIES: usize = 200;
/// By how much two medians may differ: far more than 31 comparisons of bytes take, and about what
/// two runs of the same differ by on a busy machine.
const TOLERANCE: Duration = Duration::from_micros(500);

pub(super) async fn a115_time_of_refusals(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let body = Notice::success_of(&order(&user.api, "pm_never").await?)?.body();
    let mut times = [const { Vec::new() }; RIGHT_BYTES.len()];
    // In turn, so that whatever else the machine does hits all of them alike.
    for _ in 0..TRIES {
        for (group, right) in RIGHT_BYTES.into_iter().enumerate() {
            let time = now().to_string();
            let good = tag(KEY, &time, body.as_bytes());
            let wrong: String = good[2 * right..].chars().map(other_digit).collect();
            let header = format!("t={time},v1={}{wrong}", &good[..2 * right]);
            let reply = send_with(stage, &body, &[&header]).await?;
            refused(&reply, 401, "SIGNATURE_INVALID")?;
            times[group].push(reply.elapsed);
        }
    }
    let medians = times.map(|mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    });
    let (least, most) = (medians.iter().min(), medians.iter().max());
    let (least, most) = (*least.context("no time")?, *most.context("no time")?);
    let tolerance = TOLERANCE.max(least / 10);
    let apart = most.saturating_sub(least);
    ensure!(apart < tolerance, "{medians:?} for {RIGHT_BYTES:?} right bytes");
    // Nor does the time grow with what is right.
    let is_growing = medians.is_sorted() && apart > tolerance / 2;
    ensure!(!is_growing, "{medians:?} grow with the number of right bytes");
    Ok(())
}

fn other_digit(digit: char) -> char {
    if digit == '0' { '1' } else { '0' }
}
