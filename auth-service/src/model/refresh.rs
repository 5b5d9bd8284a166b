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
    /// When it was first exchanged, by the clock of the storage.
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
    /// When this was read, by the clock of the storage.
    pub seen_at: DateTime<Utc>,
}

/// When a token is presented, by two clocks: those of two replicas differ by seconds on a good day,
/// and the grace for a lost reply is seconds long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// By the clock of the replica; decides on what lasts days.
    pub now: DateTime<Utc>,
    /// By the clock of the storage, which all replicas share; decides on what lasts seconds.
    pub shared: DateTime<Utc>,
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
    /// Judges the presentation of the token at `moment`.
    pub fn judge(&self, lifetimes: &Lifetimes, moment: Moment) -> Verdict {
        if !self.session.is_live(lifetimes, moment.now) {
            return Verdict::Refused;
        }
        match self.token.state {
            TokenState::Live => Verdict::Rotate,
            TokenState::Spent if self.is_lost_reply(lifetimes, moment) => Verdict::Reissue,
            // A replaced token reached someone after all, beside the one that took its place: two
            // parties hold the session, and which of them is its owner cannot be told.
            TokenState::Spent | TokenState::Replaced => Verdict::Reused,
        }
    }

    fn is_lost_reply(&self, lifetimes: &Lifetimes, moment: Moment) -> bool {
        let successor = self.successor.as_ref();
        let is_unused = successor.is_some_and(|next| next.state == TokenState::Live);
        let spent_at = self.token.spent_at;
        let is_recent = spent_at.is_some_and(|at| moment.shared <= at + lifetimes.retry_grace);
        is_unused && is_recent
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::super::session::tests::{lifetimes, moment, opened};
    use super::super::{EndReason, Exchange};
    use super::*;

    fn digest(n: u8) -> TokenDigest {
        TokenDigest::new([n; 32])
    }

    fn unused(session: Session, token: RefreshToken, seen_at: DateTime<Utc>) -> Presented {
        Presented { session, token, successor: None, seen_at }
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
        Presented { session: opened.session, token, successor: Some(next), seen_at: now }
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
        let presented = unused(opened.session, opened.token, now);
        assert_eq!(presented.judge(&lifetimes(), moment(now)), Verdict::Rotate);
    }

    #[test]
    fn a_spent_token_is_a_lost_reply_only_at_once_and_while_its_successor_is_unused() {
        let now = DateTime::UNIX_EPOCH;
        let judge = |presented: Presented| presented.judge(&lifetimes(), moment(now));
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
        let presented = unused(opened.session, token, now);
        assert_eq!(presented.judge(&lifetimes(), moment(now)), Verdict::Reused);
    }

    #[test]
    fn the_clock_of_a_replica_has_no_say_in_what_a_lost_reply_is() {
        let shared = DateTime::UNIX_EPOCH;
        let judge = |seconds_ago, skew| {
            let moment = Moment { now: shared + TimeDelta::seconds(skew), shared };
            spent(seconds_ago, TokenState::Live, shared).judge(&lifetimes(), moment)
        };
        for skew in [-300, 300] {
            assert_eq!(judge(10, skew), Verdict::Reissue);
            assert_eq!(judge(11, skew), Verdict::Reused);
        }
    }

    #[test]
    fn nothing_is_exchanged_after_the_end_of_the_session() {
        let now = DateTime::UNIX_EPOCH;
        let opened = opened(now);
        let ended = opened.session.end(EndReason::Logout, now).unwrap().session;
        let presented = unused(ended, opened.token, now);
        assert_eq!(presented.judge(&lifetimes(), moment(now)), Verdict::Refused);
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
                let successor = successor.cloned();
                let presented = Presented { session, token, successor, seen_at: now };
                let fresh = digest(u8::try_from(n + 10).unwrap());
                let exchange = Exchange::decide(&presented, fresh, &lifetimes(), moment(now));
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
