//! Writes groups of batches to the newest segment, and then shows them to readers.
//!
//! The order for each group: write all frames with one call, sync if one of them asks for it,
//! change the index, publish. A reader never sees what is not as durable as it was asked to be.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Shared;
use super::frame::{Draft, FRAME_HEAD, Kind, Seal, record_len};
use super::location::Location;
use super::manifest::{Listed, Origin};
use super::queue::Request;
use super::recover::seal;
use super::segment::{SEGMENT_HEAD, Segment, SegmentHead};
use crate::index::Change;
use crate::{Durability, Error, Result};
use mutant::mutant;

/// The end of the newest segment; held by whoever writes to it.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) segment: Arc<Segment>,
    /// Where the next frame goes.
    pub(super) end: u64,
    /// Up to where the file has disk space.
    pub(super) allocated: u64,
    /// The sequence number of the newest batch.
    pub(super) last_seq: u64,
    /// The newest batch that is durable.
    pub(super) durable: u64,
    /// Up to where a sync of the segment was begun at least.
    sync_begun: u64,
    /// When the oldest batch was written that the level `interval` still has to sync.
    pub(super) waiting_since: Option<Instant>,
    buffer: Vec<u8>,
}

/// Bytes that are not synced, after which a thread syncs them ahead of the seal of the segment, so
/// that the writer that has to seal it does not wait for all of it.
const SYNC_AHEAD_BYTES: u64 = 8 << 20;

/// Most bytes of the write buffer that are kept between groups.
const BUFFER_BYTES_KEPT: usize = 8 << 20;

impl Log {
    /// Appends to an existing segment, all of which is durable.
    pub(super) fn open(segment: Arc<Segment>, end: u64, last_seq: u64) -> Result<Log> {
        let allocated = segment.file.len().map_err(|e| segment.failed("read the segment", e))?;
        Ok(Log {
            segment,
            end,
            allocated,
            last_seq,
            durable: last_seq,
            sync_begun: end,
            waiting_since: None,
            buffer: Vec::new(),
        })
    }

    /// Appends to a segment that was just made.
    pub(super) fn new(segment: Arc<Segment>, allocated: u64, last_seq: u64, durable: u64) -> Log {
        let end = SEGMENT_HEAD as u64;
        Log {
            segment,
            end,
            allocated,
            last_seq,
            durable,
            sync_begun: end,
            waiting_since: None,
            buffer: Vec::new(),
        }
    }
}

impl Shared {
    /// Writes a group, and tells each request how it went.
    pub(super) fn commit(&self, group: &[Arc<Request>]) {
        let mut log = self.log.lock();
        let Err(error) = self.commit_group(&mut log, group) else { return };
        if matches!(error, Error::DiskFull { .. }) && group.len() > 1 {
            // A smaller one may fit, or only remove.
            for request in group {
                if let Err(error) = self.commit_group(&mut log, std::slice::from_ref(request)) {
                    request.fail(error);
                }
            }
            return;
        }
        for request in &group[1..] {
            request.fail(copy(&error));
        }
        group[0].fail(error);
    }

