//! Keeps guessing of passwords slow, without locking out whoever logged in before.
//!
//! Each login counts on three meters (see [`chassis::throttle`]): one of the account that was named,
//! whether there is one or not; one of the address; and one of the accounts that were tried from
//! the address, which a single password tried on many accounts runs into. A login that one of them
//! refuses may still go on if it comes from a known device, that is, from an address and a client
//! that the right password of this account came from before: then only the device's own meter
//! counts. So nobody can lock an owner out by guessing, and a device that was known can guess no
//! faster than anyone else (OWASP, "Slow Down Online Guessing Attacks with Device Cookies").

mod refusal;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::config::Secret;
use chassis::error::Chain;
use chassis::text::comparison_form;
use chassis::throttle::{Admission, Meter, Rule, Throttle, Ticket};
use chrono::{DateTime, TimeDelta, Utc};

use self::refusal::Whose;
use super::LogIn;
use crate::model::{Client, Device, SessionError, Tag};
use crate::repository::DeviceRepository;

/// Characters of an e-mail address that are looked at: what is longer than 254 is none (RFC 5321), and
/// is one account to the meters, whatever the rest says.
const EMAIL_READ_MAX: usize = 255;

/// How patient throttling is.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// With an account.
    pub account: Rule,
    /// With an address.
    pub address: Rule,
    /// With an address that tries many accounts.
    pub spraying: Rule,
    /// With a known device of an account.
    pub device: Rule,
    /// Known devices of an account at most.
    pub devices_max: u32,
    /// How long a device stays known after it was seen.
    pub device_life: TimeDelta,
}

/// Decides whether a password may be tried.
pub struct LoginThrottle {
    throttle: Throttle,
    devices: Arc<dyn DeviceRepository>,
    patience: Patience,
    /// Names accounts, addresses and devices.
    key: hmac::Key,
    /// Those by which they may be named too, while the key is replaced.
    others: Vec<hmac::Key>,
}

/// A login that may go on, counted as a wrong one until it proves right.
#[derive(Debug)]
pub(super) struct Attempt {
    held: Vec<(Scope, Meter, Ticket)>,
    device: Option<Device>,
    whose: Whose,
}

impl Attempt {
    /// Tells the log that the login was refused, and why.
    pub(super) fn log_refusal(&self, reason: &'static str) {
        self.whose.log(reason, None);
    }
}

/// What a meter stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Spraying,
    Address,
    Account,
    Device,
}

impl Scope {
    const fn name(self) -> &'static str {
        match self {
            Self::Spraying => "spraying",
            Self::Address => "address",
            Self::Account => "account",
            Self::Device => "device",
        }
    }

    /// A right password proves its account and its device, but nothing about the others who try
    /// from the same address.
    const fn is_cleared_by_success(self) -> bool {
        matches!(self, Self::Account | Self::Device)
    }
}

impl LoginThrottle {
    /// Counts by `throttle`, and knows `devices`. Accounts, addresses and devices are known by
    /// digests under a key that is made of the first of `secrets`, and devices that were seen before
    /// by one of any of them. A login counts on the meters of each: whoever knows one secret of these
    /// only counts on one of the same meters, so that replacing it neither begins a count anew nor lends
    /// a guess. One that is there again is left out: its meters would count each login again. `None`
    /// when there is none.
    pub fn new(
        throttle: Throttle,
        devices: Arc<dyn DeviceRepository>,
        patience: Patience,
        secrets: &[Secret],
    ) -> Option<Self> {
        let derive =
            |secret: &Secret| hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        let (first, rest) = secrets.split_first()?;
        let mut seen = HashSet::from([first.expose()]);
        let others =
            rest.iter().filter(|secret| seen.insert(secret.expose())).map(derive).collect();
        let key = derive(first);
        Some(Self { throttle, devices, patience, key, others })
    }

    /// Counts a login as a wrong one, or refuses it as [`SessionError::Throttled`].
    pub(super) async fn begin(
        &self,
        command: &LogIn,
        now: DateTime<Utc>,
    ) -> Result<Attempt, SessionError> {
        // Cut first: bringing a text into its form takes time, and this one is of any length.
        let given = command.credentials.email.expose().chars();
        let email = comparison_form(&given.take(EMAIL_READ_MAX).collect::<String>());
        let (account, address) = named(&self.key, &email, &command.client);
        let device = device_of(&self.key, &email, &command.client);
        let whose = Whose::new(&account, &address);
        let refused = match self.hold(&self.meters(&email, &command.client)).await {
            Ok(held) => return Ok(Attempt { held, device, whose }),
            Err(refused) => refused,
        };
        if !self.is_known(&email, &command.client, now).await {
            return Err(told(whose, refused));
        }
        let held = self.hold(&self.own_meters(&email, &command.client)).await;
        let held = held.map_err(|refused| told(whose, refused))?;
        Ok(Attempt { held, device, whose })
    }

    /// Notes that the password was right: the account's count begins anew, and the device is known.
    pub(super) async fn succeeded(&self, attempt: &Attempt, now: DateTime<Utc>) {
        for (scope, meter, ticket) in &attempt.held {
            if scope.is_cleared_by_success() {
                self.throttle.clear(meter).await;
            } else {
                self.throttle.take_back(meter, ticket).await;
            }
        }
        let Some(device) = attempt.device else { return };
        let kept = self.devices.remember(device, self.patience.devices_max, now).await;
        if let Err(error) = kept {
            tracing::warn!(error = %Chain(&error), "known device not kept");
        }
    }

