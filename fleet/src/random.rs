//! Unpredictable text for passwords of development accounts and for names that must not collide.

/// 128 bits from a cryptographic generator, in hexadecimal.
pub fn token() -> String {
    format!("{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_have_a_fixed_length() {
        let (one, two) = (token(), token());
        assert_ne!(one, two);
        assert_eq!((one.len(), two.len()), (32, 32));
    }
}
