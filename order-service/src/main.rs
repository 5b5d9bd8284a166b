//! The order-service process.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run::run::<order_service::App>()
}
