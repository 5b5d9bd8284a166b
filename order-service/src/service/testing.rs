//! A service over memory adapters, with a clock that the test moves.

use std::sync::Arc;

use chassis::testing::clock::FixedClock;
use chrono::TimeDelta;

use super::{CancelOrder, CreateOrder, OrderService, Policy, Ports};
use crate::client::memory::MemoryPaymentGateway;
use crate::model::{
    Cart, IdempotencyKey, Order, OrderId, PaymentCase, PaymentId, PaymentMethod, Requester, Role,
    Sku, UserId, fixtures,
};
use crate::repository::memory::MemoryRepository;
use crate::repository::{OrderRepository as _, Placed, ProductRepository as _};

/// Everything that a test of a use case looks at.
pub(super) struct World {
    pub(super) service: OrderService,
    pub(super) payments: Arc<MemoryPaymentGateway>,
    repository: Arc<MemoryRepository>,
    clock: Arc<FixedClock>,
}

impl World {
    /// A world with one product.
    pub(super) async fn with_product(sku: &str, price: i64, stock: u32) -> Self {
        let repository = Arc::new(MemoryRepository::default());
        let payments = Arc::new(MemoryPaymentGateway::default());
        let clock = Arc::new(FixedClock::default());
        let ports = Ports {
            products: repository.clone(),
            orders: repository.clone(),
            work: repository.clone(),
            payments: payments.clone(),
            clock: clock.clone(),
        };
        let service = OrderService::new(ports, Policy::default());
        service.put_product(&fixtures::draft(sku, price, stock)).await.unwrap();
        Self { service, payments, repository, clock }
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.service.policy
    }

    pub(super) fn advance(&self, by: TimeDelta) {
        self.clock.advance(by);
    }

    pub(super) async fn stock(&self, sku: &str) -> u32 {
        let sku = Sku::parse(sku, "sku").unwrap();
        self.repository.find_product(&sku).await.unwrap().unwrap().stock
    }

    pub(super) async fn order(&self, id: OrderId) -> Order {
        self.repository.find_order(id).await.unwrap().unwrap()
    }

    pub(super) async fn case(&self, id: PaymentId) -> PaymentCase {
        self.repository.find_cases(&[id]).await.unwrap().pop().unwrap()
    }

    pub(super) fn event_names(&self) -> Vec<String> {
        self.repository.events().iter().map(|event| event.event().to_owned()).collect()
    }

    /// Does the first half of a call and dies.
    pub(super) async fn abandon(&self, command: CreateOrder) -> PaymentCase {
        let placement = self.service.placement(command, self.service.now());
        match self.repository.place(&placement).await.unwrap() {
            Placed::Fresh(case) => *case,
            other => panic!("{other:?}"),
        }
    }
}

/// A call of a new user under a new key.
pub(super) fn create(sku: &str, quantity: u32, method: &str) -> CreateOrder {
    CreateOrder {
        user_id: UserId::generate(),
        cart: Cart::parse(&[(sku, quantity)]).unwrap(),
        method: PaymentMethod::parse(method).unwrap(),
        key: key(),
    }
}

/// The owner cancels under a new key.
pub(super) fn cancel(order: &Order) -> CancelOrder {
    CancelOrder { requester: owner_of(order), order_id: order.id, key: key() }
}

/// A new key.
pub(super) fn key() -> IdempotencyKey {
    IdempotencyKey::parse(&UserId::generate().to_string()).unwrap()
}

pub(super) fn owner_of(order: &Order) -> Requester {
    Requester { user_id: order.user_id, role: Role::Customer }
}

pub(super) fn admin() -> Requester {
    Requester { user_id: UserId::generate(), role: Role::Admin }
}
