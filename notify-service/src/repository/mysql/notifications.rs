//! Notifications, recipients and what they muted.

use std::collections::HashMap;

use async_trait::async_trait;
use chassis::{db, failpoint, mutant};
use chrono::{DateTime, NaiveDateTime, Utc};
use sqlx::mysql::MySqlConnection;
use sqlx::{MySql, QueryBuilder};
use tracing::instrument;
use uuid::Uuid;

use super::{MySqlRepository, mails, muted_notices, receipts, unknown};
use crate::model::{
    Channel, Locale, Notification, NotificationId, NotifyError, Preferences, Topic, UserId, Wording,
};
use crate::repository::{Effects, InboxQuery, Introduction, NotificationRepository, Recipient};

#[derive(sqlx::FromRow)]
struct NotificationRow {
    id: Uuid,
    user_id: Uuid,
    event: String,
    event_id: String,
    subject: Uuid,
    title: String,
    body: String,
    created_at: NaiveDateTime,
    read_at: Option<NaiveDateTime>,
}

impl TryFrom<NotificationRow> for Notification {
    type Error = NotifyError;

    fn try_from(row: NotificationRow) -> Result<Self, NotifyError> {
        Ok(Self {
            id: NotificationId::from_uuid(row.id),
            user_id: UserId::from_uuid(row.user_id),
            topic: Topic::find(&row.event).ok_or_else(|| unknown("event", &row.event))?,
            event_id: row.event_id,
            subject: row.subject,
            wording: Wording { title: row.title, body: row.body },
            created_at: row.created_at.and_utc(),
            read_at: row.read_at.map(|at| at.and_utc()),
        })
    }
}

const COLUMNS: &str = "SELECT id, user_id, event, event_id, subject, title, body, created_at, read_at \
                       FROM notifications ";

#[async_trait]
impl NotificationRepository for MySqlRepository {
    #[instrument(name = "db.recipients", skip_all)]
    async fn recipients(
        &self,
        users: &[UserId],
    ) -> Result<HashMap<UserId, Recipient>, NotifyError> {
        if users.is_empty() {
            return Ok(HashMap::new());
        }
        let users: Vec<Uuid> = users.iter().map(UserId::as_uuid).collect();
        let mut known = HashMap::<UserId, Recipient>::new();
        for (user, locale, version) in self.locales(&users).await? {
            known.insert(user, Recipient { locale, version, ..Recipient::default() });
        }
        for (user, muted) in self.muted(&users).await? {
            known.entry(user).or_default().preferences = Preferences::from_muted(muted);
        }
        Ok(known)
    }

    #[instrument(name = "db.notifications.record", skip_all)]
    async fn record(&self, effects: Effects<'_>) -> Result<(), NotifyError> {
        let Effects { notifications, muted, introductions, arrivals, mails } = effects;
        let is_silent = notifications.is_empty() && muted.is_empty() && mails.is_empty();
        if is_silent && introductions.is_empty() && arrivals.is_empty() {
            return Ok(());
        }
        db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                introduce(tx, introductions).await?;
                insert(tx, notifications).await?;
                muted_notices::insert(tx, muted).await?;
                mails::insert(tx, mails).await?;
                receipts::count(tx, arrivals).await?;
                failpoint!("notify.before_commit");
                Ok(())
            })
        })
        .await
    }

    #[instrument(name = "db.notifications.list", skip_all)]
    async fn list(&self, query: InboxQuery) -> Result<Vec<Notification>, NotifyError> {
        let mut sql = QueryBuilder::<MySql>::new(COLUMNS);
        sql.push("WHERE user_id = ").push_bind(query.user_id.as_uuid());
        if let Some(before) = query.before {
            sql.push(" AND id < ").push_bind(before.as_uuid());
        }
        if query.unread_only {
            sql.push(" AND read_at IS NULL");
        }
        sql.push(" ORDER BY id DESC LIMIT ").push_bind(query.limit);
        let rows: Vec<NotificationRow> = sql.build_query_as().fetch_all(&self.pool).await?;
        rows.into_iter().map(Notification::try_from).collect()
    }

    #[instrument(name = "db.notifications.mark_read", skip_all)]
    async fn mark_read(
        &self,
        user_id: UserId,
        id: NotificationId,
        now: DateTime<Utc>,
    ) -> Result<Option<Notification>, NotifyError> {
        sqlx::query(
            "UPDATE notifications SET read_at = ? WHERE id = ? AND user_id = ? AND read_at IS NULL",
        )
        .bind(now.naive_utc())
        .bind(id.as_uuid())
        .bind(user_id.as_uuid())
        .execute(&self.pool)
        .await?;
        let mut sql = QueryBuilder::<MySql>::new(COLUMNS);
        sql.push("WHERE id = ").push_bind(id.as_uuid());
        sql.push(" AND user_id = ").push_bind(user_id.as_uuid());
        let row: Option<NotificationRow> = sql.build_query_as().fetch_optional(&self.pool).await?;
        row.map(Notification::try_from).transpose()
    }

    #[instrument(name = "db.preferences.put", skip_all)]
    async fn put_preferences(
        &self,
        user_id: UserId,
        preferences: &Preferences,
    ) -> Result<(), NotifyError> {
        let muted: Vec<_> = preferences.muted().collect();
        let muted = &muted;
        db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                lock(tx, user_id).await?;
                sqlx::query("DELETE FROM muted WHERE user_id = ?")
                    .bind(user_id.as_uuid())
                    .execute(&mut **tx)
                    .await?;
                mute(tx, user_id, muted).await
            })
        })
        .await
    }
}

