//! What the answers of all operations hold.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fleet::harness::api::new_key;
use fleet::harness::{Api, Reply};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::sessions::{Pair, login};
use crate::support::contract::{Operation, Who, operations};
use crate::support::schema::Schemas;
use crate::support::stage::{PASSWORD, Stage, User};
use crate::support::{PATIENCE, TEA, order, own_id, step, text};

/// Parts of names of members that no answer has.
const NAMES: [&str; 17] = [
    "password",
    "hash",
    "salt",
    "secret",
    "access_version",
    "session_epoch",
    "credential",
    "sealed",
    "digest",
    "fingerprint",
    "private",
    "api_key",
    "signing_key",
    "internal",
    "normalized",
    "row_id",
    "lease",
];
/// Texts that are in no answer: hashes of passwords, and the secrets of every development fleet.
const TEXTS: [&str; 4] = ["$argon2", "development-only", "whsec_", "PRIVATE KEY"];
/// The members of a public key (RFC 8037) in a set (RFC 7517); `d` would be the private one.
const KEY_MEMBERS: [&str; 6] = ["kty", "crv", "x", "kid", "alg", "use"];

/// Who asks, and about what.
struct Scene {
    user: User,
    /// Whose sessions end, and whose roles are set.
    other: User,
    admin: Api,
    visitor: Api,
    notification: String,
    /// What the database keeps of the user and no answer shows.
    stored: Vec<String>,
}

impl Scene {
    async fn new(stage: &Stage) -> Result<Self> {
        let (user, other, visitor) = (stage.user().await?, stage.user().await?, stage.visitor()?);
        order(&user.api, "pm_ok").await?;
        let notification = fleet::wait::until("a notification", PATIENCE, || async {
            let list = user.api.get("/api/v1/notifications").await?.require(200)?;
            Ok(list["items"][0]["id"].as_str().map(str::to_owned))
        })
        .await?;
        let stored = stored_secrets(stage, user.id).await?;
        Ok(Self { admin: stage.admin().await?, visitor, user, other, notification, stored })
    }

    /// The caller of an operation; what ends sessions gets one of its own.
    async fn caller(&self, operation: &Operation) -> Result<Api> {
        let ends_sessions = operation.path.starts_with("/api/v1/auth/");
        match operation.who {
            Who::Admin => Ok(self.admin.clone()),
            _ if ends_sessions => self.visitor.login(&self.other.email, PASSWORD).await,
            _ => Ok(self.user.api.clone()),
        }
    }

    /// The path of an operation about something that is there.
    async fn path(&self, operation: &Operation) -> Result<String> {
        let path =
            operation.path.replace("{code}", "ORDER_NOT_FOUND").replace("{file}", "index.css");
        let paid = || order(&self.user.api, "pm_ok");
        let id = if path.starts_with("/api/v1/orders/{id}") {
            text(&paid().await?, "id")?
        } else if path.starts_with("/api/v1/payments/{id}") {
            text(&paid().await?, "payment_id")?
        } else if path.starts_with("/api/v1/notifications/{id}") {
            self.notification.clone()
        } else if path.starts_with("/api/v1/auth/sessions/{id}") {
            login(&self.visitor, &self.other.email).await?.session
        } else if path == "/api/v1/admin/dead-letters/{id}" {
            // Read alone: another row may wait for the letter to be decided.
            self.letter().await?
        } else {
            self.other.id.to_string()
        };
        // What is put on sale is no product of another row.
        let sku = if operation.method == Method::PUT { "SCAN-067" } else { TEA };
        Ok(path.replace("{id}", &id).replace("{sku}", sku))
    }

    /// Some dead letter, or an id that none has.
    async fn letter(&self) -> Result<String> {
        let page = self.admin.get("/api/v1/admin/dead-letters").await?.require(200)?;
        let first = page["items"][0]["id"].as_str().map(str::to_owned);
        Ok(first.unwrap_or_else(|| Uuid::from_u128(1).to_string()))
    }

    /// A body that is taken.
    async fn body(&self, operation: &Operation, schemas: &Schemas) -> Result<Value> {
        Ok(match operation.path.as_str() {
            "/api/v1/users" => json!({"email": fleet::harness::api::new_email(),
                "password": PASSWORD, "display_name": "Customer"}),
            "/api/v1/auth/login" => json!({"email": self.other.email, "password": PASSWORD}),
            "/api/v1/auth/refresh" => {
                let Pair { refresh, .. } = login(&self.visitor, &self.other.email).await?;
                json!({"refresh_token": refresh})
            }
            "/api/v1/orders" => crate::support::order_body("pm_ok"),
            "/api/v1/users/{id}/status" => json!({"status": "ACTIVE"}),
            // Keys of all rows would change, and passwords of this one; the refusals are scanned.
            "/api/v1/admin/keys/rotate" | "/api/v1/users/me/password" => json!({}),
            _ => schemas.sample_for(operation),
        })
    }

