//! Reads a log back: what is kept, what is cut, what is damaged.
//!
//! 1. Every segment is scanned, several at a time.
//! 2. The blocks are put in order by lsn. A segment that starts at lsn n voids what earlier
//!    segments hold from n on: that was cut by an earlier recovery.
//! 3. Blocks that are missing or whose index is bad get their names from a later block's mirror.
//! 4. Each block is judged ([`decision::decide`]); the horizon, the highest `synced_lsn` of any block, says
//!    which ones were durable.
//! 5. What is kept is synced, since it may have been in memory only, and replayed.
//!
//! Nothing is written. The next block goes to a segment without blocks, and by starting there
//! makes the cut final; until then every recovery comes to the same result.

mod assemble;
mod decision;
mod faulty;
mod progress;
mod report;
mod scan;

use std::collections::BTreeMap;

use crate::dir::{Dir, SegmentFile};
use crate::error::{Error, Result};
use crate::fs::OpenMode;
use crate::id::Lsn;
use crate::index::Index;
use crate::mirror::{Mirror, REACH as MIRROR_REACH};
use crate::options::Options;
use crate::record::Item;
use crate::segment::{HEADER_BYTES, SegmentHeader, SegmentId, Trailer, push_summary};
use crate::tail::{End, Seal};
use assemble::{Kept, KeptBlock, assemble};
pub(crate) use faulty::index_of;
use mutant::mutant;
pub use progress::{Progress, Watch};
pub use report::{FaultyEntry, RecoveryReport};
use scan::{Found, Scan};
pub(crate) use scan::{read_header, scan};

/// A log that was read back.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) index: Index,
    pub(crate) end: End,
    /// The highest block that another one calls durable.
    pub(crate) horizon: Lsn,
    /// The segments that hold blocks, or held some before they were cut, with their file lengths.
    pub(crate) segments: Vec<(SegmentFile, u64)>,
    /// Those of them that have no good footer, and the one that they should have.
    pub(crate) unsealed: Vec<(SegmentFile, Seal)>,
    /// Prepared segments, in order, with their headers and file lengths.
    pub(crate) pool: Vec<(SegmentFile, SegmentHeader, u64)>,
    /// Files to remove: purged, unusable.
    pub(crate) leftovers: Vec<SegmentId>,
    /// The lowest segment that was not purged.
    pub(crate) first_seq: u32,
    pub(crate) report: RecoveryReport,
}

/// Recovers the log in a folder without changing it.
///
/// `given_up` are blocks that the user has just given up, beside those that the log says were.
pub(crate) fn recover(
    dir: &Dir,
    options: &Options,
    ids: &[SegmentId],
    given_up: &[(Lsn, Lsn)],
) -> Result<Recovered> {
    let started = dir.fs.now();
    let (scans, kept, first_seq) = judge_all(dir, options, ids, given_up)?;
    sync_kept(&scans, &kept)?;
    let damaged: Vec<Lsn> = scans.iter().flat_map(|scan| scan.only_in_footer.clone()).collect();
    let mut recovered = replay(scans, kept, first_seq, options);
    recovered.report.repaired.extend(damaged);
    recovered.report.took = dir.fs.now().saturating_sub(started);
    Ok(recovered)
}

/// Reads the segments and judges their blocks; gives the lowest segment that was not purged, too.
pub(crate) fn judge_all(
    dir: &Dir,
    options: &Options,
    ids: &[SegmentId],
    given_up: &[(Lsn, Lsn)],
) -> Result<(Vec<Scan>, Kept, u32)> {
    let scans = scan_all(dir, options, ids)?;
    for scan in &scans {
        check_identity(scan, options)?;
    }
    // A purge may have removed some of the segments below `first_seq`, so these are not to be
    // looked at; but whether it happened is known only once the blocks are judged.
    let mut first_seq = scans.iter().flat_map(claimed_first_seq).max().unwrap_or(1);
    let kept = loop {
        let kept = assemble(&scans, first_seq, options, given_up)?;
        let confirmed = kept.blocks.values().filter_map(|block| first_seq_of(&block.items)).max();
        match confirmed.unwrap_or(1) {
            confirmed if confirmed == first_seq => break kept,
            confirmed => first_seq = confirmed.min(first_seq - 1),
        }
    };
    Ok((scans, kept, first_seq))
}

/// Scans the segments, in as many threads as the options say.
fn scan_all(dir: &Dir, options: &Options, ids: &[SegmentId]) -> Result<Vec<Scan>> {
    let done = parking_lot::Mutex::new(0);
    let one = |id: &SegmentId| {
        let scanned = scan(dir.open(*id, OpenMode::Write)?, options.verify_all);
        // Told under the lock: the numbers only grow.
        let mut done = done.lock();
        *done += 1;
        if let Some(watch) = &options.progress {
            watch.tell(Progress { segments: *done, of: ids.len() });
        }
        scanned
    };
    let threads = options.recovery_threads.min(ids.len());
    if threads <= 1 {
        return ids.iter().map(one).collect();
    }
    let next = std::sync::atomic::AtomicUsize::new(0);
    let mut scans: Vec<(usize, Result<Scan>)> = std::thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            loop {
                // The last ones first: they have no footer, and take the longest.
                let taken = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let Some(at) = ids.len().checked_sub(taken + 1) else { return done };
                done.push((at, one(&ids[at])));
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, _>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().flat_map(join).collect()
    });
    scans.sort_by_key(|(at, _)| *at);
    scans.into_iter().map(|(_, scan)| scan).collect()
}

