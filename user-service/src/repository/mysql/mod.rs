//! Adapter: accounts in MySQL or MariaDB.

mod access;
mod rehash;
mod tokens;

use async_trait::async_trait;
use chassis::audit::AuditLog;
use chassis::db::{self, DbError, Pool};
use chassis::error::Kind;
use chassis::outbox::Outbox;
use chrono::NaiveDateTime;
use sqlx::migrate::Migrator;
use sqlx::mysql::MySqlConnection;
use tracing::instrument;
use uuid::Uuid;

use super::UserRepository;
use super::audit::entry;
use super::envelope::envelopes;
use crate::model::{
    AccessChanges, Change, DisplayName, Email, Locale, PasswordHash, Role, Roles, Status,
    StoredUser, User, UserError, UserId,
};

/// The schema of this service.
pub static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// Reads whole accounts; one statement, because it is one round trip.
macro_rules! select_users {
    ($tail:literal) => {
        concat!(
            "SELECT u.id, u.email, u.email_normalized, u.display_name, u.locale, u.status, ",
            "u.password_hash, u.email_verified_at, u.session_epoch, u.version, u.created_at, u.updated_at, ",
            "(SELECT GROUP_CONCAT(r.role) FROM user_roles r WHERE r.user_id = u.id) AS roles ",
            "FROM users u ",
            $tail
        )
    };
}

/// Keeps accounts in the schema of this service.
#[derive(Clone, Debug)]
pub struct MySqlUserRepository {
    pool: Pool,
    outbox: Outbox,
    audit: AuditLog,
}

impl MySqlUserRepository {
    /// Keeps accounts in `pool`, leaves events in `outbox` and tells changes to `audit`.
    pub fn new(pool: Pool, outbox: Outbox, audit: AuditLog) -> Self {
        Self { pool, outbox, audit }
    }
}

#[async_trait]
impl UserRepository for MySqlUserRepository {
    #[instrument(name = "db.user.insert", skip_all, fields(user.id = %registration.user.id()))]
    async fn insert(&self, registration: &Change) -> Result<(), UserError> {
        let events = &envelopes(registration)?;
        let user = registration.user.stored();
        db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                insert_user(tx, user).await?;
                insert_roles(tx, user).await?;
                tokens::apply(tx, registration).await?;
                self.audit.append(tx, &entry(registration)).await?;
                self.outbox.append(tx, events).await?;
                Ok::<_, UserError>(())
            })
        })
        .await?;
        self.outbox.wake();
        Ok(())
    }

    #[instrument(name = "db.user.save", skip_all, fields(user.id = %change.user.id()))]
    async fn save(&self, change: &Change) -> Result<(), UserError> {
        let events = &envelopes(change)?;
        db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                if change.drops_admin {
                    require_another_admin(tx, change.user.id()).await?;
                }
                update_user(tx, change).await?;
                if change.changes_roles {
                    delete_roles(tx, change.user.id()).await?;
                    insert_roles(tx, change.user.stored()).await?;
                }
                access::record(tx, change).await?;
                tokens::apply(tx, change).await?;
                self.audit.append(tx, &entry(change)).await?;
                self.outbox.append(tx, events).await?;
                Ok::<_, UserError>(())
            })
        })
        .await?;
        self.outbox.wake();
        Ok(())
    }

    #[instrument(name = "db.user.replace_hash", skip_all, fields(user.id = %id))]
    async fn replace_hash(
        &self,
        id: UserId,
        outdated: &PasswordHash,
        renewed: &PasswordHash,
    ) -> Result<bool, UserError> {
        self.exchange_hash(id, outdated, renewed).await
    }

    #[instrument(name = "db.user.find", skip_all, fields(user.id = %id))]
    async fn find(&self, id: UserId) -> Result<Option<User>, UserError> {
        let row = sqlx::query_as::<_, UserRow>(select_users!("WHERE u.id = ?"))
            .bind(id.as_uuid())
            .fetch_optional(&self.pool)
            .await?;
        row.map(User::try_from).transpose()
    }

    #[instrument(name = "db.user.find_by_email", skip_all)]
    async fn find_by_email(&self, email: &Email) -> Result<Option<User>, UserError> {
        let row = sqlx::query_as::<_, UserRow>(select_users!("WHERE u.email_normalized = ?"))
            .bind(email.normalized())
            .fetch_optional(&self.pool)
            .await?;
        row.map(User::try_from).transpose()
    }

    #[instrument(name = "db.user.list", skip_all)]
    async fn list(&self, before: Option<UserId>, limit: u32) -> Result<Vec<User>, UserError> {
        // No identity is greater than the greatest UUID, so that one statement serves every page.
        let before = before.map_or(Uuid::max(), |id| id.as_uuid());
        let rows = sqlx::query_as::<_, UserRow>(select_users!(
            "WHERE u.id < ? ORDER BY u.id DESC LIMIT ?"
        ))
        .bind(before)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(User::try_from).collect()
    }

    #[instrument(name = "db.user.find_kept_session", skip_all, fields(user.id = %id))]
    async fn find_kept_session(&self, id: UserId) -> Result<Option<Uuid>, UserError> {
        access::find_kept_session(&self.pool, id).await
    }

    #[instrument(name = "db.user.list_access_changes", skip_all)]
    async fn list_access_changes(
        &self,
        cursor: &str,
        lookback_s: u32,
        limit: u32,
    ) -> Result<AccessChanges, UserError> {
        access::list(&self.pool, cursor, lookback_s, limit).await
    }
}

