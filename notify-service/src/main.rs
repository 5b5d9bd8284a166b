//! The process of notify-service.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run::run::<notify_service::App>()
}
