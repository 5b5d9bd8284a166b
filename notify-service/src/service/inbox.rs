//! Use cases: read the inbox, mark a notification as read.

use tracing::instrument;

use super::NotifyService;
use crate::model::{Notification, NotificationId, NotifyError, UserId};
use crate::repository::InboxQuery;

/// Part of a list and where it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, K> {
    /// In the order of the list.
    pub items: Vec<T>,
    /// The key to continue after; `None` on the last page.
    pub next: Option<K>,
}

impl<T, K> Page<T, K> {
    /// Cuts a page out of a read that asked for one more than `size`.
    pub(super) fn cut(mut items: Vec<T>, size: u32, key: impl Fn(&T) -> K) -> Self {
        let more = items.len() > size as usize;
        items.truncate(size as usize);
        let next = if more { items.last().map(key) } else { None };
        Self { items, next }
    }
}

impl NotifyService {
    /// Lists the inbox of a user, newest first. `size` is 1 to 100.
    #[instrument(name = "notify.list", skip_all)]
    pub async fn list_notifications(
        &self,
        user_id: UserId,
        before: Option<NotificationId>,
        unread_only: bool,
        size: u32,
    ) -> Result<Page<Notification, NotificationId>, NotifyError> {
        let query = InboxQuery { user_id, before, unread_only, limit: size + 1 };
        let items = self.notifications.list(query).await?;
        Ok(Page::cut(items, size, |notification| notification.id))
    }

    /// Marks a notification of the user as read. Marking twice keeps the first time.
    #[instrument(name = "notify.mark_read", skip_all)]
    pub async fn mark_read(
        &self,
        user_id: UserId,
        id: NotificationId,
    ) -> Result<Notification, NotifyError> {
        let marked = self.notifications.mark_read(user_id, id, self.clock.now()).await?;
        marked.ok_or(NotifyError::NotificationNotFound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Topic;
    use crate::service::testing::{happening, service};

    #[tokio::test]
    async fn pages_join_without_gap_or_repetition() {
        let service = service();
        let user = UserId::generate();
        for _ in 0..5 {
            service.tell_users(&[happening(user, Topic::OrderPaid)]).await.unwrap();
        }
        let whole = service.list_notifications(user, None, false, 100).await.unwrap();
        assert_eq!((whole.items.len(), whole.next), (5, None));
        let (mut joined, mut before) = (Vec::new(), None);
        loop {
            let page = service.list_notifications(user, before, false, 2).await.unwrap();
            joined.extend(page.items);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(joined, whole.items);
    }

    #[tokio::test]
    async fn another_users_notification_cannot_be_found() {
        let service = service();
        let (owner, other) = (UserId::generate(), UserId::generate());
        service.tell_users(&[happening(owner, Topic::OrderPaid)]).await.unwrap();
        let id = service.list_notifications(owner, None, true, 1).await.unwrap().items[0].id;
        let refused = service.mark_read(other, id).await.unwrap_err();
        assert!(matches!(refused, NotifyError::NotificationNotFound));
        assert!(service.mark_read(owner, id).await.unwrap().read_at.is_some());
        assert!(service.list_notifications(owner, None, true, 1).await.unwrap().items.is_empty());
    }
}
