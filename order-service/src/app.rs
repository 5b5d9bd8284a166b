//! Composition root: the one place that connects ports to adapters.

use std::sync::Arc;

use chassis::audit::AuditLog;
use chassis::auth::GrpcKeySource;
use chassis::census;
use chassis::clock::Clock;
use chassis::db::Pool;
use chassis::grpc::{Channel, GrpcApp};
use chassis::messaging::amqp::Broker;
use chassis::outbox::{Outbox, Relay};
use chassis::page::PageCodec;
use chassis::run::{Endpoint, Host, Service};
use proto::order::v1::order_service_server::OrderServiceServer;
use tokio::sync::Notify;

use crate::api::callers::CALLERS;
use crate::api::consumer::{BINDINGS, PaymentEvents, QUEUE};
use crate::api::grpc::OrderApi;
use crate::client::payment::GrpcPaymentGateway;
use crate::config::Config;
use crate::repository::mysql::{MIGRATOR, MySqlRepository};
use crate::service::{OrderService, Ports};
use crate::worker::{Schedule, repeat};

/// The order service, as the chassis runs it.
pub struct App;

impl Service for App {
    const NAME: &'static str = "order-service";
    const ENV_PREFIX: &'static str = "EH_ORDER";
    const DEFAULTS: &'static str = include_str!("../config/default.toml");
    const METRICS: &'static str = include_str!("../metrics.toml");
    type Config = Config;

    async fn build(config: Config, host: &Host) -> anyhow::Result<Endpoint> {
        let pool = host.database(&config.database, &MIGRATOR).await?;
        let surroundings = Surroundings {
            pool,
            outbox: Outbox::new(),
            payment_service: host.channel("payment-service", &config.upstream),
            clock: host.clock(),
        };
        let service = service(&surroundings, &config);
        if let Some(broker) = host.broker(&config.amqp, &config.events).await? {
            exchange_events(&config, host, &broker, &surroundings, &service);
        }
        start_workers(&config, host, &service);
        count_orders(&config, host, &surroundings, &service);

        let issuer = host.channel("auth-service", &config.upstream);
        let keys = Arc::new(GrpcKeySource::new(issuer, &config.token));
        let verifier = host.token_verifier(&config.token, keys);
        Ok(Endpoint::Grpc(grpc_app(service, &config).auth(verifier)))
    }
}

/// What the use cases are connected to.
pub struct Surroundings {
    /// The schema.
    pub pool: Pool,
    /// The bell of whoever publishes events.
    pub outbox: Outbox,
    /// The way to payment-service.
    pub payment_service: Channel,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Connects the use cases to their surroundings.
pub fn service(surroundings: &Surroundings, config: &Config) -> Arc<OrderService> {
    let Surroundings { pool, outbox, payment_service, clock } = surroundings;
    let audit = AuditLog::new(&config.audit, App::NAME, clock.clone());
    let repository = Arc::new(MySqlRepository::new(pool.clone(), outbox.clone(), audit));
    let ports = Ports {
        products: repository.clone(),
        orders: repository.clone(),
        work: repository,
        payments: Arc::new(GrpcPaymentGateway::new(payment_service.clone())),
        clock: clock.clone(),
    };
    Arc::new(OrderService::new(ports, config.policy()))
}

/// The rpcs over the use cases; whoever serves them adds the verification of tokens.
pub fn grpc_app(service: Arc<OrderService>, config: &Config) -> GrpcApp {
    let api = OrderApi::new(service, PageCodec::new(&config.paging.secret));
    let server =
        OrderServiceServer::new(api).max_decoding_message_size(config.server.max_message_bytes);
    GrpcApp::new(tonic::service::Routes::new(server))
        .reflection(proto::FILE_DESCRIPTOR_SET)
        .callers(CALLERS)
}

/// Events out of the outbox, and events of payment-service in.
fn exchange_events(
    config: &Config,
    host: &Host,
    broker: &Broker,
    Surroundings { pool, outbox, .. }: &Surroundings,
    service: &Arc<OrderService>,
) {
    let stop = host.shutdown().soft();
    let relay = Relay::new(pool.clone(), Arc::new(broker.publisher()), &config.outbox, outbox);
    host.spawn("outbox-relay", relay.run(stop.clone()));
    let events = Arc::new(PaymentEvents::new(Arc::clone(service)));
    host.spawn("payment-events", broker.consume(QUEUE, BINDINGS, events, &config.amqp, stop));
}

/// Figures of what is under way.
fn count_orders(
    config: &Config,
    host: &Host,
    Surroundings { pool, .. }: &Surroundings,
    service: &Arc<OrderService>,
) {
    let (pool, pace) = (pool.clone(), config.workers.census_every());
    let (service, stop) = (Arc::clone(service), host.shutdown().soft());
    host.spawn("census", async move {
        census::run(pool, pace, stop, || service.take_census()).await;
    });
}

/// What is done without being asked.
fn start_workers(config: &Config, host: &Host, service: &Arc<OrderService>) {
    let workers = &config.workers;
    let refunds_due = service.refunds_due();
    let silent = Arc::new(Notify::new());
    // One macro, because each worker is its own future over its own clone of the service.
    macro_rules! worker {
        ($name:literal, $every:expr, $bell:expr, $job:ident) => {
            let (service, every, bell) = (Arc::clone(service), $every, Arc::clone($bell));
            let stop = host.shutdown().soft();
            host.spawn($name, async move {
                let schedule = Schedule { name: $name, every, bell: &bell };
                repeat(schedule, stop, || service.$job()).await;
            });
        };
    }
    worker!("recovery", workers.recovery_every(), &silent, recover_payments);
    worker!("refunds", workers.recovery_every(), &refunds_due, request_refunds);
    worker!("expiry", workers.expiry_every(), &silent, expire_orders);
    worker!("sweep", workers.sweep_every(), &silent, sweep);
}
