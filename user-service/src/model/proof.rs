//! Changes of an account that whoever holds a one-time token may do, and what they do to tokens.

use chrono::{DateTime, Utc};

use super::{Change, IssuedToken, LiveToken, PasswordHash, Purpose, User, UserError, UserEvent};

impl User {
    /// Takes the address for proven. No session ends and nothing is told: the address is the same.
    /// In which epoch the token was made does not matter: it proves the address, which is what it
    /// was, and puts nothing in force.
    pub fn verify_email(&self, token: &LiveToken, now: DateTime<Utc>) -> Result<Change, UserError> {
        self.check_active()?;
        if !token.is_for(self) || self.email_verified_at().is_some() {
            return Err(UserError::TokenInvalid);
        }
        let change = self.changed(now, |state| state.email_verified_at = Some(now));
        change.map(|change| change.spending(token, now)).ok_or(UserError::TokenInvalid)
    }

    /// Puts another password in force and ends all sessions: there is none in which it is done. The
    /// token came by mail, so the address is proven by it as well. A token from before another
    /// password, or before the account was disabled, is good for nothing, wherever it was left.
    pub fn recover_password(
        &self,
        token: &LiveToken,
        hash: PasswordHash,
        now: DateTime<Utc>,
    ) -> Result<Change, UserError> {
        self.check_active()?;
        if !token.is_for(self) || !token.is_of_this_epoch(self) {
            return Err(UserError::TokenInvalid);
        }
        let change = self.changed(now, |state| {
            state.password_hash = hash;
            state.session_epoch += 1;
            state.email_verified_at = state.email_verified_at.or(Some(now));
        });
        let change = change.ok_or(UserError::TokenInvalid)?;
        Ok(change.with(UserEvent::password_changed).spending(token, now))
    }
}

impl Change {
    /// Hands a token out with the change.
    #[must_use]
    pub fn issuing(mut self, token: IssuedToken) -> Self {
        self.tokens.issues = Some(token);
        self
    }

    fn spending(mut self, token: &LiveToken, at: DateTime<Utc>) -> Self {
        self.tokens.spends = Some(token.spent(at));
        self
    }

    /// What the account's tokens are not good for any more after the change. Who puts a password in
    /// force, by whatever way, leaves nobody a link to put in another one; and with the address
    /// proven there is nothing left to prove.
    pub fn ends_tokens_for(&self) -> &'static [Purpose] {
        match self.tokens.spends.map(|spent| spent.purpose) {
            Some(Purpose::VerifyEmail) => &[Purpose::VerifyEmail],
            Some(Purpose::RecoverPassword) => &[Purpose::VerifyEmail, Purpose::RecoverPassword],
            None if self.access.is_some_and(|access| access.ends_sessions) => {
                &[Purpose::RecoverPassword]
            }
            None => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use uuid::Uuid;

    use super::*;
    use crate::model::{DisplayName, Email, Locale, Registration, Roles, Status, TokenId};

    fn registered() -> User {
        let registration = Registration {
            email: Email::parse("alice@example.com").unwrap(),
            display_name: DisplayName::parse("Alice").unwrap(),
            locale: Locale::En,
            roles: Roles::customer(),
            password_hash: PasswordHash::new("hash"),
        };
        User::register(registration, DateTime::UNIX_EPOCH).user
    }

    fn later() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(1)
    }

    fn token(user: &User, purpose: Purpose) -> LiveToken {
        LiveToken {
            id: TokenId::generate(),
            user_id: user.id(),
            purpose,
            email: user.email().clone(),
            session_epoch: Some(user.session_epoch()),
            expires_at: later(),
        }
    }

    /// An identity of that moment.
    fn id_of(at: DateTime<Utc>) -> TokenId {
        let millis = u128::from(at.timestamp_millis().unsigned_abs());
        TokenId::from_uuid(Uuid::from_u128((millis << 80) | (7 << 76) | (2 << 62)))
    }

    #[test]
    fn an_address_is_proven_once_and_sessions_live_on() {
        let user = registered();
        let link = token(&user, Purpose::VerifyEmail);
        let change = user.verify_email(&link, later()).unwrap();
        assert_eq!(change.user.email_verified_at(), Some(later()));
        assert_eq!((change.user.version(), change.user.session_epoch()), (2, 1));
        assert_eq!(change.tokens.spends, Some(link.spent(later())));
        assert!(change.events.is_empty() && change.access.is_none());
        assert_eq!(change.ends_tokens_for(), [Purpose::VerifyEmail]);
        let again = change.user.verify_email(&link, later());
        assert!(matches!(again, Err(UserError::TokenInvalid)));
    }

