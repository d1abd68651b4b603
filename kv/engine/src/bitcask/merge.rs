//! Merges: live records of old segments are written to a new one, which replaces them.
//!
//! A merge goes through these phases, in slices; readers and writers go on meanwhile:
//!
//! 1. *Copy*: reads the old segments from their first frame to their last, and writes what is
//!    still needed to a new segment, with its old sequence numbers. No lock is taken.
//! 2. *Seal*: the new segment and its hint become durable.
//! 3. *Relocate*: the index is changed to point into the new segment, wherever it still points to
//!    the record that was copied; a later write wins. The right to write is held for one slice.
//! 4. *Commit*: the manifest names the new segment instead of the old ones, and is made durable.
//! 5. *Remove*: the old files go. Readers that hold one open go on reading it; others find the
//!    segment gone, and ask the index again.
//!
//! A crash before phase 4 leaves the old segments, one after it the new one.
//!
//! # What is needed
//!
//! A put is, if somebody can see it: a view, or a reader of now or later, "now" being a moment up
//! to which everything is durable. (If a batch that is not durable yet were trusted to overwrite a
//! record, a crash might take both.)
//!
//! A removal is, while an older put of the same key may be in some segment, the new one included:
//! a view may need it there. No put
//! overwritten or removed by batches up to `clean_seq` is in a segment, and none of batches before
//! `first_seq`: so a removal at `seq` may go if each other segment has a `first_seq` above it, or a
//! `clean_seq` that is not below it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use mutant::mutant;

use super::Shared;
use super::frame::{Copy, FRAME_HEAD, Kind, Record, Seal, record_len};
use super::hint;
use super::location::Location;
use super::manifest::{Listed, Origin};
use super::recover::seal;
use super::run::Run;
use super::scan::Scanner;
use super::segment::{SEGMENT_HEAD, Segment, SegmentHead};
use crate::index::{Horizon, Move};
use crate::{Cf, Error, Result};

/// Most versions that are relocated while the right to write is held.
const RELOCATIONS_MAX: usize = 512;

/// Bytes after which the new segment is synced, so that no sync takes long.
const SYNC_BYTES: u64 = 8 << 20;

/// Segments below this part of the full size are merged when there are [`SMALL_SEGMENTS`].
const SMALL_PART: u64 = 4;

const SMALL_SEGMENTS: usize = 8;

/// A merge that is under way.
#[derive(Debug)]
pub(super) struct Merge {
    inputs: Vec<Arc<Segment>>,
    horizon: Horizon,
    output: Arc<Segment>,
    /// Where the next frame goes.
    end: u64,
    synced: u64,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Copy { input: usize, scanner: Option<Scanner>, moved: Moved },
    Seal { moved: Moved },
    Relocate { moved: Moved, next: usize },
    Commit,
}

/// What was copied: the items of the new segment, and where each put was before.
#[derive(Debug, Default)]
struct Moved {
    run: Run,
    /// Ascending by `to`.
    puts: Vec<MovedPut>,
}

/// Where a copied record was, and where it is.
#[derive(Debug)]
struct MovedPut {
    to: u32,
    segment: NonZeroU32,
    offset: u32,
}

impl Shared {
    /// Does one slice of the work that is due: a hint, or a part of a merge. Returns whether there
    /// may be more.
    pub(super) fn merge_step(&self) -> Result<bool> {
        let mut merge = self.merge.lock();
        self.check_poison()?;
        if merge.is_none() {
            if self.hint_step()? {
                return Ok(true);
            }
            let inputs = self.pick();
            if inputs.is_empty() {
                return Ok(false);
            }
            *merge = Some(self.begin(inputs)?);
        }
        self.slice(&mut merge)?;
        Ok(true)
    }

    /// Merges everything that has something to free.
    pub(super) fn merge_all(&self) -> Result<()> {
        let mut merge = self.merge.lock();
        self.check_poison()?;
        while merge.is_some() {
            self.slice(&mut merge)?;
        }
        {
            let mut log = self.log.lock();
            if log.end > SEGMENT_HEAD as u64 && self.is_worth(&log.segment) {
                self.roll(&mut log)?;
            }
        }
        // First everything that was overwritten goes, then the removals that nothing needs now.
        for removals in [false, true] {
            let mut ids: Vec<NonZeroU32> = self.sealed().iter().map(|s| s.id).collect();
            while !ids.is_empty() {
                let worth = |segment: &Segment| {
                    if removals { self.is_worth(segment) } else { segment.dead() > 0 }
                };
                let segments = self.sealed();
                let inputs = segments.iter().filter(|s| ids.contains(&s.id) && worth(s)).cloned();
                let inputs = self.fit(inputs);
                if inputs.is_empty() {
                    break;
                }
                ids.retain(|id| inputs.iter().all(|input| input.id != *id));
                *merge = Some(self.begin(inputs)?);
                while merge.is_some() {
                    self.slice(&mut merge)?;
                }
            }
        }
        while self.hint_step()? {}
        Ok(())
    }

