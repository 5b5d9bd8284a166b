//! Messages by e-mail: the links that only the owner of an address may see. They are in no inbox, which
//! whoever steals a session can read.

use std::fmt;

use chassis::config::Secret;
use chrono::{DateTime, Utc};

use super::{Death, Locale, UserId};

chassis::id_type!(
    /// Identity of a message.
    MailId,
    "mail id"
);

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailKind {
    /// Proving an address.
    VerifyEmail,
    /// Putting another password in force.
    RecoverPassword,
}

impl MailKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::VerifyEmail, Self::RecoverPassword];

    /// The event that asks for it, which is also its routing key.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "user.verification_requested",
            Self::RecoverPassword => "user.recovery_requested",
        }
    }

    /// Finds the kind that an event asks for, if it asks for one.
    pub fn find(event: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == event)
    }
}

/// What an event asks to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailOrder {
    /// What it is for.
    pub kind: MailKind,
    /// The language to write in.
    pub locale: Locale,
    /// Address and token, sealed under the event's id.
    pub sealed: Vec<u8>,
    /// When the link is good for nothing any more.
    pub expires_at: DateTime<Utc>,
}

/// A message that waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Identity; also that of the message itself, so that one sent twice is recognised.
    pub id: MailId,
    /// The event that asked for it.
    pub event_id: String,
    /// Whose account.
    pub user_id: UserId,
    /// What is to be sent.
    pub order: MailOrder,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
}

/// A message that somebody has taken to send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenMail {
    /// The message.
    pub mail: Mail,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Attempts before it was last put back to be sent; 0 if it never was.
    pub earlier: u32,
}

impl TakenMail {
    /// Which attempt this is since it was last put back, from 1.
    pub const fn tries(&self) -> u32 {
        self.attempt.saturating_sub(self.earlier)
    }
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailOutcome {
    /// Somebody else has the message now.
    Sent,
    /// It is tried again at this time.
    Waits(DateTime<Utc>),
    /// It is given up, unless an administrator has it sent before its link is over.
    Dead(Death),
}

/// What is sealed in an order.
#[derive(Debug)]
pub struct Delivery {
    /// The address as its owner writes it.
    pub address: String,
    /// The token.
    pub token: Secret,
}

/// A message as it is sent. Its `Debug` form shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter {
    /// Identity, unique and the same at every attempt.
    pub id: MailId,
    /// The address to send it to.
    pub to: String,
    /// One line.
    pub subject: &'static str,
    /// The text, with the link.
    pub text: String,
    /// When it was asked for.
    pub date: DateTime<Utc>,
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Letter(***)")
    }
}

/// Whether a text can be an address in a header and in a command: whatever was sealed, it does not
/// become two recipients or two commands.
pub fn is_safe_address(address: &str) -> bool {
    let is_allowed =
        |c: char| !c.is_control() && !c.is_whitespace() && !"<>,;:\"\\()[]".contains(c);
    let has_both_parts = |(local, domain): (&str, &str)| !local.is_empty() && !domain.is_empty();
    // Twice as long as one may be (RFC 5321), in bytes: what is compared is counted otherwise.
    address.len() <= 1016
        && address.chars().all(is_allowed)
        && address.rsplit_once('@').is_some_and(has_both_parts)
}

/// Words a message; `page` is where the link leads. The token stands behind `#`, which browsers keep to
/// themselves: no server's log and no `Referer` has it.
pub fn compose(mail: &Mail, delivery: &Delivery, page: &str) -> Letter {
    let link = format!("{page}#token={}", delivery.token.expose());
    let until = mail.order.expires_at.format("%Y-%m-%d %H:%M UTC").to_string();
    let (subject, text) = match (mail.order.kind, mail.order.locale) {
        (MailKind::VerifyEmail, Locale::En) => (
            "Confirm your e-mail address",
            "Somebody gave this address for an account. If it was you, open this link to confirm \
             that the address is yours:",
        ),
        (MailKind::VerifyEmail, Locale::ZhCn) => {
            ("请确认您的邮箱", "有人用此邮箱登记了账户。如果是您本人，请打开以下链接确认：")
        }
        (MailKind::RecoverPassword, Locale::En) => (
            "Choose another password",
            "Somebody asked for another password for the account with this address. If it was you, \
             open this link to choose one; all sessions end then:",
        ),
        (MailKind::RecoverPassword, Locale::ZhCn) => (
            "重设密码",
            "有人为此邮箱的账户申请重设密码。如果是您本人，请打开以下链接设置新密码；设置后所有会话都会结束：",
        ),
    };
    let rest = match mail.order.locale {
        Locale::En => {
            format!("It is good once, until {until}. If it was not you, ignore this message.")
        }
        Locale::ZhCn => {
            format!("链接仅可使用一次，{until} 前有效。如果不是您本人操作，请忽略此邮件。")
        }
    };
    let text = format!("{text}\n\n{link}\n\n{rest}\n");
    Letter { id: mail.id, to: delivery.address.clone(), subject, text, date: mail.created_at }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(kind: MailKind, locale: Locale) -> Mail {
        let id = MailId::generate();
        Mail {
            id,
            event_id: format!("{}:{id}:1", kind.as_str()),
            user_id: UserId::generate(),
            order: MailOrder {
                kind,
                locale,
                sealed: vec![1; 80],
                expires_at: DateTime::from_timestamp(1_767_326_645, 0).unwrap(),
            },
            created_at: DateTime::from_timestamp(1_767_323_045, 0).unwrap(),
        }
    }

    #[test]
    fn a_message_has_the_link_and_the_time_in_every_language() {
        let delivery = Delivery {
            address: "alice@example.com".to_owned(),
            token: Secret::new("the-secret-token"),
        };
        let mut subjects = Vec::new();
        for kind in MailKind::ALL {
            for locale in [Locale::En, Locale::ZhCn] {
                let letter = compose(&mail(kind, locale), &delivery, "https://hub.example/page");
                assert!(
                    letter.text.contains("\nhttps://hub.example/page#token=the-secret-token\n")
                );
                assert!(letter.text.contains("2026-01-02 04:04 UTC"), "{}", letter.text);
                assert_eq!(letter.to, "alice@example.com");
                subjects.push(letter.subject);
                assert!(!format!("{letter:?} {delivery:?}").contains("the-secret-token"));
            }
        }
        subjects.dedup();
        assert_eq!(subjects.len(), 4);
    }

    #[test]
    fn kinds_are_events_and_no_topics_of_an_inbox() {
        for kind in MailKind::ALL {
            assert_eq!(MailKind::find(kind.as_str()), Some(kind));
            assert!(proto::events::schema(kind.as_str()).is_some());
            assert_eq!(crate::model::Topic::find(kind.as_str()), None);
        }
        assert_eq!(MailKind::find("order.paid"), None);
    }

    #[test]
    fn what_could_become_another_recipient_or_command_is_no_address() {
        for good in ["alice@example.com", "éva+shop@example.com", "a'b@x.example"] {
            assert!(is_safe_address(good), "{good}");
        }
        let long = format!("{}@example.com", "a".repeat(1100));
        for bad in [
            "",
            "alice",
            "@example.com",
            "alice@",
            "alice@example.com\r\nBcc: eve@example.com",
            "alice@example.com>\r\nRCPT TO:<eve@example.com",
            "alice@example.com, eve@example.com",
            "al ice@example.com",
            "alice\0@example.com",
            "<alice@example.com>",
            "alice@\u{2028}example.com",
            &long,
        ] {
            assert!(!is_safe_address(bad), "{bad:?}");
        }
    }
}
