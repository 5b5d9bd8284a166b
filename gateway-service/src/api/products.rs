//! The price list.

use axum::extract::State;
use http::StatusCode;
use proto::money::v1 as money_pb;
use proto::order::v1 as pb;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{PathText, Query};
use super::json::Json;
use super::object::Object;
use super::wire::{Money, Page, PageParameters, Time, money, required};
use crate::error::ApiError;
use crate::state::Shared;

/// A product as an administrator states it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProductBody {
    /// What customers read.
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000][^\u0000-\u001f\u007f-\u009f]*$",
        example = "Cast iron kettle"
    )]
    name: String,
    /// Price of one piece.
    #[schema(value_type = PriceBody)]
    unit_price: Object<PriceBody>,
    /// Pieces that can be ordered from now on.
    #[schema(minimum = 0, maximum = 1_000_000_000, example = 100)]
    stock: u32,
}

/// What one piece costs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PriceBody {
    /// Integer minor units (fen, cents, yen).
    #[schema(minimum = 1, maximum = 99_999_999_999_i64, example = 19900)]
    amount: i64,
    /// ISO 4217 code of a currency in circulation.
    #[schema(pattern = "^[A-Z]{3}$", example = "CNY")]
    currency: String,
}

impl From<Object<PriceBody>> for money_pb::Money {
    fn from(Object(price): Object<PriceBody>) -> Self {
        Self { amount: price.amount, currency: price.currency }
    }
}

/// A line of the price list.
#[derive(Serialize, ToSchema)]
pub(crate) struct Product {
    /// Its code.
    #[schema(example = "TEA-001")]
    sku: String,
    /// What customers read.
    #[schema(example = "Longjing green tea, 100 g")]
    name: String,
    /// Price of one piece.
    unit_price: Money,
    /// Pieces that can still be ordered.
    #[schema(example = 100)]
    stock: u32,
    /// Rises with every change by an administrator.
    #[schema(example = 1)]
    version: u64,
    /// When it last changed.
    updated_at: Time,
}

impl TryFrom<pb::Product> for Product {
    type Error = ApiError;

    fn try_from(product: pb::Product) -> Result<Self, ApiError> {
        Ok(Self {
            sku: product.sku,
            name: product.name,
            unit_price: money(product.unit_price)?,
            stock: product.stock,
            version: product.version,
            updated_at: Time::required(product.updated_at, "product.updated_at")?,
        })
    }
}

/// Lists the price list in the order of codes.
#[utoipa::path(get, path = "/api/v1/products", tag = "products", params(PageParameters),
    responses((status = 200, description = "One page.", body = Page<Product>)))]
pub(crate) async fn list(
    State(gateway): State<Shared>,
    query: Query,
) -> Result<axum::Json<Page<Product>>, ApiError> {
    let message =
        pb::ListProductsRequest { page_size: query.page_size()?, page_token: query.page_token() };
    let orders = &gateway.upstreams.orders;
    let reply = orders
        .idempotent(message, async |mut orders, message| orders.list_products(message).await)
        .await?;
    Page::of(reply.products, reply.next_page_token).map(axum::Json)
}

/// Reads one product.
#[utoipa::path(get, path = "/api/v1/products/{sku}", tag = "products",
    params(("sku" = String, Path, description = "The product's code.",
        min_length = 1, max_length = 64, pattern = "^[A-Z0-9._-]+$", example = "TEA-001")),
    responses((status = 200, description = "The product.", body = Product)))]
pub(crate) async fn read(
    State(gateway): State<Shared>,
    PathText(sku): PathText,
) -> Result<axum::Json<Product>, ApiError> {
    let orders = &gateway.upstreams.orders;
    let reply = orders
        .idempotent(pb::GetProductRequest { sku }, async |mut orders, message| {
            orders.get_product(message).await
        })
        .await?;
    required(reply.product, "product").map(axum::Json)
}

/// Creates or replaces a product.
#[utoipa::path(put, path = "/api/v1/products/{sku}", tag = "products", request_body = ProductBody,
    params(("sku" = String, Path, description = "The product's code.",
        min_length = 1, max_length = 64, pattern = "^[A-Z0-9._-]+$", example = "KETTLE-001")),
    responses(
        (status = 200, description = "The product was replaced.", body = Product),
        (status = 201, description = "The product is new.", body = Product),
    ))]
pub(crate) async fn put(
    State(gateway): State<Shared>,
    PathText(sku): PathText,
    Json(body): Json<ProductBody>,
) -> Result<(StatusCode, axum::Json<Product>), ApiError> {
    let message = pb::PutProductRequest {
        sku,
        name: body.name,
        unit_price: Some(body.unit_price.into()),
        stock: body.stock,
    };
    let orders = &gateway.upstreams.orders;
    let reply =
        orders.once(message, async |mut orders, message| orders.put_product(message).await).await?;
    let status = if reply.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, axum::Json(required(reply.product, "stored product")?)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::damage;
    use super::*;

    const BODY: &str =
        r#"{"name":"Cast iron kettle","unit_price":{"amount":19900,"currency":"CNY"},"stock":100}"#;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_damaged_product_says_what_is_read_of_it_and_nothing_else(
            changes in damage::changes(),
        ) {
            let read = damage::read::<ProductBody>(BODY, &changes);
            let Some((ProductBody { name, unit_price, stock }, document)) = read else {
                return Ok(());
            };
            let Object(PriceBody { amount, currency }) = unit_price;
            let price = json!({"amount": amount, "currency": currency});
            let read = json!({"name": name, "unit_price": price, "stock": stock});
            prop_assert_eq!(read, document);
        }
    }
}
