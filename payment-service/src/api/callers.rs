//! Which services may call which method: money moves for order-service alone; the gateway brings
//! what the provider says, and shows.

use chassis::grpc::Callers;

const ORDER: &str = "order-service";
const GATEWAY: &str = "gateway-service";

/// The table. A method without a line is for nobody.
pub const CALLERS: Callers = Callers::new(&[
    ("/enterprisehub.payment.v1.PaymentService/CreatePayment", &[ORDER]),
    ("/enterprisehub.payment.v1.PaymentService/GetPayment", &[GATEWAY]),
    ("/enterprisehub.payment.v1.PaymentService/RefundPayment", &[ORDER]),
    ("/enterprisehub.payment.v1.PaymentService/HandleCallback", &[GATEWAY]),
    ("/enterprisehub.payment.v1.PaymentService/ListCallbacks", &[GATEWAY]),
    ("/enterprisehub.payment.v1.PaymentService/GetReconciliation", &[GATEWAY]),
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_its_line() {
        chassis::testing::callers::assert_complete(
            &CALLERS,
            proto::FILE_DESCRIPTOR_SET,
            "enterprisehub.payment.v1.PaymentService",
        );
    }
}
