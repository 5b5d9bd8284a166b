//! `[mail]`: how links go by e-mail.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use chassis::config::{ConfigError, Profile, Secret, list, require_strong};
use chrono::TimeDelta;
use serde::Deserialize;

use crate::client::smtp::{Account, Security, Sender, Server};
use crate::model::is_safe_address;
use crate::service::MailPlan;

/// Longest handing over of a message in milliseconds: a sweep of messages ends before its deadline.
const TIMEOUT_MAX_MS: u64 = 15_000;
/// Messages that are sent at once, at most: each is a connection.
const BATCH_MAX: u32 = 100;

/// How messages are sent, and how often.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// Who takes them.
    pub mode: MailMode,
    /// Keys under which addresses and tokens may be sealed.
    #[serde(deserialize_with = "list::secrets")]
    pub sealing_keys: Vec<Secret>,
    /// The name of the sender.
    pub from_name: String,
    /// The address of the sender.
    pub from_address: String,
    /// Where a link leads that proves an address.
    pub verification_page: String,
    /// Where a link leads that puts another password in force.
    pub recovery_page: String,
    /// How often it is looked for messages, in milliseconds.
    pub poll_ms: u64,
    /// Messages that are sent at once, at most.
    pub batch: NonZeroU32,
    /// Seconds for which nobody else sends a message that was taken.
    pub lease_s: u32,
    /// Attempts at one message, at most.
    pub attempts_max: NonZeroU32,
    /// Seconds of the first pause between attempts.
    pub pause_s: NonZeroU32,
    /// Seconds of the longest pause.
    pub pause_max_s: NonZeroU32,
    /// Days for which it is remembered what was sent.
    pub keep_d: NonZeroU32,
    /// Pause between two sweeps of what is older, in seconds.
    pub sweep_every_s: u64,
    /// Most of it that one statement forgets.
    pub sweep_batch: NonZeroU32,
    /// Where the files are.
    pub folder: PathBuf,
    /// Files that are kept, at most.
    pub folder_files_max: NonZeroU32,
    /// The server.
    pub smtp: SmtpConfig,
}

/// Who takes messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailMode {
    /// A server, for delivery.
    Smtp,
    /// A folder, for a developer.
    Folder,
}

/// `[mail.smtp]`: the server that takes messages for delivery.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpConfig {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: SmtpSecurity,
    /// The account to log in with; empty: none.
    pub account: String,
    /// Its password.
    pub password: Secret,
    /// The authorities whose certificates are believed.
    pub ca_path: PathBuf,
    /// Longest handing over of a message in milliseconds.
    pub timeout_ms: u64,
}

/// How the connection to the server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmtpSecurity {
    /// By TLS from the start.
    Tls,
    /// By TLS before anything is said.
    #[serde(rename = "starttls")]
    StartTls,
    /// Not at all.
    None,
}

impl MailConfig {
    /// Who sends.
    pub fn sender(&self) -> Sender {
        Sender { name: self.from_name.clone(), address: self.from_address.clone() }
    }

    /// How messages are sent.
    pub fn plan(&self) -> MailPlan {
        let seconds = |seconds: u32| TimeDelta::seconds(i64::from(seconds));
        MailPlan {
            batch: self.batch.get(),
            lease: seconds(self.lease_s),
            attempts_max: self.attempts_max.get(),
            pause: seconds(self.pause_s.get()),
            pause_max: seconds(self.pause_max_s.get()),
            verification_page: self.verification_page.clone(),
            recovery_page: self.recovery_page.clone(),
        }
    }

    /// How often it is looked for messages.
    pub fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }

    /// How long it is remembered what was sent.
    pub fn keep(&self) -> TimeDelta {
        TimeDelta::days(i64::from(self.keep_d.get()))
    }

    /// Pause between two sweeps.
    pub fn sweep_every(&self) -> Duration {
        Duration::from_secs(self.sweep_every_s)
    }

    pub(super) fn validate(&self, profile: Profile) -> Result<(), ConfigError> {
        if self.mode == MailMode::Folder && profile != Profile::Development {
            return Err(ConfigError::value("mail.mode", "must be smtp outside of development"));
        }
        if self.sealing_keys.is_empty() {
            return Err(ConfigError::value("mail.sealing_keys", "must name at least one key"));
        }
        for key in &self.sealing_keys {
            require_strong("mail.sealing_keys", key, profile)?;
        }
        let is_address = is_safe_address(&self.from_address) && self.sender().parsed().is_ok();
        if !is_address || !self.from_address.is_ascii() {
            return Err(ConfigError::value("mail.from_address", "must be an ASCII address"));
        }
        self.validate_pages(profile)?;
        self.validate_times()?;
        self.smtp.validate(self.mode, profile)
    }

    fn validate_pages(&self, profile: Profile) -> Result<(), ConfigError> {
        let pages = [
            ("mail.verification_page", &self.verification_page),
            ("mail.recovery_page", &self.recovery_page),
        ];
        for (key, page) in pages {
            let is_page = page.starts_with("https://")
                || (profile == Profile::Development && page.starts_with("http://"));
            if !is_page || page.contains(|c: char| c == '#' || c.is_whitespace() || c.is_control())
            {
                return Err(ConfigError::value(key, "must be an https address without #"));
            }
        }
        Ok(())
    }

    fn validate_times(&self) -> Result<(), ConfigError> {
        let at_least_one = |key, value: u64| {
            if value == 0 { Err(ConfigError::value(key, "must be at least 1")) } else { Ok(()) }
        };
        at_least_one("mail.poll_ms", self.poll_ms)?;
        at_least_one("mail.sweep_every_s", self.sweep_every_s)?;
        at_least_one("mail.smtp.timeout_ms", self.smtp.timeout_ms)?;
        if self.batch.get() > BATCH_MAX {
            return Err(ConfigError::value("mail.batch", format!("must be at most {BATCH_MAX}")));
        }
        if u64::from(self.lease_s) * 1000 <= 2 * self.smtp.timeout_ms {
            let rule = "must be more than twice `mail.smtp.timeout_ms`";
            return Err(ConfigError::value("mail.lease_s", rule));
        }
        Ok(())
    }
}

