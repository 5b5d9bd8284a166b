//! The language that a client wants sentences in (RFC 9110, section 12.5.4).

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::header::ACCEPT_LANGUAGE;
use http::request::Parts;

/// A language that the fleet speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// English, also for whoever asks for nothing that is spoken.
    En,
    /// Simplified Chinese, for any Chinese.
    ZhCn,
}

impl Language {
    /// The tag, as services and clients know it.
    pub(crate) const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::ZhCn => "zh-CN",
        }
    }

    /// The best of an `Accept-Language`: of equally wanted ones the first.
    fn negotiate(header: &str) -> Self {
        let mut best = (0, Self::En);
        for (range, weight) in header.split(',').filter_map(weighted) {
            let spoken = Self::spoken(range).filter(|_| weight > best.0);
            best = spoken.map_or(best, |language| (weight, language));
        }
        best.1
    }

    fn spoken(range: &str) -> Option<Self> {
        let primary = range.split('-').next().unwrap_or_default();
        match primary.to_ascii_lowercase().as_str() {
            "zh" => Some(Self::ZhCn),
            "en" | "*" => Some(Self::En),
            _ => None,
        }
    }
}

/// A range with its weight in thousandths; `None` for what is malformed.
fn weighted(item: &str) -> Option<(&str, u32)> {
    let (range, weight) = item.split_once(';').unwrap_or((item, "q=1"));
    let weight: f64 = weight.trim().strip_prefix("q=")?.parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "what is not between 0 and 1 is left out first"
    )]
    (0.0..=1.0).contains(&weight).then(|| (range.trim(), (weight * 1000.0) as u32))
}

impl<S: Send + Sync> FromRequestParts<S> for Language {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let values = parts.headers.get_all(ACCEPT_LANGUAGE).iter();
        let texts: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
        Ok(Self::negotiate(&texts.join(",")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_most_wanted_of_those_spoken_is_chosen() {
        for (header, expected) in [
            ("", "en"),
            ("en", "en"),
            ("zh-CN", "zh-CN"),
            ("zh", "zh-CN"),
            ("ZH-Hans-CN, en;q=0.9", "zh-CN"),
            ("en-US,en;q=0.9,zh-CN;q=0.8", "en"),
            ("fr, de;q=0.9, zh;q=0.2", "zh-CN"),
            ("fr", "en"),
            ("*", "en"),
            ("en;q=0.1, zh;q=0.2", "zh-CN"),
            ("zh, en", "zh-CN"),
            ("en, zh", "en"),
            ("zh;q=0", "en"),
            ("zh;q=2, en;q=0.5", "en"),
            ("zh;q=NaN", "en"),
            ("zh;level=1", "en"),
            (";;,,;q=,q=1", "en"),
        ] {
            assert_eq!(Language::negotiate(header).tag(), expected, "{header:?}");
        }
    }
}