    fn commit_group(&self, log: &mut Log, group: &[Arc<Request>]) -> Result<()> {
        self.check_poison()?;
        let drafts: Vec<&Draft> =
            group.iter().filter_map(|request| request.draft.as_ref()).collect();
        let bytes = drafts.iter().map(|draft| draft.len()).sum();
        self.make_room(log, &drafts, bytes)?;
        if mutant!("index-before-write") {
            self.apply(log, &drafts);
        }
        self.append(log, &drafts)?;
        let sync = group.iter().any(|request| request.durability == Durability::Always);
        let first = log.last_seq + 1;
        if sync && !mutant!("no-sync-before-ack") {
            self.sync_log(log, first + drafts.len() as u64 - 1)?;
        }
        if !sync && group.iter().any(|request| request.durability == Durability::Interval) {
            self.await_sync(log);
        }
        self.apply(log, &drafts);
        log.last_seq += drafts.len() as u64;
        log.end += bytes;
        log.segment.end.store(log.end, Ordering::Relaxed);
        if sync {
            log.sync_begun = log.end;
        } else if log.end - log.sync_begun > SYNC_AHEAD_BYTES {
            log.sync_begun = log.end;
            self.signal.sync_ahead();
        }
        self.counters.batches.fetch_add(drafts.len() as u64, Ordering::Relaxed);
        self.counters.written_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Begins a new segment if this one is full, and takes disk space for `bytes`.
    fn make_room(&self, log: &mut Log, drafts: &[&Draft], bytes: u64) -> Result<()> {
        let only_removes = drafts.iter().all(|draft| draft.only_removes());
        let limit = self.options.segment_bytes - FRAME_HEAD as u64;
        if log.end + bytes > limit && log.end > SEGMENT_HEAD as u64 {
            match self.roll(log) {
                // Removals may go on here, and free the space for a new segment.
                Err(Error::DiskFull { .. }) if only_removes => {}
                done => done?,
            }
        }
        let reserve = if only_removes { 0 } else { self.options.reserve_bytes };
        let need = log.end + bytes + FRAME_HEAD as u64 + reserve;
        if need <= log.allocated {
            return Ok(());
        }
        let ahead = (need + self.options.allocate_bytes).min(self.options.segment_bytes).max(need);
        for len in [ahead, need] {
            match log.segment.file.allocate(len) {
                Ok(()) => {
                    log.allocated = len;
                    return Ok(());
                }
                Err(error) => match log.segment.failed("allocate space in the segment", error) {
                    Error::DiskFull { .. } if len > need => {}
                    error => return Err(error),
                },
            }
        }
        unreachable!("the last length is the one that is needed")
    }

    /// Writes the frames of a group.
    fn append(&self, log: &mut Log, drafts: &[&Draft]) -> Result<()> {
        if drafts.is_empty() {
            return Ok(());
        }
        let Log { segment, end, last_seq, durable, buffer, .. } = log;
        buffer.clear();
        for (draft, seq) in drafts.iter().zip(*last_seq + 1..) {
            let offset = *end + buffer.len() as u64;
            draft.finish(Seal { salt: segment.salt, offset, seq, durable: *durable }, buffer);
        }
        let Err(error) = segment.file.write_all_at(buffer, *end) else {
            buffer.shrink_to(BUFFER_BYTES_KEPT);
            return Ok(());
        };
        let error = segment.failed("write to the segment", error);
        if matches!(error, Error::DiskFull { .. }) && !mutant!("full-disk-poisons") {
            // What was written of it must not look like batches after a crash.
            let _syncing = self.syncing.lock();
            self.check_poison()?;
            let cut = segment.file.set_len(*end).and_then(|()| segment.file.sync_data());
            if cut.is_ok() {
                log.allocated = log.end;
                return Err(error);
            }
            return Err(self.poison(error));
        }
        Err(self.poison(error))
    }

    /// Syncs the newest segment, which makes all batches up to `seq` durable.
    pub(super) fn sync_log(&self, log: &mut Log, seq: u64) -> Result<()> {
        if log.durable >= seq {
            return Ok(());
        }
        self.sync_segment(&log.segment)?;
        log.durable = seq;
        log.waiting_since = None;
        Ok(())
    }

    /// Syncs a segment, one sync at a time: of two at once the system may tell only one that the
    /// bytes of both are lost.
    fn sync_segment(&self, segment: &Segment) -> Result<()> {
        let _syncing = self.syncing.lock();
        self.check_poison()?;
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        let synced = segment.file.sync_data();
        synced.map_err(|e| self.poison(segment.sync_failed("sync the segment", e)))
    }

    /// Sees to it that the newest batches are synced in time.
    fn await_sync(&self, log: &mut Log) {
        if log.waiting_since.is_none() {
            let now = Instant::now();
            log.waiting_since = Some(now);
            self.signal.sync(now);
        }
    }

    /// Makes everything durable that was written before the call, while writers go on.
    pub(super) fn sync_all(&self) -> Result<()> {
        let (segment, seq) = {
            let mut log = self.log.lock();
            self.check_poison()?;
            log.waiting_since = None;
            if log.durable >= log.last_seq {
                return Ok(());
            }
            (Arc::clone(&log.segment), log.last_seq)
        };
        self.sync_segment(&segment)?;
        let mut log = self.log.lock();
        log.durable = log.durable.max(seq);
        Ok(())
    }

    /// Syncs if the level `interval` asks for it at the moment `now`. Half of the interval is
    /// left for the sync itself.
    pub(super) fn sync_due(&self, now: Instant) -> Result<bool> {
        let since = self.log.lock().waiting_since;
        let due = since.is_some_and(|since| now >= since + self.options.sync_delay());
        if due {
            self.sync_all()?;
        }
        Ok(due)
    }

    /// Makes everything durable, and says so in the log with an empty frame: if the last batches
    /// are damaged later, the next start can tell that they were durable.
    pub(super) fn close(&self) -> Result<()> {
        self.sync_all()?;
        let mut log = self.log.lock();
        if log.end + FRAME_HEAD as u64 > log.allocated || log.end == SEGMENT_HEAD as u64 {
            return Ok(());
        }
        let (salt, seq) = (log.segment.salt, log.last_seq);
        let mark = Seal { salt, offset: log.end, seq, durable: seq }.empty_frame();
        let written = log.segment.file.write_all_at(&mark, log.end);
        written.map_err(|e| log.segment.failed("write to the segment", e))?;
        log.end += mark.len() as u64;
        Ok(())
    }

    /// Ends the newest segment and begins the next one.
    pub(super) fn roll(&self, log: &mut Log) -> Result<()> {
        let head = SegmentHead {
            uid: self.uid,
            listed: Listed { id: self.next_id()?, origin: Origin::Log },
            first_seq: log.last_seq + 1,
            clean_seq: 0,
            durable: log.durable,
        };
        let allocated = self.options.allocate_bytes.max(SEGMENT_HEAD as u64);
        let segment = Arc::new(Segment::create(&self.folder, head, allocated)?);
        let syncing = self.syncing.lock();
        self.check_poison()?;
        match seal(&log.segment, log.end, log.last_seq, log.durable) {
            Err(error @ Error::DiskFull { .. }) => {
                let _ = self.folder.remove(&segment.path);
                return Err(self.unseal(log, error));
            }
            sealed => sealed.map_err(|error| self.poison(error))?,
        }
        drop(syncing);
        let mut listed = self.listed.lock();
        let mut lines: Vec<Listed> = listed.clone();
        lines.push(head.listed);
        match self.folder.write_manifest(&lines) {
            // The new file stays, for the manifest that names it may be on disk.
            Err(error @ Error::DiskFull { .. }) => return Err(self.unseal(log, error)),
            written => written.map_err(|error| self.poison(error))?,
        }
        *listed = lines;
        drop(listed);
        log.segment.last_seq.store(log.last_seq, Ordering::Relaxed);
        self.segments.rcu(|segments| {
            let mut segments = (**segments).clone();
            segments.insert(Arc::clone(&segment));
            segments
        });
        *log = Log::new(segment, allocated, log.last_seq, log.last_seq);
        self.signal.merge();
        Ok(())
    }

    /// Takes the seal back after an error, so that the segment goes on; gives the error to return.
    fn unseal(&self, log: &mut Log, error: Error) -> Error {
        let cut = log.segment.file.set_len(log.end);
        match cut.and_then(|()| log.segment.file.sync_data()) {
            Ok(()) => {
                log.durable = log.last_seq;
                log.allocated = log.end;
                error
            }
            Err(error) => self.poison(log.segment.sync_failed("cut the segment", error)),
        }
    }

    /// Changes the index by a group that was written at the end of the log, and publishes it.
    fn apply(&self, log: &Log, drafts: &[&Draft]) {
        if drafts.is_empty() {
            return;
        }
        let mut writer = self.index.write();
        let mut start = log.end;
        let mut seq = log.last_seq;
        for draft in drafts {
            seq += 1;
            for (cf, range) in &draft.ranges {
                let end = range.end.as_ref().map_or(0, |end| end.len());
                let bytes = record_len(range.start.len(), 1 + end as u32);
                log.segment.removals.fetch_add(bytes, Ordering::Relaxed);
                writer.delete_range(*cf, range, seq, |key, before, _| {
                    self.superseded(key.len(), before);
                    let before = before.map(|location| location.value_len as usize);
                    self.usage.change(*cf, key.len(), before, None);
                });
            }
            for slots in draft.slots.chunk_by(|a, b| a.cf == b.cf) {
                let cf = slots[0].cf;
                let changes: Vec<Change<'_, Location>> = slots
                    .iter()
                    .map(|slot| {
                        let location = Location {
                            segment: log.segment.id,
                            offset: (start + u64::from(slot.offset)) as u32,
                            value_len: slot.value_len,
                        };
                        let value = (slot.kind == Kind::Put).then_some(location);
                        Change { key: &slot.key, value }
                    })
                    .collect();
                let mut after = slots.iter();
                writer.apply(cf, &changes, seq, |key, before, _| {
                    let slot = after.next().expect("one effect a change, in order");
                    let put = slot.kind == Kind::Put;
                    if put {
                        log.segment.puts.fetch_add(slot.record_len(), Ordering::Relaxed);
                        log.segment.live.fetch_add(slot.record_len(), Ordering::Relaxed);
                    } else if !mutant!("removals-not-counted") {
                        log.segment.removals.fetch_add(slot.record_len(), Ordering::Relaxed);
                    }
                    self.superseded(key.len(), before);
                    let before = before.map(|location| location.value_len as usize);
                    let after = put.then_some(slot.value_len as usize);
                    self.usage.change(cf, key.len(), before, after);
                });
            }
            start += draft.len();
        }
        writer.publish(seq);
    }

    /// Counts a record that does not live any more.
    fn superseded(&self, key: usize, before: Option<&Location>) {
        let Some(location) = before else { return };
        if let Some(segment) = self.segments.load().get(location.segment) {
            let bytes = record_len(key, location.value_len);
            segment.live.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

/// The same error once more, for another writer of the group.
fn copy(error: &Error) -> Error {
    match error {
        Error::DiskFull { file, source } => {
            Error::DiskFull { file: file.clone(), source: source.kind().into() }
        }
        Error::Io { action, file, source } => {
            Error::Io { action, file: file.clone(), source: source.kind().into() }
        }
        Error::Invalid(reason) => Error::Invalid(reason.clone()),
        other => Error::Poisoned(other.to_string()),
    }
}
