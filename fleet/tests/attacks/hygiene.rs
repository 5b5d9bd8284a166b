//! Logs, images, dependencies: A136 to A140.

use crate::support::run::Row;

/// The rows of this section.
pub(crate) fn rows() -> Vec<Row> {
    vec![]
}
