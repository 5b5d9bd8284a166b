//! Objects and functions of others: A052 to A063.

mod functions;
mod identities;
mod lists;
mod owners;

use std::time::Duration;

use crate::support::run::{Row, row};

use self::functions::{
    a057_operations_of_administrators, a058_methods_in_disguise, a059_paths_in_disguise,
    a060_administrators_and_themselves,
};
use self::identities::{a054_walk_through_identities, a055_odd_identities};
use self::lists::{a056_filters_for_others, a062_page_tokens_of_others, a063_page_sizes};
use self::owners::{
    a052_orders_of_others, a053_payments_notifications_profiles_of_others, a053_sessions_of_others,
};

/// The rows of this section.
pub(crate) fn rows() -> Vec<Row> {
    vec![
        row!(a052_orders_of_others),
        row!(a053_payments_notifications_profiles_of_others),
        row!(a053_sessions_of_others),
        row!(a054_walk_through_identities),
        row!(a055_odd_identities).within(Duration::from_mins(4)),
        row!(a056_filters_for_others),
        row!(a057_operations_of_administrators),
        row!(a058_methods_in_disguise),
        row!(a059_paths_in_disguise),
        row!(a060_administrators_and_themselves),
        row!(a062_page_tokens_of_others),
        row!(a063_page_sizes),
    ]
}
