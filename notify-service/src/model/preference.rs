//! What a user wants to be told, and over which channel.

use std::collections::BTreeSet;

use chassis::error::{Invalid, Validator};

use super::Topic;

/// A way to reach a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// The inbox inside the product.
    InApp,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 1] = [Self::InApp];

    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InApp => "in_app",
        }
    }

    /// Finds a channel by its name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == name)
    }
}

/// How many switches there are.
const SWITCHES_MAX: usize = Topic::ALL.len() * Channel::ALL.len();

/// One switch of a user's preferences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preference {
    /// What it is about.
    pub topic: Topic,
    /// Which channel it switches.
    pub channel: Channel,
    /// Whether the user wants it.
    pub enabled: bool,
}

/// A user's preferences: what is muted, everything else being on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preferences {
    muted: BTreeSet<(Topic, Channel)>,
}

impl Preferences {
    /// Wraps what is known to be muted, such as stored rows.
    pub fn from_muted(muted: impl IntoIterator<Item = (Topic, Channel)>) -> Self {
        Self { muted: muted.into_iter().collect() }
    }

    /// Reads the switches a user sends; those not named are on.
    pub fn parse<'a, I>(switches: I) -> Result<Self, Invalid>
    where
        I: IntoIterator<Item = (&'a str, &'a str, bool), IntoIter: ExactSizeIterator>,
    {
        let switches = switches.into_iter();
        // More than there are repeat or invent some; they are not looked at one by one.
        if switches.len() > SWITCHES_MAX {
            let rule = format!("must be at most {SWITCHES_MAX}");
            return Err(Invalid::single("preferences", "TOO_MANY", rule));
        }
        let mut validator = Validator::new();
        let mut seen = BTreeSet::new();
        let mut muted = BTreeSet::new();
        for (at, (event, channel, enabled)) in switches.enumerate() {
            let field = |member: &str| format!("preferences[{at}].{member}");
            let topic = Topic::find(event);
            let channel = Channel::find(channel);
            validator.check(topic.is_some(), field("event"), "UNKNOWN", "there is no such event");
            validator.check(
                channel.is_some(),
                field("channel"),
                "UNKNOWN",
                "there is no such channel",
            );
            let (Some(topic), Some(channel)) = (topic, channel) else {
                continue;
            };
            let first = seen.insert((topic, channel));
            validator.check(first, field("event"), "DUPLICATE", "the event was named before");
            let allowed = enabled || topic.can_be_muted();
            validator.check(
                allowed,
                field("enabled"),
                "NOT_ALLOWED",
                "this event cannot be switched off",
            );
            if !enabled {
                muted.insert((topic, channel));
            }
        }
        validator.finish()?;
        Ok(Self { muted })
    }

    /// Whether the user wants to be told.
    pub fn wants(&self, topic: Topic, channel: Channel) -> bool {
        !self.muted.contains(&(topic, channel))
    }

    /// What is muted, in a fixed order.
    pub fn muted(&self) -> impl Iterator<Item = (Topic, Channel)> + '_ {
        self.muted.iter().copied()
    }

    /// Every switch there is, in a fixed order.
    pub fn switches(&self) -> Vec<Preference> {
        Topic::ALL
            .into_iter()
            .flat_map(|topic| Channel::ALL.map(|channel| (topic, channel)))
            .map(|(topic, channel)| Preference {
                topic,
                channel,
                enabled: self.wants(topic, channel),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_on_until_it_is_switched_off() {
        let preferences = Preferences::parse([("order.shipped", "in_app", false)]).unwrap();
        assert!(!preferences.wants(Topic::OrderShipped, Channel::InApp));
        assert!(preferences.wants(Topic::OrderPaid, Channel::InApp));
        assert_eq!(preferences.switches().len(), Topic::ALL.len());
        assert_eq!(Preferences::from_muted(preferences.muted()), preferences);
    }

    #[test]
    fn the_api_is_documented_to_take_what_is_taken() {
        let document = include_str!("../../../docs/openapi.json");
        let document: serde_json::Value = serde_json::from_str(document).unwrap();
        let schemas = &document["components"]["schemas"];
        let members = &schemas["PreferenceBody"]["properties"];
        let events = Topic::ALL.map(|topic| topic.as_str().replace('.', "\\.")).join("|");
        assert_eq!(members["event"]["pattern"], format!("^({events})$"));
        let channels = Channel::ALL.map(Channel::as_str).join("|");
        assert_eq!(members["channel"]["pattern"], format!("^{channels}$"));
        let switches = &schemas["PreferencesBody"]["properties"]["preferences"];
        assert_eq!(switches["maxItems"], SWITCHES_MAX);
    }

    #[test]
    fn more_switches_than_there_are_is_one_fault() {
        let all = Topic::ALL.map(|topic| (topic.as_str(), "in_app", true));
        assert_eq!(Preferences::parse(all), Ok(Preferences::default()));
        let more = vec![("order.teleported", "pigeon", false); all.len() + 1];
        let invalid = Preferences::parse(more).unwrap_err();
        let found: Vec<_> =
            invalid.violations.iter().map(|v| (v.field.as_str(), v.reason.as_str())).collect();
        assert_eq!(found, [("preferences", "TOO_MANY")]);
    }

    #[test]
    fn unknown_repeated_and_protected_switches_are_refused_by_name() {
        let switches = [
            ("order.teleported", "in_app", true),
            ("order.paid", "pigeon", true),
            ("order.paid", "in_app", true),
            ("order.paid", "in_app", false),
            ("user.password_changed", "in_app", false),
        ];
        let invalid = Preferences::parse(switches).unwrap_err();
        let found: Vec<_> =
            invalid.violations.iter().map(|v| (v.field.as_str(), v.reason.as_str())).collect();
        assert_eq!(
            found,
            [
                ("preferences[0].event", "UNKNOWN"),
                ("preferences[1].channel", "UNKNOWN"),
                ("preferences[3].event", "DUPLICATE"),
                ("preferences[4].enabled", "NOT_ALLOWED"),
            ]
        );
    }
}
