//! What is written about one change.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::auth::Caller;
use crate::grpc::context;

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A user, in their own right.
    User(Uuid),
    /// A user with the administrator's role.
    Admin(Uuid),
    /// A service, or a part of one that has this name.
    System(Cow<'static, str>),
}

impl Actor {
    /// A service, or a part of one.
    pub const fn system(name: &'static str) -> Self {
        Self::System(Cow::Borrowed(name))
    }

    /// The caller of the call that is being served.
    pub fn current() -> Option<Self> {
        context::caller().as_ref().map(Self::of)
    }

    /// A verified caller.
    pub fn of(caller: &Caller) -> Self {
        if caller.is_admin() { Self::Admin(caller.user_id) } else { Self::User(caller.user_id) }
    }

    /// The user, if it is one.
    pub const fn user_id(&self) -> Option<Uuid> {
        match self {
            Self::User(id) | Self::Admin(id) => Some(*id),
            Self::System(_) => None,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Admin(id) => write!(f, "admin:{id}"),
            Self::System(name) => write!(f, "system:{name}"),
        }
    }
}

/// One change of one object.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(super) action: &'static str,
    pub(super) object: String,
    pub(super) user_id: Option<Uuid>,
    pub(super) actor: Option<Actor>,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
    pub(super) is_first: bool,
}

impl Entry {
    /// An `action` in the past tense, such as `user.disabled`, on the object `kind:id`.
    ///
    /// It is the caller of the current call who did it, or else the service itself.
    pub fn new(action: &'static str, kind: &'static str, id: impl fmt::Display) -> Self {
        Self {
            action,
            object: format!("{kind}:{id}"),
            user_id: None,
            actor: None,
            before: None,
            after: None,
            is_first: false,
        }
    }

    /// Names the user whom the change concerns.
    #[must_use]
    pub fn about(self, user_id: Uuid) -> Self {
        Self { user_id: Some(user_id), ..self }
    }

    /// Names who did it, where the call itself does not say so.
    #[must_use]
    pub fn by(self, actor: Actor) -> Self {
        Self { actor: Some(actor), ..self }
    }

    /// What it was before.
    #[must_use]
    pub fn before(self, members: &[(&str, Value)]) -> Self {
        Self { before: Some(object(members)), ..self }
    }

    /// What it is now.
    #[must_use]
    pub fn after(self, members: &[(&str, Value)]) -> Self {
        Self { after: Some(object(members)), ..self }
    }

    /// The object's log begins with this entry: nothing can be there before it, so nothing is looked
    /// for.
    #[must_use]
    pub fn first(self) -> Self {
        Self { is_first: true, ..self }
    }

    /// What was done.
    pub const fn action(&self) -> &'static str {
        self.action
    }

    /// To what, as `kind:id`.
    pub fn object(&self) -> &str {
        &self.object
    }
}

/// JSON with its members in order, so that it reads the same everywhere.
fn object(members: &[(&str, Value)]) -> String {
    let members: Map<String, Value> =
        members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Value::Object(members).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Caller {
        Caller { user_id: Uuid::nil(), session_id: Uuid::nil(), roles: Vec::new() }
    }

    #[test]
    fn an_actor_says_in_which_capacity_somebody_acts() {
        let holding = |roles: &[&str]| Caller {
            roles: roles.iter().map(ToString::to_string).collect(),
            ..caller()
        };
        let nil = "00000000-0000-0000-0000-000000000000";
        assert_eq!(Actor::of(&holding(&["customer"])).to_string(), format!("user:{nil}"));
        assert_eq!(Actor::of(&holding(&["admin"])).to_string(), format!("admin:{nil}"));
        assert_eq!(Actor::system("bootstrap").to_string(), "system:bootstrap");
        assert_eq!(Actor::of(&caller()).user_id(), Some(Uuid::nil()));
        assert_eq!(Actor::system("bootstrap").user_id(), None);
    }

    #[tokio::test]
    async fn whoever_calls_is_the_actor_within_the_call_alone() {
        let within = context::scope_caller(caller(), async { Actor::current() }).await;
        assert_eq!(within, Some(Actor::User(Uuid::nil())));
        assert_eq!(Actor::current(), None, "outside of any call");
    }

    #[test]
    fn states_are_json_objects() {
        let entry = Entry::new("product.changed", "product", "TEA-1")
            .before(&[("price", 100.into())])
            .after(&[("price", 200.into()), ("currency", "CNY".into())]);
        assert_eq!((entry.action(), entry.object()), ("product.changed", "product:TEA-1"));
        assert_eq!(entry.before.as_deref(), Some(r#"{"price":100}"#));
        assert_eq!(entry.after.as_deref(), Some(r#"{"currency":"CNY","price":200}"#));
    }
}
