//! `[tls]`: who this instance is to the other services, and whom it believes.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use chrono::{NaiveDate, TimeDelta};
use serde::Deserialize;

use super::{ConfigError, Profile};

/// Days for which plain text may be let through in production, from the day of a start on: each of the
/// two rollouts that need it takes less, and who needs longer says so again.
const PLAIN_TEXT_DAYS_MAX: i64 = 31;

/// Certificates of the traffic between services; see [`crate::identity`].
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// Whether plain text is let through beside certificates.
    pub mode: TlsMode,
    /// The last day (UTC, `YYYY-MM-DD`) on which production starts in a mode that lets plain text
    /// through; empty: it does not.
    pub plain_text_until: String,
    /// PEM file with this service's certificate and what leads from it to an authority.
    pub certificate_path: String,
    /// PEM file with the certificate's private key.
    pub key_path: String,
    /// PEM file with the authorities whose certificates are believed.
    pub ca_path: String,
    /// How often the files are looked at for renewed ones, in seconds; at least 1.
    pub reload_every_s: u32,
    /// Time in which a caller must have proven who it is, in milliseconds; at least 1.
    pub handshake_timeout_ms: u64,
    /// Age in seconds at which a connection is renewed, and with it the proof of who calls; at
    /// least 1.
    pub connection_max_age_s: u32,
}

/// Whether plain text is let through beside certificates: all but [`TlsMode::Require`] is for the
/// time in which a running fleet gets certificates, see `docs/adr/0007`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// Callers must prove who they are, and calls go out with proof.
    #[default]
    Require,
    /// Calls go out with proof; callers in plain text are let in.
    Prefer,
    /// Calls go out in plain text; callers in plain text are let in, and so are those with proof.
    Allow,
}

impl TlsConfig {
    /// Whether the traffic between services is plain text.
    pub fn is_off(&self) -> bool {
        self.files().iter().all(|(_, path)| path.is_empty())
    }

    /// The file of the certificate.
    pub fn certificate(&self) -> &Path {
        Path::new(&self.certificate_path)
    }

    /// The file of the private key.
    pub fn key(&self) -> &Path {
        Path::new(&self.key_path)
    }

    /// The file of the authorities.
    pub fn ca(&self) -> &Path {
        Path::new(&self.ca_path)
    }

    /// How often the files are looked at for renewed ones.
    pub fn reload_every(&self) -> Duration {
        Duration::from_secs(self.reload_every_s.into())
    }

