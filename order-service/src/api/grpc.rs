//! The gRPC service: each rpc parses, calls one use case and renders its result.

use std::sync::Arc;

use chassis::auth::Caller;
use chassis::error::to_status;
use chassis::page::PageCodec;
use proto::order::v1 as pb;
use proto::order::v1::order_service_server::OrderService as Rpc;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::convert;
use crate::model::{Language, OrderError, OrderId, Requester, Sku};
use crate::repository::StoredProduct;
use crate::service::{ListOrders, OrderService};

/// The use cases behind gRPC.
pub struct OrderApi {
    service: Arc<OrderService>,
    pages: PageCodec,
}

impl OrderApi {
    /// Serves `service`, with page tokens signed by `pages`.
    pub fn new(service: Arc<OrderService>, pages: PageCodec) -> Self {
        Self { service, pages }
    }

    /// The key after which the list `scope` goes on; `None` for its first page.
    fn cursor(&self, scope: &str, token: &str) -> Result<Option<Vec<u8>>, Status> {
        if token.is_empty() {
            return Ok(None);
        }
        self.pages.decode(scope, token).map(Some).map_err(|error| to_status(&error))
    }

    fn order_cursor(&self, scope: &str, token: &str) -> Result<Option<OrderId>, Status> {
        let key = self.cursor(scope, token)?;
        let id = key.map(|key| Uuid::from_slice(&key)).transpose();
        // A key that we signed is one that we made: anything else is a defect.
        let id = id.map_err(|error| OrderError::Internal { source: Box::new(error) })?;
        Ok(id.map(OrderId::from_uuid))
    }

    fn next_page(&self, scope: &str, last: Option<&[u8]>) -> String {
        last.map(|key| self.pages.encode(scope, key)).unwrap_or_default()
    }
}

fn requester<T>(request: &Request<T>) -> Result<Requester, Status> {
    let caller = Caller::from_request(request).map_err(|error| to_status(&error))?;
    Ok(convert::requester(&caller))
}

fn administrator<T>(request: &Request<T>) -> Result<Requester, Status> {
    let caller = Caller::from_request(request).map_err(|error| to_status(&error))?;
    caller.require_admin().map_err(|error| to_status(&error))?;
    Ok(convert::requester(&caller))
}

fn order_id(text: &str) -> Result<OrderId, OrderError> {
    Ok(OrderId::parse(text)?)
}

#[tonic::async_trait]
impl Rpc for OrderApi {
    async fn list_products(
        &self,
        request: Request<pb::ListProductsRequest>,
    ) -> Result<Response<pb::ListProductsResponse>, Status> {
        const SCOPE: &str = "products";
        let request = request.into_inner();
        let size = convert::page_size(request.page_size).map_err(OrderError::from)?;
        let after = self.cursor(SCOPE, &request.page_token)?;
        let after = after.map(|key| Sku::parse(&String::from_utf8_lossy(&key), "page_token"));
        let after = after.transpose().map_err(OrderError::from)?;
        let page = self.service.list_products(after.as_ref(), size).await?;
        let next_page_token = self.next_page(SCOPE, page.last().map(|p| p.sku.as_str().as_bytes()));
        let products = page.items.into_iter().map(convert::product).collect();
        Ok(Response::new(pb::ListProductsResponse { products, next_page_token }))
    }

    async fn get_product(
        &self,
        request: Request<pb::GetProductRequest>,
    ) -> Result<Response<pb::GetProductResponse>, Status> {
        let sku = Sku::parse(&request.get_ref().sku, "sku").map_err(OrderError::from)?;
        let product = convert::product(self.service.get_product(&sku).await?);
        Ok(Response::new(pb::GetProductResponse { product: Some(product) }))
    }

    async fn put_product(
        &self,
        request: Request<pb::PutProductRequest>,
    ) -> Result<Response<pb::PutProductResponse>, Status> {
        administrator(&request)?;
        let draft = convert::draft(request.into_inner())?;
        let (product, created) = match self.service.put_product(&draft).await? {
            StoredProduct::Created(product) => (product, true),
            StoredProduct::Replaced(product) => (product, false),
        };
        let product = Some(convert::product(product));
        Ok(Response::new(pb::PutProductResponse { product, created }))
    }

    async fn create_order(
        &self,
        request: Request<pb::CreateOrderRequest>,
    ) -> Result<Response<pb::CreateOrderResponse>, Status> {
        let command = convert::create(requester(&request)?, request.get_ref())?;
        let answer = self.service.create_order(command).await?;
        let order = Some(convert::order(&answer.order));
        Ok(Response::new(pb::CreateOrderResponse { order, replayed: answer.replayed }))
    }

