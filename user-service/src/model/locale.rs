//! The languages in which an account can be addressed.

/// A language, by its BCP 47 tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Locale {
    /// English.
    #[default]
    En,
    /// Simplified Chinese as used in mainland China.
    ZhCn,
}

impl Locale {
    /// Reads a tag exactly as [`Locale::as_str`] writes it.
    pub fn parse(tag: &str) -> Option<Self> {
        [Self::En, Self::ZhCn].into_iter().find(|locale| locale.as_str() == tag)
    }

    /// The BCP 47 tag.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::ZhCn => "zh-CN",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_read_back_and_others_are_unknown() {
        for locale in [Locale::En, Locale::ZhCn] {
            assert_eq!(Locale::parse(locale.as_str()), Some(locale));
        }
        for tag in ["", "EN", "zh", "zh_CN", "de"] {
            assert_eq!(Locale::parse(tag), None);
        }
    }
}
