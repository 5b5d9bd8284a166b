//! Sessions: from login to their end.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Identity, Moment, Presented, RefreshToken, SessionEvent, TokenDigest, TokenState, UserId,
    Verdict,
};

chassis::id_type!(
    /// Identity of a session.
    SessionId,
    "session id"
);

/// How long sessions live.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// From login to the end, whatever happens.
    pub absolute: TimeDelta,
    /// From the last refresh to the end.
    pub idle: TimeDelta,
    /// How long a lost reply may be asked for again.
    pub retry_grace: TimeDelta,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Its holder logged out.
    Logout,
    /// A refresh token was used twice.
    TokenReuse,
    /// The account was disabled or is gone.
    AccountDisabled,
    /// All sessions of the account had to end, as after a change of its password.
    EpochMoved,
    /// Its holder ended it from another one, or ended all of them.
    Revoked,
    /// An administrator ended all sessions of the account.
    RevokedByAdmin,
    /// Its holder began more sessions than one may have.
    Displaced,
}

impl EndReason {
    /// The reason's name in events and storage.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::TokenReuse => "token_reuse",
            Self::AccountDisabled => "account_disabled",
            Self::EpochMoved => "credentials_changed",
            Self::Revoked => "revoked",
            Self::RevokedByAdmin => "revoked_by_admin",
            Self::Displaced => "displaced",
        }
    }
}

/// What a client says about itself; for people, never for decisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// What it calls itself.
    pub user_agent: String,
    /// Its address as the gateway saw it.
    pub address: String,
}

/// What a session begins with.
#[derive(Clone, Debug)]
pub struct Login {
    /// Who logged in.
    pub identity: Identity,
    /// With what.
    pub client: Client,
    /// What the first refresh token is known by.
    pub first_token: TokenDigest,
}

/// The state of a session as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSession {
    /// Identity.
    pub id: SessionId,
    /// Whose session.
    pub user_id: UserId,
    /// The account's epoch at login: a higher one ends the session.
    pub session_epoch: u64,
    /// Whether the session has ended.
    pub has_ended: bool,
    /// Who logged in.
    pub client: Client,
    /// Rises by one with every change.
    pub version: u64,
    /// When someone logged in.
    pub created_at: DateTime<Utc>,
    /// When it was last refreshed.
    pub last_used_at: DateTime<Utc>,
    /// When it ends, whatever happens.
    pub expires_at: DateTime<Utc>,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session(StoredSession);

/// Which sessions of a user end together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndOfUser {
    /// Whose sessions.
    pub user_id: UserId,
    /// The one that does not end.
    pub kept: Option<SessionId>,
    /// Only those begun under a lower epoch end; `None`: all do.
    pub below_epoch: Option<u64>,
    /// Why.
    pub reason: EndReason,
}

impl EndOfUser {
    /// Whether this session is among them.
    pub fn concerns(&self, session: &Session) -> bool {
        session.user_id() == self.user_id
            && Some(session.id()) != self.kept
            && self.below_epoch.is_none_or(|epoch| session.session_epoch() < epoch)
    }
}

/// A new session that is not stored yet.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The session.
    pub session: Session,
    /// Its first refresh token.
    pub token: RefreshToken,
    /// What other services are to learn.
    pub events: Vec<SessionEvent>,
}

/// What presenting a refresh token did, not stored yet.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Why it did that.
    pub verdict: Verdict,
    /// The session afterwards.
    pub session: Session,
    /// Why the session ended, if it did.
    pub ended: Option<EndReason>,
    /// Changed and new tokens; a new one is live.
    pub tokens: Vec<RefreshToken>,
    /// What other services are to learn.
    pub events: Vec<SessionEvent>,
}

impl Session {
    /// Begins a session.
    pub fn open(login: Login, lifetimes: &Lifetimes, now: DateTime<Utc>) -> Opened {
        let session = Self(StoredSession {
            id: SessionId::generate(),
            user_id: login.identity.user_id,
            session_epoch: login.identity.session_epoch,
            has_ended: false,
            client: login.client,
            version: 1,
            created_at: now,
            last_used_at: now,
            expires_at: now + lifetimes.absolute,
        });
        let events = vec![SessionEvent::started(&session)];
        Opened { session, token: RefreshToken::live(login.first_token, now), events }
    }

    /// Restores a session from storage.
    pub fn restore(stored: StoredSession) -> Self {
        Self(stored)
    }

