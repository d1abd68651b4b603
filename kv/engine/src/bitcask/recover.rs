//! Opens a folder: finds out what is durable, cuts what is not, and builds the index.
//!
//! # Which bytes may be cut
//!
//! After a crash, any part of what was not synced may be on disk: a frame may be torn while later
//! ones are whole, even in the next segment. So "damage before a right frame" proves nothing. What
//! proves something is that each frame tells up to which batch everything was durable when it was
//! written. The decision, for the first place where the chain of frames breaks, at which the batch
//! `next` was expected:
//!
//! | what follows                                              | decision                         |
//! |-----------------------------------------------------------|----------------------------------|
//! | zeros, and no later log segment                           | the end                          |
//! | the next log segment begins with `next`                   | the end of this segment          |
//! | a frame or head that says `next` or later was durable     | `Corrupt`: it was acknowledged   |
//! | a merged segment that left out what `next` overwrote      | `Corrupt`: it was durable then   |
//! | anything else                                             | never acknowledged as durable: cut |
//!
//! A merged segment was synced before the manifest named it: it must be whole.
//!
//! What cannot be told: damage to the last frames of the newest segment that were synced, and that
//! nothing later vouches for. They are cut, with a warning.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use wal::OpenMode;

use super::frame::{ALIGNMENT, Seal};
use super::hint;
use super::load::load;
use super::location::Location;
use super::manifest::{Listed, Origin};
use super::run::Run;
use super::scan::{End, Scan, Scanner};
use super::segment::{Segment, Segments};
use crate::Result;
use crate::folder::Folder;
use crate::index::Index;
use crate::usage::Usage;
use mutant::mutant;

/// Bytes that are written again at once.
const REWRITE_BYTES: usize = 1 << 20;

/// A folder that was read.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) segments: Segments,
    /// The lines of the manifest.
    pub(super) listed: Vec<Listed>,
    /// The segment to append to; `None` if there is none yet, or if the last one is sealed.
    pub(super) open: Option<Arc<Segment>>,
    pub(super) index: Index<Location>,
    pub(super) usage: Usage,
    /// The newest batch.
    pub(super) last_seq: u64,
}

/// What to do about the log segments, from the scans of all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All are whole.
    Whole,
    /// The segment at this position is cut where its scan ended, and later ones are dropped.
    Cut(usize),
    /// The segment at this position is damaged where its scan ended.
    Corrupt(usize, String),
}

/// Decides about log segments in order: the first batch that each was made for, and its scan.
/// Batches up to `merged` were durable when a merge was done.
pub(super) fn judge(scans: &[(u64, &Scan)], merged: u64) -> Verdict {
    for (i, (_, scan)) in scans.iter().enumerate() {
        let later = &scans[i + 1..];
        let next = scan.last_seq + 1;
        let continued = later.first().is_some_and(|(first, _)| *first == next);
        let is_last = later.is_empty();
        let is_end = match scan.how {
            // What follows a sealed segment may have been merged away.
            End::Sealed => !is_last || merged < next,
            End::Open => is_last && merged < next || continued,
            End::Damaged(_) => false,
        };
        if is_end {
            continue;
        }
        let durable = later.iter().map(|(_, scan)| scan.durable).fold(scan.durable, u64::max);
        let durable = durable.max(merged);
        if durable >= next && !mutant!("tail-cut-despite-evidence") {
            let reason = match scan.how {
                End::Damaged(reason) => reason,
                _ => "the segment ends too early",
            };
            return Verdict::Corrupt(
                i,
                format!("{reason}, but batches {next} to {durable} were durable"),
            );
        }
        return Verdict::Cut(i);
    }
    Verdict::Whole
}

/// A log segment without a hint, read.
struct Log {
    segment: Arc<Segment>,
    scan: Scan,
    run: Run,
    /// The batches that nothing in this segment proves durable, and where their frames start.
    unproven: Vec<(u64, u64)>,
}

