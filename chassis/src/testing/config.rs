//! The configuration of a service under test.

use crate::config::{Profile, Sources};
use crate::run::Service;

/// The shipped defaults of `S` with `settings` on top, each named as in the environment without
/// the service's prefix: `("SERVER__REQUEST_TIMEOUT_MS", "30000")`. Of equal names the last one
/// counts. The environment itself is not looked at.
///
/// # Panics
///
/// When the service refuses the settings.
#[expect(clippy::panic, reason = "a test cannot go on with settings that are refused")]
pub fn defaults_with<'s, S: Service>(
    settings: impl IntoIterator<Item = (&'s str, &'s str)>,
) -> S::Config {
    let variable = |(key, value): (&str, &str)| (format!("{}__{key}", S::ENV_PREFIX), value.into());
    let sources = Sources {
        prefix: S::ENV_PREFIX.to_owned(),
        defaults: S::DEFAULTS.to_owned(),
        profile: Profile::Development,
        folder: None,
        environment: settings.into_iter().map(variable).collect(),
    };
    sources.load().unwrap_or_else(|error| panic!("{}: {error}", S::NAME))
}
