//! `tinykv check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::ensure;
use engine::bitcask::{self, Damage, Severity};
use serde_json::{Value, json};

use crate::cli::output::Output;

/// Examines a data folder, which must not be in use
///
/// Reads everything and checks every CRC; changes nothing. Exit code 1 if stored data is damaged.
/// A write that a crash left unfinished (`tail`) and a damaged hint (`hint`) are told, but are no
/// loss: the next start mends them.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tinykv check --path data
  tinykv check --path data --json")]
pub(crate) struct Check {
    /// The data folder of a store with the engine bitcask
    #[arg(long, visible_alias = "data-dir", value_name = "DIR")]
    path: PathBuf,
}

impl Check {
    pub(crate) fn run(self, mut out: Output) -> anyhow::Result<ExitCode> {
        refuse_cluster(&self.path)?;
        let report = bitcask::check(Arc::new(wal::RealFs), &self.path)?;
        let sound = report.is_sound();
        if out.json {
            out.json(&json!({
                "path": self.path.display().to_string(),
                "sound": sound,
                "segments": report.segments,
                "bytes": report.bytes,
                "last_seq": report.last_seq,
                "damage": damage_json(&report.damage),
            }))?;
        } else {
            damage_table(&mut out, &report.damage)?;
            out.line(&format!(
                "{}: {}; {} segments, {} bytes, newest batch {}",
                self.path.display(),
                if sound { "no stored data is damaged" } else { "DAMAGED" },
                report.segments,
                report.bytes,
                report.last_seq
            ))?;
            if !sound {
                out.line(&format!(
                    "Copy what is left with:  tinykv salvage --path {} --out NEW_DIR",
                    self.path.display()
                ))?;
            }
        }
        out.flush()?;
        Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Refuses the folder of a store of a cluster, whose data is in a folder of its own.
///
/// # Errors
/// Where to look instead.
pub(crate) fn refuse_cluster(path: &Path) -> anyhow::Result<()> {
    ensure!(
        path.join("FORMAT").exists() || !path.join("DISKS").exists(),
        "{0} is the folder of a store of a cluster: its data is in {0}/engine, and `tinykv wal verify \
         --path {0}/wal` looks at its log. A store of a cluster that lost data is better replaced",
        path.display()
    );
    Ok(())
}

/// Prints the damaged places, if there are any.
pub(crate) fn damage_table(out: &mut Output, damage: &[Damage]) -> std::io::Result<()> {
    if damage.is_empty() {
        return Ok(());
    }
    let name = |place: &Damage| place.file.display().to_string();
    let width = damage.iter().map(|place| name(place).len()).max().unwrap_or(0).max(4);
    out.line(&format!("{:<6} {:<width$} {:>12}  reason", "what", "file", "offset"))?;
    for place in damage {
        let (what, file) = (severity(place.severity), name(place));
        let Damage { offset, reason, .. } = place;
        out.line(&format!("{what:<6} {file:<width$} {offset:>12}  {reason}"))?;
    }
    Ok(())
}

/// The damaged places, for programs.
pub(crate) fn damage_json(damage: &[Damage]) -> Value {
    damage
        .iter()
        .map(|place| {
            json!({
                "what": severity(place.severity),
                "file": place.file.display().to_string(),
                "offset": place.offset,
                "reason": place.reason,
            })
        })
        .collect()
}

/// What is damaged.
fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Data => "data",
        Severity::Tail => "tail",
        Severity::Hint => "hint",
    }
}
