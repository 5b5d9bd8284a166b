//! Adapter: signing keys in MySQL or MariaDB.

use async_trait::async_trait;
use chassis::audit::AuditLog;
use chassis::db::{self, Pool};
use chrono::{DateTime, NaiveDateTime, Utc};
use sqlx::mysql::MySqlConnection;
use tracing::instrument;

use crate::model::{SessionError, StoredKey};
use crate::repository::KeyRepository;
use crate::repository::audit::{KeyDeed, of_new_key, of_promotion, of_resealing};

/// Keeps signing keys in the schema of this service.
#[derive(Clone, Debug)]
pub struct MySqlKeyRepository {
    pool: Pool,
    audit: AuditLog,
}

impl MySqlKeyRepository {
    /// Keeps keys in `pool`, and tells what becomes of them to `audit`.
    pub fn new(pool: Pool, audit: AuditLog) -> Self {
        Self { pool, audit }
    }
}

#[async_trait]
impl KeyRepository for MySqlKeyRepository {
    #[instrument(name = "db.key.list", skip_all)]
    async fn list(&self) -> Result<Vec<StoredKey>, SessionError> {
        let rows = sqlx::query_as::<_, KeyRow>(
            "SELECT kid, public_key, sealed_key, signs, created_at, signs_from, published_until \
             FROM signing_keys ORDER BY created_at, kid",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(StoredKey::from).collect())
    }

    #[instrument(name = "db.key.insert", skip_all, fields(key.id = key.kid))]
    async fn insert_signing(&self, key: &StoredKey) -> Result<bool, SessionError> {
        let inserted = db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                insert_signing(tx, key).await?;
                self.audit.append(tx, &of_new_key(key, KeyDeed::First)).await?;
                Ok::<_, SessionError>(true)
            })
        });
        unless_changed(inserted.await)
    }

    #[instrument(name = "db.key.insert_pending", skip_all, fields(key.id = key.kid))]
    async fn insert_pending(&self, key: &StoredKey) -> Result<bool, SessionError> {
        let inserted = db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                insert_pending(tx, key).await?;
                self.audit.append(tx, &of_new_key(key, KeyDeed::Published)).await?;
                Ok::<_, SessionError>(true)
            })
        });
        unless_changed(inserted.await)
    }

    /// The pending row is claimed first: whoever comes second waits there and finds it claimed.
    #[instrument(name = "db.key.promote", skip_all, fields(key.id = kid))]
    async fn promote(&self, kid: &str, until: DateTime<Utc>) -> Result<bool, SessionError> {
        let promoted = db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                let claimed = sqlx::query(
                    "UPDATE signing_keys SET pending = NULL WHERE kid = ? AND pending = 1",
                )
                .bind(kid)
                .execute(&mut **tx)
                .await?;
                if claimed.rows_affected() == 0 {
                    return Ok(false);
                }
                sqlx::query(
                    "UPDATE signing_keys SET signs = NULL, sealed_key = '', published_until = ? \
                     WHERE signs = 1",
                )
                .bind(until.naive_utc())
                .execute(&mut **tx)
                .await?;
                let signs = sqlx::query("UPDATE signing_keys SET signs = 1 WHERE kid = ?")
                    .bind(kid)
                    .execute(&mut **tx)
                    .await;
                signs.map_err(refusal)?;
                self.audit.append(tx, &of_promotion(kid)).await?;
                Ok::<_, SessionError>(true)
            })
        });
        unless_changed(promoted.await)
    }

    #[instrument(name = "db.key.replace_all", skip_all, fields(key.id = key.kid))]
    async fn replace_all(&self, key: &StoredKey, now: DateTime<Utc>) -> Result<(), SessionError> {
        db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE signing_keys SET signs = NULL, pending = NULL, sealed_key = '', \
                     published_until = ? WHERE published_until IS NULL OR published_until > ?",
                )
                .bind(now.naive_utc())
                .bind(now.naive_utc())
                .execute(&mut **tx)
                .await?;
                insert_signing(tx, key).await?;
                self.audit.append(tx, &of_new_key(key, KeyDeed::ReplacedAll)).await?;
                Ok::<_, SessionError>(())
            })
        })
        .await
    }

    #[instrument(name = "db.key.reseal", skip_all, fields(key.id = key.kid))]
    async fn reseal(&self, key: &StoredKey, sealed: &[u8]) -> Result<bool, SessionError> {
        db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                let stored = sqlx::query(
                    "UPDATE signing_keys SET sealed_key = ? WHERE kid = ? AND sealed_key = ?",
                )
                .bind(sealed)
                .bind(&key.kid)
                .bind(&key.sealed_key)
                .execute(&mut **tx)
                .await?;
                if stored.rows_affected() == 0 {
                    return Ok(false);
                }
                self.audit.append(tx, &of_resealing(&key.kid)).await?;
                Ok::<_, SessionError>(true)
            })
        })
        .await
    }

    #[instrument(name = "db.key.forget", skip_all)]
    async fn forget(&self, before: DateTime<Utc>) -> Result<u64, SessionError> {
        let done = sqlx::query("DELETE FROM signing_keys WHERE published_until < ?")
            .bind(before.naive_utc())
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected())
    }
}

