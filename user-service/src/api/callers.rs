//! Which services may call which method: the gateway what it offers to clients, and auth-service
//! what a login and a refresh need.

use chassis::grpc::Callers;

const GATEWAY: &str = "gateway-service";
const AUTH: &str = "auth-service";

/// The table. A method without a line is for nobody.
pub const CALLERS: Callers = Callers::new(&[
    ("/enterprisehub.user.v1.UserService/Register", &[GATEWAY]),
    ("/enterprisehub.user.v1.UserService/GetUser", &[GATEWAY]),
    ("/enterprisehub.user.v1.UserService/ListUsers", &[GATEWAY]),
    ("/enterprisehub.user.v1.UserService/UpdateProfile", &[GATEWAY]),
    ("/enterprisehub.user.v1.UserService/ChangePassword", &[GATEWAY]),
    ("/enterprisehub.user.v1.UserService/SetStatus", &[GATEWAY]),
    ("/enterprisehub.user.v1.UserService/SetRoles", &[GATEWAY]),
    ("/enterprisehub.user.v1.UserService/VerifyCredentials", &[AUTH]),
    ("/enterprisehub.user.v1.UserService/GetAccess", &[AUTH]),
    ("/enterprisehub.user.v1.UserService/ListAccessChanges", &[AUTH]),
    ("/enterprisehub.user.v1.UserService/RequestEmailVerification", &[GATEWAY]),
    ("/enterprisehub.user.v1.UserService/VerifyEmail", &[GATEWAY]),
    ("/enterprisehub.user.v1.UserService/RequestPasswordRecovery", &[GATEWAY]),
    ("/enterprisehub.user.v1.UserService/RecoverPassword", &[GATEWAY]),
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_its_line() {
        chassis::testing::callers::assert_complete(
            &CALLERS,
            proto::FILE_DESCRIPTOR_SET,
            "enterprisehub.user.v1.UserService",
        );
    }
}
