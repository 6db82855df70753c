//! The daemon of one Region. Everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    failoverd::process::main()
}
