//! On whose behalf a use case runs.

use super::{Actor, Order, OrderError, UserId};

/// What the requester may do beyond their own orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sees and changes their own orders.
    Customer,
    /// Sees and changes any order.
    Admin,
}

/// A verified user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requester {
    /// Who it is.
    pub user_id: UserId,
    /// What they may do.
    pub role: Role,
}

impl Requester {
    /// Refuses an order that the requester may not know of, with the same words as one that does
    /// not exist. Otherwise tells in which capacity they act on it.
    pub fn act_on(&self, order: &Order) -> Result<Actor, OrderError> {
        match self.role {
            _ if order.user_id == self.user_id => Ok(Actor::User(self.user_id)),
            Role::Admin => Ok(Actor::Admin(self.user_id)),
            Role::Customer => Err(OrderError::OrderNotFound),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixtures;

    fn requester(user_id: UserId, role: Role) -> Requester {
        Requester { user_id, role }
    }

    #[test]
    fn owners_and_administrators_act_and_strangers_see_nothing() {
        let order = fixtures::order();
        let owner = requester(order.user_id, Role::Customer);
        assert_eq!(owner.act_on(&order).unwrap(), Actor::User(order.user_id));
        let own_order_of_admin = requester(order.user_id, Role::Admin);
        assert_eq!(own_order_of_admin.act_on(&order).unwrap(), Actor::User(order.user_id));
        let other = UserId::generate();
        let admin = requester(other, Role::Admin);
        assert_eq!(admin.act_on(&order).unwrap(), Actor::Admin(other));
        let stranger = requester(other, Role::Customer);
        assert!(matches!(stranger.act_on(&order), Err(OrderError::OrderNotFound)));
    }
}
