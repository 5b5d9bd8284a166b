//! `ehub demo`: the main job, through the same door as any client.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::seed::base_url;
use crate::harness::Reply;
use crate::harness::api::{Api, new_email, new_key};
use crate::{seed, ui, wait};

const PASSWORD: &str = "a-long-demo-password";
/// How long payment and notification may take; they take milliseconds.
const LIMIT: Duration = Duration::from_secs(30);

/// Options of `demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Base address of the API; by default that of the fleet that `up` has started
    #[arg(long)]
    url: Option<String>,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let base = base_url(args.url.as_ref())?;
    ui::line(&format!("Demo on {base}\n"));
    let customer = log_in(&Api::new(base)?).await?;
    let placed = Instant::now();
    let order = place_order(&customer).await?;
    let id = order["id"].as_str().context("the order has no id")?;
    wait_until_paid(&customer, id).await?;
    let notification = wait_for_notification(&customer, id).await?;
    let elapsed = placed.elapsed();
    ui::line(&format!("    {}", summary(&notification)));
    ui::line(&format!("\nFrom the order to its notification: {}", ui::seconds(elapsed)));
    ui::line("The demo succeeded.");
    Ok(ExitCode::SUCCESS)
}

async fn log_in(visitor: &Api) -> Result<Api> {
    let email = new_email();
    ui::line(&format!("1. Register {email}"));
    let account = visitor.register(&email, PASSWORD, "Demo customer").await?;
    shown(account).require(201)?;
    ui::line("2. Log in");
    let body = json!({"email": email, "password": PASSWORD});
    let tokens = shown(visitor.post("/api/v1/auth/login", &body).await?).require(200)?;
    let token = tokens["access_token"].as_str().context("the login returned no token")?;
    Ok(visitor.with_token(token))
}

async fn place_order(customer: &Api) -> Result<Value> {
    let sku = seed::DEMO_SKU;
    let products = shown(customer.get(&format!("/api/v1/products/{sku}")).await?);
    let product = products.require(200).context("no products; run cargo ehub seed")?;
    let key = new_key();
    ui::line(&format!(
        "3. Order 2 x {} and pay with pm_ok, Idempotency-Key {key}",
        product["name"]
    ));
    let items = json!([{"sku": sku, "quantity": 2}]);
    let body = json!({"items": items, "payment_method": "pm_ok"});
    let order = shown(customer.post_once("/api/v1/orders", &key, &body).await?);
    order.require_any(&[201, 202])
}

async fn wait_until_paid(customer: &Api, id: &str) -> Result<()> {
    ui::line("4. Read the order");
    let path = format!("/api/v1/orders/{id}");
    let paid = wait::until("the order being PAID", LIMIT, || async {
        let reply = customer.get(&path).await?;
        Ok((reply.body["status"] == "PAID" || reply.status != 200).then_some(reply))
    });
    let paid = paid.await.context("payment may be held up; look at cargo ehub status")?;
    let order = shown(paid).require(200)?;
    ui::line(&format!("    order {id} is {}", text(&order["status"])));
    Ok(())
}

async fn wait_for_notification(customer: &Api, id: &str) -> Result<Value> {
    ui::line("5. Read the notifications");
    let (reply, found) = wait::until("a notification about the order", LIMIT, || async {
        let reply = customer.get("/api/v1/notifications").await?;
        if reply.status != 200 {
            return Ok(Some((reply, None)));
        }
        let found = about_payment(&reply.body, id).cloned();
        Ok(found.map(|found| (reply, Some(found))))
    })
    .await?;
    let reply = shown(reply).require(200)?;
    found.with_context(|| format!("no notification about the payment in {reply}"))
}

/// The notification that says that this order is paid.
fn about_payment<'a>(list: &'a Value, order: &str) -> Option<&'a Value> {
    list["items"].as_array()?.iter().find(|item| {
        let item = item.to_string();
        item.contains(order) && item.contains("order.paid")
    })
}

fn summary(notification: &Value) -> String {
    let title = [&notification["title"], &notification["subject"]];
    let title = title.iter().find_map(|value| value.as_str()).unwrap_or_default();
    let body = notification["body"].as_str().unwrap_or_default();
    format!("“{title}” {body}")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn shown(reply: Reply) -> Reply {
    let (request, status) = (&reply.request, reply.status);
    ui::line(&format!("    {request} -> {status} ({})", ui::seconds(reply.elapsed)));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notification_about_the_payment_of_this_order_is_found() {
        let list = json!({"items": [
            {"event": "order.created", "subject": "o-1"},
            {"event": "order.paid", "subject": "o-2"},
            {"event": "order.paid", "subject": "o-1", "title": "Paid"},
        ]});
        assert_eq!(about_payment(&list, "o-1").unwrap()["title"], "Paid");
        assert!(about_payment(&list, "o-3").is_none());
        assert!(about_payment(&Value::Null, "o-1").is_none());
    }
}