impl SmtpConfig {
    /// The server, and how it is spoken to.
    pub fn server(&self) -> Server {
        let name = self.account.clone();
        let account = Account { name, password: self.password.clone() };
        Server {
            host: self.host.clone(),
            port: self.port,
            security: match self.security {
                SmtpSecurity::Tls => Security::Tls,
                SmtpSecurity::StartTls => Security::StartTls,
                SmtpSecurity::None => Security::None,
            },
            account: (!self.account.is_empty()).then_some(account),
            timeout: Duration::from_millis(self.timeout_ms),
        }
    }

    fn validate(&self, mode: MailMode, profile: Profile) -> Result<(), ConfigError> {
        if self.timeout_ms > TIMEOUT_MAX_MS {
            let rule = format!("must be at most {TIMEOUT_MAX_MS}");
            return Err(ConfigError::value("mail.smtp.timeout_ms", rule));
        }
        if mode == MailMode::Smtp && self.host.is_empty() {
            return Err(ConfigError::value("mail.smtp.host", "must name the server"));
        }
        let may_be_plain = profile == Profile::Development && self.account.is_empty();
        if self.security == SmtpSecurity::None && !may_be_plain {
            let rule = "none is for development, and without an account";
            return Err(ConfigError::value("mail.smtp.security", rule));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::App;

    fn config(settings: &[(&str, &str)]) -> MailConfig {
        chassis::testing::config::defaults_with::<App>(settings.iter().copied()).mail
    }

    fn refused(settings: &[(&str, &str)], profile: Profile) -> String {
        config(settings).validate(profile).unwrap_err().to_string()
    }

    const STRONG: (&str, &str) = ("MAIL__SEALING_KEYS", "Vb4uPqf0sYx1mCe8ZkTg3nRwJh6dLa7Q");
    const PAGES: [(&str, &str); 2] = [
        ("MAIL__VERIFICATION_PAGE", "https://hub.example/verify"),
        ("MAIL__RECOVERY_PAGE", "https://hub.example/recover"),
    ];

    #[test]
    fn production_sends_by_a_server_under_tls_with_a_key_of_its_own() {
        let smtp = [("MAIL__MODE", "smtp"), ("MAIL__SMTP__HOST", "mx.example"), STRONG];
        let good = [&smtp[..], &PAGES].concat();
        config(&good).validate(Profile::Production).unwrap();
        for (missing, named) in [
            ("MAIL__MODE", "mail.mode"),
            ("MAIL__SMTP__HOST", "mail.smtp.host"),
            ("MAIL__SEALING_KEYS", "mail.sealing_keys"),
            ("MAIL__RECOVERY_PAGE", "mail.recovery_page"),
        ] {
            let less: Vec<_> = good.iter().filter(|(name, _)| *name != missing).copied().collect();
            let said = refused(&less, Profile::Production);
            assert!(said.contains(named), "{said}");
        }
        let plain = [&good[..], &[("MAIL__SMTP__SECURITY", "none")]].concat();
        assert!(refused(&plain, Profile::Production).contains("mail.smtp.security"));
    }

    #[test]
    fn a_key_with_a_comma_is_torn_apart_and_refused() {
        let torn = ("MAIL__SEALING_KEYS", "Vb4uPqf0sYx1mCe8 ,ZkTg3nRwJh6dLa7Q");
        let keys = config(&[torn]).sealing_keys;
        let keys: Vec<&str> = keys.iter().map(Secret::expose).collect();
        assert_eq!(keys, ["Vb4uPqf0sYx1mCe8", "ZkTg3nRwJh6dLa7Q"]);
        let said = refused(&[torn], Profile::Development);
        assert!(said.contains("mail.sealing_keys") && !said.contains("Vb4u"), "{said}");
    }

    #[test]
    fn what_does_not_fit_together_is_refused_in_development_too() {
        config(&[]).validate(Profile::Development).unwrap();
        for (setting, named) in [
            (("MAIL__FROM_ADDRESS", "a@x.example\r\nBcc: b@x.example"), "mail.from_address"),
            (("MAIL__FROM_ADDRESS", "a..b@x.example"), "mail.from_address"),
            (("MAIL__VERIFICATION_PAGE", "https://hub.example/#x"), "mail.verification_page"),
            (("MAIL__RECOVERY_PAGE", "javascript:alert(1)"), "mail.recovery_page"),
            (("MAIL__LEASE_S", "20"), "mail.lease_s"),
            (("MAIL__BATCH", "101"), "mail.batch"),
            (("MAIL__POLL_MS", "0"), "mail.poll_ms"),
            (("MAIL__SMTP__TIMEOUT_MS", "15001"), "mail.smtp.timeout_ms"),
        ] {
            let said = refused(&[setting], Profile::Development);
            assert!(said.contains(named), "{said}");
        }
        let account = [("MAIL__SMTP__SECURITY", "none"), ("MAIL__SMTP__ACCOUNT", "hub")];
        assert!(refused(&account, Profile::Development).contains("mail.smtp.security"));
    }
}
