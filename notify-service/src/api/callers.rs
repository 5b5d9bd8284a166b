//! Which services may call which method: the gateway, and nobody else.

use chassis::grpc::Callers;

const GATEWAY: &str = "gateway-service";

/// The table. A method without a line is for nobody.
pub const CALLERS: Callers = Callers::new(&[
    ("/enterprisehub.notify.v1.NotifyService/ListNotifications", &[GATEWAY]),
    ("/enterprisehub.notify.v1.NotifyService/MarkRead", &[GATEWAY]),
    ("/enterprisehub.notify.v1.NotifyService/GetPreferences", &[GATEWAY]),
    ("/enterprisehub.notify.v1.NotifyService/PutPreferences", &[GATEWAY]),
    ("/enterprisehub.notify.v1.NotifyService/ListDeadLetters", &[GATEWAY]),
    ("/enterprisehub.notify.v1.NotifyService/GetDeadLetter", &[GATEWAY]),
    ("/enterprisehub.notify.v1.NotifyService/ReplayDeadLetter", &[GATEWAY]),
    ("/enterprisehub.notify.v1.NotifyService/DiscardDeadLetter", &[GATEWAY]),
    ("/enterprisehub.notify.v1.NotifyService/ListDeadMails", &[GATEWAY]),
    ("/enterprisehub.notify.v1.NotifyService/ReplayDeadMail", &[GATEWAY]),
    ("/enterprisehub.notify.v1.NotifyService/ListEventReceipts", &[GATEWAY]),
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_its_line() {
        chassis::testing::callers::assert_complete(
            &CALLERS,
            proto::FILE_DESCRIPTOR_SET,
            "enterprisehub.notify.v1.NotifyService",
        );
    }
}