    fn is_worth(&self, segment: &Segment) -> bool {
        segment.dead() > 0 || segment.removals.load(Ordering::Relaxed) > 0
    }

    /// All segments but the newest.
    fn sealed(&self) -> Vec<Arc<Segment>> {
        let newest = self.log.lock().segment.id;
        let visible = self.index.visible();
        let segments = self.segments.load();
        let sealed: Vec<_> = segments.iter().filter(|s| s.id != newest).cloned().collect();
        // What is dead is counted before it is visible: where nothing is, nothing was overwritten.
        for segment in sealed.iter().filter(|segment| segment.dead() == 0) {
            segment.clean_seq.fetch_max(visible, Ordering::Relaxed);
        }
        sealed
    }

    /// Writes the hint of one sealed segment that lacks it.
    fn hint_step(&self) -> Result<bool> {
        let sealed = self.sealed();
        let Some(segment) = sealed.iter().find(|s| !s.hinted.load(Ordering::Relaxed)) else {
            return Ok(false);
        };
        match hint::make(&self.folder, segment) {
            Err(Error::Corrupt { file, offset, reason }) => {
                // Reads of what is damaged fail; the rest is served. A hint would hide it.
                log::error!(
                    "a sealed segment is damaged";
                    "file" => file.display().to_string(), "offset" => offset, "reason" => reason,
                );
                segment.hinted.store(true, Ordering::Relaxed);
                segment.damaged.store(true, Ordering::Relaxed);
                Ok(true)
            }
            done => done.map(|()| true),
        }
    }

    /// Chooses what to merge.
    fn pick(&self) -> Vec<Arc<Segment>> {
        let sealed = self.sealed();
        let oldest = self.index.horizon().oldest();
        // What a view held back last time is not tried again before the view has gone.
        let fresh = |s: &&Arc<Segment>| {
            let again = s.head.listed.origin == Origin::Merged && s.head.clean_seq >= oldest;
            !s.damaged.load(Ordering::Relaxed) && (!again || mutant!("merge-without-end"))
        };
        let removable = |s: &Arc<Segment>| {
            let last = s.last_seq.load(Ordering::Relaxed);
            sealed.iter().all(|other| other.id == s.id || other.holds_nothing_before(last))
        };
        let ratio = |s: &Arc<Segment>| {
            let removals = if removable(s) { s.removals.load(Ordering::Relaxed) } else { 0 };
            (s.dead() + removals) as f64 / s.len() as f64
        };
        let mut full: Vec<_> = sealed
            .iter()
            .filter(fresh)
            .map(|s| (ratio(s), s))
            .filter(|(ratio, _)| *ratio >= self.options.merge_ratio)
            .collect();
        full.sort_by(|a, b| b.0.total_cmp(&a.0));
        if !full.is_empty() {
            return self.fit(full.into_iter().map(|(_, segment)| Arc::clone(segment)));
        }
        let small = sealed.iter().filter(|s| {
            !s.damaged.load(Ordering::Relaxed) && s.len() < self.options.segment_bytes / SMALL_PART
        });
        let small: Vec<_> = small.cloned().collect();
        if small.len() >= SMALL_SEGMENTS { self.fit(small.into_iter()) } else { Vec::new() }
    }

    /// As many segments as fit into a new one; one at least.
    fn fit(&self, segments: impl Iterator<Item = Arc<Segment>>) -> Vec<Arc<Segment>> {
        let mut sum = 0;
        let needed = |s: &Arc<Segment>| s.len() - s.dead().min(s.len());
        let mut inputs: Vec<Arc<Segment>> = Vec::new();
        for segment in segments {
            sum += needed(&segment);
            if !inputs.is_empty() && sum > self.options.segment_bytes {
                break;
            }
            inputs.push(segment);
        }
        inputs
    }

    pub(super) fn begin(&self, inputs: Vec<Arc<Segment>>) -> Result<Merge> {
        let horizon = self.index.horizon();
        let head = SegmentHead {
            uid: self.uid,
            listed: Listed { id: self.next_id()?, origin: Origin::Merged },
            first_seq: inputs.iter().map(|s| s.head.first_seq).min().unwrap_or(0),
            clean_seq: horizon.oldest(),
            durable: 0,
        };
        let output = Arc::new(Segment::create(&self.folder, head, SEGMENT_HEAD as u64)?);
        let end = SEGMENT_HEAD as u64;
        let phase = Phase::Copy { input: 0, scanner: None, moved: Moved::default() };
        Ok(Merge { inputs, horizon, output, end, synced: end, phase })
    }

