//! Wire to model and model to wire.

use std::net::IpAddr;

use chassis::config::Secret;
use chassis::grpc::timestamp;
use proto::auth::v1 as pb;

use crate::model::{
    Client, Credentials, KeyState, Lifetimes, Revocation, RevocationPage, Session, SessionId,
    StoredKey,
};
use crate::service::{LogIn, TokenPair};

/// Longest name of a client that is kept, in bytes.
const USER_AGENT_MAX: usize = 256;

pub(super) fn login(request: pb::LoginRequest) -> LogIn {
    LogIn {
        client: Client {
            user_agent: shown_user_agent(&request.user_agent),
            address: shown_address(&request.client_address),
        },
        credentials: Credentials {
            email: Secret::new(request.email),
            password: Secret::new(request.password),
        },
    }
}

pub(super) fn tokens(pair: &TokenPair) -> pb::TokenPair {
    pb::TokenPair {
        access_token: pair.access_token.expose().to_owned(),
        expires_in: pair.expires_in,
        refresh_token: pair.refresh_token.expose().to_owned(),
        session_id: pair.session_id.to_string(),
    }
}

/// A session as its holder sees it; `current` is the one that asks.
pub(super) fn session(session: &Session, current: SessionId, lifetimes: &Lifetimes) -> pb::Session {
    let stored = session.stored();
    pb::Session {
        id: session.id().to_string(),
        user_agent: stored.client.user_agent.clone(),
        client_address: stored.client.address.clone(),
        created_at: Some(timestamp(stored.created_at)),
        last_used_at: Some(timestamp(stored.last_used_at)),
        expires_at: Some(timestamp(session.ends_at(lifetimes))),
        current: session.id() == current,
    }
}

pub(super) fn revocations(page: RevocationPage, keys: &[StoredKey]) -> pb::ListRevocationsResponse {
    let mut reply = pb::ListRevocationsResponse {
        cursor: page.cursor,
        more: page.more,
        key_ids: keys.iter().map(|key| key.kid.clone()).collect(),
        ..pb::ListRevocationsResponse::default()
    };
    for (entry, keep_s) in page.entries {
        match entry {
            Revocation::Session(id) => {
                let session_id = bytes(id);
                reply.sessions.push(pb::SessionRevocation { session_id, keep_s });
            }
            Revocation::Account(rule) => reply.accounts.push(pb::AccountRule {
                user_id: rule.user_id.as_uuid().as_bytes().to_vec(),
                version: rule.version,
                is_disabled: rule.is_disabled,
                sessions_from: rule.sessions_from,
                kept_session: rule.kept_session.map(bytes).unwrap_or_default(),
                roles_from: rule.roles_from,
                keep_s,
            }),
        }
    }
    reply
}

fn bytes(id: SessionId) -> Vec<u8> {
    id.as_uuid().as_bytes().to_vec()
}

pub(super) fn key(key: &StoredKey) -> pb::SigningKey {
    let state = match key.state() {
        KeyState::Pending => pb::KeyState::Pending,
        KeyState::Signing => pb::KeyState::Signing,
        KeyState::Retired => pb::KeyState::Retired,
    };
    pb::SigningKey {
        kid: key.kid.clone(),
        state: state.into(),
        created_at: Some(timestamp(key.created_at)),
        signs_from: Some(timestamp(key.begins())),
        published_until: key.published_until.map(timestamp),
    }
}

/// The name is only shown, so what does not fit is cut off: it is no reason to refuse a login.
fn shown_user_agent(text: &str) -> String {
    let mut name: String = text.chars().filter(|c| !c.is_control()).take(USER_AGENT_MAX).collect();
    name.truncate(name.floor_char_boundary(USER_AGENT_MAX));
    name
}

fn shown_address(text: &str) -> String {
    text.parse::<IpAddr>().map(|address| address.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_name_is_cut_between_characters_and_splits_no_line() {
        assert_eq!(shown_user_agent("curl\r\n/8\0"), "curl/8");
        let long = shown_user_agent(&"名".repeat(300));
        assert_eq!(long.len(), 255);
    }

    #[test]
    fn only_an_address_is_kept_as_one() {
        assert_eq!(shown_address("2001:DB8::1"), "2001:db8::1");
        assert_eq!(shown_address("127.0.0.1; DROP TABLE"), "");
    }
}