    /// Ends the session. `None` when it has ended already.
    pub fn end(&self, reason: EndReason, now: DateTime<Utc>) -> Option<Exchange> {
        if self.0.has_ended {
            return None;
        }
        let mut state = self.0.clone();
        state.has_ended = true;
        state.last_used_at = now;
        state.version += 1;
        let session = Self(state);
        let mut events = vec![SessionEvent::revoked(&session, reason)];
        if reason == EndReason::TokenReuse {
            events.push(SessionEvent::reuse_detected(&session));
        }
        let ended = Some(reason);
        Some(Exchange { verdict: Verdict::Refused, session, ended, tokens: Vec::new(), events })
    }

    /// When the session ends, unless it is refreshed before then.
    pub fn ends_at(&self, lifetimes: &Lifetimes) -> DateTime<Utc> {
        self.0.expires_at.min(self.0.last_used_at + lifetimes.idle)
    }

    /// Whether the session may still be refreshed.
    pub fn is_live(&self, lifetimes: &Lifetimes, now: DateTime<Utc>) -> bool {
        !self.0.has_ended && now < self.ends_at(lifetimes)
    }

    fn used(&self, now: DateTime<Utc>) -> Self {
        let mut state = self.0.clone();
        state.last_used_at = now;
        state.version += 1;
        Self(state)
    }

    /// The whole state, for storage.
    pub fn stored(&self) -> &StoredSession {
        &self.0
    }

    /// Identity.
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// Whose session.
    pub fn user_id(&self) -> UserId {
        self.0.user_id
    }

    /// The account's epoch at login.
    pub fn session_epoch(&self) -> u64 {
        self.0.session_epoch
    }

    /// Rises by one with every change.
    pub fn version(&self) -> u64 {
        self.0.version
    }
}

impl Exchange {
    /// Decides what presenting a token at `moment` does. `fresh` becomes the live token if there is to
    /// be one.
    pub fn decide(
        presented: &Presented,
        fresh: TokenDigest,
        lifetimes: &Lifetimes,
        moment: Moment,
    ) -> Self {
        match presented.judge(lifetimes, moment) {
            Verdict::Rotate => Self::rotate(presented, fresh, moment),
            Verdict::Reissue => Self::reissue(presented, fresh, moment.now),
            Verdict::Reused => Self::reused(presented, moment.now),
            Verdict::Refused => Self::nothing(presented),
        }
    }

    /// The version that must still be the stored one for the exchange to apply.
    pub fn expected_version(&self) -> u64 {
        self.session.version() - 1
    }

    fn rotate(presented: &Presented, fresh: TokenDigest, moment: Moment) -> Self {
        let spent = RefreshToken {
            state: TokenState::Spent,
            spent_at: Some(moment.shared),
            successor: Some(fresh),
            ..presented.token.clone()
        };
        Self {
            verdict: Verdict::Rotate,
            session: presented.session.used(moment.now),
            ended: None,
            tokens: vec![RefreshToken::live(fresh, moment.now), spent],
            events: Vec::new(),
        }
    }

    /// The time of the first exchange stays: asking again does not prolong the grace.
    fn reissue(presented: &Presented, fresh: TokenDigest, now: DateTime<Utc>) -> Self {
        let redirected = RefreshToken { successor: Some(fresh), ..presented.token.clone() };
        let mut tokens = vec![RefreshToken::live(fresh, now), redirected];
        let replace =
            |next: &RefreshToken| RefreshToken { state: TokenState::Replaced, ..next.clone() };
        tokens.extend(presented.successor.as_ref().map(replace));
        let session = presented.session.used(now);
        Self { verdict: Verdict::Reissue, session, ended: None, tokens, events: Vec::new() }
    }

    fn reused(presented: &Presented, now: DateTime<Utc>) -> Self {
        let ended = presented.session.end(EndReason::TokenReuse, now);
        let ended = ended.map(|exchange| Self { verdict: Verdict::Reused, ..exchange });
        ended.unwrap_or_else(|| Self::nothing(presented))
    }

