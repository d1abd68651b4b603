//! The `tinykv` command line: see [`cli`].

mod cli;
mod mutant;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