    async fn ask(&self, operation: &Operation, schemas: &Schemas) -> Result<Reply> {
        let (caller, path) = (self.caller(operation).await?, self.path(operation).await?);
        let request = caller.request(operation.method.clone(), &path);
        let request = request.header("idempotency-key", new_key());
        let request = if operation.has_body {
            request.json(&self.body(operation, schemas).await?)
        } else {
            request
        };
        caller.send(request).await
    }

    /// What is wrong with an answer.
    fn faults(
        &self,
        operation: &Operation,
        schemas: &Schemas,
        reply: &Reply,
    ) -> Result<Vec<String>> {
        let mut faults = schemas.unannounced(operation, reply)?;
        let is_document = operation.path == "/openapi.json";
        // The document describes requests, which have passwords.
        if !is_document {
            names(&reply.body, &mut |name: &str| {
                let is_odd = NAMES.iter().any(|part| name.to_lowercase().contains(part));
                faults.extend(is_odd.then(|| format!("a member {name}")));
            });
        }
        let said = format!("{:?} {}", reply.headers, reply.body);
        let secrets = TEXTS.iter().copied().chain(self.stored.iter().map(String::as_str));
        let told = secrets.filter(|secret| said.contains(secret));
        faults.extend(told.map(|secret| format!("a secret that begins with {secret:.8}")));
        Ok(faults)
    }
}

/// Calls with the name of every member at any depth.
fn names(value: &Value, call: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            call(name);
            names(value, call);
        }),
        Value::Array(items) => items.iter().for_each(|item| names(item, call)),
        _ => {}
    }
}

/// The hash of the user's password, and the digests of its refresh tokens and the sealed keys in the
/// forms in which bytes are written.
async fn stored_secrets(stage: &Stage, user: Uuid) -> Result<Vec<String>> {
    let hash: String = sqlx::query_scalar("SELECT password_hash FROM users WHERE id = ?")
        .bind(user)
        .fetch_one(&mut stage.database("user-service").await?)
        .await?;
    let mut auth = stage.database("auth-service").await?;
    let mut bytes: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT digest FROM refresh_tokens WHERE session_id IN \
         (SELECT id FROM sessions WHERE user_id = ?)",
    )
    .bind(user)
    .fetch_all(&mut auth)
    .await?;
    ensure!(!bytes.is_empty(), "the user has no refresh token");
    let sealed = "SELECT sealed_key FROM signing_keys WHERE sealed_key <> ''";
    bytes.extend(sqlx::query_scalar::<_, Vec<u8>>(sealed).fetch_all(&mut auth).await?);
    let written = bytes
        .iter()
        .flat_map(|bytes| [hex(bytes), STANDARD.encode(bytes), URL_SAFE_NO_PAD.encode(bytes)]);
    Ok(written.chain([hash]).collect())
}

/// No answer has a member that the document does not announce, a name that speaks of what is only
/// inside, or a secret that is stored.
pub(super) async fn a067_answers_of_every_operation(stage: &Stage) -> Result<()> {
    let scene = Scene::new(stage).await?;
    let schemas = Schemas::read(&scene.visitor).await?;
    let (mut faults, mut served) = (Vec::new(), 0);
    for operation in operations(&scene.visitor).await? {
        let what = || format!("{} {}", operation.method, operation.path);
        let full = scene.ask(&operation, &schemas).await.with_context(what)?;
        served += usize::from(full.status < 300);
        let bare = scene.visitor.send(operation.request(&scene.visitor)).await?;
        for reply in [full, bare] {
            let found = scene.faults(&operation, &schemas, &reply).with_context(what)?;
            faults
                .extend(found.iter().map(|fault| format!("{}: {}: {fault}", what(), reply.status)));
        }
    }
    ensure!(faults.is_empty(), "{faults:#?}");
    ensure!(served >= 30, "only {served} operations were served, so that little was seen");
    key_set_is_public(&scene.visitor).await?;
    // Of a refund too, and of what became of the order.
    let paid = text(&order(&scene.user.api, "pm_ok").await?, "id")?;
    let refunded = step(&scene.user.api, &paid, "refund", &json!({})).await?;
    refunded.require_any(&[200, 202])?;
    ensure!(own_id(&scene.user.api).await? == scene.user.id.to_string(), "the session is gone");
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

async fn key_set_is_public(visitor: &Api) -> Result<()> {
    let set = visitor.send(visitor.request(Method::GET, "/.well-known/jwks.json")).await?;
    let set = set.require(200)?;
    let keys = set["keys"].as_array().context("no keys")?;
    for key in keys {
        let members = key.as_object().context("no key")?;
        let odd: Vec<_> =
            members.keys().filter(|name| !KEY_MEMBERS.contains(&name.as_str())).collect();
        ensure!(odd.is_empty(), "a key has {odd:?}");
    }
    ensure!(!keys.is_empty(), "an empty key set");
    Ok(())
}
