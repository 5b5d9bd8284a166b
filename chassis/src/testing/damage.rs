//! Small damage to bytes, to see what their reader makes of them.

/// From the byte with this number on, counted in a circle, so many bytes give way to a text.
pub type Change<'t> = (usize, usize, &'t str);

/// The bytes with all changes, one after the other.
pub fn damaged(bytes: &[u8], changes: &[Change<'_>]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, removed, text) in changes {
        let start = at % (bytes.len() + 1);
        let end = start.saturating_add(*removed).min(bytes.len());
        bytes.splice(start..end, text.bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_follow_each_other_and_reach_every_place() {
        let text = |changes: &[Change<'_>]| String::from_utf8(damaged(b"abcd", changes)).unwrap();
        assert_eq!(text(&[]), "abcd");
        assert_eq!(text(&[(1, 2, "X")]), "aXd");
        assert_eq!(text(&[(4, 9, "X"), (0, 1, "")]), "bcdX");
        assert_eq!(text(&[(5, usize::MAX, "")]), "");
        assert_eq!(text(&[(0, 4, ""), (7, 1, "X")]), "X");
    }
}
