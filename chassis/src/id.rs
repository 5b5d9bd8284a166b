//! Identities: UUIDv7 values behind one newtype per entity.
//!
//! UUIDv7 grows with time, so rows arrive at the end of the primary key's tree and identities
//! sort by creation.

use std::borrow::Cow;

use uuid::Uuid;

use crate::error::{ErrorCode, ServiceError, codes};

/// A new identity.
#[expect(clippy::disallowed_methods, reason = "this is the one maker of identities")]
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}

/// A text that is not an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not a UUID in its hyphenated form")]
pub struct InvalidId {
    what: &'static str,
}

impl InvalidId {
    /// Creates the error for an identity that users know as `what`, such as "order id".
    pub const fn new(what: &'static str) -> Self {
        Self { what }
    }
}

impl ServiceError for InvalidId {
    fn code(&self) -> ErrorCode {
        codes::ID_INVALID
    }

    fn detail(&self) -> Cow<'_, str> {
        self.to_string().into()
    }
}

/// Reads the hyphenated form of a UUID, the only one that APIs write.
///
/// The other forms that the UUID library knows (braces, URN, bare digits) are refused: an
/// identity that can be spelt in several ways is several keys to a cache or a rate limit.
pub fn parse(what: &'static str, text: &str) -> Result<Uuid, InvalidId> {
    const HYPHENATED: usize = 36;
    if text.len() != HYPHENATED {
        return Err(InvalidId::new(what));
    }
    Uuid::try_parse(text).map_err(|_| InvalidId::new(what))
}

/// Declares the identity type of an entity: a `Copy` newtype over a UUID.
///
/// ```
/// chassis::id_type!(
///     /// Identity of a parcel.
///     ParcelId, "parcel id"
/// );
///
/// let id = ParcelId::generate();
/// assert_eq!(ParcelId::parse(&id.to_string()), Ok(id));
/// assert!(ParcelId::parse("17").is_err());
/// ```
#[macro_export]
macro_rules! id_type {
    ($(#[$meta:meta])* $name:ident, $what:literal) => {
        $(#[$meta])*
        #[doc = concat!("\n\nThe ", $what, ": a UUIDv7.")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($crate::__private::uuid::Uuid);

        impl $name {
            /// A new, unique identity.
            pub fn generate() -> Self {
                Self($crate::id::new_id())
            }

            /// Reads the hyphenated text form.
            pub fn parse(text: &str) -> ::std::result::Result<Self, $crate::id::InvalidId> {
                $crate::id::parse($what, text).map(Self)
            }

            /// Wraps a UUID that is already known to be one of these, such as a stored one.
            pub const fn from_uuid(uuid: $crate::__private::uuid::Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID inside, for storage.
            pub const fn as_uuid(&self) -> $crate::__private::uuid::Uuid {
                self.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::id::InvalidId;

            fn from_str(text: &str) -> ::std::result::Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl $crate::__private::serde::Serialize for $name {
            fn serialize<S: $crate::__private::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::std::result::Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }

        impl<'de> $crate::__private::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::__private::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::std::result::Result<Self, D::Error> {
                let text: ::std::borrow::Cow<'de, str> =
                    $crate::__private::serde::Deserialize::deserialize(deserializer)?;
                Self::parse(&text).map_err($crate::__private::serde::de::Error::custom)
            }
        }
    };
}

#[cfg(test)]
mod tests {
    #![expect(unreachable_pub, reason = "the macro declares types that other crates use")]

    use proptest::prelude::*;

    use super::*;

    id_type!(
        /// Identity of a test's entity.
        ThingId,
        "thing id"
    );

    #[test]
    fn identities_grow() {
        let first = ThingId::generate();
        let second = ThingId::generate();
        assert!(first < second);
        assert_eq!(first.as_uuid().get_version_num(), 7);
        assert_eq!(ThingId::from_uuid(first.as_uuid()), first);
    }

    #[test]
    fn only_the_hyphenated_form_is_read() {
        let id = ThingId::generate();
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in [
            String::new(),
            "1".to_owned(),
            id.as_uuid().simple().to_string(),
            id.as_uuid().braced().to_string(),
            id.as_uuid().urn().to_string(),
            format!("{id} "),
            "z".repeat(36),
        ] {
            assert_eq!(ThingId::parse(&bad), Err(InvalidId::new("thing id")), "{bad:?}");
        }
    }

    #[test]
    fn identities_are_strings_in_json() {
        let id = ThingId::generate();
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<ThingId>(&json).unwrap(), id);
        assert!(serde_json::from_str::<ThingId>("\"17\"").is_err());
    }

    #[test]
    fn the_error_names_what_was_expected() {
        let error = ThingId::parse("17").unwrap_err();
        assert_eq!(error.code(), codes::ID_INVALID);
        assert_eq!(error.detail(), "thing id is not a UUID in its hyphenated form");
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in ".{0,64}") {
            let _ = ThingId::parse(&text);
        }
    }
}
