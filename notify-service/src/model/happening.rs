//! An event of another service, as far as a notification needs it.

use uuid::Uuid;

use super::{Locale, MailOrder, Topic, UserId};

/// Something that happened to a user or to what belongs to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// The event's id, unique and deterministic.
    pub event_id: String,
    /// The event, such as `order.paid`.
    pub event: String,
    /// What the user is told of; `None` when the event only tells this service something of them.
    pub topic: Option<Topic>,
    /// The aggregate it happened to.
    pub subject: Uuid,
    /// The aggregate's version after it.
    pub version: u64,
    /// Who is told.
    pub user_id: UserId,
    /// W3C trace id of the work that the event tells of; empty if there was none.
    pub trace_id: String,
    /// What the wording needs.
    pub facts: Facts,
    /// What is to be sent by e-mail, if the event asks for that.
    pub mail: Option<MailOrder>,
}

impl Happening {
    /// The language the event tells of the user, if it does.
    pub fn told_locale(&self) -> Option<Locale> {
        self.facts.locale
    }
}

/// The variable parts of a notification's wording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The language to write in from now on.
    pub locale: Option<Locale>,
    /// The name chosen at registration.
    pub display_name: Option<String>,
    /// Why a payment failed, in the provider's words.
    pub failure_reason: Option<String>,
}
