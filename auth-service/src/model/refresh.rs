//! Refresh tokens: what presenting one means.
//!
//! A token is live, spent (exchanged for its successor) or replaced (its holder never got it: the
//! reply was lost, and a second exchange put another one in its place). At most one token of a
//! session is live.

use std::fmt;

use chrono::{DateTime, Utc};

use super::{Lifetimes, Session};

/// The SHA-256 of a refresh token, by which it is known.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// Wraps a digest.
    pub const fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest, for storage.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(***)")
    }
}

/// What has become of a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// Never presented.
    Live,
    /// Exchanged for its successor.
    Spent,
    /// Never presented, and another one took its place.
    Replaced,
}

impl TokenState {
    /// Reads a state exactly as [`TokenState::as_str`] writes it.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Live, Self::Spent, Self::Replaced].into_iter().find(|state| state.as_str() == name)
    }

    /// The state's name in storage.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "LIVE",
            Self::Spent => "SPENT",
            Self::Replaced => "REPLACED",
        }
    }
}

/// A refresh token as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// What it is known by.
    pub digest: TokenDigest,
    /// What has become of it.
    pub state: TokenState,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// When it was first exchanged.
    pub spent_at: Option<DateTime<Utc>>,
    /// What it was exchanged for.
    pub successor: Option<TokenDigest>,
}

impl RefreshToken {
    /// A token that nobody has presented yet.
    pub fn live(digest: TokenDigest, now: DateTime<Utc>) -> Self {
        Self { digest, state: TokenState::Live, issued_at: now, spent_at: None, successor: None }
    }
}

/// A presented token with what is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// The session it belongs to.
    pub session: Session,
    /// The token.
    pub token: RefreshToken,
    /// What it was exchanged for, if it was.
    pub successor: Option<RefreshToken>,
}

/// What presenting a token leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The token is live: it is exchanged for a successor.
    Rotate,
    /// The token was exchanged moments ago and its successor never used, so the reply was lost:
    /// another successor takes that one's place.
    Reissue,
    /// The token was used twice.
    Reused,
    /// The session is over.
    Refused,
}

impl Presented {
    /// Judges the presentation of the token at `now`.
    pub fn judge(&self, lifetimes: &Lifetimes, now: DateTime<Utc>) -> Verdict {
        if !self.session.is_live(lifetimes, now) {
            return Verdict::Refused;
        }
        match self.token.state {
            TokenState::Live => Verdict::Rotate,
            TokenState::Spent if self.is_lost_reply(lifetimes, now) => Verdict::Reissue,
            // A replaced token reached someone after all, beside the one that took its place: two
            // parties hold the session, and which of them is its owner cannot be told.
            TokenState::Spent | TokenState::Replaced => Verdict::Reused,
        }
    }

    fn is_lost_reply(&self, lifetimes: &Lifetimes, now: DateTime<Utc>) -> bool {
        let successor = self.successor.as_ref();
        let is_unused = successor.is_some_and(|next| next.state == TokenState::Live);
        let is_recent = self.token.spent_at.is_some_and(|at| now <= at + lifetimes.retry_grace);
        is_unused && is_recent
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::super::session::tests::{lifetimes, opened};
    use super::super::{EndReason, Exchange};
    use super::*;

    fn digest(n: u8) -> TokenDigest {
        TokenDigest::new([n; 32])
    }

    fn spent(seconds_ago: i64, successor: TokenState, now: DateTime<Utc>) -> Presented {
        let opened = opened(now);
        let next = RefreshToken { state: successor, ..RefreshToken::live(digest(2), now) };
        let token = RefreshToken {
            state: TokenState::Spent,
            spent_at: Some(now - TimeDelta::seconds(seconds_ago)),
            successor: Some(next.digest),
            ..opened.token
        };
        Presented { session: opened.session, token, successor: Some(next) }
    }

    #[test]
    fn states_read_back_exactly() {
        for state in [TokenState::Live, TokenState::Spent, TokenState::Replaced] {
            assert_eq!(TokenState::parse(state.as_str()), Some(state));
        }
    }

    #[test]
    fn a_digest_does_not_print() {
        assert_eq!(format!("{:?}", digest(7)), "TokenDigest(***)");
    }

    #[test]
    fn a_live_token_is_exchanged() {
        let now = DateTime::UNIX_EPOCH;
        let opened = opened(now);
        let presented = Presented { session: opened.session, token: opened.token, successor: None };
        assert_eq!(presented.judge(&lifetimes(), now), Verdict::Rotate);
    }

    #[test]
    fn a_spent_token_is_a_lost_reply_only_at_once_and_while_its_successor_is_unused() {
        let now = DateTime::UNIX_EPOCH;
        let judge = |presented: Presented| presented.judge(&lifetimes(), now);
        assert_eq!(judge(spent(10, TokenState::Live, now)), Verdict::Reissue);
        assert_eq!(judge(spent(11, TokenState::Live, now)), Verdict::Reused);
        assert_eq!(judge(spent(1, TokenState::Spent, now)), Verdict::Reused);
        assert_eq!(judge(spent(1, TokenState::Replaced, now)), Verdict::Reused);
    }

    #[test]
    fn a_replaced_token_is_a_reused_one() {
        let now = DateTime::UNIX_EPOCH;
        let opened = opened(now);
        let token = RefreshToken { state: TokenState::Replaced, ..opened.token };
        let presented = Presented { session: opened.session, token, successor: None };
        assert_eq!(presented.judge(&lifetimes(), now), Verdict::Reused);
    }

    #[test]
    fn nothing_is_exchanged_after_the_end_of_the_session() {
        let now = DateTime::UNIX_EPOCH;
        let opened = opened(now);
        let ended = opened.session.end(EndReason::Logout, now).unwrap().session;
        let presented = Presented { session: ended, token: opened.token, successor: None };
        assert_eq!(presented.judge(&lifetimes(), now), Verdict::Refused);
    }

    proptest! {
        /// Presents tokens of one session in any order, at any pace: never two live ones.
        #[test]
        fn a_session_has_at_most_one_live_token(steps in prop::collection::vec((0_usize..8, 0_i64..15), 1..40)) {
            let mut now = DateTime::UNIX_EPOCH;
            let opened = opened(now);
            let (mut session, mut tokens) = (opened.session, vec![opened.token]);
            for (n, (choice, pause)) in steps.into_iter().enumerate() {
                now += TimeDelta::seconds(pause);
                let token = tokens[choice % tokens.len()].clone();
                let successor = tokens.iter().find(|next| Some(next.digest) == token.successor);
                let presented = Presented { session, token, successor: successor.cloned() };
                let fresh = digest(u8::try_from(n + 10).unwrap());
                let exchange = Exchange::decide(&presented, fresh, &lifetimes(), now);
                for changed in exchange.tokens {
                    match tokens.iter_mut().find(|known| known.digest == changed.digest) {
                        Some(known) => *known = changed,
                        None => tokens.push(changed),
                    }
                }
                session = exchange.session;
                let live = tokens.iter().filter(|token| token.state == TokenState::Live).count();
                prop_assert!(live <= 1, "{live} live tokens");
            }
        }
    }
}