/// Reads all segments of the folder, whose lock is held.
pub(super) fn recover(folder: &Folder, uid: u64) -> Result<Recovered> {
    let mut listed = folder.read_manifest()?;
    let swept = folder.sweep(&listed)?;
    if swept > 0 {
        log::info!("removed files of an unfinished start or merge"; "files" => swept);
    }
    // The manifest may have been renamed by a process that was stopped before it synced the folder.
    folder.sync()?;
    let mut runs: Vec<(NonZeroU32, Run)> = Vec::new();
    let mut segments = Vec::new();
    let mut logs = Vec::new();
    for &line in &listed {
        let segment = Arc::new(Segment::open(folder, line, uid, OpenMode::Write)?);
        let log = match hint::read(folder, &segment) {
            // A hint is made of what is durable.
            Some((scan, run)) => Log { segment, scan, run, unproven: Vec::new() },
            None => read(segment)?,
        };
        match line.origin {
            Origin::Merged => {
                check_merged(&log.segment, &log.scan)?;
                runs.push((log.segment.id, log.run));
                segments.push((log.segment, log.scan));
            }
            Origin::Log => logs.push(log),
        }
    }
    // A merge leaves out what later batches overwrote only once these are durable.
    let merged = segments.iter().map(|(segment, _)| segment.head.clean_seq).max().unwrap_or(0);
    let dropped = cut(folder, &mut logs, merged)?;
    listed.retain(|line| !dropped.contains(&line.id));
    let mut last_seq = segments.iter().map(|(_, scan)| scan.last_seq).max().unwrap_or(0);
    let open = logs.len().checked_sub(1).filter(|&i| logs[i].scan.how != End::Sealed);
    let open = open.map(|i| logs[i].segment.id);
    for log in logs {
        last_seq = last_seq.max(log.scan.last_seq);
        runs.push((log.segment.id, log.run));
        segments.push((log.segment, log.scan));
    }
    let mut map = Segments::default();
    for (segment, scan) in segments {
        segment.end.store(scan.end, Ordering::Relaxed);
        segment.last_seq.store(scan.last_seq, Ordering::Relaxed);
        map.insert(segment);
    }
    let usage = Usage::default();
    let index = load(&runs, last_seq, &usage, |id, bytes| {
        let segment = map.get(id).expect("the run of an open segment");
        segment.live.fetch_add(bytes, Ordering::Relaxed);
    });
    for (id, run) in &runs {
        let segment = map.get(*id).expect("the run of an open segment");
        segment.removals.store(run.removals, Ordering::Relaxed);
        segment.puts.store(run.puts, Ordering::Relaxed);
    }
    let open = open.and_then(|id| map.get(id).cloned());
    Ok(Recovered { segments: map, listed, open, index, usage, last_seq })
}

fn read(segment: Arc<Segment>) -> Result<Log> {
    let mut run = Run::default();
    let mut unproven = VecDeque::new();
    let scan = Scanner::new(Arc::clone(&segment))?.run(|at, head, record| {
        run.add(&record, at + u64::from(record.offset), head.seq);
        if unproven.back().is_none_or(|&(seq, _)| seq < head.seq) {
            while unproven.front().is_some_and(|&(seq, _)| seq <= head.durable) {
                unproven.pop_front();
            }
            unproven.push_back((head.seq, at));
        }
    })?;
    run.sort();
    Ok(Log { segment, scan, run, unproven: unproven.into() })
}

fn check_merged(segment: &Segment, scan: &Scan) -> Result<()> {
    match scan.how {
        End::Sealed => Ok(()),
        End::Open => Err(segment.corrupt(scan.end, "the segment ends too early")),
        End::Damaged(reason) => Err(segment.corrupt(scan.end, reason)),
    }
}

