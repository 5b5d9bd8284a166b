//! Numbers: amounts, quantities, and the currencies that they are in.

use anyhow::{Context, Result, ensure};
use fleet::harness::{Api, Reply};
use reqwest::Method;
use serde_json::{Value, json};

use super::place;
use crate::support::problem::refused;
use crate::support::stage::Stage;

/// The largest amount, in minor units.
const MOST: i64 = 99_999_999_999;

/// Puts a product on sale at a price that is given as JSON text.
async fn price(admin: &Api, sku: &str, amount: &str, currency: &str) -> Result<Reply> {
    let price = format!("{{\"amount\":{amount},\"currency\":{currency}}}");
    let body = format!("{{\"name\":\"Priced\",\"unit_price\":{price},\"stock\":1000000}}");
    let request = admin.request(Method::PUT, &format!("/api/v1/products/{sku}"));
    admin.send(request.header("content-type", "application/json").body(body)).await
}

/// Checks that the amount is what was refused, and that the price list has not changed.
async fn all_refused(stage: &Stage, sku: &str, amounts: &[&str]) -> Result<()> {
    let admin = stage.admin().await?;
    price(&admin, sku, "500", "\"CNY\"").await?.require(201)?;
    for amount in amounts {
        let reply = price(&admin, sku, amount, "\"CNY\"").await?;
        refused(&reply, 422, "VALIDATION_FAILED").with_context(|| (*amount).to_owned())?;
        let field = &reply.body["violations"][0]["field"];
        ensure!(field == "unit_price.amount", "{amount}: {field}");
    }
    let product = admin.get(&format!("/api/v1/products/{sku}")).await?.require(200)?;
    ensure!(product["unit_price"] == json!({"amount": 500, "currency": "CNY"}), "{product}");
    Ok(())
}

pub(super) async fn a079_amounts_that_are_none(stage: &Stage) -> Result<()> {
    all_refused(stage, "NONE-079", &["0", "-1", "-0", "-500", "-9223372036854775808", "null"]).await
}

pub(super) async fn a080_amounts_that_are_no_integers(stage: &Stage) -> Result<()> {
    let numbers = [
        "1.5",
        "1e2",
        "1E2",
        "1e-2",
        "\"100\"",
        "100.0",
        "0.1",
        "0.30000000000000004",
        "true",
        "[100]",
        "{\"value\":100}",
        "\"\"",
        "\"NaN\"",
        "\"Infinity\"",
        "-0.0",
        "100.000000000000001",
    ];
    all_refused(stage, "REAL-080", &numbers).await?;
    let admin = stage.admin().await?;
    for text in [
        "NaN",
        "Infinity",
        "1e400",
        "-Infinity",
        "0.1+0.2",
        "0x64",
        "0100",
        "1_000",
        "1,000",
        "+1",
        "1.",
    ] {
        let reply = price(&admin, "REAL-080", text, "\"CNY\"").await?;
        refused(&reply, 400, "JSON_INVALID").context(text)?;
    }
    Ok(())
}

pub(super) async fn a081_very_large_amounts(stage: &Stage) -> Result<()> {
    let more = (MOST + 1).to_string();
    let numbers = [
        more.as_str(),
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "1000000000000000000000000000000",
    ];
    all_refused(stage, "LARGE-081", &numbers).await?;
    // Beyond 32 bits and at the limit, amounts are exact.
    let admin = stage.admin().await?;
    for amount in [i64::from(i32::MAX), i64::from(i32::MAX) + 1, i64::from(u32::MAX) + 1, MOST] {
        let reply =
            price(&admin, "LARGE-081", &amount.to_string(), "\"CNY\"").await?.require(200)?;
        ensure!(reply["unit_price"]["amount"] == json!(amount), "{amount}: {reply}");
    }
    Ok(())
}

