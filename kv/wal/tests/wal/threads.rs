//! The form for threads: group commit, callbacks, purge beside writers and readers.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;

use tinykv_wal::{
    Durability, ErrFs, Error, Failure, Fault, FsOp, GroupId, LogBatch, Lsn, MemFs, Options,
    RawEntry, SharedWal,
};

use crate::model::{self, DIR, entry};

fn open(fs: &MemFs, options: &Options) -> SharedWal<RawEntry> {
    SharedWal::open(Arc::new(fs.clone()), Path::new(DIR), options.clone()).unwrap().0
}

fn append(group: u64, index: u64) -> LogBatch<RawEntry> {
    let mut batch = LogBatch::new();
    batch.append(GroupId(group), &[entry(index, 1, vec![index as u8; 100])]).unwrap();
    batch
}

#[test]
fn many_writers_share_blocks_and_all_is_there_after_a_crash() {
    let fs = MemFs::new();
    let wal = open(&fs, &model::options());
    std::thread::scope(|scope| {
        for group in 1..=8 {
            let wal = wal.clone();
            scope.spawn(move || {
                for index in 1..=200 {
                    wal.write(append(group, index), Durability::Synced).unwrap();
                    let read = wal.fetch(GroupId(group), index..index + 1, 0).unwrap();
                    assert_eq!(read, [entry(index, 1, vec![index as u8; 100])]);
                }
            });
        }
        let wal = wal.clone();
        scope.spawn(move || {
            for _ in 0..20 {
                wal.purge().unwrap();
            }
        });
    });
    let metrics = wal.metrics();
    assert!(metrics.batches >= 1600, "{metrics:?}");
    // What was acknowledged survives the power while the log is still open.
    let crashed = fs.crash(&mut tinykv_wal::Seeded::new(1));
    let (wal, _) = model::open(&crashed, &model::options()).unwrap();
    for group in 1..=8 {
        assert_eq!(wal.fetch(GroupId(group), 1..201, u64::MAX).unwrap().len(), 200);
    }
}

#[test]
fn callbacks_come_in_order_and_report_the_position() {
    let fs = MemFs::new();
    let wal = open(&fs, &model::options());
    let (sender, receiver) = mpsc::channel();
    for index in 1..=100 {
        let sender = sender.clone();
        let reader = wal.reader();
        wal.submit(append(1, index), Durability::Synced, move |result| {
            let lsn = result.unwrap();
            assert!(reader.synced_lsn() >= lsn, "told after it is durable");
            sender.send((index, lsn)).unwrap();
        })
        .unwrap();
    }
    drop(sender);
    let done: Vec<(u64, Lsn)> = receiver.iter().collect();
    assert_eq!(
        done.iter().map(|(index, _)| *index).collect::<Vec<_>>(),
        (1..=100).collect::<Vec<_>>()
    );
    assert!(done.is_sorted_by_key(|(_, lsn)| *lsn));
}

#[test]
fn every_submission_is_answered_when_the_log_is_dropped() {
    let fs = MemFs::new();
    let wal = open(&fs, &model::options());
    let (sender, receiver) = mpsc::channel();
    for index in 1..=50 {
        let sender = sender.clone();
        wal.submit(append(1, index), Durability::Synced, move |result| {
            sender.send(result.is_ok()).unwrap();
        })
        .unwrap();
    }
    drop(sender);
    drop(wal);
    assert_eq!(receiver.iter().filter(|ok| *ok).count(), 50);
    let (wal, _) = model::open(&fs, &model::options()).unwrap();
    assert_eq!(wal.last_index(GroupId(1)), Some(50));
}

/// Hands in entries until the disk is full, and some more; gives how many.
fn fill(wal: &SharedWal<RawEntry>, done: &mpsc::Sender<(u64, Result<Lsn, Error>)>) -> u64 {
    let submit = |index| {
        let done = done.clone();
        let told = move |result| done.send((index, result)).unwrap();
        wal.submit(append(1, index), Durability::Synced, told).unwrap();
    };
    let mut indexes = 1..;
    while !wal.is_full() {
        indexes.by_ref().take(1).for_each(&submit);
        std::thread::yield_now();
    }
    indexes.by_ref().take(5).for_each(&submit);
    indexes.start - 1
}

