//! Multi-row statements in a few fixed sizes, so that the statement cache stays small and hot.

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
}
