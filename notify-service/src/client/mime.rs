//! Messages in the form of RFC 5322, plain text in UTF-8, written by lettre.

use lettre::Address;
use lettre::address::AddressError;
use lettre::message::header::{
    self, ContentTransferEncoding, ContentType, HeaderName, HeaderValue, Headers,
};
use lettre::message::{Body, Mailbox, Mailboxes};

use super::MailError;
use crate::model::Letter;

/// "Mailbox name not allowed": what a server answers who does not know such addresses.
pub(super) const ADDRESS_NOT_ALLOWED: u16 = 553;
/// Longest line of a text that is not encoded, in bytes without its end (RFC 5322, 2.1.1).
const LINE_MAX: usize = 998;

/// Who sends.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The name that is shown.
    pub name: String,
    /// The address; also what undeliverable messages come back to.
    pub address: String,
}

impl Sender {
    /// The address as messages and sessions have it, if it can be one.
    pub fn parsed(&self) -> Result<Address, AddressError> {
        self.address.parse()
    }

    /// The domain of the address, which makes identities of messages unique.
    pub(super) fn domain(&self) -> &str {
        self.address.rsplit_once('@').map_or("localhost", |(_, domain)| domain)
    }

    /// The name without what is not shown: lettre panics at a name of two lines.
    fn shown_name(&self) -> Option<String> {
        let name: String = self.name.chars().filter(|c| !c.is_control()).collect();
        Some(name).filter(|name| !name.is_empty())
    }
}

/// A message as it is handed on.
pub(super) struct Message {
    /// Whose it is.
    pub(super) from: Address,
    /// Whom it is for.
    pub(super) to: Address,
    /// Headers and body, with the line ends of RFC 5322.
    pub(super) bytes: Vec<u8>,
}

/// Writes a message; a text that does not fit the encoding gets one that it fits. An address that no
/// header can have is refused for good.
pub(super) fn write(
    letter: &Letter,
    sender: &Sender,
    encoding: ContentTransferEncoding,
) -> Result<Message, MailError> {
    let to: Address =
        letter.to.parse().map_err(|_| MailError::Refused { code: ADDRESS_NOT_ALLOWED })?;
    let from = sender.parsed().map_err(MailError::unavailable)?;
    let body = body(&letter.text, encoding);
    let mailboxes = |name, address: &Address| Mailboxes::from(Mailbox::new(name, address.clone()));
    let auto_submitted = HeaderName::new_from_ascii_str("Auto-Submitted");
    // Not by lettre's builder, which reads the headers that it has written to find the envelope: it
    // writes names that it does not read.
    let mut headers = Headers::new();
    headers.set(header::From::from(mailboxes(sender.shown_name(), &from)));
    headers.set(header::To::from(mailboxes(None, &to)));
    headers.set(header::Subject::from(letter.subject.to_owned()));
    headers.set(header::Date::new(letter.date.into()));
    headers.set(header::MessageId::from(format!("<{}@{}>", letter.id, sender.domain())));
    headers.insert_raw(HeaderValue::new(auto_submitted, "auto-generated".to_owned()));
    headers.set(header::MIME_VERSION_1_0);
    headers.set(ContentType::TEXT_PLAIN);
    headers.set(body.encoding());
    let mut bytes = format!("{headers}\r\n").into_bytes();
    bytes.extend(body.into_vec());
    Ok(Message { from, to, bytes })
}

/// A text as the body of a message. lettre by itself leaves only lines of up to 76 characters as they are,
/// and a line with a link is longer.
fn body(text: &str, encoding: ContentTransferEncoding) -> Body {
    let as_it_is = matches!(encoding, ContentTransferEncoding::EightBit);
    if as_it_is && text.lines().all(|line| line.len() <= LINE_MAX) {
        return Body::dangerous_pre_encoded(text.replace('\n', "\r\n").into_bytes(), encoding);
    }
    let encoded = Body::new_with_encoding(text.to_owned(), ContentTransferEncoding::Base64);
    encoded.unwrap_or_else(Body::new)
}

