//! `tinykv set`.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::cli::{Global, input};

/// Sets a key to a value
///
/// Prints nothing. The value is taken as it is; `tinykv raw put` also reads files, stdin and
/// other encodings.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tinykv set greeting 'hello world'
  tinykv set empty ''
  tinykv set -- -key -value         what begins with a dash stands behind --")]
pub(crate) struct Set {
    /// The key
    key: OsString,
    /// Its new value; may be empty
    value: OsString,
}

impl Set {
    pub(crate) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        let raw = global.connect().await?.raw();
        raw.put(input::plain(&self.key), input::plain(&self.value)).await?;
        Ok(ExitCode::SUCCESS)
    }
}
