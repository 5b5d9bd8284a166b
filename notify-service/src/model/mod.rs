//! What notifications are: topics, wording, preferences, receipts, mails, dead letters. Does no I/O.

mod dead_letter;
mod dead_mail;
mod error;
mod happening;
mod locale;
mod mail;
mod notification;
mod preference;
mod receipt;
mod sequence;
mod template;
mod topic;

pub use dead_letter::{DeadLetter, DeadLetterId, DeadLetterStatus, Verdict};
pub use dead_mail::{DeadMail, Death, Replay};
pub use error::NotifyError;
pub use happening::{Facts, Happening};
pub use locale::Locale;
pub use mail::{
    Delivery, Letter, Mail, MailId, MailKind, MailOrder, MailOutcome, TakenMail, compose,
    is_safe_address,
};
pub use notification::{MutedNotice, Notification, NotificationId, UserId};
pub use preference::{Channel, Preference, Preferences};
pub use receipt::{Arrival, Notice, Receipt};
pub use sequence::{Memory, Sequence, gapless, sequence};
pub use template::{Wording, render};
pub use topic::Topic;
