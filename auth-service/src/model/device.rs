//! What throttling knows an account, an address and a device by.

/// A keyed digest that stands for something personal: the same thing gives the same tag, and a tag
/// gives nothing back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag([u8; 32]);

impl Tag {
    /// Wraps a digest.
    pub const fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 64 bits, for where a digest has to be small.
    pub fn short(&self) -> u64 {
        self.0.iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
    }
}

/// A device of an account: one address and one name of a client, from which the right password came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// The account, known or not.
    pub account: Tag,
    /// The device, of this account only.
    pub device: Tag,
}
