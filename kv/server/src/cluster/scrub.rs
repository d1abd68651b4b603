//! Looks for damage in the log while the store runs.
//!
//! What rots in a part of the log that nobody reads is found here, a bounded piece at a time, on the
//! pool that purges and reads snapshots too. The log notes what is damaged, and the next start
//! fetches it again from another store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use raftstore::LogEntry;
use wal::{FaultyEntry, ScrubPosition, WalReader};

use super::metrics::ClusterMetrics;
use crate::pool::ThreadPool;

/// What is read at once.
const PIECE_BYTES: u64 = 1 << 20;

/// Checks pieces of the log in turn.
pub(super) struct Scrubber {
    /// Zero: never.
    every: Duration,
    due: Instant,
    place: Arc<Place>,
}

/// How far it has come.
#[derive(Default)]
struct Place {
    next: Mutex<ScrubPosition>,
    is_busy: AtomicBool,
}

impl Scrubber {
    /// One that checks a piece after each `every`; never if that is zero.
    pub(super) fn new(every: Duration) -> Scrubber {
        Scrubber { every, due: Instant::now() + every, place: Arc::default() }
    }

    /// Has the next piece checked if it is time and the last one is done.
    pub(super) fn step(
        &mut self,
        now: Instant,
        pool: &dyn ThreadPool,
        log: impl FnOnce() -> WalReader<LogEntry>,
        metrics: &Arc<ClusterMetrics>,
    ) {
        let is_due = !self.every.is_zero() && now >= self.due;
        if !is_due || self.place.is_busy.swap(true, Ordering::AcqRel) {
            return;
        }
        self.due = now + self.every;
        let (log, place, metrics) = (log(), Arc::clone(&self.place), Arc::clone(metrics));
        let job = {
            let place = Arc::clone(&place);
            move || {
                place.check(&log, &metrics);
                place.is_busy.store(false, Ordering::Release);
            }
        };
        if pool.spawn(Box::new(job)).is_err() {
            // A pool that is full has it done later.
            place.is_busy.store(false, Ordering::Release);
        }
    }
}

impl Place {
    fn check(&self, log: &WalReader<LogEntry>, metrics: &ClusterMetrics) {
        let mut next = self.next.lock();
        let found = log.scrub(*next, PIECE_BYTES);
        // From the start again once all groups are through.
        *next = found.next.unwrap_or_default();
        drop(next);
        metrics.scrubbed_bytes.inc_by(found.bytes);
        metrics.scrub_rounds.inc_by(u64::from(found.next.is_none()));
        metrics.scrub_damaged.inc_by((found.faulty.len() + found.unreadable.len()) as u64);
        tell("an entry of the log is damaged", &found.faulty);
        tell("the disk refuses to read an entry of the log", &found.unreadable);
    }
}

fn tell(what: &str, entries: &[FaultyEntry]) {
    for entry in entries {
        log::error!("{}", what; "group" => entry.group.0, "index" => entry.index,
            "term" => entry.term);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::pool::{Job, PoolFull};
    use wal::{Damage, Durability, Fs, GroupId, LogBatch, MemFs, Options, RawEntry, Wal};

    /// Runs each job at once.
    #[derive(Debug)]
    struct Here;

    impl ThreadPool for Here {
        fn spawn(&self, job: Job) -> Result<(), PoolFull> {
            job();
            Ok(())
        }

        fn jobs(&self) -> usize {
            0
        }
    }

    /// A log of one entry that has rotted since.
    fn rotten() -> Wal<LogEntry> {
        let (fs, dir) = (Arc::new(MemFs::new()), Path::new("wal"));
        let options = Options { compress_bytes_min: None, verify_all: false, ..Options::default() };
        let mut wal = Wal::<RawEntry>::open(fs.clone(), dir, options.clone()).unwrap().0;
        let mut batch = LogBatch::new();
        let data = vec![7; 9000];
        batch.append(GroupId(3), &[RawEntry { index: 1, term: 2, data }]).unwrap();
        wal.write(batch, Durability::Synced).unwrap();
        wal.mark().unwrap();
        drop(wal);
        let names = fs.list(dir).unwrap();
        let segment = names.iter().find(|name| name.to_str().unwrap().ends_with(".wal")).unwrap();
        assert!(Damage::ZeroSector(16).apply(&*fs, &dir.join(segment)).unwrap());
        Wal::open(fs, dir, options).unwrap().0
    }

    #[test]
    fn damage_is_found_at_its_time_and_counted() {
        let (wal, metrics) = (rotten(), Arc::new(ClusterMetrics::default()));
        let start = Instant::now();
        let mut scrubber = Scrubber::new(Duration::from_secs(60));
        scrubber.step(start, &Here, || wal.reader(), &metrics);
        assert_eq!(metrics.scrubbed_bytes.get(), 0, "not yet");
        let later = start + Duration::from_secs(120);
        for _ in 0..2 {
            scrubber.step(later, &Here, || wal.reader(), &metrics);
            assert_eq!((metrics.scrub_rounds.get(), metrics.scrub_damaged.get()), (1, 1));
        }
        let mut never = Scrubber::new(Duration::ZERO);
        never.step(later, &Here, || wal.reader(), &metrics);
        assert_eq!(metrics.scrub_rounds.get(), 1);
    }
}
