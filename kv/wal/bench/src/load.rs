//! The load: who appends what, for how long.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::disk::{CountingFs, Counts};
use crate::{ours, rival};

/// A log under test. Indexes of a group are appended in order, by one thread.
pub(crate) trait Log: Send + Sync {
    /// Appends entries of `data` from `index` on; durable afterwards if `sync`.
    fn append(&self, group: u64, index: u64, count: u64, data: &[u8], sync: bool) -> Result<()>;

    /// Drops the entries below `to`.
    fn compact(&self, group: u64, to: u64) -> Result<()>;

    /// Frees what it can, and compacts the groups that block it.
    fn purge(&self) -> Result<()>;
}

/// Which log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    Ours,
    Rival,
}

/// The sizes that both logs are set up with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) segment_bytes: u64,
    pub(crate) purge_bytes: u64,
    /// The alignment of our blocks.
    pub(crate) align: u64,
    /// Whether recovery checks every entry; ours only.
    pub(crate) verify_all: bool,
}

impl Sizes {
    pub(crate) fn usual(align: u64) -> Sizes {
        Sizes { segment_bytes: 64 << 20, purge_bytes: 256 << 20, align, verify_all: false }
    }

    pub(crate) fn unpurged(align: u64) -> Sizes {
        Sizes { segment_bytes: 64 << 20, purge_bytes: 1 << 40, align, verify_all: false }
    }

    pub(crate) fn small(align: u64) -> Sizes {
        Sizes { segment_bytes: 8 << 20, purge_bytes: 32 << 20, align, verify_all: false }
    }

    /// How many files to have ready before the load begins, as in a log that has been in use for
    /// long: all that it will need. `None`: not at all.
    pub(crate) fn prepared(self) -> Option<u64> {
        let files = self.purge_bytes / self.segment_bytes + 2;
        (files < 100).then_some(files)
    }
}

impl Kind {
    pub(crate) fn open(self, dir: &Path, sizes: Sizes) -> Result<Box<dyn Log>> {
        match self {
            Kind::Ours => ours::open(wal::RealFs::shared(), dir, sizes),
            Kind::Rival => rival::open(raft_engine::env::DefaultFileSystem, dir, sizes),
        }
    }

    /// The same on files that count.
    pub(crate) fn open_on(self, fs: &CountingFs, dir: &Path, sizes: Sizes) -> Result<Box<dyn Log>> {
        match self {
            Kind::Ours => ours::open(Arc::new(fs.clone()), dir, sizes),
            Kind::Rival => rival::open(fs.clone(), dir, sizes),
        }
    }
}

/// One cell of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) writers: usize,
    pub(crate) bytes: usize,
    /// 1: each writer has one group of its own. Otherwise: the writers share out so many.
    pub(crate) groups: u64,
}

impl Cell {
    pub(crate) fn groups_text(self) -> String {
        if self.groups == 1 { "1 a writer".to_owned() } else { self.groups.to_string() }
    }

    /// The groups of a writer.
    fn groups_of(self, writer: usize) -> Vec<u64> {
        let (writer, writers) = (writer as u64, self.writers as u64);
        match self.groups {
            1 => vec![writer + 1],
            groups => (1..=groups).filter(|group| group % writers == writer).collect(),
        }
    }
}

/// What came out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) per_second: f64,
    pub(crate) p99_us: f64,
    /// CPU time of the whole process, also what the system spent for it.
    pub(crate) cpu_us: f64,
}

/// How many entries a group keeps.
const KEPT: u64 = 128;

/// Appends one entry at a time with every writer until the time is over.
pub(crate) fn run(log: &dyn Log, cell: Cell, millis: u64) -> Result<Outcome> {
    let stop = AtomicBool::new(false);
    let cpu = cpu_seconds();
    let start = Instant::now();
    let deadline = Duration::from_millis(millis);
    let histogram = std::thread::scope(|scope| -> Result<Histogram<u64>> {
        let purger = scope.spawn(|| -> Result<()> {
            while !stop.load(Relaxed) {
                log.purge()?;
                std::thread::park_timeout(Duration::from_millis(200));
            }
            Ok(())
        });
        let writers: Vec<_> = (0..cell.writers)
            .map(|writer| scope.spawn(move || write(log, cell, writer, start, deadline)))
            .collect();
        let mut all = Histogram::new(3)?;
        for writer in writers {
            all.add(writer.join().expect("a writer does not panic")?)?;
        }
        stop.store(true, Relaxed);
        purger.thread().unpark();
        purger.join().expect("the purger does not panic")?;
        Ok(all)
    })?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(Outcome {
        per_second: histogram.len() as f64 / seconds,
        p99_us: histogram.value_at_quantile(0.99) as f64 / 1000.0,
        cpu_us: (cpu_seconds() - cpu) * 1e6 / histogram.len() as f64,
    })
}

/// CPU time that this process has taken.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// One writer: its groups in turn.
fn write(
    log: &dyn Log,
    cell: Cell,
    writer: usize,
    start: Instant,
    deadline: Duration,
) -> Result<Histogram<u64>> {
    let mut histogram = Histogram::new(3)?;
    let data = noise(writer as u64 + 1, cell.bytes);
    let groups = cell.groups_of(writer);
    for index in 1.. {
        for group in &groups {
            if start.elapsed() >= deadline {
                return Ok(histogram);
            }
            let before = Instant::now();
            log.append(*group, index, 1, &data, true)?;
            histogram.record(before.elapsed().as_nanos() as u64)?;
            if index % KEPT == 0 && index > KEPT {
                log.compact(*group, index - KEPT)?;
            }
        }
    }
    unreachable!("the deadline ends the loop")
}

/// Bytes of an entry for the recovery.
pub(crate) const RECOVERY_ENTRY: u64 = 1024;

/// Fills a log with so many bytes, spread over 1000 groups.
pub(crate) fn fill(log: &dyn Log, bytes: u64) -> Result<()> {
    let data = noise(1, RECOVERY_ENTRY as usize);
    let per_group = bytes / RECOVERY_ENTRY / 1000;
    let count = 16;
    for index in (1..=per_group).step_by(count) {
        for group in 1..=1000 {
            log.append(group, index, count as u64, &data, false)?;
        }
    }
    log.append(1001, 1, 1, &data, true)
}

/// Gives the bytes of the pages that reached the disk, and the bytes that were passed to write, for
/// each byte of entries.
pub(crate) fn amplification(log: &dyn Log, counts: &Counts) -> Result<(f64, f64)> {
    let data = noise(1, 128);
    for group in 1..=1000 {
        log.append(group, 1, 20, &data, false)?;
    }
    let read = || (counts.synced.load(Relaxed), counts.passed.load(Relaxed));
    let before = read();
    let (writers, per_writer) = (10_u64, 30_000_u64);
    std::thread::scope(|scope| -> Result<()> {
        let workers: Vec<_> = (0..writers)
            .map(|writer| {
                let data = &data;
                scope.spawn(move || -> Result<()> {
                    for index in 1..=per_writer {
                        log.append(2000 + writer, index, 1, data, true)?;
                        if index % KEPT == 0 && index > KEPT {
                            log.compact(2000 + writer, index - KEPT)?;
                            if writer == 0 {
                                log.purge()?;
                            }
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no panic"))
    })?;
    let after = read();
    let user = (writers * per_writer * 128) as f64;
    Ok(((after.0 - before.0) as f64 / user, (after.1 - before.1) as f64 / user))
}

/// Bytes that do not compress.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}