    /// Does one slice of a merge; takes it away when it is done or has failed.
    fn slice(&self, merge: &mut Option<Merge>) -> Result<()> {
        let Some(current) = merge else { return Ok(()) };
        match self.advance(current) {
            Ok(true) => *merge = None,
            Ok(false) => {}
            Err(error) => {
                self.give_up(merge, &error);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Ends a merge that failed. Until the index was changed, nothing refers to the new segment.
    fn give_up(&self, merge: &mut Option<Merge>, error: &Error) {
        let Some(current) = merge else { return };
        if let Phase::Copy { input, .. } = current.phase {
            if matches!(error, Error::Corrupt { .. }) {
                current.inputs[input].damaged.store(true, Ordering::Relaxed);
            }
            let _ = self.folder.remove(&current.output.path);
            *merge = None;
        } else if let Phase::Seal { .. } = current.phase {
            let _ = self.folder.remove(&current.output.path);
            let _ = self.folder.remove(&self.folder.hint(current.output.id));
            *merge = None;
        }
    }

    /// Returns whether the merge is done.
    fn advance(&self, merge: &mut Merge) -> Result<bool> {
        match &mut merge.phase {
            Phase::Copy { .. } => self.copy_slice(merge)?,
            Phase::Seal { moved } => {
                // What was left out must not come to life again, nor be lost with a later write
                // that a crash may take.
                self.sync_all()?;
                if moved.run.items.is_empty() && moved.run.ranges.is_empty() {
                    merge.phase = Phase::Commit;
                    return Ok(false);
                }
                let last_seq = merge.output.last_seq.load(Ordering::Relaxed);
                seal(&merge.output, merge.end, last_seq, last_seq)?;
                merge.output.end.store(merge.end, Ordering::Relaxed);
                moved.run.sort();
                hint::write(&self.folder, &merge.output, &moved.run)?;
                merge.output.removals.store(moved.run.removals, Ordering::Relaxed);
                merge.output.puts.store(moved.run.puts, Ordering::Relaxed);
                self.segments.rcu(|segments| {
                    let mut segments = (**segments).clone();
                    segments.insert(Arc::clone(&merge.output));
                    segments
                });
                merge.phase = Phase::Relocate { moved: std::mem::take(moved), next: 0 };
            }
            Phase::Relocate { moved, next } => {
                self.relocate(&merge.output, moved, next);
                if *next == moved.run.items.len() {
                    merge.phase = Phase::Commit;
                }
            }
            Phase::Commit => {
                self.commit_merge(merge)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a removal at `seq` in one of the inputs is still needed: for a put that a view keeps
    /// in the new segment, or one in another segment.
    fn keeps_removal(&self, inputs: &[Arc<Segment>], output: &Segment, seq: u64) -> bool {
        if seq > output.head.clean_seq && !mutant!("removal-dropped-under-view") {
            return true;
        }
        let others = self.segments.load();
        let mut others = others.iter().filter(|s| inputs.iter().all(|input| input.id != s.id));
        !mutant!("tombstone-dropped-early") && !others.all(|s| s.holds_nothing_before(seq))
    }

    fn copy_slice(&self, merge: &mut Merge) -> Result<()> {
        let Merge { inputs, horizon, output, end, synced, phase } = merge;
        let Phase::Copy { input, scanner, moved } = phase else { return Ok(()) };
        let Some(segment) = inputs.get(*input) else {
            *phase = Phase::Seal { moved: std::mem::take(moved) };
            return Ok(());
        };
        let scanner = match scanner {
            Some(scanner) => scanner,
            None => scanner.insert(Scanner::new(Arc::clone(segment))?),
        };
        let stop = scanner.at + self.options.merge_slice_bytes as u64;
        let mut out = Vec::new();
        let mut copy = Copy::default();
        let mut ended = false;
        while scanner.at < stop && !ended {
            copy.clear();
            let start = *end + out.len() as u64;
            let head = scanner.next(|at, head, record| {
                let offset = at + u64::from(record.offset);
                let keep = match record.kind {
                    Kind::Put => self.is_put_needed(segment, offset, head.seq, &record, horizon),
                    Kind::Delete | Kind::DeleteRange => {
                        self.keeps_removal(inputs, output, head.seq)
                    }
                };
                if keep {
                    let to = start + u64::from(copy.push(&record));
                    moved.run.add(&record, to, head.seq);
                    if record.kind == Kind::Put {
                        let (to, offset) = (to as u32, offset as u32);
                        moved.puts.push(MovedPut { to, segment: segment.id, offset });
                    }
                }
            })?;
            ended = head.is_none();
            if let Some(head) = head.filter(|_| !copy.is_empty()) {
                let seq = head.seq;
                copy.finish(Seal { salt: output.salt, offset: start, seq, durable: seq }, &mut out);
                output.last_seq.fetch_max(seq, Ordering::Relaxed);
            }
        }
        if ended {
            if !scanner.is_sealed()? {
                return Err(segment.corrupt(scanner.at, "the segment ends too early"));
            }
            *input += 1;
            if let Phase::Copy { scanner, .. } = phase {
                *scanner = None;
            }
        }
        self.write_output(output, *end, &out)?;
        *end += out.len() as u64;
        if *end - *synced > SYNC_BYTES {
            output.file.sync_data().map_err(|e| output.failed("sync the segment", e))?;
            *synced = *end;
        }
        Ok(())
    }

    fn is_put_needed(
        &self,
        segment: &Segment,
        offset: u64,
        seq: u64,
        record: &Record<'_>,
        horizon: &Horizon,
    ) -> bool {
        let here = |l: &Location| l.segment == segment.id && u64::from(l.offset) == offset;
        self.index.is_needed(record.cf, record.key, seq, horizon, here)
    }

    fn write_output(&self, output: &Segment, end: u64, bytes: &[u8]) -> Result<()> {
        if end + bytes.len() as u64 + FRAME_HEAD as u64 > u64::from(u32::MAX) {
            return Err(Error::Invalid("a merged segment would pass 4 GiB".to_owned()));
        }
        let written = output.file.write_all_at(bytes, end);
        written.map_err(|e| output.failed("write to the segment", e))?;
        self.counters.written_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Changes the index for the next copied records.
    fn relocate(&self, output: &Segment, moved: &Moved, next: &mut usize) {
        let end = (*next + RELOCATIONS_MAX).min(moved.run.items.len());
        let mut writer = self.index.write();
        let segments = self.segments.load();
        for items in moved.run.items[*next..end].chunk_by(|a, b| a.cf == b.cf) {
            let cf: Cf = items[0].cf;
            let puts = items.iter().filter(|item| item.kind == Kind::Put);
            let moves: Vec<Move<'_, Location>> = puts
                .map(|item| {
                    let at = moved.puts.binary_search_by_key(&item.offset, |put| put.to);
                    let put = &moved.puts[at.expect("each put that was copied is in the list")];
                    let (segment, offset) = (put.segment, put.offset);
                    let from = Location { segment, offset, value_len: item.value_len };
                    let to = Location { segment: output.id, offset: item.offset, ..from };
                    Move { key: moved.run.key(item), seq: item.seq, from, to }
                })
                .collect();
            writer.relocate(cf, &moves, |step, newest| {
                let bytes = record_len(step.key.len(), step.to.value_len);
                if newest {
                    output.live.fetch_add(bytes, Ordering::Relaxed);
                    if let Some(from) = segments.get(step.from.segment) {
                        from.live.fetch_sub(bytes, Ordering::Relaxed);
                    }
                }
            });
        }
        *next = end;
    }

    /// Puts the new segment in the place of the old ones, and removes these.
    fn commit_merge(&self, merge: &Merge) -> Result<()> {
        let gone: Vec<NonZeroU32> = merge.inputs.iter().map(|segment| segment.id).collect();
        let made = self.segments.load().get(merge.output.id).is_some();
        if mutant!("unlink-before-manifest") {
            gone.iter().try_for_each(|id| self.folder.remove(&self.folder.segment(*id)))?;
        }
        {
            let mut listed = self.listed.lock();
            let mut lines: Vec<Listed> = listed.clone();
            let place = lines.iter().position(|line| gone.contains(&line.id)).unwrap_or(0);
            if made {
                lines.insert(place, merge.output.head.listed);
            }
            lines.retain(|line| !gone.contains(&line.id));
            if let Err(error) = self.folder.write_manifest(&lines) {
                let full = matches!(error, Error::DiskFull { .. });
                return Err(if full { error } else { self.poison(error) });
            }
            *listed = lines;
        }
        self.segments.rcu(|segments| {
            let mut segments = (**segments).clone();
            segments.remove(&gone);
            segments
        });
        // If a file stays because of an error, the next start removes it.
        for id in gone {
            let _ = self.folder.remove(&self.folder.segment(id));
            let _ = self.folder.remove(&self.folder.hint(id));
        }
        if !made {
            let _ = self.folder.remove(&merge.output.path);
        }
        self.counters.merges.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
