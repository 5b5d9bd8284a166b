//! Bounds that many sections share.

use super::ConfigError;

/// Refuses the first key that is zero: no time, no place, no attempt is none of a limit, and some
/// libraries take it for "without end".
pub(super) fn at_least_one<const N: usize>(
    zeros: [(&'static str, bool); N],
) -> Result<(), ConfigError> {
    let zero = zeros.into_iter().find(|(_, is_zero)| *is_zero);
    zero.map_or(Ok(()), |(key, _)| Err(ConfigError::value(key, "must be at least 1")))
}
