//! The languages that notifications are written in.

/// A language, by its BCP 47 tag.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Locale {
    /// English, also for users whose language is not known.
    #[default]
    En,
    /// Simplified Chinese.
    ZhCn,
}

impl Locale {
    /// The BCP 47 tag.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::ZhCn => "zh-CN",
        }
    }

    /// Reads a tag; a language that has no templates falls back to English.
    pub fn from_tag(tag: &str) -> Self {
        if tag.eq_ignore_ascii_case("zh-CN") { Self::ZhCn } else { Self::En }
    }
}