#[cfg(test)]
pub(super) mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
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

    fn written(letter: &Letter, sender: &Sender, encoding: ContentTransferEncoding) -> String {
        String::from_utf8(write(letter, sender, encoding).unwrap().bytes).unwrap()
    }

    /// What the encoded words of a header say.
    fn decoded(header: &str) -> String {
        let words = header.split("=?utf-8?b?").skip(1).map(|word| {
            let encoded = word.split_once("?=").unwrap().0;
            String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
        });
        words.collect()
    }

    #[test]
    fn a_message_has_its_headers_and_its_text() {
        let link = format!("https://hub.example/#token={}", "x".repeat(100));
        let letter = letter(&format!("您好\n\n{link}\n"));
        let text = written(&letter, &sender(), ContentTransferEncoding::EightBit);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, format!("您好\r\n\r\n{link}\r\n"));
        let id = format!("Message-ID: <{}@hub.example>", letter.id);
        for line in [
            "From: \"Enterprise Hub\" <no-reply@hub.example>",
            "To: alice@example.com",
            "Date: Fri, 02 Jan 2026 03:04:05 +0000",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: 8bit",
            &id,
        ] {
            assert!(head.split("\r\n").any(|found| found == line), "{line}: {head}");
        }
        let subject = head.split("\r\n").find(|line| line.starts_with("Subject: ")).unwrap();
        assert_eq!(decoded(subject), letter.subject);
    }

    #[test]
    fn a_body_in_base64_reads_back_and_its_lines_are_short() {
        let long = "长长的文字，".repeat(100);
        let text = written(&letter(&long), &sender(), ContentTransferEncoding::Base64);
        assert!(text.is_ascii());
        assert!(text.split("\r\n").all(|line| line.len() <= 78), "{text}");
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        let decoded = STANDARD.decode(body.replace("\r\n", "")).unwrap();
        assert_eq!(String::from_utf8(decoded).unwrap(), long);
    }

    #[test]
    fn a_text_whose_lines_are_too_long_for_its_encoding_gets_another_one() {
        let long = "长".repeat(1000);
        let text = written(&letter(&long), &sender(), ContentTransferEncoding::EightBit);
        assert!(text.contains("Content-Transfer-Encoding: base64\r\n"), "{text}");
    }

    #[test]
    fn a_long_header_is_folded_between_characters() {
        let sender = Sender { name: "名".repeat(50), ..sender() };
        let text = written(&letter("x"), &sender, ContentTransferEncoding::Base64);
        let from = text.split_once("\r\nTo: ").unwrap().0;
        assert!(from.split("\r\n").all(|line| line.len() <= 78), "{from}");
        assert_eq!(decoded(from), "名".repeat(50));
    }

    #[test]
    fn nothing_becomes_another_header() {
        for name in ["Hub\r\nBcc: eve@example.com", "Hub\nBcc: eve@example.com", "\r\n", ""] {
            let sender = Sender { name: name.to_owned(), ..sender() };
            let text = written(&letter("x"), &sender, ContentTransferEncoding::Base64);
            let head = text.split_once("\r\n\r\n").unwrap().0;
            assert_eq!(head.split("\r\n").count(), 9, "{head}");
            assert!(head.split("\r\n").all(|line| !line.starts_with("Bcc")), "{head}");
        }
        for to in ["a@x.example\r\nBcc: b@x.example", "a@x.example>\r\nRCPT TO:<b@x.example", "a"] {
            let letter = Letter { to: to.to_owned(), ..letter("x") };
            let refused = write(&letter, &sender(), ContentTransferEncoding::Base64).err();
            let code = ADDRESS_NOT_ALLOWED;
            assert!(matches!(refused, Some(MailError::Refused { code: c }) if c == code), "{to}");
        }
    }
}
