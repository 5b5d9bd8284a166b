//! The price list.

use axum::extract::State;
use http::StatusCode;
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
    #[schema(min_length = 1, max_length = 128, example = "Mechanical keyboard")]
    name: String,
    /// Price of one piece, 1 to 99,999,999,999 minor units.
    #[schema(value_type = Money)]
    unit_price: Object<Money>,
    /// Pieces that can be ordered from now on.
    #[schema(example = 100)]
    stock: u32,
}

/// A line of the price list.
#[derive(Serialize, ToSchema)]
pub(crate) struct Product {
    /// Its code.
    #[schema(example = "KEYBOARD-87")]
    sku: String,
    /// What customers read.
    #[schema(example = "Mechanical keyboard")]
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
        min_length = 1, max_length = 64, pattern = "^[A-Z0-9._-]+$")),
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
        min_length = 1, max_length = 64, pattern = "^[A-Z0-9._-]+$")),
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
