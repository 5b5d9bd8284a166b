//! The HTTP layer: A116 to A129, and what of other sections is decided there.

mod deaf;
mod framing;
mod http2;
mod memory;
mod quotas;
mod routes;
mod slow;
mod streams;

use std::time::Duration;

use crate::support::run::{Row, row};

use self::deaf::a122_clients_that_do_not_read;
use self::framing::{
    a116_bodies_over_the_limit, a117_doubtful_lengths, a118_old_versions_and_upgrades,
    a119_odd_and_large_heads, a120_odd_targets_and_hosts, a128_expecting_to_continue,
};
use self::http2::a123_floods_of_frames;
use self::quotas::{a125_invented_addresses, a129_quotas_of_two_gateways};
use self::routes::{
    a022_long_tokens, a061_nothing_internal_outside, a078_compressed_bodies,
    a124_methods_that_a_path_lacks, a126_pages_of_other_origins, a127_forged_names_of_requests,
};
use self::slow::a121_slow_and_silent_clients;
use self::streams::{
    a116_bodies_over_the_limit_on_http2, a117_doubtful_lengths_on_http2,
    a119_odd_and_large_heads_on_http2, a120_odd_targets_and_hosts_on_http2,
    a124_methods_that_a_path_lacks_on_http2,
};

/// The rows of this section.
pub(crate) fn rows() -> Vec<Row> {
    vec![
        row!(a022_long_tokens),
        row!(a061_nothing_internal_outside),
        row!(a078_compressed_bodies),
        row!(a116_bodies_over_the_limit),
        row!(a116_bodies_over_the_limit_on_http2),
        row!(a117_doubtful_lengths),
        row!(a117_doubtful_lengths_on_http2),
        row!(a118_old_versions_and_upgrades),
        row!(a119_odd_and_large_heads),
        row!(a119_odd_and_large_heads_on_http2),
        row!(a120_odd_targets_and_hosts),
        row!(a120_odd_targets_and_hosts_on_http2),
        row!(a121_slow_and_silent_clients).alone().within(Duration::from_mins(5)),
        row!(a122_clients_that_do_not_read).alone().within(Duration::from_mins(3)),
        row!(a123_floods_of_frames).alone().within(Duration::from_mins(5)),
        row!(a124_methods_that_a_path_lacks),
        row!(a124_methods_that_a_path_lacks_on_http2),
        row!(a125_invented_addresses),
        row!(a126_pages_of_other_origins).within(Duration::from_mins(5)),
        row!(a127_forged_names_of_requests).within(Duration::from_mins(5)),
        row!(a128_expecting_to_continue),
        row!(a129_quotas_of_two_gateways).within(Duration::from_mins(4)),
    ]
}

/// An operation that anyone may try.
const LOGIN: &str = "/api/v1/auth/login";
