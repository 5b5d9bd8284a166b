//! What the log says of a login that was refused: why, and nobody's name.

use crate::model::Tag;

/// Whose login it was: digests of the account and the address that were named, the same as in the keys
/// of their meters. The same one has the same digest, and without the key it leads back to nobody.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whose {
    account: u64,
    address: u64,
}

impl Whose {
    /// By the tags of an account, be there one or not, and of an address.
    pub(super) fn new(account: &Tag, address: &Tag) -> Self {
        Self { account: account.short(), address: address.short() }
    }

    /// Writes the line of a refusal; `meter` is the one that had no try left.
    ///
    /// Other refusals of what clients send are told at `debug`, because they could fill the disk. These
    /// are what an attack on passwords is recognised by, and their number is bounded at the edge.
    pub(super) fn log(self, reason: &'static str, meter: Option<&'static str>) {
        tracing::info!(
            login.refusal = reason,
            throttle.by = meter,
            account.digest = %format_args!("{:016x}", self.account),
            client.digest = %format_args!("{:016x}", self.address),
            "login refused"
        );
    }
}
