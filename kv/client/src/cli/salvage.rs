//! `tinykv salvage`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use engine::bitcask::{self, Severity};
use serde_json::json;

use crate::cli::check::{damage_json, damage_table, refuse_cluster};
use crate::cli::output::Output;

/// Copies what is intact in a damaged data folder to a new one
///
/// Takes the newest intact value of every key. The old folder, which must not be in use, stays as
/// it is. Exit code 1 if something was lost: a key then has an older value or none, and one that
/// was removed may be back.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tinykv salvage --path data --out rescued
  tinykv-server --path rescued")]
pub(crate) struct Salvage {
    /// The damaged data folder
    #[arg(long, visible_alias = "data-dir", value_name = "DIR")]
    path: PathBuf,
    /// The new data folder, absent or empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Salvage {
    pub(crate) fn run(self, mut out: Output) -> anyhow::Result<ExitCode> {
        refuse_cluster(&self.path)?;
        let salvaged = bitcask::salvage(Arc::new(wal::RealFs), &self.path, &self.out)?;
        let whole = !salvaged.list_lost
            && salvaged.damage.iter().all(|place| place.severity != Severity::Data);
        if out.json {
            out.json(&json!({
                "path": self.path.display().to_string(),
                "out": self.out.display().to_string(),
                "whole": whole,
                "keys": salvaged.keys,
                "bytes": salvaged.bytes,
                "list_lost": salvaged.list_lost,
                "damage": damage_json(&salvaged.damage),
            }))?;
        } else {
            damage_table(&mut out, &salvaged.damage)?;
            if salvaged.list_lost {
                out.line("The list of segments was lost: keys removed long ago may be back.")?;
            }
            out.line(&format!(
                "{}: {} keys, {} bytes copied; {}",
                self.out.display(),
                salvaged.keys,
                salvaged.bytes,
                if whole { "nothing is missing" } else { "SOMETHING WAS LOST" }
            ))?;
        }
        out.flush()?;
        Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
