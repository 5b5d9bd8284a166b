//! The process of user-service.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run::run::<user_service::App>()
}
