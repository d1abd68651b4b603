//! `tinykv wal`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::wal::{Error, Lsn, Options, RealFs, RecoveryReport, dump, options_of, repair, verify};
use anyhow::ensure;
use serde_json::json;

use crate::cli::output::Output;

/// Looks into the folder of a write-ahead log
///
/// The log must not be in use, but for `dump`. Whose log it is and how large its segments are is
/// read from the segments.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tinykv wal verify --path data/wal
  tinykv wal dump --path data/wal | less
  tinykv wal repair --path data/wal                  # tells what would be given up
  tinykv wal repair --path data/wal --accept-loss    # gives it up

Exit codes: 0 nothing is damaged, 1 something is, or it cannot be told, 2 wrong usage.")]
pub(crate) struct Wal {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Reads and checks every block and entry
    ///
    /// Changes nothing. A write that a crash left unfinished at the end is told, but is no damage:
    /// the next start cuts it off.
    Verify(Folder),
    /// Prints each segment, block and item, as far as they can be read
    ///
    /// Works on logs that do not open, and on logs in use. For each block: its position (lsn),
    /// where it is in the file, and up to which position the log was durable when it was formed.
    Dump(Folder),
    /// Makes a log open again that has lost blocks beyond naming
    ///
    /// Tells which blocks are lost, and with --accept-loss gives them up, for good: entries that
    /// groups then miss are named as damaged; votes that were in these blocks are gone. Only for
    /// when no copy of the folder is left. Damaged entries alone need no repair: a log with these
    /// opens, and peers send them again.
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
    /// Refuse the log if it is not this store's
    #[arg(long, value_name = "ID")]
    store_id: Option<u64>,
}

impl Folder {
    fn options(&self) -> Result<Options, Error> {
        let found = options_of(RealFs::shared(), &self.path)?;
        Ok(Options { store_id: self.store_id.unwrap_or(found.store_id), ..found })
    }
}

impl Wal {
    pub(crate) fn run(self, mut out: Output) -> anyhow::Result<ExitCode> {
        let (path, report) = match self.command {
            Command::Dump(folder) => return print_dump(out, &folder),
            Command::Verify(folder) => {
                match verify(RealFs::shared(), &folder.path, &folder.options()?) {
                    Err(Error::Lost { first, last }) => {
                        return lost(out, &folder.path, first, last);
                    }
                    verified => (folder.path, verified?),
                }
            }
            Command::Repair { folder, accept_loss } => {
                let options = folder.options()?;
                let report = repair(RealFs::shared(), &folder.path, &options, !accept_loss)?;
                let opens = verify(RealFs::shared(), &folder.path, &options).is_ok();
                print(&mut out, &folder.path, &report)?;
                if !out.json {
                    out.line(&repair_text(&folder.path, &report, opens))?;
                }
                out.flush()?;
                return Ok(code(&report));
            }
        };
        print(&mut out, &path, &report)?;
        out.flush()?;
        Ok(code(&report))
    }
}

fn code(report: &RecoveryReport) -> ExitCode {
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_dump(mut out: Output, folder: &Folder) -> anyhow::Result<ExitCode> {
    ensure!(!out.json, "a dump is for people: there is no JSON of it");
    let mut printed = Ok(());
    dump(RealFs::shared(), &folder.path, |line| {
        if printed.is_ok() {
            printed = out.line(line);
        }
    })?;
    printed?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Says what a log that does not open has lost.
fn lost(mut out: Output, path: &Path, first: Lsn, last: Lsn) -> anyhow::Result<ExitCode> {
    let path = path.display();
    if out.json {
        out.json(&json!({
            "path": path.to_string(),
            "clean": false,
            "lost": { "first": first.0, "last": last.0 },
        }))?;
    } else {
        let them = if first == last { "it" } else { "them" };
        out.line(&format!("lost: {}; nothing says what was in {them}", range(first, last)))?;
        out.line(&format!("{path}: DAMAGED; the log does not open"))?;
        out.line("Restore the folder from a copy. If there is none, see what is lost with:")?;
        out.line(&format!("  tinykv wal repair --path {path}"))?;
    }
    out.flush()?;
    Ok(ExitCode::FAILURE)
}

/// What a repair did, or would do.
fn repair_text(path: &Path, report: &RecoveryReport, opens: bool) -> String {
    if report.given_up.is_empty() {
        return "Nothing is to be given up: the log opens as it is.".to_owned();
    }
    if opens {
        return "The blocks above are given up; the log opens.".to_owned();
    }
    format!(
        "Nothing is changed yet. Give the blocks above up, for good, with:\n  \
         tinykv wal repair --path {} --accept-loss",
        path.display()
    )
}

fn print(out: &mut Output, path: &Path, report: &RecoveryReport) -> anyhow::Result<()> {
    let path = path.display();
    if out.json {
        let faulty = report.faulty.iter().map(|entry| {
            json!({
                "group": entry.group.0,
                "index": entry.index,
                "term": entry.term,
                "durable": entry.durable,
            })
        });
        let given_up = |(first, last): &(Lsn, Lsn)| json!({ "first": first.0, "last": last.0 });
        out.json(&json!({
            "path": path.to_string(),
            "clean": report.is_clean(),
            "segments": report.segments,
            "blocks": report.blocks,
            "last_lsn": report.last_lsn.0,
            "damaged_entries": faulty.collect::<Vec<_>>(),
            "repaired_blocks": report.repaired.iter().map(|lsn| lsn.0).collect::<Vec<_>>(),
            "damaged_before": report.damaged_before,
            "bad_headers": report.bad_headers,
            "torn": report.torn.map(|lsn| lsn.0),
            "given_up": report.given_up.iter().map(given_up).collect::<Vec<_>>(),
        }))?;
        return Ok(());
    }
    for entry in &report.faulty {
        let (group, index, term) = (entry.group, entry.index, entry.term);
        out.line(&format!("damaged: {group}, index {index}, term {term}"))?;
    }
    if report.damaged_before > 0 {
        let entries = match report.damaged_before {
            1 => "1 entry that was".to_owned(),
            count => format!("{count} entries that were"),
        };
        out.line(&format!("damaged, but not needed: {entries} replaced, compacted or removed"))?;
    }
    for lsn in &report.repaired {
        out.line(&format!("damaged, but known from a copy: the block at {lsn}"))?;
    }
    for seq in &report.bad_headers {
        out.line(&format!("damaged, but known from a copy: the header of segment {seq}"))?;
    }
    for (first, last) in &report.given_up {
        out.line(&format!("lost and given up: {}", range(*first, *last)))?;
    }
    if let Some(lsn) = report.torn {
        out.line(&format!("unfinished: the write at {lsn}; the next start cuts it off"))?;
    }
    if report.torn_ambiguous {
        out.line("The last write is damaged; nothing says whether it was ever acknowledged.")?;
    }
    let state = if report.is_clean() { "nothing is damaged" } else { "DAMAGED" };
    let (segments, blocks, last) = (report.segments as u64, report.blocks, report.last_lsn);
    let (segments, blocks) = (counted(segments, "segment"), counted(blocks, "block"));
    out.line(&format!("{path}: {state}; {segments}, {blocks}, to {last}"))?;
    Ok(())
}

/// As in `block 3`, `blocks 3 to 4`.
fn range(first: Lsn, last: Lsn) -> String {
    if first == last {
        format!("block {}", first.0)
    } else {
        format!("blocks {} to {}", first.0, last.0)
    }
}

/// As in `1 block`, `2 blocks`.
fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
