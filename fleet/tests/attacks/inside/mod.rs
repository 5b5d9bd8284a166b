//! Inside the fleet: A130 to A135.
//!
//! These rows do not come through the gateway: they stand where only services stand, at the gRPC
//! ports and at the broker, or start programs themselves.

mod calls;
mod events;
mod matrix;
mod starting;
mod wire;

use crate::support::run::{Row, row};
use calls::{a130_direct_calls_without_the_right_identity, a132_odd_messages_and_metadata};
use events::a133_forged_events;
use matrix::a131_least_privilege;
use starting::{a134_default_accounts_of_servers, a135_missing_default_and_short_secrets};

/// The rows of this section.
pub(crate) fn rows() -> Vec<Row> {
    vec![
        row!(a130_direct_calls_without_the_right_identity),
        row!(a131_least_privilege),
        row!(a132_odd_messages_and_metadata),
        row!(a133_forged_events),
        row!(a134_default_accounts_of_servers),
        row!(a135_missing_default_and_short_secrets),
    ]
}
