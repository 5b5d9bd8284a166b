//! Adapter: revocations of the issuing service, over gRPC.

use anyhow::Context as _;
use async_trait::async_trait;
use http::uri::PathAndQuery;
use tonic::Status;
use uuid::Uuid;

use super::{AccountRule, FeedPage, Kept, RevocationFeed};
use crate::error::{RemoteError, codes};
use crate::feed::InvalidCursor;
use crate::grpc::Channel;

/// The largest page that is accepted, in bytes; a page of the issuer has some 100 kB at most.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Asks the issuing service.
#[derive(Clone)]
pub struct GrpcRevocationFeed {
    channel: Channel,
    method: String,
}

impl GrpcRevocationFeed {
    /// Asks `method` over `channel`.
    pub fn new(channel: Channel, method: impl Into<String>) -> Self {
        Self { channel, method: method.into() }
    }
}

#[async_trait]
impl RevocationFeed for GrpcRevocationFeed {
    async fn read(&self, cursor: &str) -> anyhow::Result<FeedPage> {
        let path = PathAndQuery::try_from(self.method.as_str()).context("the method's path")?;
        let mut client = tonic::client::Grpc::new(self.channel.clone())
            .max_decoding_message_size(PAGE_BYTES_MAX);
        client.ready().await?;
        let request = tonic::Request::new(Request { cursor: cursor.to_owned() });
        let codec = tonic_prost::ProstCodec::<Request, Reply>::default();
        match client.unary(request, path, codec).await {
            Ok(reply) => reply.into_inner().try_into(),
            Err(status) => Err(refusal(status)),
        }
    }
}

fn refusal(status: Status) -> anyhow::Error {
    if RemoteError::from_status(&status).is(codes::CURSOR_INVALID) {
        return InvalidCursor.into();
    }
    status.into()
}

/// The messages of the method, by field number; declared here because the chassis knows no service's
/// contract.
#[derive(Clone, PartialEq, prost::Message)]
struct Request {
    #[prost(string, tag = "1")]
    cursor: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Reply {
    #[prost(message, repeated, tag = "1")]
    sessions: Vec<SessionReply>,
    #[prost(message, repeated, tag = "2")]
    accounts: Vec<AccountReply>,
    #[prost(string, tag = "3")]
    cursor: String,
    #[prost(bool, tag = "4")]
    more: bool,
    #[prost(string, repeated, tag = "5")]
    key_ids: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SessionReply {
    #[prost(bytes = "vec", tag = "1")]
    session_id: Vec<u8>,
    #[prost(uint32, tag = "2")]
    keep_s: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AccountReply {
    #[prost(bytes = "vec", tag = "1")]
    user_id: Vec<u8>,
    #[prost(uint64, tag = "2")]
    version: u64,
    #[prost(bool, tag = "3")]
    is_disabled: bool,
    #[prost(uint64, tag = "4")]
    sessions_from: u64,
    #[prost(bytes = "vec", tag = "5")]
    kept_session: Vec<u8>,
    #[prost(uint64, tag = "6")]
    roles_from: u64,
    #[prost(uint32, tag = "7")]
    keep_s: u32,
}

/// A page of which anything cannot be read is refused whole: a revocation that is silently left out
/// would never be noticed.
impl TryFrom<Reply> for FeedPage {
    type Error = anyhow::Error;

    fn try_from(reply: Reply) -> anyhow::Result<Self> {
        let session = |entry: SessionReply| Ok((id(&entry.session_id)?, entry.keep_s));
        Ok(Self {
            sessions: reply.sessions.into_iter().map(session).collect::<anyhow::Result<_>>()?,
            accounts: reply.accounts.into_iter().map(Kept::try_from).collect::<Result<_, _>>()?,
            cursor: reply.cursor,
            more: reply.more,
            key_ids: reply.key_ids,
        })
    }
}

impl TryFrom<AccountReply> for Kept<AccountRule> {
    type Error = anyhow::Error;

    fn try_from(entry: AccountReply) -> anyhow::Result<Self> {
        let kept = &entry.kept_session;
        let item = AccountRule {
            user_id: id(&entry.user_id)?,
            version: entry.version,
            is_disabled: entry.is_disabled,
            sessions_from: entry.sessions_from,
            kept_session: if kept.is_empty() { None } else { Some(id(kept)?) },
            roles_from: entry.roles_from,
        };
        Ok(Self { item, keep_s: entry.keep_s })
    }
}

fn id(bytes: &[u8]) -> anyhow::Result<Uuid> {
    Uuid::from_slice(bytes).context("an identity of the revocation feed is no UUID")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::grpc::status;
    use crate::id::new_id;

    #[test]
    fn a_refused_cursor_is_told_apart() {
        for (code, is_cursor) in [(codes::CURSOR_INVALID, true), (codes::INTERNAL, false)] {
            let error = refusal(status(code, "refused", Vec::new(), None));
            assert_eq!(error.is::<InvalidCursor>(), is_cursor, "{error:#}");
        }
    }

    #[test]
    fn a_page_is_read_whole_or_not_at_all() {
        let (session, user) = (new_id(), new_id());
        let account = AccountReply {
            user_id: user.as_bytes().to_vec(),
            version: 4,
            kept_session: session.as_bytes().to_vec(),
            keep_s: 9,
            ..AccountReply::default()
        };
        let good = Reply {
            sessions: vec![SessionReply { session_id: session.as_bytes().to_vec(), keep_s: 7 }],
            accounts: vec![account],
            ..Reply::default()
        };
        let page = FeedPage::try_from(good.clone()).unwrap();
        assert_eq!(page.sessions, [(session, 7)]);
        let Kept { item, keep_s } = &page.accounts[0];
        assert_eq!((item.user_id, item.kept_session, *keep_s), (user, Some(session), 9));
        let mut bad = good.clone();
        bad.sessions[0].session_id.pop();
        assert!(FeedPage::try_from(bad).is_err());
        let mut bad = good;
        bad.accounts[0].kept_session.pop();
        assert!(FeedPage::try_from(bad).is_err());
    }
}