impl MySqlRepository {
    async fn locales(&self, users: &[Uuid]) -> Result<Vec<(UserId, Locale, u64)>, NotifyError> {
        let mut sql = QueryBuilder::<MySql>::new(
            "SELECT user_id, locale, version FROM recipients WHERE user_id IN (",
        );
        db::push_list(&mut sql, users);
        let rows: Vec<(Uuid, String, u64)> = sql.build_query_as().fetch_all(&self.pool).await?;
        let told = |(user, tag, version): (Uuid, String, u64)| {
            (UserId::from_uuid(user), Locale::from_tag(&tag), version)
        };
        Ok(rows.into_iter().map(told).collect())
    }

    async fn muted(
        &self,
        users: &[Uuid],
    ) -> Result<HashMap<UserId, Vec<(Topic, Channel)>>, NotifyError> {
        let mut sql = QueryBuilder::<MySql>::new(
            "SELECT user_id, event, channel FROM muted WHERE user_id IN (",
        );
        db::push_list(&mut sql, users);
        let rows: Vec<(Uuid, String, String)> = sql.build_query_as().fetch_all(&self.pool).await?;
        let mut muted = HashMap::<_, Vec<_>>::new();
        for (user, event, channel) in rows {
            // A topic or channel that is gone from the code has nothing left to mute.
            let known = Topic::find(&event).zip(Channel::find(&channel));
            muted.entry(UserId::from_uuid(user)).or_default().extend(known);
        }
        Ok(muted)
    }
}

async fn introduce(
    conn: &mut MySqlConnection,
    introductions: &[Introduction],
) -> Result<(), NotifyError> {
    for chunk in db::chunks(introductions) {
        let mut sql =
            QueryBuilder::<MySql>::new("INSERT INTO recipients (user_id, locale, version) ");
        sql.push_values(chunk, |mut row, told| {
            row.push_bind(told.user_id.as_uuid())
                .push_bind(told.locale.as_str())
                .push_bind(told.version);
        });
        // Assignments run from left to right: the locale is compared with the version before it moves.
        let newer_wins = " ON DUPLICATE KEY UPDATE \
             locale = IF(VALUES(version) > version, VALUES(locale), locale), \
             version = GREATEST(version, VALUES(version))";
        let last_wins =
            " ON DUPLICATE KEY UPDATE locale = VALUES(locale), version = VALUES(version)";
        sql.push(if mutant!("late_event_applied") { last_wins } else { newer_wins });
        sql.build().execute(&mut *conn).await?;
    }
    Ok(())
}

async fn insert(
    conn: &mut MySqlConnection,
    notifications: &[Notification],
) -> Result<(), NotifyError> {
    for chunk in db::chunks(notifications) {
        let mut sql = QueryBuilder::<MySql>::new(
            "INSERT INTO notifications (id, user_id, event, event_id, subject, title, body, created_at) ",
        );
        sql.push_values(chunk, |mut row, notification| {
            row.push_bind(notification.id.as_uuid())
                .push_bind(notification.user_id.as_uuid())
                .push_bind(notification.topic.as_str())
                .push_bind(dedupe_key(notification))
                .push_bind(notification.subject)
                .push_bind(&notification.wording.title)
                .push_bind(&notification.wording.body)
                .push_bind(notification.created_at.naive_utc());
        });
        // Not INSERT IGNORE, which would hide every other error as well.
        sql.push(" ON DUPLICATE KEY UPDATE event_id = event_id");
        sql.build().execute(&mut *conn).await?;
    }
    Ok(())
}

/// What makes a notification unique: its event.
fn dedupe_key(notification: &Notification) -> String {
    if mutant!("event_not_deduplicated") {
        return format!("{}#{}", notification.event_id, notification.id);
    }
    notification.event_id.clone()
}

/// Locks the user's row until the transaction ends, so that changes of one user's preferences
/// follow each other. Somebody unknown gets a row of version 0, older than whatever is told.
async fn lock(conn: &mut MySqlConnection, user_id: UserId) -> Result<(), NotifyError> {
    sqlx::query(
        "INSERT INTO recipients (user_id, locale, version) VALUES (?, ?, 0) \
         ON DUPLICATE KEY UPDATE version = version",
    )
    .bind(user_id.as_uuid())
    .bind(Locale::default().as_str())
    .execute(conn)
    .await?;
    Ok(())
}

async fn mute(
    conn: &mut MySqlConnection,
    user_id: UserId,
    muted: &[(Topic, Channel)],
) -> Result<(), NotifyError> {
    for chunk in db::chunks(muted) {
        let mut sql = QueryBuilder::<MySql>::new("INSERT INTO muted (user_id, event, channel) ");
        sql.push_values(chunk, |mut row, (topic, channel)| {
            row.push_bind(user_id.as_uuid()).push_bind(topic.as_str()).push_bind(channel.as_str());
        });
        sql.build().execute(&mut *conn).await?;
    }
    Ok(())
}