    async fn get_order(
        &self,
        request: Request<pb::GetOrderRequest>,
    ) -> Result<Response<pb::GetOrderResponse>, Status> {
        let requester = requester(&request)?;
        let id = order_id(&request.get_ref().order_id)?;
        let order = Some(convert::order(&self.service.get_order(requester, id).await?));
        Ok(Response::new(pb::GetOrderResponse { order }))
    }

    async fn list_orders(
        &self,
        request: Request<pb::ListOrdersRequest>,
    ) -> Result<Response<pb::ListOrdersResponse>, Status> {
        let user_id = requester(&request)?.user_id;
        let request = request.into_inner();
        let status = convert::status_filter(request.status).map_err(OrderError::from)?;
        let size = convert::page_size(request.page_size).map_err(OrderError::from)?;
        let scope = format!("orders:{user_id}:{}", request.status);
        let before = self.order_cursor(&scope, &request.page_token)?;
        let page = self.service.list_orders(ListOrders { user_id, status, before, size }).await?;
        let last = page.last().map(|order| order.id.as_uuid());
        let next_page_token = self.next_page(&scope, last.as_ref().map(|id| &id.as_bytes()[..]));
        let orders = page.items.iter().map(convert::order).collect();
        Ok(Response::new(pb::ListOrdersResponse { orders, next_page_token }))
    }

    async fn pay_order(
        &self,
        request: Request<pb::PayOrderRequest>,
    ) -> Result<Response<pb::PayOrderResponse>, Status> {
        let command = convert::pay(requester(&request)?, request.get_ref())?;
        let answer = self.service.pay_order(command).await?;
        let order = Some(convert::order(&answer.order));
        Ok(Response::new(pb::PayOrderResponse { order, replayed: answer.replayed }))
    }

    async fn cancel_order(
        &self,
        request: Request<pb::CancelOrderRequest>,
    ) -> Result<Response<pb::CancelOrderResponse>, Status> {
        let command = convert::cancel(requester(&request)?, request.get_ref())?;
        let answer = self.service.cancel_order(command).await?;
        let order = Some(convert::order(&answer.order));
        Ok(Response::new(pb::CancelOrderResponse { order, replayed: answer.replayed }))
    }

    async fn refund_order(
        &self,
        request: Request<pb::RefundOrderRequest>,
    ) -> Result<Response<pb::RefundOrderResponse>, Status> {
        let command = convert::refund(requester(&request)?, request.get_ref())?;
        let answer = self.service.refund_order(command).await?;
        let order = Some(convert::order(&answer.order));
        Ok(Response::new(pb::RefundOrderResponse { order, replayed: answer.replayed }))
    }

    async fn ship_order(
        &self,
        request: Request<pb::ShipOrderRequest>,
    ) -> Result<Response<pb::ShipOrderResponse>, Status> {
        let requester = administrator(&request)?;
        let id = order_id(&request.get_ref().order_id)?;
        let order = Some(convert::order(&self.service.ship_order(requester, id).await?));
        Ok(Response::new(pb::ShipOrderResponse { order }))
    }

    async fn complete_order(
        &self,
        request: Request<pb::CompleteOrderRequest>,
    ) -> Result<Response<pb::CompleteOrderResponse>, Status> {
        let requester = administrator(&request)?;
        let id = order_id(&request.get_ref().order_id)?;
        let order = Some(convert::order(&self.service.complete_order(requester, id).await?));
        Ok(Response::new(pb::CompleteOrderResponse { order }))
    }

    async fn get_timeline(
        &self,
        request: Request<pb::GetTimelineRequest>,
    ) -> Result<Response<pb::GetTimelineResponse>, Status> {
        let requester = requester(&request)?;
        let id = order_id(&request.get_ref().order_id)?;
        let told = self.service.get_timeline(requester, id).await?;
        let language = Language::of(&request.get_ref().locale);
        Ok(Response::new(convert::timeline(told, language)))
    }

    async fn list_stuck_orders(
        &self,
        request: Request<pb::ListStuckOrdersRequest>,
    ) -> Result<Response<pb::ListStuckOrdersResponse>, Status> {
        const SCOPE: &str = "stuck";
        administrator(&request)?;
        let request = request.into_inner();
        let size = convert::page_size(request.page_size).map_err(OrderError::from)?;
        let after = self.order_cursor(SCOPE, &request.page_token)?;
        let page = self.service.list_stuck(after, size).await?;
        let last = page.last().map(|order| order.id.as_uuid());
        let next_page_token = self.next_page(SCOPE, last.as_ref().map(|id| &id.as_bytes()[..]));
        let orders = page.items.iter().map(convert::order).collect();
        Ok(Response::new(pb::ListStuckOrdersResponse { orders, next_page_token }))
    }
}
