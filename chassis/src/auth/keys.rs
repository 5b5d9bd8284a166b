//! Where the verification keys come from and how they are held.

use std::collections::HashMap;

use anyhow::Context;
use async_trait::async_trait;
use http::uri::PathAndQuery;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};

use crate::config::TokenConfig;
use crate::grpc::Channel;

/// The longest key set that is accepted, in bytes.
const JWKS_BYTES_MAX: usize = 64 * 1024;

/// A source of the issuer's public keys.
#[async_trait]
pub trait KeySource: Send + Sync {
    /// Fetches the current key set.
    async fn fetch(&self) -> anyhow::Result<JwkSet>;
}

/// The keys parsed once per fetch, by key id: parsing one per token would cost as much as a
/// tenth of verifying it.
pub(super) struct KeySet {
    keys: HashMap<String, DecodingKey>,
}

impl KeySet {
    /// Keeps the Ed25519 keys of `set` that have an id; others could never verify a token.
    pub(super) fn parse(set: &JwkSet) -> Self {
        let usable = set.keys.iter().filter(|jwk| is_ed25519(jwk));
        let keys = usable.filter_map(|jwk| {
            let id = jwk.common.key_id.clone()?;
            Some((id, DecodingKey::from_jwk(jwk).ok()?))
        });
        Self { keys: keys.collect() }
    }

    pub(super) fn find(&self, key_id: &str) -> Option<&DecodingKey> {
        self.keys.get(key_id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether these are the keys, neither more nor fewer.
    pub(super) fn has_exactly(&self, ids: &[String]) -> bool {
        self.keys.len() == ids.len() && ids.iter().all(|id| self.keys.contains_key(id))
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}

fn is_ed25519(jwk: &Jwk) -> bool {
    match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(parameters) => parameters.curve == EllipticCurve::Ed25519,
        _ => false,
    }
}

/// The reply of the key set method, by field number; declared here because the chassis knows no
/// service's contract.
#[derive(Clone, PartialEq, prost::Message)]
struct JwksReply {
    /// The key set as a JSON document (RFC 7517).
    #[prost(string, tag = "1")]
    jwks: String,
}

/// Fetches the key set from the issuing service by gRPC.
#[derive(Clone)]
pub struct GrpcKeySource {
    channel: Channel,
    method: String,
}

impl GrpcKeySource {
    /// Asks `config.jwks_method` over `channel`.
    pub fn new(channel: Channel, config: &TokenConfig) -> Self {
        Self { channel, method: config.jwks_method.clone() }
    }
}

#[async_trait]
impl KeySource for GrpcKeySource {
    async fn fetch(&self) -> anyhow::Result<JwkSet> {
        let path = PathAndQuery::try_from(self.method.as_str()).context("the method's path")?;
        let mut client = tonic::client::Grpc::new(self.channel.clone())
            .max_decoding_message_size(JWKS_BYTES_MAX);
        client.ready().await?;
        let codec = tonic_prost::ProstCodec::<(), JwksReply>::default();
        let reply = client.unary(tonic::Request::new(()), path, codec).await?;
        serde_json::from_str(&reply.get_ref().jwks).context("the key set is not a JWKS document")
    }
}