    fn nothing(presented: &Presented) -> Self {
        Self {
            verdict: Verdict::Refused,
            session: presented.session.clone(),
            ended: None,
            tokens: Vec::new(),
            events: Vec::new(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::model) fn lifetimes() -> Lifetimes {
        Lifetimes {
            absolute: TimeDelta::days(30),
            idle: TimeDelta::days(7),
            retry_grace: TimeDelta::seconds(10),
        }
    }

    pub(in crate::model) fn moment(now: DateTime<Utc>) -> Moment {
        Moment { now, shared: now }
    }

    pub(in crate::model) fn opened(now: DateTime<Utc>) -> Opened {
        let identity = Identity {
            user_id: UserId::generate(),
            roles: vec!["customer".to_owned()],
            session_epoch: 1,
            version: 1,
        };
        let first_token = TokenDigest::new([1; 32]);
        let login = Login { identity, client: Client::default(), first_token };
        Session::open(login, &lifetimes(), now)
    }

    fn presented(now: DateTime<Utc>) -> Presented {
        let opened = opened(now);
        let (session, token) = (opened.session, opened.token);
        Presented { session, token, successor: None, seen_at: now }
    }

    #[test]
    fn a_session_ends_after_its_absolute_life_and_after_idleness() {
        let begin = DateTime::UNIX_EPOCH;
        let session = opened(begin).session;
        let is_live =
            |session: &Session, days| session.is_live(&lifetimes(), begin + TimeDelta::days(days));
        assert!(is_live(&session, 6) && !is_live(&session, 7));
        let mut refreshed = session;
        for week in 1..5 {
            refreshed = refreshed.used(begin + TimeDelta::days(week * 6));
        }
        assert!(is_live(&refreshed, 29) && !is_live(&refreshed, 30));
    }

    #[test]
    fn a_session_ends_once_and_tells_why() {
        let now = DateTime::UNIX_EPOCH;
        let ended = opened(now).session.end(EndReason::Logout, now).unwrap();
        let [event] = &ended.events[..] else { panic!("one event") };
        assert!(matches!(event, SessionEvent::Revoked { reason: "logout", version: 2, .. }));
        assert!(ended.session.end(EndReason::Logout, now).is_none());
    }

    #[test]
    fn reuse_ends_the_session_and_is_told_apart() {
        let now = DateTime::UNIX_EPOCH;
        let ended = opened(now).session.end(EndReason::TokenReuse, now).unwrap();
        let names: Vec<_> = ended.events.iter().map(SessionEvent::name).collect();
        assert_eq!(names, ["auth.sessions_revoked", "auth.token_reuse_detected"]);
    }

    #[test]
    fn an_exchange_spends_the_token() {
        let now = DateTime::UNIX_EPOCH;
        let fresh = TokenDigest::new([2; 32]);
        let shared = now - TimeDelta::seconds(30);
        let moment = Moment { now, shared };
        let exchange = Exchange::decide(&presented(now), fresh, &lifetimes(), moment);
        assert_eq!(exchange.verdict, Verdict::Rotate);
        assert_eq!(exchange.expected_version(), 1);
        let states: Vec<_> = exchange.tokens.iter().map(|token| token.state).collect();
        assert_eq!(states, [TokenState::Live, TokenState::Spent]);
        assert_eq!(exchange.tokens[1].successor, Some(fresh));
        assert_eq!(exchange.tokens[1].spent_at, Some(shared), "by the clock that all share");
    }

    #[test]
    fn a_lost_reply_replaces_the_unused_successor_and_does_not_prolong_the_grace() {
        let now = DateTime::UNIX_EPOCH;
        let [second, third] = [2, 3].map(|n| TokenDigest::new([n; 32]));
        let first = Exchange::decide(&presented(now), second, &lifetimes(), moment(now));
        let [next, token] = [&first.tokens[0], &first.tokens[1]].map(Clone::clone);
        let later = now + TimeDelta::seconds(9);
        let successor = Some(next);
        let again = Presented { session: first.session, token, successor, seen_at: later };
        let exchange = Exchange::decide(&again, third, &lifetimes(), moment(later));
        assert_eq!(exchange.verdict, Verdict::Reissue);
        let states: Vec<_> = exchange.tokens.iter().map(|token| token.state).collect();
        assert_eq!(states, [TokenState::Live, TokenState::Spent, TokenState::Replaced]);
        assert_eq!(exchange.tokens[1].spent_at, Some(now));
    }

    #[test]
    fn a_refused_exchange_changes_nothing() {
        let now = DateTime::UNIX_EPOCH;
        let late = now + TimeDelta::days(31);
        let presented = presented(now);
        let fresh = TokenDigest::new([2; 32]);
        let exchange = Exchange::decide(&presented, fresh, &lifetimes(), moment(late));
        assert_eq!((exchange.verdict, exchange.session), (Verdict::Refused, presented.session));
        assert!(exchange.tokens.is_empty() && exchange.events.is_empty());
    }
}