async fn insert_user(conn: &mut MySqlConnection, user: &StoredUser) -> Result<(), UserError> {
    let inserted = sqlx::query(
        "INSERT INTO users (id, email, email_normalized, display_name, locale, status, \
         password_hash, session_epoch, version, created_at, updated_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(user.id.as_uuid())
    .bind(user.email.as_given())
    .bind(user.email.normalized())
    .bind(user.display_name.as_str())
    .bind(user.locale.as_str())
    .bind(user.status.as_str())
    .bind(user.password_hash.as_str())
    .bind(user.session_epoch)
    .bind(user.version)
    .bind(user.created_at.naive_utc())
    .bind(user.updated_at.naive_utc())
    .execute(conn)
    .await;
    match inserted {
        Ok(_) => Ok(()),
        Err(error) if db::violated_key(&error) == Some("users_email") => {
            Err(UserError::AccountExists)
        }
        Err(error) => Err(error.into()),
    }
}

async fn insert_roles(conn: &mut MySqlConnection, user: &StoredUser) -> Result<(), UserError> {
    for role in user.roles.iter() {
        sqlx::query("INSERT INTO user_roles (user_id, role) VALUES (?, ?)")
            .bind(user.id.as_uuid())
            .bind(role.as_str())
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

async fn delete_roles(conn: &mut MySqlConnection, id: UserId) -> Result<(), UserError> {
    sqlx::query("DELETE FROM user_roles WHERE user_id = ?")
        .bind(id.as_uuid())
        .execute(conn)
        .await?;
    Ok(())
}

/// The e-mail address is not among the columns: no change alters it.
async fn update_user(conn: &mut MySqlConnection, change: &Change) -> Result<(), UserError> {
    let user = change.user.stored();
    let done = sqlx::query(
        "UPDATE users SET display_name = ?, locale = ?, status = ?, password_hash = ?, \
         email_verified_at = ?, session_epoch = ?, version = ?, updated_at = ? WHERE id = ? AND version = ?",
    )
    .bind(user.display_name.as_str())
    .bind(user.locale.as_str())
    .bind(user.status.as_str())
    .bind(user.password_hash.as_str())
    .bind(user.email_verified_at.map(|at| at.naive_utc()))
    .bind(user.session_epoch)
    .bind(user.version)
    .bind(user.updated_at.naive_utc())
    .bind(user.id.as_uuid())
    .bind(change.expected_version())
    .execute(conn)
    .await?;
    if done.rows_affected() == 0 {
        return Err(UserError::VersionMismatch);
    }
    Ok(())
}

/// Locks every active administrator, so that two changes that each leave the other one's
/// administrator behind cannot both succeed: the second one waits here and then sees the first.
/// The join is straight, so that the rows are locked through the key on the role, in one order.
async fn require_another_admin(conn: &mut MySqlConnection, id: UserId) -> Result<(), UserError> {
    let admins: Vec<Uuid> = sqlx::query_scalar(
        "SELECT u.id FROM user_roles r STRAIGHT_JOIN users u ON u.id = r.user_id \
         WHERE r.role = 'admin' AND u.status = 'ACTIVE' FOR UPDATE",
    )
    .fetch_all(conn)
    .await?;
    if admins.iter().any(|admin| *admin != id.as_uuid()) {
        return Ok(());
    }
    Err(UserError::LastAdmin)
}

#[derive(sqlx::FromRow)]
struct UserRow {
    id: Uuid,
    email: String,
    email_normalized: String,
    display_name: String,
    locale: String,
    status: String,
    password_hash: String,
    email_verified_at: Option<NaiveDateTime>,
    session_epoch: u64,
    version: u64,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
    roles: Option<String>,
}

impl TryFrom<UserRow> for User {
    type Error = UserError;

    fn try_from(row: UserRow) -> Result<Self, UserError> {
        let names = row.roles.unwrap_or_default();
        let roles = Roles::new(names.split(',').filter_map(Role::parse));
        Ok(Self::restore(StoredUser {
            id: UserId::from_uuid(row.id),
            email: Email::from_stored(row.email, row.email_normalized),
            display_name: DisplayName::from_stored(row.display_name),
            locale: Locale::parse(&row.locale).ok_or_else(|| unreadable("locale"))?,
            status: Status::parse(&row.status).ok_or_else(|| unreadable("status"))?,
            roles: roles.ok_or_else(|| unreadable("roles"))?,
            password_hash: PasswordHash::new(row.password_hash),
            email_verified_at: row.email_verified_at.map(|at| at.and_utc()),
            session_epoch: row.session_epoch,
            version: row.version,
            created_at: row.created_at.and_utc(),
            updated_at: row.updated_at.and_utc(),
        }))
    }
}

fn unreadable(column: &str) -> UserError {
    UserError::internal(format!("the column {column} holds a value of a newer version"))
}

impl From<DbError> for UserError {
    fn from(error: DbError) -> Self {
        match error.kind() {
            Kind::DeadlineExceeded => Self::DeadlineExceeded,
            Kind::Unavailable | Kind::Aborted => Self::Unavailable { source: Box::new(error) },
            _ => Self::Internal { source: Box::new(error) },
        }
    }
}

impl From<sqlx::Error> for UserError {
    fn from(error: sqlx::Error) -> Self {
        DbError::from(error).into()
    }
}
