//! The services behind the gateway.

use std::future::Future;

use chassis::grpc::{Channel, retry_idempotent};
use proto::auth::v1::auth_service_client::AuthServiceClient;
use proto::notify::v1::notify_service_client::NotifyServiceClient;
use proto::order::v1::order_service_client::OrderServiceClient;
use proto::payment::v1::payment_service_client::PaymentServiceClient;
use proto::user::v1::user_service_client::UserServiceClient;
use tonic::{Response, Status};

use crate::error::ApiError;

/// Every service behind the gateway.
#[derive(Clone)]
pub struct Upstreams {
    /// Accounts.
    pub users: Upstream<UserServiceClient<Channel>>,
    /// Sessions and keys.
    pub auth: Upstream<AuthServiceClient<Channel>>,
    /// Products and orders.
    pub orders: Upstream<OrderServiceClient<Channel>>,
    /// Payments.
    pub payments: Upstream<PaymentServiceClient<Channel>>,
    /// Notifications.
    pub notify: Upstream<NotifyServiceClient<Channel>>,
}

impl Upstreams {
    /// Builds the clients over the channels that `channel` makes, by service name. Opens nothing.
    pub fn new(channel: impl Fn(&'static str) -> Channel) -> Self {
        Self {
            users: Upstream::new(channel("user-service"), UserServiceClient::new),
            auth: Upstream::new(channel("auth-service"), AuthServiceClient::new),
            orders: Upstream::new(channel("order-service"), OrderServiceClient::new),
            payments: Upstream::new(channel("payment-service"), PaymentServiceClient::new),
            notify: Upstream::new(channel("notify-service"), NotifyServiceClient::new),
        }
    }
}

/// One service: its generated client and the channel's budget of retries. Cheap to clone.
#[derive(Clone)]
pub struct Upstream<C> {
    client: C,
    channel: Channel,
}

impl<C: Clone> Upstream<C> {
    fn new(channel: Channel, client: impl FnOnce(Channel) -> C) -> Self {
        Self { client: client(channel.clone()), channel }
    }

    /// Calls once: for operations that must not run twice.
    pub async fn once<M, T, F, Fut>(&self, message: M, call: F) -> Result<T, ApiError>
    where
        F: FnOnce(C, M) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        Ok(call(self.client.clone(), message).await?.into_inner())
    }

    /// Calls, and calls again when the service is unavailable: for operations that may run twice,
    /// because they only read or because they carry an idempotency key.
    pub async fn idempotent<M, T, F, Fut>(&self, message: M, call: F) -> Result<T, ApiError>
    where
        M: Clone,
        F: Fn(C, M) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let attempt = || call(self.client.clone(), message.clone());
        let (budget, attempts) = (self.channel.retry_budget(), self.channel.retry_attempts());
        Ok(retry_idempotent(budget, attempts, attempt).await?.into_inner())
    }
}
