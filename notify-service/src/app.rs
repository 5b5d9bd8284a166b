//! The composition root: the only file that names concrete adapters.

use std::sync::Arc;

use anyhow::Context as _;
use chassis::audit::AuditLog;
use chassis::auth::{GrpcKeySource, Verifier};
use chassis::clock::Clock;
use chassis::db::Pool;
use chassis::grpc::GrpcApp;
use chassis::messaging::Trust;
use chassis::messaging::amqp::Broker;
use chassis::page::PageCodec;
use chassis::run::{Endpoint, Host, Service};
use chassis::sealing::{Sealer, Use};
use chassis::sweep;
use proto::notify::v1::notify_service_server::NotifyServiceServer;
use tonic::service::Routes;

use crate::api::callers::CALLERS;
use crate::api::consumer::{BINDINGS, EventHandler};
use crate::api::dead_letters::DeadLetterKeeper;
use crate::api::grpc::NotifyApi;
use crate::client::Mailer;
use crate::client::folder::FolderMailer;
use crate::client::smtp::SmtpMailer;
use crate::config::{Config, MailConfig, MailMode};
use crate::repository::MailRepository;
use crate::repository::mysql::{MIGRATOR, MySqlRepository};
use crate::service::{Courier, NotifyService};

/// Notify-service as the chassis runs it.
pub struct App;

impl Service for App {
    const NAME: &'static str = "notify-service";
    const ENV_PREFIX: &'static str = "EH_NOTIFY";
    const DEFAULTS: &'static str = include_str!("../config/default.toml");
    const METRICS: &'static str = include_str!("../metrics.toml");
    type Config = Config;

    async fn build(config: Config, host: &Host) -> anyhow::Result<Endpoint> {
        let pool = host.database(&config.database, &MIGRATOR).await?;
        let audit = AuditLog::new(&config.audit, App::NAME, host.clock());
        let mails = Arc::new(MySqlRepository::new(pool.clone(), audit.clone()));
        send_mails(mails, &config.mail, host)?;
        let service = service(pool, host.clock(), audit);
        if let Some(broker) = host.broker(&config.amqp, &config.events).await? {
            consume(&broker, &service, &config, host);
        }
        forget_old_receipts(&service, &config, host);
        count_dead_letters(&service, &config, host);
        let auth_service = host.channel("auth-service", &config.upstream);
        let keys = Arc::new(GrpcKeySource::new(auth_service, &config.token));
        let verifier = host.token_verifier(&config.token, keys);
        Ok(Endpoint::Grpc(grpc_app(service, verifier, &config)?))
    }
}

/// The use cases over MySQL.
pub fn service(pool: Pool, clock: Arc<dyn Clock>, audit: AuditLog) -> Arc<NotifyService> {
    let repository = Arc::new(MySqlRepository::new(pool, audit));
    Arc::new(NotifyService::new(repository, clock))
}

/// The gRPC face of the use cases.
pub fn grpc_app(
    service: Arc<NotifyService>,
    verifier: Arc<Verifier>,
    config: &Config,
) -> anyhow::Result<GrpcApp> {
    let pages = PageCodec::new(&config.paging.secret);
    let trust = Trust::new(&config.events)?;
    let api = NotifyApi::new(service, pages, config.receipts.list_max, trust);
    let server =
        NotifyServiceServer::new(api).max_decoding_message_size(config.server.max_message_bytes);
    Ok(GrpcApp::new(Routes::new(server))
        .auth(verifier)
        .reflection(proto::FILE_DESCRIPTOR_SET)
        .callers(CALLERS))
}

/// Who sends the messages that are left in the storage.
pub fn courier(
    mails: Arc<dyn MailRepository>,
    mailer: Arc<dyn Mailer>,
    config: &MailConfig,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Courier> {
    let (salt, purpose) = proto::events::SEALED;
    let sealer = |key| Sealer::new(key, Use { salt, purpose });
    let sealers: Result<Vec<_>, _> = config.sealing_keys.iter().map(sealer).collect();
    let sealers = sealers.context("no key can be derived from one of `mail.sealing_keys`")?;
    Ok(Courier::new((mails, mailer), sealers, clock, config.plan()))
}

fn mailer(config: &MailConfig) -> anyhow::Result<Arc<dyn Mailer>> {
    Ok(match config.mode {
        MailMode::Folder => {
            let files_max = usize::try_from(config.folder_files_max.get())?;
            Arc::new(FolderMailer::new(&config.folder, files_max, config.sender()))
        }
        MailMode::Smtp => {
            let (server, sender) = (config.smtp.server(), config.sender());
            Arc::new(SmtpMailer::new(server, sender, &config.smtp.ca_path)?)
        }
    })
}

fn send_mails(
    mails: Arc<dyn MailRepository>,
    config: &MailConfig,
    host: &Host,
) -> anyhow::Result<()> {
    let courier = courier(mails, mailer(config)?, config, host.clock())?;
    let (courier, sweeping) = (Arc::new(courier), config.clone());
    let (sender, stop, pause) = (courier.clone(), host.shutdown().soft(), config.poll());
    host.spawn("mails", async move {
        sweep::repeat("mails", pause, stop, || sender.send_mails()).await;
    });
    let stop = host.shutdown().soft();
    host.spawn("mail sweep", async move {
        let (keep, batch) = (sweeping.keep(), sweeping.sweep_batch.get());
        let forget = || courier.forget_mails(keep, batch);
        sweep::repeat("old mails", sweeping.sweep_every(), stop, forget).await;
    });
    Ok(())
}

fn forget_old_receipts(service: &Arc<NotifyService>, config: &Config, host: &Host) {
    let (service, bounds) = (service.clone(), config.receipts.clone());
    let (pause, stop) = (config.receipts.sweep_every(), host.shutdown().soft());
    host.spawn("receipt sweep", async move {
        let forget = || service.forget_receipts(bounds.keep(), bounds.sweep_batch);
        sweep::repeat("receipts", pause, stop, forget).await;
    });
}

/// Every replica counts: all show the same, and none needs a connection of its own to be elected.
fn count_dead_letters(service: &Arc<NotifyService>, config: &Config, host: &Host) {
    let (service, config) = (service.clone(), config.dead_letters);
    let stop = host.shutdown().soft();
    host.spawn("dead letter count", async move {
        let count = || service.show_open_dead_letters(config.count_max);
        sweep::repeat("count of dead letters", config.count_every(), stop, count).await;
    });
}

fn consume(broker: &Broker, service: &Arc<NotifyService>, config: &Config, host: &Host) {
    let events = Arc::new(EventHandler::new(service.clone()));
    let soft = || host.shutdown().soft();
    host.spawn("events", broker.consume(App::NAME, &BINDINGS, events, &config.amqp, soft()));
    let keeper = Arc::new(DeadLetterKeeper::new(service.clone()));
    host.spawn("dead letters", broker.keep_dead_letters(App::NAME, keeper, &config.amqp, soft()));
}
