//! What takes time is measured here and never asserted in tests: a machine that does other things
//! would make them fail.
//!
//! Each measurement is a function of a fleet that runs, so that it can be asked of any; the command
//! line (`ehub bench`) starts a private one for it where none is named.

pub mod flood;
pub mod good;
pub mod logins;
pub mod neighbours;
pub mod overload;
pub mod resident;
pub mod samples;
pub mod slow;

use crate::harness::FleetOptions;

/// More than any measurement asks for: what would refuse it is set aside.
const UNLIMITED: &str = "1000000";

/// Unpaid orders of one customer, at most: payments may lag behind far.
const UNPAID: &str = "10000";

/// How long access tokens live, in seconds: longer than any measurement lasts.
const TOKEN_S: &str = "7200";

/// A fleet on middleware of its own that keeps the limits with which it is shipped.
pub fn shipped() -> FleetOptions {
    FleetOptions::default().own_broker().own_database().hashing_gives_way()
}

/// A fleet on middleware of its own that counts neither requests nor wrong passwords against those
/// who measure.
pub fn options() -> FleetOptions {
    let mut options = shipped();
    for class in ["DEFAULT", "LOGIN", "REGISTER", "PAYMENT", "ADDRESS", "DOCS"] {
        let name = format!("EH_GATEWAY__RATE_LIMITS__{class}__REQUESTS");
        options = options.setting(&name, UNLIMITED);
    }
    for meter in ["ACCOUNT", "ADDRESS", "SPRAYING"] {
        options = options.setting(&format!("EH_AUTH__THROTTLE__{meter}__FREE"), UNLIMITED);
    }
    options = options.setting("EH_ORDER__ORDERS__OPEN_PER_USER_MAX", UNPAID);
    options.setting("EH_AUTH__SESSIONS__ACCESS_TOKEN_S", TOKEN_S)
}