pub(super) async fn a082_totals_that_overflow(stage: &Stage) -> Result<()> {
    let (user, admin) = (stage.user().await?, stage.admin().await?);
    let lines = 93;
    for n in 0..lines {
        let sku = format!("GOLD-{n}");
        price(&admin, &sku, &MOST.to_string(), "\"CNY\"").await?.require_any(&[200, 201])?;
    }
    let body = |items: Vec<Value>| json!({"items": items, "payment_method": "pm_ok"}).to_string();
    let line = |n: usize, quantity: u32| json!({"sku": format!("GOLD-{n}"), "quantity": quantity});
    for items in [
        vec![line(0, 2)],
        vec![line(0, 1_000)],
        vec![line(0, 1), line(1, 1)],
        // 93 × 1000 × MOST is beyond 63 bits.
        (0..lines).map(|n| line(n, 1_000)).collect(),
    ] {
        refused(&place(&user.api, body(items)).await?, 422, "AMOUNT_OUT_OF_RANGE")?;
    }
    let many = |count: usize| (0..count).map(|n| line(n, 1)).collect::<Vec<_>>();
    refused(&place(&user.api, body(many(101))).await?, 422, "VALIDATION_FAILED")?;
    refused(&place(&user.api, body(many(20_000))).await?, 422, "VALIDATION_FAILED")?;
    let million = vec!["{\"sku\":\"GOLD-0\",\"quantity\":1}"; 1_000_000].join(",");
    let million = format!("{{\"items\":[{million}],\"payment_method\":\"pm_ok\"}}");
    refused(&place(&user.api, million).await?, 413, "BODY_TOO_LARGE")?;
    let twice = body(vec![line(0, 1), line(0, 1)]);
    refused(&place(&user.api, twice).await?, 422, "VALIDATION_FAILED")?;
    let orders = user.api.get("/api/v1/orders").await?.require(200)?;
    ensure!(orders["items"] == json!([]), "{orders}");
    Ok(())
}

pub(super) async fn a083_odd_quantities(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    for quantity in [
        "0",
        "-1",
        "-0",
        "1.5",
        "1.0",
        "1e0",
        "1001",
        "1000000000",
        "4294967296",
        "4294967297",
        "18446744073709551617",
        "\"1\"",
        "true",
        "null",
        "[1]",
        "\"\"",
    ] {
        let item = format!("{{\"sku\":\"TEA-001\",\"quantity\":{quantity}}}");
        let body = format!("{{\"items\":[{item}],\"payment_method\":\"pm_ok\"}}");
        let reply = place(&user.api, body).await?;
        refused(&reply, 422, "VALIDATION_FAILED").context(quantity)?;
        let field = &reply.body["violations"][0]["field"];
        ensure!(field == "items[0].quantity", "{quantity}: {field}");
    }
    let orders = user.api.get("/api/v1/orders").await?.require(200)?;
    ensure!(orders["items"] == json!([]), "{orders}");
    Ok(())
}

pub(super) async fn a084_odd_currencies(stage: &Stage) -> Result<()> {
    let admin = stage.admin().await?;
    for currency in [
        "usd",
        "Usd",
        "XXX",
        "XTS",
        "XAU",
        "US",
        "USDD",
        "US$",
        "$",
        "BTC",
        "",
        " ",
        "USD ",
        " USD",
        "CNY\u{0}",
        "ＵＳＤ",
        "💴",
        "840",
        "DEM",
        "CNY,USD",
        "U\u{0405}D",
    ] {
        let reply = price(&admin, "CURRENCY-084", "500", &json!(currency).to_string()).await?;
        refused(&reply, 422, "CURRENCY_INVALID").with_context(|| format!("{currency:?}"))?;
    }
    for currency in ["null", "840", "[\"USD\"]", "{}", "true"] {
        let reply = price(&admin, "CURRENCY-084", "500", currency).await?;
        refused(&reply, 422, "VALIDATION_FAILED").context(currency)?;
    }
    let body = json!({"name": "A", "unit_price": {"amount": 1}, "stock": 1});
    let missing = admin.put("/api/v1/products/CURRENCY-084", &body).await?;
    refused(&missing, 422, "VALIDATION_FAILED")?;
    refused(&admin.get("/api/v1/products/CURRENCY-084").await?, 404, "PRODUCT_NOT_FOUND")?;
    // Amounts are minor units whatever the currency: yen have none, dinars have three digits.
    for currency in ["\"JPY\"", "\"KWD\"", "\"BHD\""] {
        for amount in ["500.00", "5.5", "1.234", "1.2345"] {
            let reply = price(&admin, "CURRENCY-084", amount, currency).await?;
            refused(&reply, 422, "VALIDATION_FAILED")?;
        }
        let reply = price(&admin, "CURRENCY-084", "1234", currency).await?;
        let product = reply.require_any(&[200, 201])?;
        ensure!(product["unit_price"]["amount"] == 1234, "{product}");
    }
    Ok(())
}