/// Refuses a file that is not the segment its name says.
fn check_identity(scan: &Scan, options: &Options) -> Result<()> {
    let Some(header) = scan.header else { return Ok(()) };
    let wrong = |why: String| {
        let path = scan.segment.id.name();
        Err(Error::WrongSegment { path, why })
    };
    if header.id != scan.segment.id {
        return wrong(format!("its header says segment {}", header.id.name().display()));
    }
    if header.store_id != options.store_id {
        return wrong(format!("store {}, not {}", header.store_id, options.store_id));
    }
    Ok(())
}

fn first_seq_of(items: &[Item]) -> Option<u32> {
    let claim = |item: &Item| match item {
        Item::Start(start) => Some(start.first_seq),
        Item::PurgedTo { seq } => Some(*seq),
        _ => None,
    };
    items.iter().filter_map(claim).max()
}

fn claimed_first_seq(scan: &Scan) -> Option<u32> {
    let items = |found: &Found| found.items.as_ref().and_then(|items| first_seq_of(items));
    scan.blocks.iter().filter_map(items).max()
}

/// Syncs the segments whose last blocks may be in memory only.
fn sync_kept(scans: &[Scan], kept: &Kept) -> Result<()> {
    if mutant!("wal-recovery-no-sync") {
        return Ok(());
    }
    let mut unsure: Vec<u32> =
        kept.blocks.range(kept.horizon.next()..).map(|(_, block)| block.seq).collect();
    unsure.dedup();
    for scan in scans.iter().filter(|scan| unsure.contains(&scan.segment.id.seq)) {
        let what = format!("sync {}", scan.segment.id.name().display());
        scan.segment.file.sync_data().map_err(Error::io(what))?;
    }
    Ok(())
}

/// Builds the index, and sorts the segments.
fn replay(scans: Vec<Scan>, mut kept: Kept, first_seq: u32, options: &Options) -> Recovered {
    let index = index_of(&scans, &mut kept);
    let mut report = kept.report;
    report.blocks = kept.blocks.len() as u64;
    let mut recovered = Recovered {
        index,
        end: End::default(),
        horizon: kept.horizon,
        segments: Vec::new(),
        unsealed: Vec::new(),
        pool: Vec::new(),
        leftovers: Vec::new(),
        first_seq,
        report,
    };
    if let Some((lsn, block)) = kept.blocks.last_key_value() {
        let (seq, uid, crc) = (block.seq, block.header.uid, block.header.crc);
        recovered.end = End { lsn: *lsn, crc, mirror: mirror_of(&kept.blocks), seq, uid };
    }
    recovered.report.last_lsn = recovered.end.lsn;
    let mut by_seq: BTreeMap<u32, Vec<&KeptBlock>> = BTreeMap::new();
    for block in kept.blocks.values() {
        by_seq.entry(block.seq).or_default().push(block);
    }
    for scan in scans {
        let id = scan.segment.id;
        let blocks = by_seq.get(&id.seq).map_or(&[][..], Vec::as_slice);
        sort_segment(scan, blocks, options, &mut recovered);
    }
    recovered
}

/// What the next block repeats.
fn mirror_of(blocks: &BTreeMap<Lsn, KeptBlock>) -> Mirror {
    let mut last: Vec<_> = blocks.values().rev().take(MIRROR_REACH).collect();
    last.reverse();
    let mut mirror = Mirror::default();
    for block in last {
        if let Some(summary) = block.summary() {
            mirror.push(&block.header, &summary);
        }
    }
    mirror
}

/// Decides what becomes of one segment.
fn sort_segment(scan: Scan, blocks: &[&KeptBlock], options: &Options, recovered: &mut Recovered) {
    let id = scan.segment.id;
    if id.seq < recovered.first_seq {
        recovered.leftovers.push(id);
    } else if !scan.blocks.is_empty() || !blocks.is_empty() || id.seq <= recovered.end.seq {
        recovered.report.segments += 1;
        recovered.report.sealed_segments += usize::from(scan.sealed);
        if scan.header.is_none() {
            recovered.report.bad_headers.push(id.seq);
        }
        if !scan.sealed
            && let Some(seal) = seal_of(&scan, blocks, options)
        {
            recovered.unsealed.push((scan.segment.clone(), seal));
        }
        recovered.segments.push((scan.segment, scan.file_len));
    } else {
        // A prepared one. Where one is unusable, so are those after it: there must be no gap.
        let usable = scan.header.filter(|_| {
            scan.file_len >= options.segment_bytes && recovered.leftovers.last() < Some(&id)
        });
        let gap = recovered.leftovers.iter().any(|left| left.seq >= recovered.first_seq);
        match usable.filter(|_| !gap) {
            Some(header) => recovered.pool.push((scan.segment, header, scan.file_len)),
            None => recovered.leftovers.push(id),
        }
    }
}

/// The footer that a segment should have.
fn seal_of(scan: &Scan, blocks: &[&KeptBlock], options: &Options) -> Option<Seal> {
    let (first, last) = (blocks.first()?, blocks.last()?);
    let mut footer = Vec::new();
    for block in blocks {
        push_summary(&mut footer, &block.summary()?);
    }
    let footer_offset = last.header.end();
    if footer_offset + footer.len() as u64 + 2 * HEADER_BYTES > scan.file_len {
        return None;
    }
    let header = scan.header.unwrap_or(SegmentHeader {
        id: scan.segment.id,
        store_id: options.store_id,
        block_align: options.block_align as u32,
        segment_bytes: scan.file_len,
    });
    let trailer = Trailer {
        header,
        footer_offset,
        footer_len: footer.len() as u32,
        footer_crc: crc32c::crc32c(&footer),
        first_lsn: first.header.lsn,
        last_lsn: last.header.lsn,
    };
    Some(Seal { trailer, footer })
}

impl Recovered {
    /// The last durable block.
    pub(crate) fn last_lsn(&self) -> Lsn {
        self.end.lsn
    }
}
