//! Tokens and the keys behind them: signing, sealing, secret random numbers. Pure computing apart
//! from the key ring, which reads and writes its keys through their port.

mod access;
mod jwks;
mod keyring;
mod refresh;
mod rotation;
mod sealing;

pub use access::{AccessTokens, Subject};
pub use jwks::KeyRingSource;
pub use keyring::{KeyError, KeyRing};
pub use refresh::RefreshSecret;
pub use rotation::RotationPlan;
pub use sealing::KeySealer;
