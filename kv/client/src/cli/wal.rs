//! `tinykv wal`.

use std::path::PathBuf;
use std::process::ExitCode;

use ::wal::{Options, RealFs, RecoveryReport, dump, repair, verify};
use serde_json::json;

use crate::cli::output::Output;

/// Looks into the folder of a write-ahead log, which must not be in use
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tinykv wal verify --path data/wal --store-id 1
  tinykv wal dump --path data/wal
  tinykv wal repair --path data/wal --store-id 1")]
pub(crate) struct Wal {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Reads and checks everything; changes nothing. Exit code 1 if anything is damaged
    Verify(Folder),
    /// Prints each segment, block and item, as far as they can be read
    Dump(Folder),
    /// Tells what a log that does not open has lost, and gives it up if told to
    Repair {
        #[command(flatten)]
        folder: Folder,
        /// Gives up what is lost, for good; without it nothing is changed
        #[arg(long)]
        accept_loss: bool,
    },
}

#[derive(clap::Args)]
struct Folder {
    /// The folder of the log
    #[arg(long, value_name = "DIR")]
    path: PathBuf,
    /// The store that the log belongs to
    #[arg(long, default_value_t = 0)]
    store_id: u64,
}

impl Folder {
    fn options(&self) -> Options {
        Options { store_id: self.store_id, ..Options::default() }
    }
}

impl Wal {
    pub(crate) fn run(self, mut out: Output) -> anyhow::Result<ExitCode> {
        let report = match self.command {
            Command::Verify(folder) => verify(RealFs::shared(), &folder.path, &folder.options())?,
            Command::Repair { folder, accept_loss } => {
                repair(RealFs::shared(), &folder.path, &folder.options(), !accept_loss)?
            }
            Command::Dump(folder) => {
                let mut printed = Ok(());
                dump(RealFs::shared(), &folder.path, |line| {
                    if printed.is_ok() {
                        printed = out.line(line);
                    }
                })?;
                printed?;
                out.flush()?;
                return Ok(ExitCode::SUCCESS);
            }
        };
        print(&mut out, &report)?;
        out.flush()?;
        Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn print(out: &mut Output, report: &RecoveryReport) -> anyhow::Result<()> {
    let faulty: Vec<String> = report
        .faulty
        .iter()
        .map(|entry| format!("{}, index {}, term {}", entry.group, entry.index, entry.term))
        .collect();
    let given_up: Vec<String> =
        report.given_up.iter().map(|(first, last)| format!("{} to {}", first.0, last.0)).collect();
    if out.json {
        out.json(&json!({
            "clean": report.is_clean(),
            "segments": report.segments,
            "blocks": report.blocks,
            "last_lsn": report.last_lsn.0,
            "damaged_entries": faulty,
            "repaired_blocks": report.repaired.iter().map(|lsn| lsn.0).collect::<Vec<_>>(),
            "torn": report.torn.map(|lsn| lsn.0),
            "given_up": given_up,
        }))?;
        return Ok(());
    }
    for entry in faulty {
        out.line(&format!("damaged: {entry}"))?;
    }
    for lsn in &report.repaired {
        out.line(&format!("damaged, but known from a copy: the block at {lsn}"))?;
    }
    for range in given_up {
        out.line(&format!("lost: the blocks at lsn {range}"))?;
    }
    let (segments, blocks) = (report.segments, report.blocks);
    let state = if report.is_clean() { "nothing is damaged" } else { "DAMAGED" };
    out.line(&format!("{state}; {segments} segments, {blocks} blocks, to {}", report.last_lsn))?;
    Ok(())
}
