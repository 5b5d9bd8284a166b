//! Who calls: the verified identity of a caller and the verification of access tokens.
//!
//! Issuing tokens is auth-service's business; this module only checks them. A token is verified
//! by every service it reaches, so no service has to trust the one in front of it.

mod caller;
mod claims;
mod keys;
mod strict;
mod verifier;

pub use caller::{AuthError, Caller, ROLE_ADMIN};
pub use claims::{Claims, TOKEN_TYPE};
pub use keys::{GrpcKeySource, KeySource};
pub use verifier::Verifier;
