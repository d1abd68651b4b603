//! What people need when a log does not open: [`verify`], [`dump`], [`repair`].

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use crate::appender::Durability;
use crate::batch::Ops;
use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::fs::{Fs, OpenMode};
use crate::id::Lsn;
use crate::options::Options;
use crate::record::{Item, RunKind};
use crate::recovery::{RecoveryReport, read_header, recover, scan};
use crate::wal::{lock_existing, open};

/// The options of a log that is there, as far as its segments tell them: whose it is, and the
/// sizes of the newest segment. The others are the usual ones.
///
/// # Errors
/// [`Error::Io`], [`Error::NoLog`], [`Error::DuplicateSegment`].
pub fn options_of(fs: Arc<dyn Fs>, dir: &Path) -> Result<Options> {
    let dir = Dir { fs, path: dir.to_owned() };
    for id in dir.existing()?.into_iter().rev() {
        let Some(header) = read_header(&dir.open(id, OpenMode::Read)?)? else { continue };
        let found = Options {
            store_id: header.store_id,
            segment_bytes: header.segment_bytes,
            block_align: u64::from(header.block_align),
            ..Options::default()
        };
        if found.validate().is_ok() {
            return Ok(found);
        }
    }
    Ok(Options::default())
}

/// Reads and checks every block and entry of a log that nobody has open, and changes nothing.
///
/// # Errors
/// As [`crate::Wal::open`]; [`Error::NoLog`].
pub fn verify(fs: Arc<dyn Fs>, dir: &Path, options: &Options) -> Result<RecoveryReport> {
    options.validate()?;
    let dir = Dir { fs, path: dir.to_owned() };
    let (ids, _lock) = lock_existing(&dir)?;
    let options = Options { verify_all: true, ..options.clone() };
    Ok(recover(&dir, &options, &ids, &[])?.report)
}

/// Describes every segment, block and item of a log, a line each, as far as it can be read. Works
/// on logs that do not open.
///
/// # Errors
/// [`Error::Io`], [`Error::NoLog`], [`Error::DuplicateSegment`].
pub fn dump(fs: Arc<dyn Fs>, dir: &Path, mut line: impl FnMut(&str)) -> Result<()> {
    let dir = Dir { fs, path: dir.to_owned() };
    dir.existing()?;
    let (ids, leftovers) = dir.list()?;
    for id in ids {
        let scan = scan(dir.open(id, OpenMode::Read)?, false)?;
        let header = match scan.header {
            Some(header) => format!("store {}, alignment {}", header.store_id, header.block_align),
            None => "its header is bad".to_owned(),
        };
        let sealed = if scan.sealed { "sealed" } else { "not sealed" };
        let name = id.name();
        line(&format!("{}: {} bytes, {sealed}, {header}", name.display(), scan.file_len));
        for range in &scan.unreadable {
            line(&format!("  unreadable or missing: {} to {}", range.start, range.end));
        }
        if scan.blocks.is_empty() {
            line("  no blocks");
        }
        for block in &scan.blocks {
            let header = &block.header;
            let (offset, end) = (header.offset, header.end());
            line(&format!("  {}: {offset} to {end}, synced {}", header.lsn, header.synced.0));
            match &block.items {
                Some(items) => {
                    items.iter().for_each(|item| line(&format!("    {}", describe(item))))
                }
                None => line("    its index is bad"),
            }
        }
    }
    for name in leftovers {
        line(&format!("{}: a leftover", name.display()));
    }
    Ok(())
}

/// One line about an item.
fn describe(item: &Item) -> String {
    let mut text = String::new();
    let written = match item {
        Item::Run(run) => {
            let kind = match run.kind {
                RunKind::Append => "append",
                RunKind::Rewrite => "rewrite",
                RunKind::Faulty => "damaged",
            };
            let (group, first, last) = (run.group, run.first, run.end() - 1);
            let terms: Vec<String> = run.terms.iter().map(|t| t.term.to_string()).collect();
            let (terms, bytes) = (terms.join(", "), run.payload_len());
            write!(text, "{kind} {group}: {first} to {last}, terms {terms}, {bytes} bytes")
        }
        Item::Put { group, key, value } => {
            let (key, len) = (key.escape_ascii(), value.len());
            write!(text, "put {group}: {key}, {len} bytes")
        }
        Item::Delete { group, key } => write!(text, "delete {group}: {}", key.escape_ascii()),
        Item::Compact { group, to } => write!(text, "compact {group}: to {to}"),
        Item::Clean { group } => write!(text, "clean {group}"),
        Item::Start(start) => {
            let (after, first) = (start.prev_seq, start.first_seq);
            write!(text, "start: after segment {after}, needed from segment {first}")
        }
        Item::PurgedTo { seq } => write!(text, "purged: segments below {seq}"),
        Item::GaveUp { first, last } => write!(text, "given up: {first} to {last}"),
        Item::Note(note) => {
            let (group, first, last) = (note.group, note.first, note.first + (note.count - 1));
            write!(text, "found damaged {group}: {first} to {last}, term {}", note.term)
        }
    };
    written.expect("a string takes what is written to it");
    text
}

/// Makes a log open that refuses with [`Error::Lost`]: gives up what is lost, for good. Groups
/// that miss entries name them as damaged; what else was in the lost blocks (votes, removals) is
/// gone, and [`RecoveryReport::given_up`] says so from now on. Gives what was given up and what is
/// left; with `dry_run` nothing is changed.
///
/// Only for when no copy is left.
///
/// # Errors
/// As [`crate::Wal::open`], but for [`Error::Lost`]; [`Error::NoLog`].
pub fn repair(
    fs: Arc<dyn Fs>,
    dir: &Path,
    options: &Options,
    dry_run: bool,
) -> Result<RecoveryReport> {
    options.validate()?;
    let mut given_up: Vec<(Lsn, Lsn)> = Vec::new();
    let report = loop {
        let folder = Dir { fs: Arc::clone(&fs), path: dir.to_owned() };
        let (ids, _lock) = lock_existing(&folder)?;
        match recover(&folder, options, &ids, &given_up) {
            Err(Error::Lost { first, last }) if !given_up.contains(&(first, last)) => {
                given_up.push((first, last));
            }
            recovered => break recovered?.report,
        }
    };
    if dry_run || given_up.is_empty() {
        return Ok(report);
    }
    let (mut appender, report) = open(fs, dir, options.clone(), &given_up)?;
    let gave_up = |(first, last): (Lsn, Lsn)| Item::GaveUp { first, last };
    let items: Vec<Item> = given_up.into_iter().map(gave_up).collect();
    appender.commit(vec![Ops { items, ..Ops::default() }], Durability::Synced)?;
    appender.mark()?;
    Ok(report)
}
