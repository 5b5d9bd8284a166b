//! The fleet of all rows, and who acts on it.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::testing::forger::Forger;
use chassis::testing::tokens::TestIssuer;
use fleet::harness::Api;
use fleet::harness::api::new_email;
pub(crate) use fleet::harness::raw::new_address;
use fleet::{Fleet, FleetOptions, seed};
use sqlx::MySqlConnection;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::own_id;

/// The password of every customer that a row makes.
pub(crate) const PASSWORD: &str = "a-customers-long-password";
/// Seconds of the first pause after wrong passwords: longer than the rest of a row takes, so that none
/// has to be waited out. How pauses grow is tested where time can be made to pass.
const PAUSE_S: &str = "120";
/// How many gateways the fleet has.
pub(crate) const GATEWAYS: usize = 2;

/// A user with an account, logged in.
pub(crate) struct User {
    /// Acts for the user.
    pub(crate) api: Api,
    /// The user.
    pub(crate) id: Uuid,
    /// The address to log in with; the password is [`PASSWORD`].
    pub(crate) email: String,
}

/// A running fleet with products on sale and an issuer whose tokens it believes.
pub(crate) struct Stage {
    /// Lock it for a moment only: other rows wait.
    pub(crate) fleet: Mutex<Fleet>,
    gateways: Vec<String>,
    issuer: TestIssuer,
}

impl Stage {
    /// Starts the fleet.
    pub(crate) async fn set() -> Result<Self> {
        let mut options = FleetOptions::default().replicas("gateway-service", GATEWAYS);
        options = options.setting("EH_GATEWAY__HTTP__ALLOWED_HOSTS", "127.0.0.1");
        for service in ["GATEWAY", "USER", "AUTH", "ORDER", "PAYMENT", "NOTIFY"] {
            options = options.setting(&format!("EH_{service}__TOKEN__JWKS_MIN_INTERVAL_S"), "1");
        }
        for meter in ["EH_AUTH__THROTTLE__ACCOUNT", "EH_USER__THROTTLE__PASSWORD_CHANGE"] {
            options = options.setting(&format!("{meter}__PAUSE_S"), PAUSE_S);
        }
        // On a busy machine too, wrong passwords are counted in one place.
        for service in ["AUTH", "USER"] {
            options = options.setting(&format!("EH_{service}__REDIS__TIMEOUT_MS"), "5000");
        }
        let fleet = Fleet::start(options).await?;
        fleet.seed().await?;
        let (gateways, issuer) = (fleet.gateway_urls(), TestIssuer::new());
        let stage = Self { fleet: Mutex::new(fleet), gateways, issuer };
        stage.publish_issuer().await?;
        Ok(stage)
    }

    /// Base address of a gateway, counted from zero.
    pub(crate) fn gateway(&self, number: usize) -> &str {
        &self.gateways[number % self.gateways.len()]
    }

    /// A client without an account, at the first gateway, with an address that no other client
    /// has: rates are limited by address.
    pub(crate) fn visitor(&self) -> Result<Api> {
        self.visitor_from(new_address())
    }

    /// A client without an account at that address, which is one of 127.0.0.0/8.
    pub(crate) fn visitor_from(&self, address: IpAddr) -> Result<Api> {
        Api::bound_to(self.gateway(0), address)
    }

    /// A new customer with a client of its own.
    pub(crate) async fn user(&self) -> Result<User> {
        let (visitor, email) = (self.visitor()?, new_email());
        visitor.register(&email, PASSWORD, "Customer").await?.require(201)?;
        let api = visitor.login(&email, PASSWORD).await?;
        let id = own_id(&api).await?.parse()?;
        Ok(User { api, id, email })
    }

    /// The administrator, with a client of its own.
    pub(crate) async fn admin(&self) -> Result<Api> {
        self.visitor()?.login(seed::ADMIN_EMAIL, seed::ADMIN_PASSWORD).await
    }

    /// Makes tokens for a user that differ in one thing from good ones. The fleet believes what is
    /// really signed: the key is published beside its own.
    pub(crate) fn forger(&self, user: Uuid) -> Forger<'_> {
        Forger { issuer: &self.issuer, user }
    }

    /// A connection to a service's schema under the service's own account.
    pub(crate) async fn database(&self, service: &str) -> Result<MySqlConnection> {
        self.fleet.lock().await.database(service).await
    }

    /// Publishes the key of the issuer, as another replica of auth-service would, and waits until
    /// both gateways believe it.
    async fn publish_issuer(&self) -> Result<()> {
        let keys = serde_json::to_value(self.issuer.key_set())?;
        let public = keys["keys"][0]["x"].as_str().context("a key without its public part")?;
        sqlx::query(
            "INSERT INTO signing_keys (kid, public_key, sealed_key, created_at, published_until) \
             VALUES (?, ?, '', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) + INTERVAL 1 DAY)",
        )
        .bind(self.issuer.key_id())
        .bind(URL_SAFE_NO_PAD.decode(public)?)
        .execute(&mut self.database("auth-service").await?)
        .await?;
        let user = self.user().await?;
        let token = self.forger(user.id).good();
        for gateway in &self.gateways {
            let api = Api::new(gateway)?.with_token(&token);
            fleet::wait::until("the new key being known", super::PATIENCE, || async {
                let reply = api.get("/api/v1/orders").await?;
                Ok((reply.status == 200).then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Ends the fleet in order; nobody may have panicked meanwhile.
    pub(crate) async fn finish(self) -> Result<()> {
        let mut fleet = self.fleet.into_inner();
        for service in fleet::services::Service::ALL {
            for replica in 0..fleet.replica_count(service.name) {
                let log = fleet.logs(service.name, replica)?;
                let panicked = log.lines().find(|line| line.contains("panicked at"));
                ensure!(panicked.is_none(), "{}: {panicked:?}", service.name);
            }
        }
        fleet.finish().await
    }
}
