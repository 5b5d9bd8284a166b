//! A meter of `[throttle]`: how many wrong attempts are free, and what each further one costs.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;
use crate::throttle::Rule;

/// Longest pause in seconds: a process forgets a meter that nobody asks about for a day.
const PAUSE_MAX_S: u32 = 86_400;
/// Longest time until a wrong attempt is forgotten, in seconds.
const FORGET_MAX_S: u32 = 86_400;

/// How patient a meter of wrong attempts is; see [`crate::throttle`].
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptsConfig {
    /// Wrong attempts that cost nothing; at least 1.
    pub free: NonZeroU32,
    /// Seconds of the first pause; each further one is twice as long. 1 to `pause_max_s`.
    pub pause_s: NonZeroU32,
    /// Seconds of the longest pause; at most 86400.
    pub pause_max_s: NonZeroU32,
    /// Seconds until one wrong attempt is forgotten; 1 to 86400.
    pub forget_s: NonZeroU32,
}

impl AttemptsConfig {
    /// The rule in the terms of the meter.
    pub fn rule(&self) -> Rule {
        let seconds = |s: NonZeroU32| Duration::from_secs(u64::from(s.get()));
        Rule {
            free: self.free.get(),
            pause: seconds(self.pause_s),
            pause_max: seconds(self.pause_max_s),
            forget: seconds(self.forget_s),
        }
    }

    /// Checks the ranges; `section` names the meter in what is said, such as `throttle.account`.
    pub fn validate(&self, section: &str) -> Result<(), ConfigError> {
        let (pause, longest) = (self.pause_s.get(), self.pause_max_s.get());
        let faults = [
            ("pause_s", pause > longest, "must be at most `pause_max_s`".to_owned()),
            ("pause_max_s", longest > PAUSE_MAX_S, format!("must be at most {PAUSE_MAX_S}")),
            (
                "forget_s",
                self.forget_s.get() > FORGET_MAX_S,
                format!("must be at most {FORGET_MAX_S}"),
            ),
        ];
        let fault = faults.into_iter().find(|(_, is_wrong, _)| *is_wrong);
        fault.map_or(Ok(()), |(key, _, message)| {
            Err(ConfigError::value(format!("{section}.{key}"), message))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(pause_s: u32, pause_max_s: u32, forget_s: u32) -> bool {
        let number = |n| NonZeroU32::new(n).unwrap();
        let [free, pause_s, pause_max_s, forget_s] =
            [1, pause_s, pause_max_s, forget_s].map(number);
        AttemptsConfig { free, pause_s, pause_max_s, forget_s }.validate("throttle.x").is_err()
    }

    #[test]
    fn a_pause_is_never_longer_than_a_meter_is_kept() {
        assert!(!refused(1, 86_400, 86_400));
        assert!(!refused(5, 5, 1));
        assert!(refused(6, 5, 1));
        assert!(refused(1, 86_401, 1));
        assert!(refused(1, 5, 86_401));
    }
}
