//! Multi-row statements in a few fixed sizes, so that the statement cache stays small and hot.

use sqlx::{MySql, QueryBuilder};
use uuid::Uuid;

/// The sizes, largest first; every length is a sum of them.
const SIZES: [usize; 4] = [64, 16, 4, 1];

/// Splits `items` into slices of 64, 16, 4 and 1 items.
///
/// A statement text per possible length would evict everything else from the connection's cache
/// of prepared statements; four texts do not.
pub fn chunks<T>(items: &[T]) -> impl Iterator<Item = &[T]> {
    let mut rest = items;
    std::iter::from_fn(move || {
        let size = SIZES.into_iter().find(|size| *size <= rest.len())?;
        let (chunk, tail) = rest.split_at(size);
        rest = tail;
        Some(chunk)
    })
}

/// Appends the closed list of an `IN (`. An empty list is no SQL, so `ids` must not be empty.
///
/// Its length is rounded up to a power of two by repeating the last value, which changes no result:
/// so the statement cache holds a handful of statements and not one per length.
pub fn push_list(query: &mut QueryBuilder<MySql>, ids: &[Uuid]) {
    let mut list = query.separated(", ");
    let padding = ids.len().next_power_of_two() - ids.len();
    for id in ids.iter().chain(ids.iter().rev().take(1).cycle().take(padding)) {
        list.push_bind(*id);
    }
    list.push_unseparated(")");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_split_into_nothing() {
        assert_eq!(chunks::<u8>(&[]).count(), 0);
    }

    #[test]
    fn every_item_comes_once_and_in_order() {
        let items: Vec<usize> = (0..103).collect();
        let sizes: Vec<usize> = chunks(&items).map(<[usize]>::len).collect();
        assert_eq!(sizes, [64, 16, 16, 4, 1, 1, 1]);
        assert_eq!(chunks(&items).flatten().copied().collect::<Vec<_>>(), items);
    }

    #[test]
    fn lists_come_in_few_lengths() {
        for (ids, places) in [(1, 1), (2, 2), (3, 4), (5, 8), (64, 64), (65, 128)] {
            let ids = vec![Uuid::nil(); ids];
            let mut query = QueryBuilder::new("SELECT 1 FROM t WHERE id IN (");
            push_list(&mut query, &ids);
            let list = vec!["?"; places].join(", ");
            assert_eq!(query.sql().as_str(), format!("SELECT 1 FROM t WHERE id IN ({list})"));
        }
    }
}
