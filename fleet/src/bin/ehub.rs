//! Entry point of the developer's tool.

use std::process::ExitCode;

fn main() -> ExitCode {
    fleet::command::main()
}
