//! Which services may call which method: the gateway, and nobody else.

use chassis::grpc::Callers;

const GATEWAY: &str = "gateway-service";

/// The table. A method without a line is for nobody.
pub const CALLERS: Callers = Callers::new(&[
    ("/enterprisehub.order.v1.OrderService/ListProducts", &[GATEWAY]),
    ("/enterprisehub.order.v1.OrderService/GetProduct", &[GATEWAY]),
    ("/enterprisehub.order.v1.OrderService/PutProduct", &[GATEWAY]),
    ("/enterprisehub.order.v1.OrderService/CreateOrder", &[GATEWAY]),
    ("/enterprisehub.order.v1.OrderService/GetOrder", &[GATEWAY]),
    ("/enterprisehub.order.v1.OrderService/ListOrders", &[GATEWAY]),
    ("/enterprisehub.order.v1.OrderService/PayOrder", &[GATEWAY]),
    ("/enterprisehub.order.v1.OrderService/CancelOrder", &[GATEWAY]),
    ("/enterprisehub.order.v1.OrderService/RefundOrder", &[GATEWAY]),
    ("/enterprisehub.order.v1.OrderService/ShipOrder", &[GATEWAY]),
    ("/enterprisehub.order.v1.OrderService/CompleteOrder", &[GATEWAY]),
    ("/enterprisehub.order.v1.OrderService/GetTimeline", &[GATEWAY]),
    ("/enterprisehub.order.v1.OrderService/ListStuckOrders", &[GATEWAY]),
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_its_line() {
        chassis::testing::callers::assert_complete(
            &CALLERS,
            proto::FILE_DESCRIPTOR_SET,
            "enterprisehub.order.v1.OrderService",
        );
    }
}
