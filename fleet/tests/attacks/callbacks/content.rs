//! Callbacks that are signed, and say what cannot be.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use uuid::Uuid;

use super::provider::{Notice, rulings, send};
use crate::support::problem::refused;
use crate::support::stage::Stage;
use crate::support::{PATIENCE, order, read, step, text};

pub(super) async fn a110_other_terms_than_ours(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let placed = order(&user.api, "pm_never").await?;
    let id = text(&placed, "id")?;
    let good = Notice::success_of(&placed)?;
    let others = [
        (good.amount - 1, "CNY"),
        (good.amount + 1, "CNY"),
        (good.amount * 100, "CNY"),
        (0, "CNY"),
        (-good.amount, "CNY"),
        (i64::MAX, "CNY"),
        (good.amount, "USD"),
        (good.amount, "cny"),
        (good.amount, ""),
    ];
    for (amount, currency) in others {
        for kind in ["payment.succeeded", "payment.failed"] {
            let notice = Notice { kind, amount, currency, ..good.clone() };
            refused(&send(stage, &notice.body()).await?, 409, "AMOUNT_MISMATCH")?;
        }
    }
    // The payment of another order, which costs something else.
    let dear = user.api.order("POT-001", 1, "pm_never").await?.require(202)?;
    let crossed = Notice { reference: text(&dear, "payment_id")?, ..good.clone() };
    refused(&send(stage, &crossed.body()).await?, 409, "AMOUNT_MISMATCH")?;
    ensure!(read(&user.api, &id).await? == placed, "the order has changed");
    // All of it was signed, so all of it is kept, and shown where the order is looked at.
    let expected = [("MISMATCH".to_owned(), 19)];
    ensure!(rulings(stage, &good.id).await? == expected, "{:?}", rulings(stage, &good.id).await?);
    let timeline = user.api.get(&format!("/api/v1/orders/{id}/timeline")).await?.require(200)?;
    ensure!(timeline.to_string().contains("MISMATCH"), "{timeline}");
    // The corrected callback may come under the same id.
    send(stage, &good.body()).await?.require(200)?;
    fleet::wait::until("the order being paid", PATIENCE, || async {
        Ok((read(&user.api, &id).await?["status"] == "PAID").then_some(()))
    })
    .await
}

pub(super) async fn a111_unknown_payments_and_types(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let placed = order(&user.api, "pm_never").await?;
    let good = Notice::success_of(&placed)?;
    for reference in [
        Uuid::from_u128(1).to_string(),
        Uuid::nil().to_string(),
        text(&placed, "id")?,
        "' OR 1=1".to_owned(),
        String::new(),
        "../../etc/passwd".to_owned(),
        "a".repeat(5_000),
    ] {
        let notice = Notice {
            reference,
            id: format!("evt_{}", Uuid::from_u128(rand::random())),
            ..good.clone()
        };
        refused(&send(stage, &notice.body()).await?, 404, "PAYMENT_NOT_FOUND")?;
    }
    for kind in ["dispute.opened", "payment.succeeded.v9", "PAYMENT.SUCCEEDED", "order.paid", "x"] {
        let notice = Notice { kind, id: format!("evt_{kind}_{}", user.id), ..good.clone() };
        send(stage, &notice.body()).await?.require(200)?;
        ensure!(rulings(stage, &notice.id).await? == [("IGNORED".to_owned(), 1)], "{kind}");
    }
    for body in odd_bodies(&good) {
        refused(&send(stage, &body).await?, 422, "CALLBACK_INVALID").context(body)?;
    }
    let found = read(&user.api, &text(&placed, "id")?).await?;
    ensure!(found == placed, "{placed} became {found}");
    Ok(())
}

/// Signed bodies that are no callback.
fn odd_bodies(good: &Notice) -> Vec<String> {
    let value: Value = serde_json::from_str(&good.body()).unwrap_or_default();
    let mut bodies =
        ["", "{}", "[]", "null", "\"x\"", "{\"id\":\"evt_1\"}", "{\"id\":", "\u{feff}{}"]
            .map(str::to_owned)
            .to_vec();
    for (member, other) in [
        ("amount", json!("12800")),
        ("amount", json!(12_800.5)),
        ("amount", Value::Null),
        ("id", json!(1)),
        ("id", json!("")),
        ("id", json!("e".repeat(101))),
        ("id", json!("é")),
        ("id", json!("a\nb")),
        ("currency", json!(1)),
        ("type", json!(["payment.succeeded"])),
        ("reference", json!(7)),
    ] {
        let mut body = value.clone();
        body[member] = other;
        bodies.push(body.to_string());
    }
    for member in ["id", "type", "reference", "amount", "currency"] {
        let mut body = value.clone();
        body.as_object_mut().and_then(|body| body.remove(member));
        bodies.push(body.to_string());
    }
    bodies.push(good.body().replacen('{', "{\"amount\":1,", 1));
    bodies.push(format!("{}{}", good.body(), " ".repeat(20_000)));
    bodies
}

pub(super) async fn a112_news_that_come_too_late(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let paid = order(&user.api, "pm_ok").await?;
    let id = text(&paid, "id")?;
    let success = Notice::success_of(&paid)?;
    let failure = |name: &str| Notice {
        kind: "payment.failed",
        id: format!("evt_{name}_{id}"),
        ..success.clone()
    };
    // Failed, after it has succeeded.
    let late = failure("late");
    send(stage, &late.body()).await?.require(200)?;
    ensure!(
        rulings(stage, &late.id).await? == [("CONTRADICTION".to_owned(), 1)],
        "no contradiction"
    );
    ensure!(read(&user.api, &id).await? == paid, "the order has changed");
    let log = stage.fleet.lock().await.logs("payment-service", 0)?;
    let alert =
        log.lines().find(|line| line.contains("ERROR") && line.contains(&success.reference));
    ensure!(alert.is_some(), "nobody is told of the contradiction");
    // Succeeded, and failed, after it was given back.
    step(&user.api, &id, "refund", &json!({})).await?.require_any(&[200, 202])?;
    let refunded = fleet::wait::until("the order being refunded", PATIENCE, || async {
        let found = read(&user.api, &id).await?;
        Ok((found["status"] == "REFUNDED").then_some(found))
    })
    .await?;
    for notice in [success.clone(), failure("later")] {
        send(stage, &notice.body()).await?.require(200)?;
        ensure!(read(&user.api, &id).await? == refunded, "the order has changed");
    }
    let payment =
        user.api.get(&format!("/api/v1/payments/{}", success.reference)).await?.require(200)?;
    ensure!(payment["status"] == "REFUNDED", "{payment}");
    Ok(())
}
