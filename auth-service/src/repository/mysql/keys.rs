//! Adapter: signing keys in MySQL or MariaDB.

use async_trait::async_trait;
use chassis::db::{self, Pool};
use chrono::NaiveDateTime;
use tracing::instrument;

use crate::model::{SessionError, StoredKey};
use crate::repository::KeyRepository;

/// Keeps signing keys in the schema of this service.
#[derive(Clone, Debug)]
pub struct MySqlKeyRepository {
    pool: Pool,
}

impl MySqlKeyRepository {
    /// Keeps keys in `pool`.
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }
}

#[async_trait]
impl KeyRepository for MySqlKeyRepository {
    #[instrument(name = "db.key.list", skip_all)]
    async fn list(&self) -> Result<Vec<StoredKey>, SessionError> {
        let rows = sqlx::query_as::<_, KeyRow>(
            "SELECT kid, public_key, sealed_key, signs, created_at, published_until \
             FROM signing_keys ORDER BY created_at, kid",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(StoredKey::from).collect())
    }

    #[instrument(name = "db.key.insert", skip_all, fields(key.id = key.kid))]
    async fn insert_signing(&self, key: &StoredKey) -> Result<bool, SessionError> {
        let inserted = sqlx::query(
            "INSERT INTO signing_keys (kid, public_key, sealed_key, signs, created_at) \
             VALUES (?, ?, ?, 1, ?)",
        )
        .bind(&key.kid)
        .bind(&key.public_key)
        .bind(&key.sealed_key)
        .bind(key.created_at.naive_utc())
        .execute(&self.pool)
        .await;
        match inserted {
            Ok(_) => Ok(true),
            Err(error) if db::violated_key(&error) == Some("signing_keys_signs") => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

#[derive(sqlx::FromRow)]
struct KeyRow {
    kid: String,
    public_key: Vec<u8>,
    sealed_key: Vec<u8>,
    signs: Option<u8>,
    created_at: NaiveDateTime,
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
            published_until: row.published_until.map(|until| until.and_utc()),
        }
    }
}
