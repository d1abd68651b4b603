//! T6: the group commit, the pool and purge under shuttle, which runs all threads in one and
//! chooses who goes on at each lock. A thread that waits for ever is found as a deadlock.
//!
//! `SCHEDULES` says how many orders each scenario is tried in (150), `SEED` which ones.

use std::path::Path;
use std::sync::Arc;

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::mpsc;
use shuttle::{Config, Runner, thread};

use super::SharedWal;
use crate::appender::Durability;
use crate::batch::LogBatch;
use crate::entry::RawEntry;
use crate::error::Error;
use crate::fs::{ErrFs, Failure, Fault, Fs, FsOp, MemFs, Seeded};
use crate::id::{GroupId, Lsn};
use crate::options::Options;
use crate::wal::Wal;

fn options() -> Options {
    Options {
        segment_bytes: 16 << 10,
        block_align: 512,
        pool_segments: 1,
        recovery_threads: 1,
        cache_bytes: 1 << 10,
        compress_bytes_min: None,
        purge_bytes: 32 << 10,
        ..Options::default()
    }
}

fn open(fs: &(impl Fs + Clone)) -> SharedWal<RawEntry> {
    SharedWal::open(Arc::new(fs.clone()), Path::new("log"), options()).unwrap().0
}

fn append(group: u64, index: u64, len: usize) -> LogBatch<RawEntry> {
    let mut batch = LogBatch::new();
    let entry = RawEntry { index, term: 1, data: vec![index as u8; len] };
    batch.append(GroupId(group), &[entry]).unwrap();
    batch
}

/// Tries a scenario in many orders: random ones, and ones with few but nasty switches (Burckhardt
/// et al., "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010).
fn try_orders(scenario: impl Fn() + Send + Sync + Clone + 'static) {
    let number = |name: &str, usual: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
    };
    let (seed, schedules) = (number("SEED", 1), number("SCHEDULES", 150) as usize);
    println!("replay with SEED={seed} SCHEDULES={schedules}");
    let mut config = Config::new();
    config.stack_size = 256 << 10;
    let random = RandomScheduler::new_from_seed(seed, schedules);
    Runner::new(random, config.clone()).run(scenario.clone());
    let pct = PctScheduler::new_from_seed(seed, 3, schedules);
    Runner::new(pct, config).run(scenario);
}

/// What was answered survives the power at the moment of the answer.
fn assert_durable(fs: &MemFs, group: u64, index: u64) {
    let crashed = fs.crash(&mut Seeded::new(index));
    let wal = Wal::<RawEntry>::open(Arc::new(crashed), Path::new("log"), options()).unwrap().0;
    assert!(wal.last_index(GroupId(group)) >= Some(index), "group {group} lost {index}");
}

#[test]
fn every_writer_is_answered_after_its_sync_and_never_waits_for_ever() {
    try_orders(|| {
        let fs = MemFs::new();
        let wal = open(&fs);
        let writers = (1..=3).map(|group| {
            let (wal, fs) = (wal.clone(), fs.clone());
            thread::spawn(move || {
                for index in 1..=2 {
                    let lsn = wal.write(append(group, index, 100), Durability::Synced).unwrap();
                    assert!(wal.synced_lsn() >= lsn);
                    assert_durable(&fs, group, index);
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        let metrics = wal.metrics();
        assert_eq!(metrics.batches, 6, "{metrics:?}");
    });
}

#[test]
fn submissions_and_writes_share_the_lead() {
    try_orders(|| {
        let fs = MemFs::new();
        let wal = open(&fs);
        let (sender, answers) = mpsc::channel();
        let submitter = {
            let wal = wal.clone();
            thread::spawn(move || {
                for index in 1..=3 {
                    let sender = sender.clone();
                    let done = move |result: crate::Result<Lsn>| {
                        sender.send((index, result.unwrap())).unwrap();
                    };
                    wal.submit(append(1, index, 100), Durability::Synced, done).unwrap();
                }
            })
        };
        let writer = {
            let wal = wal.clone();
            thread::spawn(move || {
                for index in 1..=2 {
                    let lsn = wal.write(append(2, index, 100), Durability::Deferred).unwrap();
                    assert!(wal.sync_to(lsn).unwrap() >= lsn);
                }
            })
        };
        submitter.join().unwrap();
        drop(wal);
        writer.join().unwrap();
        let answers: Vec<(u64, Lsn)> = answers.iter().collect();
        assert_eq!(answers.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(answers.is_sorted_by_key(|(_, lsn)| *lsn), "{answers:?}");
    });
}

#[test]
fn segments_are_handed_over_while_others_write_and_purge() {
    try_orders(|| {
        let fs = MemFs::new();
        let wal = open(&fs);
        let writers = (1..=2).map(|group| {
            let wal = wal.clone();
            thread::spawn(move || {
                for index in 1..=8 {
                    wal.write(append(group, index, 1500), Durability::Synced).unwrap();
                    let found = wal.fetch(GroupId(group), index..index + 1, 0).unwrap();
                    assert_eq!(found[0].data, vec![index as u8; 1500]);
                    if index > 2 {
                        let mut batch = LogBatch::<RawEntry>::new();
                        batch.compact_to(GroupId(group), index - 1);
                        wal.write(batch, Durability::Deferred).unwrap();
                    }
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        let purger = {
            let wal = wal.clone();
            thread::spawn(move || (0..3).map(|_| wal.purge().unwrap().freed).sum::<usize>())
        };
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        let freed = purger.join().unwrap() + wal.purge().unwrap().freed;
        assert!(freed > 0, "{:?}", wal.metrics());
        for group in 1..=2 {
            assert_eq!(wal.fetch(GroupId(group), 7..9, u64::MAX).unwrap().len(), 2);
        }
    });
}

#[test]
fn a_failed_sync_is_told_to_all_who_wait() {
    try_orders(|| {
        let memory = MemFs::new();
        let fs = ErrFs::over_memory(memory);
        let wal = open(&fs);
        fs.inject(Fault::nth(FsOp::SyncData, 1, Failure::Io).at("0000000001"));
        let writers = (1..=3).map(|group| {
            let wal = wal.clone();
            thread::spawn(move || {
                let written = |index| wal.write(append(group, index, 100), Durability::Synced);
                (1..=3).find_map(|index| written(index).err())
            })
        });
        let writers: Vec<_> = writers.collect();
        let failed: Vec<Option<Error>> =
            writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        let told = failed.iter().filter(|error| matches!(error, Some(Error::Io { .. }))).count();
        assert!(told <= 1, "the failure itself is told once: {failed:?}");
        assert!(
            failed.iter().all(|e| matches!(e, Some(Error::Io { .. } | Error::Poisoned))),
            "{failed:?}"
        );
    });
}
