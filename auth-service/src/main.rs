//! The process of auth-service.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run::run::<auth_service::App>()
}
