//! The events that a user is told of.

/// An event worth a notification. Payment events are not among them: the order events that
/// follow tell the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// The account was registered.
    UserRegistered,
    /// The password was changed.
    PasswordChanged,
    /// The account was disabled.
    UserDisabled,
    /// A login began a session.
    SessionStarted,
    /// A refresh token was used twice.
    TokenReuseDetected,
    /// An order was placed.
    OrderCreated,
    /// An order was paid.
    OrderPaid,
    /// A payment was declined.
    OrderPaymentFailed,
    /// An order was cancelled.
    OrderCancelled,
    /// An order was not paid in time.
    OrderExpired,
    /// An order was shipped.
    OrderShipped,
    /// An order was completed.
    OrderCompleted,
    /// A refund was asked for.
    OrderRefunding,
    /// The money went back.
    OrderRefunded,
}

impl Topic {
    /// Every topic, in the order in which preferences list them.
    pub const ALL: [Self; 14] = [
        Self::UserRegistered,
        Self::PasswordChanged,
        Self::UserDisabled,
        Self::SessionStarted,
        Self::TokenReuseDetected,
        Self::OrderCreated,
        Self::OrderPaid,
        Self::OrderPaymentFailed,
        Self::OrderCancelled,
        Self::OrderExpired,
        Self::OrderShipped,
        Self::OrderCompleted,
        Self::OrderRefunding,
        Self::OrderRefunded,
    ];

    /// The event's routing key.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserRegistered => "user.registered",
            Self::PasswordChanged => "user.password_changed",
            Self::UserDisabled => "user.disabled",
            Self::SessionStarted => "auth.session_started",
            Self::TokenReuseDetected => "auth.token_reuse_detected",
            Self::OrderCreated => "order.created",
            Self::OrderPaid => "order.paid",
            Self::OrderPaymentFailed => "order.payment_failed",
            Self::OrderCancelled => "order.cancelled",
            Self::OrderExpired => "order.expired",
            Self::OrderShipped => "order.shipped",
            Self::OrderCompleted => "order.completed",
            Self::OrderRefunding => "order.refunding",
            Self::OrderRefunded => "order.refunded",
        }
    }

    /// Finds the topic of a routing key; `None` for an event that nobody is told of.
    pub fn find(event: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == event)
    }

    /// Whether the user may switch the topic off. What warns of a stolen account stays on.
    pub const fn can_be_muted(self) -> bool {
        !matches!(self, Self::PasswordChanged | Self::UserDisabled | Self::TokenReuseDetected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_topics_read_back() {
        for topic in Topic::ALL {
            assert_eq!(Topic::find(topic.as_str()), Some(topic));
        }
        assert_eq!(Topic::find("payment.succeeded"), None);
    }

    #[test]
    fn every_topic_is_an_event_of_the_fleet() {
        for topic in Topic::ALL {
            assert!(proto::events::schema(topic.as_str()).is_some(), "{topic:?}");
        }
    }
}
