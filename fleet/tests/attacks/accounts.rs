//! Registration, login and passwords: A026 to A042.

use crate::support::run::Row;

/// The rows of this section.
pub(crate) fn rows() -> Vec<Row> {
    vec![]
}
