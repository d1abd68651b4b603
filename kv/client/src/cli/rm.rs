//! `tinykv rm`.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::cli::output::complain;
use crate::cli::{Global, input};

/// Removes a key
///
/// Prints nothing. A key that is absent is an error: `Key not found` on stderr, and the exit
/// code is 1.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tinykv rm greeting")]
pub(crate) struct Rm {
    /// The key
    key: OsString,
}

impl Rm {
    pub(crate) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        if global.connect().await?.raw().delete(input::plain(&self.key)).await? {
            return Ok(ExitCode::SUCCESS);
        }
        complain("Key not found");
        if mutant::mutant!("rm-of-missing-succeeds") {
            return Ok(ExitCode::SUCCESS);
        }
        Ok(ExitCode::FAILURE)
    }
}
