//! The composition root: connects ports to adapters, and starts the workers.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chassis::audit::AuditLog;
use chassis::auth::GrpcKeySource;
use chassis::census;
use chassis::clock::Clock;
use chassis::db::Pool;
use chassis::grpc::GrpcApp;
use chassis::outbox::{Outbox, Relay};
use chassis::run::{Endpoint, Host, Service};
use chassis::sweep;
use proto::payment::v1::payment_service_server::PaymentServiceServer;
use sqlx::migrate::Migrator;
use tokio::sync::mpsc;

use crate::api::callbacks::Courier;
use crate::api::callers::CALLERS;
use crate::api::grpc::PaymentApi;
use crate::api::{ledger_walker, reconciler};
use crate::client::PaymentProvider;
use crate::client::http::HttpProvider;
use crate::client::simulated::mysql::MySqlChargeBook;
use crate::client::simulated::{OutgoingCallback, SimulatedProvider};
use crate::config::{Config, ProviderKind};
use crate::model::CallbackKeys;
use crate::repository::mysql::MySqlPaymentRepository;
use crate::service::PaymentService;

/// The tables of this service.
pub static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// A callback carries its own proof, so a token that comes with it is not even looked at.
const PUBLIC: &[&str] = &["/enterprisehub.payment.v1.PaymentService/HandleCallback"];

/// The payment service as the chassis runs it.
pub struct App;

/// The use cases over real adapters, and what drives them.
pub struct Assembly {
    /// The use cases.
    pub service: Arc<PaymentService>,
    /// Delivers the simulated provider's callbacks.
    pub courier: Courier,
    /// The callbacks to deliver.
    pub outgoing: mpsc::Receiver<OutgoingCallback>,
}

/// Connects the use cases to the schema behind `pool` and to the configured provider.
pub fn assemble(
    config: &Config,
    pool: &Pool,
    outbox: &Outbox,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Assembly> {
    let secrets = config.callback.keys.iter().map(|key| key.expose().as_bytes());
    let keys = CallbackKeys::new(secrets).context("the keys of callbacks")?;
    let audit = AuditLog::new(&config.audit, App::NAME, clock.clone());
    let repository = MySqlPaymentRepository::new(pool.clone(), outbox.clone(), audit);
    let (provider, outgoing) = provider(config, pool, clock)?;
    let service = Arc::new(PaymentService::new(
        Arc::new(repository),
        provider,
        clock.clone(),
        (keys.clone(), config.policy()),
    ));
    let courier = Courier { service: service.clone(), keys, clock: clock.clone() };
    Ok(Assembly { service, courier, outgoing })
}

/// The configured provider, and where its callbacks come out if they do so in this process.
fn provider(
    config: &Config,
    pool: &Pool,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<(Arc<dyn PaymentProvider>, mpsc::Receiver<OutgoingCallback>)> {
    match config.provider.kind {
        ProviderKind::Simulated => {
            let book = Arc::new(MySqlChargeBook::new(pool.clone()));
            let delay = Duration::from_millis(config.provider.callback_delay_ms);
            let (provider, outgoing) = SimulatedProvider::new(book, clock.clone(), delay);
            Ok((Arc::new(provider), outgoing))
        }
        ProviderKind::Http => {
            // Its callbacks come in at the edge; the end of this channel tells the courier so.
            let (_, nothing) = mpsc::channel(1);
            Ok((Arc::new(HttpProvider::new(&config.provider.http())?), nothing))
        }
    }
}

fn forget_old_callbacks(service: &Arc<PaymentService>, config: &Config, host: &Host) {
    let (service, pause) = (service.clone(), config.callback.sweep_every());
    let stop = host.shutdown().soft();
    host.spawn("callback sweep", async move {
        sweep::repeat("callbacks", pause, stop, || service.forget_callbacks()).await;
    });
}

/// Figures of what is under way.
fn count_payments(service: &Arc<PaymentService>, config: &Config, host: &Host, pool: &Pool) {
    let (service, pool) = (service.clone(), pool.clone());
    let (pace, stop) = (config.census.every(), host.shutdown().soft());
    host.spawn("census", async move {
        census::run(pool, pace, stop, || service.take_census()).await;
    });
}

/// The gRPC service over the use cases.
pub fn routes(service: Arc<PaymentService>, config: &Config) -> tonic::service::Routes {
    let server = PaymentServiceServer::new(PaymentApi::new(service))
        .max_decoding_message_size(config.server.max_message_bytes);
    tonic::service::Routes::new(server)
}

/// The public port, except for who checks tokens.
pub fn endpoint(service: Arc<PaymentService>, config: &Config) -> GrpcApp {
    GrpcApp::new(routes(service, config))
        .reflection(proto::FILE_DESCRIPTOR_SET)
        .public(PUBLIC)
        .callers(CALLERS)
}

impl Service for App {
    const NAME: &'static str = "payment-service";
    const ENV_PREFIX: &'static str = "EH_PAYMENT";
    const DEFAULTS: &'static str = include_str!("../config/default.toml");
    const METRICS: &'static str = include_str!("../metrics.toml");
    type Config = Config;

    async fn build(config: Config, host: &Host) -> anyhow::Result<Endpoint> {
        let pool = host.database(&config.database, &MIGRATOR).await?;
        let outbox = Outbox::new();
        let Assembly { service, courier, outgoing } =
            assemble(&config, &pool, &outbox, &host.clock())?;

        let soft = || host.shutdown().soft();
        count_payments(&service, &config, host, &pool);
        if let Some(broker) = host.broker(&config.amqp, &config.events).await? {
            let publisher = Arc::new(broker.publisher());
            let relay = Relay::new(pool, publisher, &config.outbox, &outbox);
            host.spawn("outbox relay", relay.run(soft()));
        }
        let interval = config.reconcile.interval();
        host.spawn("reconciler", reconciler::run(service.clone(), interval, soft()));
        let every = config.ledger.every();
        host.spawn("ledger walker", ledger_walker::run(service.clone(), every, soft()));
        forget_old_callbacks(&service, &config, host);
        host.spawn("simulated callbacks", courier.run(outgoing, soft()));

        let auth = host.channel("auth-service", &config.upstream);
        let keys = Arc::new(GrpcKeySource::new(auth, &config.token));
        let verifier = host.token_verifier(&config.token, keys);
        Ok(Endpoint::Grpc(endpoint(service, &config).auth(verifier)))
    }
}
