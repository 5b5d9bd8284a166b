//! What an account may do.

use std::collections::BTreeSet;

/// A role of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// May act on all accounts and operate the fleet.
    Admin,
    /// May order and pay.
    Customer,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 2] = [Self::Admin, Self::Customer];

    /// Reads a role exactly as [`Role::as_str`] writes it.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// The role's name in tokens and APIs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Customer => "customer",
        }
    }
}

/// The roles of an account: at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles(BTreeSet<Role>);

impl Roles {
    /// Collects roles; naming one twice makes no difference. `None` when there is none.
    pub fn new(roles: impl IntoIterator<Item = Role>) -> Option<Self> {
        let roles: BTreeSet<Role> = roles.into_iter().collect();
        (!roles.is_empty()).then_some(Self(roles))
    }

    /// What everyone gets at registration.
    pub fn customer() -> Self {
        Self(BTreeSet::from([Role::Customer]))
    }

    /// What the first administrator gets.
    pub fn administrator() -> Self {
        Self(BTreeSet::from([Role::Admin, Role::Customer]))
    }

    /// Tells whether `role` is among them.
    pub fn contains(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// The roles, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = Role> + '_ {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_exactly() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        assert_eq!(Role::parse("Admin"), None);
    }

    #[test]
    fn an_account_has_at_least_one_role() {
        assert_eq!(Roles::new([]), None);
        let twice = Roles::new([Role::Customer, Role::Admin, Role::Customer]).unwrap();
        assert_eq!(twice, Roles::administrator());
    }
}
