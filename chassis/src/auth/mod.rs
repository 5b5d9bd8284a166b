//! Who calls: the verified identity of a caller and the verification of access tokens.
//!
//! Issuing tokens is auth-service's business; this module only checks them. A token is verified
//! by every service it reaches, so no service has to trust the one in front of it. A verifier at the
//! edge also refuses tokens before their time ([`Revocations`]).

mod caller;
mod claims;
mod keys;
mod last_good;
mod lookups;
mod revocation;
mod strict;
mod verifier;

pub use caller::{ACCOUNT_DISABLED, AuthError, Caller, ROLE_ADMIN};
pub use claims::{Claims, TOKEN_TYPE};
pub use keys::{GrpcKeySource, KeySource};
pub use last_good::LastGood;
pub use revocation::{
    AccountRule, FeedPage, Follower, FollowerParts, GrpcRevocationFeed, Kept, RevocationFeed,
    Revocations, TokenFacts,
};
pub use verifier::Verifier;
