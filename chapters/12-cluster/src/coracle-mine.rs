//! `coracle` with a student's cores in it (`cargo kit up --mine`): the same program, under a name of its own.

use std::process::ExitCode;

#[path = "main.rs"]
mod coracle;

fn main() -> ExitCode {
    coracle::main()
}
