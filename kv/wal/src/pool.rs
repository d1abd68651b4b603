//! Prepared segments that wait for their turn: [`Pool`].
//!
//! Preparing a segment takes long (it is written whole and synced), so it is done ahead. One more
//! segment than the one in use is always there. That also makes a lost file visible, since the
//! one after it is still there, and it is the reserve of a full disk: only batches that free
//! space may use the last one.
//!
//! Segments are prepared by one at a time, in order: by the caller, or by a thread that runs
//! [`Pool::work`].

use std::collections::VecDeque;
use std::path::PathBuf;

use crate::dir::{Dir, SegmentFile};
use crate::error::{Error, Result};
use crate::metrics::{Counters, count};
use crate::options::Options;
use crate::segment::{SegmentHeader, SegmentId};
use crate::sync::{Condvar, Mutex, MutexGuard};
use crate::tail::Seal;

/// A segment without blocks.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) segment: SegmentFile,
    pub(crate) header: SegmentHeader,
    /// The length of the file.
    pub(crate) bytes: u64,
}

/// The prepared segments and what is left to do to old ones.
#[derive(Debug)]
pub(crate) struct Pool {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    ready: VecDeque<Prepared>,
    /// How many are to be ready: at first as many as are filled ahead, and one less with each that
    /// is taken, down to what is always kept.
    wanted: usize,
    /// The number of the next one to be prepared.
    next_seq: u32,
    /// Purged files of the full size.
    recyclable: Vec<PathBuf>,
    /// Full segments that wait for their footer.
    unsealed: VecDeque<(SegmentFile, Seal)>,
    /// Why the last one could not be prepared.
    failed: Option<Error>,
    /// Whether a thread does the work.
    threaded: bool,
    stop: bool,
}

/// One segment in use needs one more behind it.
const READY_MIN: usize = 2;

/// How many prepared segments there always are.
fn kept(options: &Options) -> usize {
    options.pool_segments.max(READY_MIN)
}

impl Pool {
    pub(crate) fn new(ready: Vec<Prepared>, next_seq: u32, options: &Options) -> Pool {
        // The first one is taken at once.
        let prefill = if options.prefill_segments > 0 { options.prefill_segments + 1 } else { 0 };
        let wanted = kept(options).max(prefill);
        let queue = Queue { ready: ready.into(), wanted, next_seq, ..Queue::default() };
        Pool { queue: Mutex::new(queue), changed: Condvar::new() }
    }

    pub(crate) fn ready(&self) -> usize {
        self.queue.lock().ready.len()
    }

    /// Gives the next segment. Where the disk is full, the last one is only for batches that free
    /// space.
    pub(crate) fn take(
        &self,
        dir: &Dir,
        options: &Options,
        counters: &Counters,
        frees_space: bool,
    ) -> Result<Prepared> {
        let mut queue = self.queue.lock();
        queue.failed = None;
        while queue.ready.len() < READY_MIN && queue.failed.is_none() {
            count(&counters.pool_waits, 1);
            if queue.threaded {
                self.changed.notify_all();
                self.changed.wait(&mut queue);
            } else {
                MutexGuard::unlocked(&mut queue, || self.fill(dir, options, counters));
            }
        }
        let reserve = usize::from(!frees_space);
        let taken = if queue.ready.len() > reserve { queue.ready.pop_front() } else { None };
        queue.wanted = kept(options).max(queue.wanted - usize::from(taken.is_some()));
        self.changed.notify_all();
        taken.ok_or_else(|| queue.failed.take().unwrap_or(Error::DiskFull))
    }

    /// Prepares segments until there are enough, or until one cannot be prepared.
    pub(crate) fn fill(&self, dir: &Dir, options: &Options, counters: &Counters) {
        while self.prepare_one(dir, options, counters) {}
    }

    /// Prepares one segment if one is wanted; false if there was nothing to do or it failed.
    fn prepare_one(&self, dir: &Dir, options: &Options, counters: &Counters) -> bool {
        let mut queue = self.queue.lock();
        if queue.ready.len() >= queue.wanted || queue.failed.is_some() {
            return false;
        }
        let seq = queue.next_seq;
        let recycled = queue.recyclable.pop();
        drop(queue);
        let header = SegmentHeader {
            id: SegmentId::new(options.store_id, options.seed, seq),
            store_id: options.store_id,
            block_align: options.block_align as u32,
            segment_bytes: options.segment_bytes,
        };
        let counter =
            if recycled.is_some() { &counters.segments_recycled } else { &counters.segments_made };
        let made = dir.prepare(header, options, recycled);
        let mut queue = self.queue.lock();
        let done = match made {
            Ok(segment) => {
                count(counter, 1);
                let bytes = options.segment_bytes;
                queue.ready.push_back(Prepared { segment, header, bytes });
                queue.next_seq += 1;
                true
            }
            Err(error) => {
                queue.failed = Some(error);
                false
            }
        };
        self.changed.notify_all();
        done
    }

    /// Takes over a full segment, to be sealed now or by the thread.
    pub(crate) fn seal(&self, dir: &Dir, counters: &Counters, segment: SegmentFile, seal: Seal) {
        let mut queue = self.queue.lock();
        if queue.threaded {
            queue.unsealed.push_back((segment, seal));
            self.changed.notify_all();
        } else {
            drop(queue);
            seal_counted(dir, counters, &segment, &seal);
        }
    }

    /// Takes purged files of the full size for later; gives back those that are too many.
    pub(crate) fn recycle(&self, mut names: Vec<PathBuf>, options: &Options) -> Vec<PathBuf> {
        let mut queue = self.queue.lock();
        // Room for a burst: periods without a prepared segment are felt by everyone.
        let room_max = (4 * options.pool_segments).max(options.prefill_segments);
        let room = room_max.saturating_sub(queue.recyclable.len());
        let rest = names.split_off(room.min(names.len()));
        queue.recyclable.append(&mut names);
        queue.failed = None;
        self.changed.notify_all();
        rest
    }

    /// From now on a thread runs [`Pool::work`].
    pub(crate) fn set_threaded(&self) {
        self.queue.lock().threaded = true;
    }

    /// Prepares and seals segments until [`Pool::stop`].
    pub(crate) fn work(&self, dir: &Dir, options: &Options, counters: &Counters) {
        loop {
            let next = self.queue.lock().unsealed.pop_front();
            if let Some((segment, seal)) = next {
                // The next segment is more urgent than the last one's footer.
                while self.prepare_one(dir, options, counters) {}
                seal_counted(dir, counters, &segment, &seal);
                continue;
            }
            if self.prepare_one(dir, options, counters) {
                continue;
            }
            let mut queue = self.queue.lock();
            let idle = queue.ready.len() >= queue.wanted || queue.failed.is_some();
            if queue.stop {
                return;
            }
            if idle && queue.unsealed.is_empty() {
                self.changed.wait(&mut queue);
            }
        }
    }

    /// Ends [`Pool::work`] once all full segments are sealed.
    pub(crate) fn stop(&self) {
        self.queue.lock().stop = true;
        self.changed.notify_all();
    }
}

/// A segment without a footer is only slower to recover, so an error is counted and no more.
fn seal_counted(dir: &Dir, counters: &Counters, segment: &SegmentFile, seal: &Seal) {
    if dir.seal(segment, seal).is_err() {
        count(&counters.seal_errors, 1);
    }
}
