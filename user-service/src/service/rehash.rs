//! Worker: hashes passwords anew that were hashed when less was asked of a hash.
//!
//! Only a login knows a password, so that is when a hash can be renewed; the login does not wait for
//! it. The queue is bounded, and what does not fit into it, or is interrupted, waits for the next
//! login of the account.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::UserService;
use crate::model::{PasswordHash, TypedPassword, User, UserError, UserId};

/// Passwords that wait to be hashed anew; each is held in memory meanwhile.
const WAITING_MAX: usize = 16;

/// A password that proved right and is to be hashed anew.
#[derive(Debug)]
struct Renewal {
    id: UserId,
    password: TypedPassword,
    outdated: PasswordHash,
}

/// Where logins leave what is to be hashed anew.
#[derive(Clone, Debug)]
pub(super) struct Renewals(mpsc::Sender<Renewal>);

impl Renewals {
    /// Leaves a password to be hashed anew, if there is room.
    pub(super) fn ask(&self, user: &User, password: TypedPassword) {
        let outdated = user.password_hash().clone();
        if self.0.try_send(Renewal { id: user.id(), password, outdated }).is_err() {
            tracing::debug!(user.id = %user.id(), "password hash not renewed for want of room");
        }
    }
}

/// Hashes anew what logins leave.
pub struct RehashWorker {
    service: UserService,
    waiting: mpsc::Receiver<Renewal>,
}

impl UserService {
    /// The same service, whose logins leave outdated hashes to the worker beside it. Without the
    /// worker outdated hashes stay.
    #[must_use]
    pub fn with_rehashing(self) -> (Self, RehashWorker) {
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        let worker = RehashWorker { service: self.clone(), waiting };
        (Self { renewals: Some(Renewals(sender)), ..self }, worker)
    }
}

impl RehashWorker {
    /// Works until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let renewal = tokio::select! {
                () = stop.cancelled() => return,
                renewal = self.waiting.recv() => renewal,
            };
            let Some(renewal) = renewal else { return };
            match self.renew(&renewal).await {
                Ok(true) => tracing::debug!(user.id = %renewal.id, "password hash renewed"),
                Ok(false) => {}
                Err(error) => {
                    let error = chassis::error::Chain(&error);
                    tracing::debug!(user.id = %renewal.id, error = %error, "password hash not renewed");
                }
            }
        }
    }

    /// Replaces the hash unless another one came first: a password that was changed meanwhile stays.
    /// Asked before hashing too, because hashing is what costs: many logins of one account leave its
    /// hash many times.
    async fn renew(&self, renewal: &Renewal) -> Result<bool, UserError> {
        let user = self.service.users.find(renewal.id).await?;
        if user.is_none_or(|user| user.password_hash() != &renewal.outdated) {
            return Ok(false);
        }
        let hash = self.service.hasher.hash(&renewal.password).await?;
        self.service.users.replace_hash(renewal.id, &renewal.outdated, &hash).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, PASSWORD, typed};
    use super::*;
    use crate::model::Email;

    async fn log_in(service: &UserService) {
        let email = Email::parse("alice@example.com").unwrap();
        service.verify_credentials(Some(email), Some(typed(PASSWORD))).await.unwrap();
    }

    #[tokio::test]
    async fn a_login_with_an_outdated_hash_renews_it_and_nothing_else() {
        let fixture = Fixture::new();
        let alice = fixture.registered("alice@example.com").await;
        let (service, worker) = fixture.service.clone().with_rehashing();
        fixture.hasher.raise_cost();
        log_in(&service).await;
        log_in(&service).await;
        drop(service);
        worker.run(CancellationToken::new()).await;
        let renewed = fixture.service.get(alice.id()).await.unwrap();
        assert_ne!(renewed.password_hash(), alice.password_hash());
        assert_eq!((renewed.version(), renewed.session_epoch()), (1, 1));
        assert_eq!(fixture.event_names(), ["user.registered"]);
        log_in(&fixture.service).await;
    }

    #[tokio::test]
    async fn many_logins_of_one_account_cost_one_new_hash() {
        let fixture = Fixture::new();
        fixture.registered("alice@example.com").await;
        let (service, worker) = fixture.service.clone().with_rehashing();
        fixture.hasher.raise_cost();
        for _ in 0..WAITING_MAX {
            log_in(&service).await;
        }
        drop(service);
        let before = fixture.hasher.hashes();
        worker.run(CancellationToken::new()).await;
        assert_eq!(fixture.hasher.hashes(), before + 1);
    }

    #[tokio::test]
    async fn a_password_that_was_changed_meanwhile_stays() {
        let fixture = Fixture::new();
        let alice = fixture.registered("alice@example.com").await;
        let (service, worker) = fixture.service.clone().with_rehashing();
        fixture.hasher.raise_cost();
        log_in(&service).await;
        fixture.change_password(alice.id(), PASSWORD, "another good one").await.unwrap();
        let changed = fixture.service.get(alice.id()).await.unwrap();
        drop(service);
        worker.run(CancellationToken::new()).await;
        assert_eq!(fixture.service.get(alice.id()).await.unwrap(), changed);
    }

    #[tokio::test]
    async fn a_login_does_not_wait_for_room() {
        let fixture = Fixture::new();
        fixture.registered("alice@example.com").await;
        let (service, _worker) = fixture.service.clone().with_rehashing();
        fixture.hasher.raise_cost();
        for _ in 0..2 * WAITING_MAX {
            log_in(&service).await;
        }
    }
}