    /// Takes an attempt back that was neither right nor wrong.
    pub(super) async fn take_back(&self, attempt: &Attempt) {
        for (_, meter, ticket) in &attempt.held {
            self.throttle.take_back(meter, ticket).await;
        }
    }

    /// Forgets at most `limit` devices that were not seen for long. Returns how many.
    pub(super) async fn purge(&self, now: DateTime<Utc>, limit: u32) -> Result<u64, SessionError> {
        self.devices.purge(now - self.patience.device_life, limit).await
    }

    /// Begins an attempt on every meter, or on none and says which one refused.
    async fn hold(
        &self,
        meters: &[(Scope, Meter)],
    ) -> Result<Vec<(Scope, Meter, Ticket)>, (Scope, std::time::Duration)> {
        let mut held = Vec::with_capacity(meters.len());
        for (scope, meter) in meters {
            match self.throttle.begin(meter).await {
                Admission::Admitted(ticket) => held.push((*scope, meter.clone(), ticket)),
                Admission::Refused { retry_after } => {
                    for (_, meter, ticket) in &held {
                        self.throttle.take_back(meter, ticket).await;
                    }
                    return Err((*scope, retry_after));
                }
            }
        }
        Ok(held)
    }

    /// All keys, the one that names first.
    fn keys(&self) -> impl Iterator<Item = &hmac::Key> {
        std::iter::once(&self.key).chain(&self.others)
    }

    fn meters(&self, email: &str, client: &Client) -> Vec<(Scope, Meter)> {
        let of_key = |key: &hmac::Key| {
            let (account, address) = named(key, email, client);
            [
                (Scope::Spraying, self.meter(Scope::Spraying, &address, Some(account.short()))),
                (Scope::Address, self.meter(Scope::Address, &address, None)),
                (Scope::Account, self.meter(Scope::Account, &account, None)),
            ]
        };
        self.keys().flat_map(of_key).collect()
    }

    /// Those of the device, if it can be known by anything.
    fn own_meters(&self, email: &str, client: &Client) -> Vec<(Scope, Meter)> {
        let devices = self.keys().filter_map(|key| device_of(key, email, client));
        let of_device = |own: Device| self.meter(Scope::Device, &own.device, None);
        devices.map(|own| (Scope::Device, of_device(own))).collect()
    }

    fn meter(&self, scope: Scope, of: &Tag, member: Option<u64>) -> Meter {
        let rule = match scope {
            Scope::Spraying => self.patience.spraying,
            Scope::Address => self.patience.address,
            Scope::Account => self.patience.account,
            Scope::Device => self.patience.device,
        };
        let [high, low] = halves(of);
        Meter { key: format!("login:{}:{high:016x}{low:016x}", scope.name()), rule, member }
    }

    /// Whether the device was seen before, under whichever key it was named then. Whoever cannot be
    /// looked up is not known: a throttled login is refused rather than let through.
    async fn is_known(&self, email: &str, client: &Client, now: DateTime<Utc>) -> bool {
        let since = now - self.patience.device_life;
        for key in self.keys() {
            let Some(device) = device_of(key, email, client) else { return false };
            match self.devices.is_known(device, since).await {
                Ok(true) => return true,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "known devices not looked up");
                    return false;
                }
            }
        }
        false
    }
}

/// The names of an account, be there one or not, and of an address.
fn named(key: &hmac::Key, email: &str, client: &Client) -> (Tag, Tag) {
    let address = subscriber(&client.address);
    (tag(key, "account", &[email]), tag(key, "address", &[&address]))
}

/// Without an address there is nothing to know a device by.
fn device_of(key: &hmac::Key, email: &str, client: &Client) -> Option<Device> {
    let (account, address) = (tag(key, "account", &[email]), subscriber(&client.address));
    let of_account = URL_SAFE_NO_PAD.encode(account.as_bytes());
    let device = tag(key, "device", &[&of_account, &address, &client.user_agent]);
    (!address.is_empty()).then_some(Device { account, device })
}

fn tag(key: &hmac::Key, purpose: &str, parts: &[&str]) -> Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(b"enterprisehub login throttle v1");
    for part in std::iter::once(purpose).chain(parts.iter().copied()) {
        // With its length before each part, no two lists of parts are one text.
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.sign().as_ref());
    Tag::new(digest)
}

/// Counts, logs and words a refusal.
fn told(whose: Whose, (scope, retry_after): (Scope, std::time::Duration)) -> SessionError {
    metrics::counter!("eh_logins_throttled_total", "by" => scope.name()).increment(1);
    whose.log("throttled", Some(scope.name()));
    SessionError::Throttled { retry_after }
}

fn halves(tag: &Tag) -> [u64; 2] {
    let low = tag.as_bytes().iter().skip(8).take(8);
    [tag.short(), low.fold(0, |sum, byte| (sum << 8) | u64::from(*byte))]
}

/// What one subscriber has: an IPv4 address, or the /64 of an IPv6 address (RFC 6177). Whoever comes
/// without an address shares one budget with all who do.
fn subscriber(address: &str) -> String {
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => address.to_string(),
        Ok(IpAddr::V6(address)) => {
            Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).to_string()
        }
        Err(_) => String::new(),
    }
}
