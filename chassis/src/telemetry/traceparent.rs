//! The form of a `traceparent`, as W3C Trace Context has it.
//!
//! The propagator of the SDK reads identities as numbers, however few digits they have. A trace that
//! is named so would be continued under a name that nobody gave it.

/// The name of the header, and of the extension attribute of an envelope.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// Bytes of `VERSION-TRACE-SPAN-FLAGS`.
const BYTES: usize = 55;

/// Whether `text` names a span of a trace. A later version than `00` may say more behind it.
pub(crate) fn is_well_formed(text: &str) -> bool {
    let Some((context, more)) = text.split_at_checked(BYTES) else { return false };
    let mut fields = context.split('-');
    let mut field = |digits: usize| {
        fields.next().filter(|field| field.len() == digits && field.bytes().all(is_digit))
    };
    let (Some(version), Some(trace), Some(span), Some(_flags)) =
        (field(2), field(32), field(16), field(2))
    else {
        return false;
    };
    let may_end_so = more.is_empty() || (version != "00" && more.starts_with('-'));
    version != "ff" && !is_zero(trace) && !is_zero(span) && may_end_so
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

fn is_zero(id: &str) -> bool {
    id.bytes().all(|byte| byte == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn a_context_of_this_version_or_a_later_one_is_well_formed() {
        for good in [
            format!("00-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-ff"),
            format!("00-{:0>32}-{:0>16}-00", 1, 1),
            format!("01-{TRACE}-{SPAN}-01"),
            format!("fe-{TRACE}-{SPAN}-01-what-comes-later"),
        ] {
            assert!(is_well_formed(&good), "{good}");
        }
    }

    #[test]
    fn anything_else_is_not() {
        let (no_trace, no_span) = ("0".repeat(32), "0".repeat(16));
        for bad in [
            String::new(),
            TRACE.to_owned(),
            format!("{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("000-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", &TRACE[1..]),
            format!("00-1-{SPAN}-01"),
            format!("00-{TRACE}0-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &SPAN[1..]),
            format!("00-{TRACE}-{SPAN}0-01"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-001"),
            // As long as a good one, with the dashes elsewhere.
            format!("00-{}-{SPAN}0-01", &TRACE[1..]),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("00-{TRACE}-{SPAN}-0A"),
            format!("00-+{}-{SPAN}-01", &TRACE[1..]),
            format!("00-{TRACE}-{SPAN}-zz"),
            format!("zz-{TRACE}-{SPAN}-01"),
            format!("00-{no_trace}-{SPAN}-01"),
            format!("00-{TRACE}-{no_span}-01"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-01"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("01-{TRACE}-{SPAN}-01.more"),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-é"),
        ] {
            assert!(!is_well_formed(&bad), "{bad}");
        }
    }
}