/// Cuts what was never durable, seals what should be, and makes the rest durable. Batches up to
/// `merged` are known to be. Returns the segments that were dropped.
fn cut(folder: &Folder, logs: &mut Vec<Log>, merged: u64) -> Result<Vec<NonZeroU32>> {
    let scans: Vec<_> = logs.iter().map(|log| (log.segment.head.first_seq, &log.scan)).collect();
    let mut dropped = Vec::new();
    match judge(&scans, merged) {
        Verdict::Whole => {}
        Verdict::Corrupt(i, reason) => {
            return Err(logs[i].segment.corrupt(logs[i].scan.end, reason));
        }
        Verdict::Cut(i) if mutant!("torn-tail-refused") => {
            return Err(logs[i].segment.corrupt(logs[i].scan.end, "the tail is torn"));
        }
        Verdict::Cut(i) => {
            let Log { segment, scan, .. } = &mut logs[i];
            log::warn!(
                "cut bytes that a crash left unfinished";
                "file" => segment.path.display().to_string(),
                "offset" => scan.end, "frames_after" => scan.after,
            );
            segment.file.set_len(scan.end).map_err(|e| segment.failed("cut the segment", e))?;
            scan.how = End::Open;
            for log in logs.drain(i + 1..) {
                dropped.push(log.segment.id);
            }
        }
    }
    if !dropped.is_empty() {
        // The cut must be durable before the manifest says that nothing follows it.
        sync(&logs[logs.len() - 1].segment)?;
        let mut kept = folder.read_manifest()?;
        kept.retain(|line| !dropped.contains(&line.id));
        folder.write_manifest(&kept)?;
        folder.sweep(&kept)?;
    }
    let newest = logs.len().saturating_sub(1);
    for log in logs.iter_mut().take(newest).filter(|log| log.scan.how == End::Open) {
        seal(&log.segment, log.scan.end, log.scan.last_seq, log.scan.durable)?;
        log.scan.how = End::Sealed;
    }
    let durable = logs.iter().map(|log| log.scan.durable).fold(0, u64::max);
    for log in logs.iter() {
        let first = log.unproven.iter().find(|&&(seq, at)| seq > durable && at < log.scan.end);
        if let Some(&(_, at)) = first
            && !mutant!("lost-sync-forgotten")
        {
            rewrite(log, at)?;
        }
    }
    if let Some(log) = logs.last() {
        sync(&log.segment)?;
    }
    Ok(dropped)
}

/// Writes the frames from `at` on again, and syncs them. If a sync of them failed before this
/// start, they may be in the cache of the system only, which takes them for written: a sync alone
/// would do nothing (Rebello et al., ATC 2020).
fn rewrite(log: &Log, mut at: u64) -> Result<()> {
    let Log { segment, scan, .. } = log;
    let file = &segment.file;
    let mut bytes = vec![0; REWRITE_BYTES];
    while at < scan.end {
        let part = &mut bytes[..(scan.end - at).min(REWRITE_BYTES as u64) as usize];
        file.read_exact_at(part, at).map_err(|e| segment.failed("read the segment", e))?;
        file.write_all_at(part, at).map_err(|e| segment.failed("write to the segment", e))?;
        at += part.len() as u64;
    }
    // Another size, so that it is written too.
    let len = file.len().map_err(|e| segment.failed("read the segment", e))?;
    let other = if len == scan.end { len + ALIGNMENT as u64 } else { scan.end };
    file.set_len(other).map_err(|e| segment.failed("cut the segment", e))?;
    match scan.how {
        End::Sealed => seal(segment, scan.end, scan.last_seq, scan.durable),
        _ => sync(segment),
    }
}

fn sync(segment: &Segment) -> Result<()> {
    segment.file.sync_data().map_err(|e| segment.sync_failed("sync the segment", e))
}

/// Ends a segment durably with the frame that says so. `durable` is the newest batch that is
/// durable before: the seal may reach the disk before the frames that it follows.
pub(super) fn seal(segment: &Segment, end: u64, last_seq: u64, durable: u64) -> Result<()> {
    let durable = if mutant!("seal-vouches-for-frames") { last_seq } else { durable };
    let seal = Seal { salt: segment.salt, offset: end, seq: last_seq, durable };
    let frame = seal.last_frame();
    segment
        .file
        .write_all_at(&frame, end)
        .and_then(|()| segment.file.set_len(end + frame.len() as u64))
        .map_err(|e| segment.failed("seal the segment", e))?;
    if mutant!("seal-not-synced") {
        return Ok(());
    }
    segment.file.sync_data().map_err(|e| segment.sync_failed("seal the segment", e))
}
