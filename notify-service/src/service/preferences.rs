//! Use cases: read and replace preferences.

use tracing::instrument;

use super::NotifyService;
use crate::model::{NotifyError, Preferences, UserId};

impl NotifyService {
    /// Reads a user's preferences.
    #[instrument(name = "notify.get_preferences", skip_all)]
    pub async fn get_preferences(&self, user_id: UserId) -> Result<Preferences, NotifyError> {
        let mut known = self.notifications.recipients(&[user_id]).await?;
        Ok(known.remove(&user_id).unwrap_or_default().preferences)
    }

    /// Replaces a user's preferences.
    #[instrument(name = "notify.put_preferences", skip_all)]
    pub async fn put_preferences(
        &self,
        user_id: UserId,
        preferences: Preferences,
    ) -> Result<Preferences, NotifyError> {
        self.notifications.put_preferences(user_id, &preferences).await?;
        Ok(preferences)
    }
}