    #[test]
    fn a_recovered_password_ends_all_sessions_and_proves_the_address() {
        let user = registered();
        let link = token(&user, Purpose::RecoverPassword);
        let change = user.recover_password(&link, PasswordHash::new("other"), later()).unwrap();
        assert_eq!(change.user.session_epoch(), 2);
        let access = change.access.unwrap();
        assert!(access.ends_sessions && access.kept_session.is_none());
        assert_eq!(change.user.email_verified_at(), Some(later()));
        let names: Vec<_> = change.events.iter().map(UserEvent::name).collect();
        assert_eq!(names, ["user.password_changed"]);
        assert_eq!(change.ends_tokens_for().len(), 2);
        let again = token(&change.user, Purpose::RecoverPassword);
        let much_later = later() + TimeDelta::hours(1);
        let again = change.user.recover_password(&again, PasswordHash::new("third"), much_later);
        assert_eq!(again.unwrap().user.email_verified_at(), Some(later()), "the first proof stays");
    }

    #[test]
    fn a_token_of_another_account_or_address_is_none() {
        let (alice, other) = (registered(), registered());
        let moved = LiveToken {
            email: Email::parse("eve@example.com").unwrap(),
            ..token(&alice, Purpose::VerifyEmail)
        };
        for link in [token(&other, Purpose::VerifyEmail), moved] {
            let verified = alice.verify_email(&link, later());
            assert!(matches!(verified, Err(UserError::TokenInvalid)));
            let recovered = alice.recover_password(&link, PasswordHash::new("other"), later());
            assert!(matches!(recovered, Err(UserError::TokenInvalid)));
        }
    }

    #[test]
    fn a_link_to_another_password_is_of_its_epoch() {
        let user = registered();
        let link = token(&user, Purpose::RecoverPassword);
        let hash = || PasswordHash::new("other");
        let changed = user.change_password(hash(), None, later()).unwrap().unwrap().user;
        let disabled = user.set_status(Status::Disabled, later()).unwrap().user;
        let enabled = disabled.set_status(Status::Active, later()).unwrap().user;
        for moved in [&changed, &enabled] {
            let refused = moved.recover_password(&link, PasswordHash::new("third"), later());
            assert!(matches!(refused, Err(UserError::TokenInvalid)));
        }
        let promoted = user.set_roles(Roles::administrator(), later()).unwrap().user;
        assert!(promoted.recover_password(&link, hash(), later()).is_ok(), "the same password");
        let proof = token(&user, Purpose::VerifyEmail);
        assert!(changed.verify_email(&proof, later()).is_ok(), "it puts no password in force");
    }

    #[test]
    fn a_link_of_no_known_epoch_is_good_while_nothing_has_changed() {
        let user = registered();
        let of = |id: TokenId| LiveToken {
            id,
            session_epoch: None,
            ..token(&user, Purpose::RecoverPassword)
        };
        let link = of(id_of(later()));
        let hash = || PasswordHash::new("other");
        assert!(user.recover_password(&link, hash(), later()).is_ok());
        let after = later() + TimeDelta::milliseconds(1);
        let changed = user.change_password(hash(), None, after).unwrap().unwrap().user;
        let timeless = of(TokenId::from_uuid(Uuid::from_u128(1)));
        for (account, link) in [(&changed, &link), (&user, &timeless)] {
            let refused = account.recover_password(link, PasswordHash::new("third"), after);
            assert!(matches!(refused, Err(UserError::TokenInvalid)));
        }
    }

    #[test]
    fn whatever_ends_sessions_ends_links_to_another_password() {
        let user = registered();
        let hash = PasswordHash::new("other");
        let kept = Some(Uuid::from_u128(5));
        let changed = user.change_password(hash.clone(), kept, later()).unwrap().unwrap();
        assert_eq!(changed.ends_tokens_for(), [Purpose::RecoverPassword]);
        let disabled = user.set_status(Status::Disabled, later()).unwrap();
        assert_eq!(disabled.ends_tokens_for(), [Purpose::RecoverPassword]);
        let link = token(&user, Purpose::RecoverPassword);
        let refused = disabled.user.recover_password(&link, hash, later());
        assert!(matches!(refused, Err(UserError::AccountDisabled)));
        let promoted = user.set_roles(Roles::administrator(), later()).unwrap();
        assert!(promoted.ends_tokens_for().is_empty());
    }
}
