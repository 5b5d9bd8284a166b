//! The gateway's process.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--print-openapi") {
        return gateway_service::openapi::print();
    }
    chassis::run::run::<gateway_service::App>()
}