#[test]
fn what_is_handed_in_while_the_disk_is_full_is_written_once_there_is_room() {
    let (fs, options) = (MemFs::new(), model::options());
    let wal = open(&fs, &options);
    fs.set_capacity(Some(6 * options.segment_bytes));
    let (sender, receiver) = mpsc::channel();
    let count = fill(&wal, &sender);
    let is_written = |index| wal.last_index(GroupId(1)) >= Some(index);
    assert!(!is_written(count - 4), "{count}");
    assert!(matches!(wal.write(append(2, 1), Durability::Synced), Err(Error::DiskFull)));
    fs.set_capacity(None);
    let done: Vec<u64> = receiver
        .iter()
        .take(usize::try_from(count).unwrap())
        .map(|(index, result)| {
            result.unwrap();
            index
        })
        .collect();
    assert_eq!(done, (1..=count).collect::<Vec<_>>());
    assert!(!wal.is_full());
    drop(wal);
    let (wal, report) = model::open(&fs, &options).unwrap();
    assert!(report.is_clean());
    assert_eq!(wal.fetch(GroupId(1), 1..count + 1, u64::MAX).unwrap().len() as u64, count);
}

#[test]
fn what_waits_for_room_is_refused_when_the_log_is_closed() {
    let (fs, options) = (MemFs::new(), model::options());
    let wal = open(&fs, &options);
    fs.set_capacity(Some(6 * options.segment_bytes));
    let (sender, receiver) = mpsc::channel();
    let count = fill(&wal, &sender);
    drop((wal, sender));
    let done: Vec<_> = receiver.iter().collect();
    assert_eq!(done.len() as u64, count);
    let written = done.iter().take_while(|(_, result)| result.is_ok()).count();
    assert!(done[written..].iter().all(|(_, result)| matches!(result, Err(Error::DiskFull))));
    assert!(done.is_sorted_by_key(|(index, _)| *index), "told in order");
    fs.set_capacity(None);
    let (wal, _) = model::open(&fs, &options).unwrap();
    assert_eq!(wal.last_index(GroupId(1)), Some(written as u64));
}

#[test]
fn a_bad_batch_does_not_harm_its_neighbours() {
    let fs = MemFs::new();
    let wal = open(&fs, &model::options());
    let (sender, receiver) = mpsc::channel();
    for index in [1, 2, 9, 3] {
        let sender = sender.clone();
        wal.submit(append(1, index), Durability::Synced, move |result| {
            sender.send((index, result.is_ok())).unwrap();
        })
        .unwrap();
    }
    drop(sender);
    let mut done: Vec<(u64, bool)> = receiver.iter().collect();
    done.sort_unstable();
    assert_eq!(done, [(1, true), (2, true), (3, true), (9, false)]);
}

#[test]
fn a_failed_sync_closes_the_log_for_all() {
    let memory = MemFs::new();
    let fs = ErrFs::over_memory(memory.clone());
    let opened = SharedWal::open(Arc::new(fs.clone()), Path::new(DIR), model::options());
    let wal: SharedWal<RawEntry> = opened.unwrap().0;
    wal.write(append(1, 1), Durability::Synced).unwrap();
    fs.inject(Fault::nth(FsOp::SyncData, 0, Failure::Io).at("0000000001"));
    assert!(matches!(wal.write(append(1, 2), Durability::Synced), Err(Error::Io { .. })));
    fs.heal();
    assert!(matches!(wal.write(append(1, 2), Durability::Synced), Err(Error::Poisoned)));
    assert!(matches!(wal.sync(), Err(Error::Poisoned)));
    assert_eq!(wal.fetch(GroupId(1), 1..2, 0).unwrap().len(), 1, "reads go on");
}
