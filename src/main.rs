//! The `eagle-eye` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    eagle_eye::cli::main()
}
