//! What users were not told, having muted it.

use chassis::db;
use sqlx::mysql::MySqlConnection;
use sqlx::{MySql, QueryBuilder};

use crate::model::{MutedNotice, NotifyError};

/// Marks what was muted; a mark that is there stays as it is.
pub(super) async fn insert(
    conn: &mut MySqlConnection,
    muted: &[MutedNotice],
) -> Result<(), NotifyError> {
    for chunk in db::chunks(muted) {
        let mut sql = QueryBuilder::<MySql>::new(
            "INSERT INTO muted_notices (event_id, channel, user_id, created_at) ",
        );
        sql.push_values(chunk, |mut row, notice| {
            row.push_bind(&notice.event_id)
                .push_bind(notice.channel.as_str())
                .push_bind(notice.user_id.as_uuid())
                .push_bind(notice.created_at.naive_utc());
        });
        // Not INSERT IGNORE, which would hide every other error as well.
        sql.push(" ON DUPLICATE KEY UPDATE event_id = event_id");
        sql.build().execute(&mut *conn).await?;
    }
    Ok(())
}

#[cfg(test)]
mod testing {
    //! The service writes marks for whoever audits it; only tests read them here.

    use chrono::NaiveDateTime;
    use uuid::Uuid;

    use crate::model::{Channel, MutedNotice, NotifyError, UserId};
    use crate::repository::mysql::{MySqlRepository, unknown};

    type Row = (String, String, Uuid, NaiveDateTime);

    impl MySqlRepository {
        /// Every mark, by event.
        pub(in crate::repository) async fn muted_notices(
            &self,
        ) -> Result<Vec<MutedNotice>, NotifyError> {
            let rows: Vec<Row> = sqlx::query_as(
                "SELECT event_id, channel, user_id, created_at FROM muted_notices \
                 ORDER BY event_id, channel",
            )
            .fetch_all(&self.pool)
            .await?;
            rows.into_iter().map(read).collect()
        }
    }

    fn read((event_id, channel, user_id, created_at): Row) -> Result<MutedNotice, NotifyError> {
        let channel = Channel::find(&channel).ok_or_else(|| unknown("channel", &channel))?;
        let (user_id, created_at) = (UserId::from_uuid(user_id), created_at.and_utc());
        Ok(MutedNotice { event_id, channel, user_id, created_at })
    }
}
