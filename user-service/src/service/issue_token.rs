//! How one-time tokens are made and found; see [`crate::model::LiveToken`].

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::opaque::OpaqueToken;
use chassis::sealing::{Sealer, Tagger};
use chassis::throttle::{Admission, Meter, Rule, Ticket};
use chrono::TimeDelta;
use serde::Serialize;

use super::UserService;
use crate::model::{IssuedToken, LiveToken, Purpose, TokenDigest, TokenId, User, UserError};
use crate::repository::TokenRepository;

/// What is granted to who asks for mail.
#[derive(Clone, Copy, Debug)]
pub struct TokenPolicy {
    /// How long a token is good that proves an address.
    pub verification_life: TimeDelta,
    /// How long a token is good that puts another password in force.
    pub recovery_life: TimeDelta,
    /// Tokens of one account for one purpose that are good at once, at most.
    pub live_max: u32,
    /// Requests for another password that wait at once, at most.
    pub waiting_max: u32,
    /// Patience with an account that asks for proofs of its address.
    pub verification: Rule,
    /// Patience with an address for which other passwords are asked for.
    pub recovery: Rule,
}

/// What one-time tokens need.
#[derive(Clone)]
pub struct TokenPorts {
    /// Where they are kept.
    pub tokens: Arc<dyn TokenRepository>,
    /// Who seals them on their way to whoever delivers them.
    pub sealer: Arc<Sealer>,
    /// Who names addresses where they must not stand, such as in the store of attempts.
    pub tagger: Arc<Tagger>,
}

/// What is sealed; see `proto/events`.
#[derive(Serialize)]
struct Delivery<'a> {
    address: &'a str,
    token: &'a str,
}

impl UserService {
    /// Makes a token for `user`. Nobody knows it until it is stored.
    pub(super) fn make_token(
        &self,
        user: &User,
        purpose: Purpose,
    ) -> Result<IssuedToken, UserError> {
        let secret = OpaqueToken::generate().map_err(UserError::internal)?;
        let (id, issued_at) = (TokenId::generate(), self.clock.now());
        let life = match purpose {
            Purpose::VerifyEmail => self.grants.verification_life,
            Purpose::RecoverPassword => self.grants.recovery_life,
        };
        Ok(IssuedToken {
            digest: TokenDigest::new(secret.digest()),
            sealed: self.seal(id, purpose, user, &secret)?,
            locale: user.locale(),
            issued_at,
            token: LiveToken {
                id,
                user_id: user.id(),
                purpose,
                email: user.email().clone(),
                session_epoch: Some(user.session_epoch()),
                expires_at: issued_at + life,
            },
        })
    }

    /// Seals address and token under the id of the event that tells of them.
    fn seal(
        &self,
        id: TokenId,
        purpose: Purpose,
        user: &User,
        secret: &OpaqueToken,
    ) -> Result<String, UserError> {
        let delivery = Delivery { address: &user.email().mailbox(), token: secret.expose() };
        let plain = serde_json::to_vec(&delivery).map_err(UserError::internal)?;
        let name = format!("{}:{id}:{}", purpose.event(), IssuedToken::VERSION);
        let sealed = self.mail.sealer.seal(&name, &plain).map_err(UserError::internal)?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Finds what somebody presented. Unknown, used up, over and good for something else are one
    /// answer.
    pub(super) async fn find_token(
        &self,
        presented: Option<&OpaqueToken>,
        purpose: Purpose,
    ) -> Result<LiveToken, UserError> {
        let digest = presented.map(|token| TokenDigest::new(token.digest()));
        let digest = digest.ok_or(UserError::TokenInvalid)?;
        let found = self.mail.tokens.find_live(&digest, purpose, self.clock.now()).await?;
        found.ok_or(UserError::TokenInvalid)
    }

    /// Counts a request for mail, or refuses it.
    pub(super) async fn count_request(&self, meter: &Meter) -> Result<Ticket, UserError> {
        match self.throttle.begin(meter).await {
            Admission::Admitted(ticket) => Ok(ticket),
            Admission::Refused { retry_after } => Err(UserError::MailThrottled { retry_after }),
        }
    }
}
