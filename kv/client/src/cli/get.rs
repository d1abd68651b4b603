//! `tinykv get`.

use std::ffi::OsString;
use std::process::ExitCode;

use serde_json::json;

use crate::cli::output::Output;
use crate::cli::{Global, input};

/// Prints the value of a key
///
/// A key that is absent is no error: it prints `Key not found`, and the exit code is 0. Scripts
/// that must tell the two apart use `tinykv raw get`, or --json.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tinykv get greeting
  tinykv get greeting --json        {\"key\":\"greeting\",\"value\":\"hello\"}")]
pub(crate) struct Get {
    /// The key
    key: OsString,
}

impl Get {
    pub(crate) async fn run(self, global: &Global, mut out: Output) -> anyhow::Result<ExitCode> {
        let key = input::plain(&self.key);
        let value = global.connect().await?.raw().get(key.clone()).await?;
        match value {
            value if out.json => {
                let key = out.json_bytes(&key);
                let value = value.map(|value| out.json_bytes(&value));
                out.json(&json!({ "key": key, "value": value }))?;
            }
            Some(value) => out.value(&value, true)?,
            None => out.line("Key not found")?,
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}