/// Stores a key that signs, unless another one does.
async fn insert_signing(
    connection: &mut MySqlConnection,
    key: &StoredKey,
) -> Result<(), SessionError> {
    let inserted = sqlx::query(
        "INSERT INTO signing_keys (kid, public_key, sealed_key, signs, created_at) \
         VALUES (?, ?, ?, 1, ?)",
    )
    .bind(&key.kid)
    .bind(&key.public_key)
    .bind(&key.sealed_key)
    .bind(key.created_at.naive_utc())
    .execute(connection)
    .await;
    inserted.map(|_| ()).map_err(refusal)
}

/// Stores a key that is to sign later, unless another one is.
async fn insert_pending(
    connection: &mut MySqlConnection,
    key: &StoredKey,
) -> Result<(), SessionError> {
    let inserted = sqlx::query(
        "INSERT INTO signing_keys (kid, public_key, sealed_key, pending, created_at, signs_from) \
         VALUES (?, ?, ?, 1, ?, ?)",
    )
    .bind(&key.kid)
    .bind(&key.public_key)
    .bind(&key.sealed_key)
    .bind(key.created_at.naive_utc())
    .bind(key.signs_from.map(|at| at.naive_utc()))
    .execute(connection)
    .await;
    inserted.map(|_| ()).map_err(refusal)
}

/// At most one key signs and at most one waits: the schema says so, and refuses a second one that comes
/// at the same moment.
fn refusal(error: sqlx::Error) -> SessionError {
    match db::violated_key(&error) {
        Some("signing_keys_signs" | "signing_keys_pending") => SessionError::KeysChanged,
        _ => error.into(),
    }
}

/// Says `false` when another one did it.
fn unless_changed(outcome: Result<bool, SessionError>) -> Result<bool, SessionError> {
    match outcome {
        Err(SessionError::KeysChanged) => Ok(false),
        outcome => outcome,
    }
}

#[derive(sqlx::FromRow)]
struct KeyRow {
    kid: String,
    public_key: Vec<u8>,
    sealed_key: Vec<u8>,
    signs: Option<u8>,
    created_at: NaiveDateTime,
    signs_from: Option<NaiveDateTime>,
    published_until: Option<NaiveDateTime>,
}

impl From<KeyRow> for StoredKey {
    fn from(row: KeyRow) -> Self {
        Self {
            kid: row.kid,
            public_key: row.public_key,
            sealed_key: row.sealed_key,
            signs: row.signs == Some(1),
            created_at: row.created_at.and_utc(),
            signs_from: row.signs_from.map(|at| at.and_utc()),
            published_until: row.published_until.map(|until| until.and_utc()),
        }
    }
}
