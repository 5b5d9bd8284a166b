//! Which services may call which method: the gateway what it offers to clients, and everybody who
//! verifies tokens the keys for it.

use chassis::grpc::Callers;

const GATEWAY: &str = "gateway-service";
const USER: &str = "user-service";
const ORDER: &str = "order-service";
const PAYMENT: &str = "payment-service";
const NOTIFY: &str = "notify-service";

/// The table. A method without a line is for nobody.
pub const CALLERS: Callers = Callers::new(&[
    ("/enterprisehub.auth.v1.AuthService/Login", &[GATEWAY]),
    ("/enterprisehub.auth.v1.AuthService/Refresh", &[GATEWAY]),
    ("/enterprisehub.auth.v1.AuthService/Logout", &[GATEWAY]),
    ("/enterprisehub.auth.v1.AuthService/ListSessions", &[GATEWAY]),
    ("/enterprisehub.auth.v1.AuthService/RevokeSession", &[GATEWAY]),
    ("/enterprisehub.auth.v1.AuthService/RevokeAllSessions", &[GATEWAY]),
    ("/enterprisehub.auth.v1.AuthService/RevokeUserSessions", &[GATEWAY]),
    ("/enterprisehub.auth.v1.AuthService/ListRevocations", &[GATEWAY]),
    ("/enterprisehub.auth.v1.AuthService/ListKeys", &[GATEWAY]),
    ("/enterprisehub.auth.v1.AuthService/RotateKeys", &[GATEWAY]),
    ("/enterprisehub.auth.v1.AuthService/GetJwks", &[GATEWAY, USER, ORDER, PAYMENT, NOTIFY]),
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_its_line() {
        chassis::testing::callers::assert_complete(
            &CALLERS,
            proto::FILE_DESCRIPTOR_SET,
            "enterprisehub.auth.v1.AuthService",
        );
    }
}