    /// Time in which a caller must have proven who it is.
    pub fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.handshake_timeout_ms)
    }

    /// Age at which a connection is renewed.
    pub fn connection_max_age(&self) -> Duration {
        Duration::from_secs(self.connection_max_age_s.into())
    }

    /// Refuses half a configuration anywhere, and plain text everywhere but in development: beside
    /// certificates it is let through for a time that somebody has named.
    pub fn validate(&self, profile: Profile, today: NaiveDate) -> Result<(), ConfigError> {
        if self.is_off() && self.mode != TlsMode::Require {
            let message = "lets plain text through beside certificates, and there are none";
            return Err(ConfigError::value("tls.mode", message));
        }
        if self.is_off() {
            return match profile {
                Profile::Development => Ok(()),
                Profile::Production => Err(ConfigError::value(
                    "tls.certificate_path",
                    "must be set: services speak plain text in the development profile only",
                )),
            };
        }
        if let Some((key, _)) = self.files().into_iter().find(|(_, path)| path.is_empty()) {
            let message = "must be set: tls needs certificate_path, key_path and ca_path";
            return Err(ConfigError::value(key, message));
        }
        for (key, value) in [
            ("tls.reload_every_s", u64::from(self.reload_every_s)),
            ("tls.handshake_timeout_ms", self.handshake_timeout_ms),
            ("tls.connection_max_age_s", u64::from(self.connection_max_age_s)),
        ] {
            if value == 0 {
                return Err(ConfigError::value(key, "must be at least 1"));
            }
        }
        match (self.mode, profile) {
            (TlsMode::Require, _) | (_, Profile::Development) => Ok(()),
            _ => self.require_named_time(today),
        }
    }

    /// Refuses plain text for which nobody answers, or no longer does.
    fn require_named_time(&self, today: NaiveDate) -> Result<(), ConfigError> {
        let last = NaiveDate::parse_from_str(&self.plain_text_until, "%Y-%m-%d").ok();
        let latest = today + TimeDelta::days(PLAIN_TEXT_DAYS_MAX);
        if last.is_some_and(|last| (today..=latest).contains(&last)) {
            return Ok(());
        }
        let message = format!(
            "must be a day from {today} to {latest} for `tls.mode` to let plain text through \
             outside development"
        );
        Err(ConfigError::value("tls.plain_text_until", message))
    }

    /// Refuses a port for other services that listens beyond loopback without certificates.
    pub fn require_for(&self, listen: IpAddr) -> Result<(), ConfigError> {
        if self.is_off() && !listen.is_loopback() {
            let message = format!(
                "must be set: without certificates services speak plain text, which is for \
                 loopback, and `server.listen` is {listen}"
            );
            return Err(ConfigError::value("tls.certificate_path", message));
        }
        Ok(())
    }

    fn files(&self) -> [(&'static str, &str); 3] {
        [
            ("tls.certificate_path", &self.certificate_path),
            ("tls.key_path", &self.key_path),
            ("tls.ca_path", &self.ca_path),
        ]
    }
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            mode: TlsMode::Require,
            plain_text_until: String::new(),
            certificate_path: String::new(),
            key_path: String::new(),
            ca_path: String::new(),
            reload_every_s: 60,
            handshake_timeout_ms: 5_000,
            connection_max_age_s: 3_600,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: NaiveDate = NaiveDate::from_ymd_opt(2026, 1, 31).unwrap();

    fn whole() -> TlsConfig {
        TlsConfig {
            certificate_path: "a".to_owned(),
            key_path: "b".to_owned(),
            ca_path: "c".to_owned(),
            ..TlsConfig::default()
        }
    }

    #[test]
    fn plain_text_is_for_development_on_loopback() {
        let off = TlsConfig::default();
        assert!(off.validate(Profile::Development, TODAY).is_ok());
        let refused = off.validate(Profile::Production, TODAY).unwrap_err().to_string();
        assert!(refused.contains("tls.certificate_path"), "{refused}");
        assert!(off.require_for([127, 0, 0, 1].into()).is_ok());
        let refused = off.require_for([0, 0, 0, 0].into()).unwrap_err().to_string();
        assert!(refused.contains("plain text") && refused.contains("0.0.0.0"), "{refused}");
        assert!(whole().require_for([0, 0, 0, 0].into()).is_ok());
    }

    #[test]
    fn half_a_configuration_and_zeros_are_refused_by_name() {
        assert!(whole().validate(Profile::Production, TODAY).is_ok());
        let odd = [
            (TlsConfig { key_path: String::new(), ..whole() }, "tls.key_path"),
            (TlsConfig { ca_path: String::new(), ..whole() }, "tls.ca_path"),
            (TlsConfig { mode: TlsMode::Prefer, ..TlsConfig::default() }, "tls.mode"),
            (TlsConfig { mode: TlsMode::Allow, ..TlsConfig::default() }, "tls.mode"),
            (TlsConfig { reload_every_s: 0, ..whole() }, "tls.reload_every_s"),
            (TlsConfig { handshake_timeout_ms: 0, ..whole() }, "tls.handshake_timeout_ms"),
            (TlsConfig { connection_max_age_s: 0, ..whole() }, "tls.connection_max_age_s"),
        ];
        for (config, key) in odd {
            let refused = config.validate(Profile::Development, TODAY).unwrap_err().to_string();
            assert!(refused.contains(key), "{refused}");
        }
    }

    #[test]
    fn production_lets_plain_text_through_until_a_day_that_is_named_and_near() {
        for mode in [TlsMode::Allow, TlsMode::Prefer] {
            let until = |day: &str| TlsConfig { mode, plain_text_until: day.to_owned(), ..whole() };
            for odd in ["", "soon", "2026-02-30", "2026-01-30", "2026-03-04", "2999-12-31"] {
                let refused = until(odd).validate(Profile::Production, TODAY).unwrap_err();
                assert!(refused.to_string().contains("`tls.plain_text_until`"), "{refused}");
                assert!(until(odd).validate(Profile::Development, TODAY).is_ok());
            }
            for near in ["2026-01-31", "2026-02-14", "2026-03-03"] {
                assert!(until(near).validate(Profile::Production, TODAY).is_ok(), "{near}");
            }
        }
        let over = TlsConfig { plain_text_until: "2020-01-01".to_owned(), ..whole() };
        assert!(over.validate(Profile::Production, TODAY).is_ok(), "nothing is let through");
    }
}
