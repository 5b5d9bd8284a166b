//! What a new fleet needs before anybody can order: an administrator and products.

use anyhow::Result;
use serde_json::json;

use crate::harness::Api;

/// The development administrator's address.
pub const ADMIN_EMAIL: &str = "admin@example.com";
/// The development administrator's password.
pub const ADMIN_PASSWORD: &str = "admin-for-development-only";

/// Product number, name, price in minor units, stock.
const PRODUCTS: [(&str, &str, u64, u64); 5] = [
    ("TEA-001", "Longjing green tea, 100 g", 12_800, 10_000),
    ("CUP-001", "Porcelain cup", 5_900, 10_000),
    ("POT-001", "Yixing teapot", 39_900, 1_000),
    ("BOOK-001", "The Classic of Tea", 4_500, 10_000),
    ("TRAY-001", "Bamboo tea tray", 19_900, 500),
];
/// The product that the demo orders.
pub const DEMO_SKU: &str = PRODUCTS[0].0;
/// Pieces of it that are put on sale.
pub const DEMO_STOCK: u64 = PRODUCTS[0].3;

/// The settings that make user-service create the administrator at its first start.
pub fn admin_variables() -> Vec<(String, String)> {
    [("EMAIL", ADMIN_EMAIL), ("PASSWORD", ADMIN_PASSWORD)]
        .map(|(key, value)| (format!("EH_USER__BOOTSTRAP__ADMIN_{key}"), value.to_owned()))
        .to_vec()
}

/// Puts the demo products on sale and returns how many were new; those that exist keep their price
/// and stock.
pub async fn products(admin: &Api) -> Result<usize> {
    let mut created = 0;
    for (sku, name, amount, stock) in PRODUCTS {
        let path = format!("/api/v1/products/{sku}");
        let known = admin.get(&path).await?;
        if known.status == 200 {
            continue;
        }
        known.require(404)?;
        let price = json!({"amount": amount, "currency": "CNY"});
        let product = json!({"name": name, "unit_price": price, "stock": stock});
        admin.put(&path, &product).await?.require_any(&[200, 201])?;
        created += 1;
    }
    Ok(created)
}
