//! The process of the payment service.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run::run::<payment_service::App>()
}
