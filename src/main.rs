//! The door: flags in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(plimsoll::commands::main())
}
