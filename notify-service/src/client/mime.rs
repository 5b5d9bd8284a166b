//! Messages in the form of RFC 5322, plain text in UTF-8.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::model::Letter;

/// Longest line of a base64 body (RFC 2045).
const LINE_MAX: usize = 76;
/// Bytes of text in one encoded word of a header, so that its line stays short (RFC 2047).
const WORD_BYTES_MAX: usize = 42;

/// Who sends.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The name that is shown.
    pub name: String,
    /// The address; also what undeliverable messages come back to.
    pub address: String,
}

impl Sender {
    /// The domain of the address, which makes identities of messages unique.
    pub(super) fn domain(&self) -> &str {
        self.address.rsplit_once('@').map_or("localhost", |(_, domain)| domain)
    }
}

/// How the text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As it is, for people who open the file.
    EightBit,
    /// In base64, which every server passes on as it is.
    Base64,
}

/// Writes a message, with the line ends of RFC 5322.
pub(super) fn write(letter: &Letter, sender: &Sender, encoding: Encoding) -> String {
    let (encoding_name, body) = match encoding {
        Encoding::EightBit => ("8bit", letter.text.replace('\n', "\r\n")),
        Encoding::Base64 => ("base64", wrapped(&STANDARD.encode(&letter.text))),
    };
    let headers = [
        ("From", format!("{} <{}>", words(&sender.name), sender.address)),
        ("To", format!("<{}>", letter.to)),
        ("Subject", words(letter.subject)),
        ("Date", letter.date.format("%a, %d %b %Y %H:%M:%S +0000").to_string()),
        ("Message-ID", format!("<{}@{}>", letter.id, sender.domain())),
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("MIME-Version", "1.0".to_owned()),
        ("Content-Type", "text/plain; charset=utf-8".to_owned()),
        ("Content-Transfer-Encoding", encoding_name.to_owned()),
    ];
    let lines = headers.map(|(name, value)| format!("{name}: {value}\r\n"));
    format!("{}\r\n{body}", lines.concat())
}

/// A text for a header: as it is, or in encoded words.
fn words(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " '-.!".contains(c);
    if text.chars().all(is_plain) {
        return text.to_owned();
    }
    let mut words = vec![String::new()];
    for c in text.chars() {
        let is_full = words.last().is_none_or(|word| word.len() + c.len_utf8() > WORD_BYTES_MAX);
        if is_full {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    let encoded = words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word)));
    encoded.collect::<Vec<_>>().join("\r\n ")
}

fn wrapped(encoded: &str) -> String {
    let mut lines = String::new();
    for (at, c) in encoded.chars().enumerate() {
        if at > 0 && at % LINE_MAX == 0 {
            lines.push_str("\r\n");
        }
        lines.push(c);
    }
    lines.push_str("\r\n");
    lines
}

#[cfg(test)]
pub(super) mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::model::MailId;

    pub(crate) fn letter(text: &str) -> Letter {
        Letter {
            id: MailId::generate(),
            to: "alice@example.com".to_owned(),
            subject: "请确认您的邮箱",
            text: text.to_owned(),
            date: DateTime::from_timestamp(1_767_323_045, 0).unwrap(),
        }
    }

    pub(crate) fn sender() -> Sender {
        Sender { name: "Enterprise Hub".to_owned(), address: "no-reply@hub.example".to_owned() }
    }

    #[test]
    fn a_message_has_its_headers_and_its_text() {
        let letter = letter("您好\nhttps://hub.example/#token=x\n");
        let text = write(&letter, &sender(), Encoding::EightBit);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "您好\r\nhttps://hub.example/#token=x\r\n");
        let id = format!("Message-ID: <{}@hub.example>", letter.id);
        for line in [
            "From: Enterprise Hub <no-reply@hub.example>",
            "To: <alice@example.com>",
            "Date: Fri, 02 Jan 2026 03:04:05 +0000",
            "Subject: =?utf-8?B?6K+356Gu6K6k5oKo55qE6YKu566x?=",
            &id,
        ] {
            assert!(head.lines().any(|found| found == line), "{line}: {head}");
        }
    }

    #[test]
    fn a_body_in_base64_reads_back_and_its_lines_are_short() {
        let long = "长长的文字，".repeat(100);
        let text = write(&letter(&long), &sender(), Encoding::Base64);
        assert!(text.is_ascii());
        assert!(text.split("\r\n").all(|line| line.len() <= 78 || line.starts_with("Subject")));
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        let decoded = STANDARD.decode(body.replace("\r\n", "")).unwrap();
        assert_eq!(String::from_utf8(decoded).unwrap(), long);
    }

    #[test]
    fn a_long_header_is_folded_between_characters() {
        let folded = words(&"名".repeat(50));
        let parts: String = folded
            .split("\r\n ")
            .map(|word| {
                assert!(word.len() <= 75, "{word}");
                let encoded = word.strip_prefix("=?utf-8?B?").unwrap().strip_suffix("?=").unwrap();
                String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
            })
            .collect();
        assert_eq!(parts, "名".repeat(50));
        assert!(words("Hub\r\nBcc: eve@example.com").starts_with("=?utf-8?B?"), "no second header");
    }
}
