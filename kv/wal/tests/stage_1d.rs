//! Stage 1d: the segmented write-ahead log that many groups share.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::sync::Arc;

use tinykv_wal::{
    Durability, ErrFs, Error, Failure, Fault, FsOp, GroupId, LogBatch, MemFs, Options, RawEntry,
    Seeded, SharedWal, Wal,
};

fn options() -> Options {
    Options {
        segment_bytes: 32 << 10,
        pool_segments: 1,
        purge_bytes: 64 << 10,
        ..Options::default()
    }
}

fn open(fs: &MemFs) -> Wal<RawEntry> {
    Wal::open(Arc::new(fs.clone()), Path::new("log"), options()).unwrap().0
}

fn entries(range: std::ops::Range<u64>, term: u64) -> Vec<RawEntry> {
    range.map(|index| RawEntry { index, term, data: vec![index as u8; 200] }).collect()
}

fn append(wal: &mut Wal<RawEntry>, group: u64, entries: &[RawEntry]) {
    let mut batch = LogBatch::new();
    batch.append(GroupId(group), entries).unwrap();
    wal.write(batch, Durability::Synced).unwrap();
}

#[test]
fn entries_are_read_back_also_after_a_restart() {
    let fs = MemFs::new();
    let mut wal = open(&fs);
    append(&mut wal, 1, &entries(1..11, 1));
    append(&mut wal, 2, &entries(100..103, 4));
    for wal in [wal, open(&fs.crash(&mut Seeded::new(1)))] {
        assert_eq!(wal.fetch(GroupId(1), 1..11, u64::MAX).unwrap(), entries(1..11, 1));
        assert_eq!(wal.fetch(GroupId(2), 101..102, u64::MAX).unwrap(), entries(101..102, 4));
        assert_eq!(wal.first_index(GroupId(2)), Some(100));
        assert_eq!(wal.last_index(GroupId(1)), Some(10));
        assert_eq!(wal.term(GroupId(2), 101), Some(4));
        assert_eq!(wal.groups(), [GroupId(1), GroupId(2)]);
    }
}

#[test]
fn a_fetch_is_bounded_in_bytes_but_never_empty() {
    let mut wal = open(&MemFs::new());
    append(&mut wal, 1, &entries(1..11, 1));
    assert_eq!(wal.fetch(GroupId(1), 1..11, 0).unwrap().len(), 1);
    assert_eq!(wal.fetch(GroupId(1), 1..11, 700).unwrap().len(), 3);
}

#[test]
fn what_is_not_there_is_said_to_be_missing() {
    let mut wal = open(&MemFs::new());
    append(&mut wal, 1, &entries(5..8, 1));
    assert!(matches!(wal.fetch(GroupId(1), 4..6, 0), Err(Error::Compacted { first: 5, .. })));
    assert!(matches!(wal.fetch(GroupId(1), 7..9, 0), Err(Error::Unavailable { last: 7, .. })));
    assert!(matches!(wal.fetch(GroupId(2), 1..2, 0), Err(Error::Unavailable { .. })));
    assert_eq!(wal.term(GroupId(1), 8), None);
}

#[test]
fn an_append_at_a_lower_index_replaces_the_suffix() {
    let fs = MemFs::new();
    let mut wal = open(&fs);
    append(&mut wal, 1, &entries(1..11, 1));
    append(&mut wal, 1, &entries(4..6, 2));
    drop(wal);
    let wal = open(&fs);
    assert_eq!(wal.last_index(GroupId(1)), Some(5));
    assert_eq!(wal.term(GroupId(1), 3), Some(1));
    assert_eq!(wal.term(GroupId(1), 4), Some(2));
}

#[test]
fn a_batch_over_several_groups_is_whole_or_not_there() {
    let fs = MemFs::new();
    let mut wal = open(&fs);
    append(&mut wal, 1, &entries(1..3, 1));
    let mut batch = LogBatch::new();
    batch.append(GroupId(1), &entries(3..9, 1)).unwrap();
    batch.append(GroupId(2), &entries(1..9, 1)).unwrap();
    batch.put(GroupId(2), b"state".to_vec(), b"new".to_vec());
    wal.write(batch, Durability::Deferred).unwrap();
    let (mut there, mut gone) = (0, 0);
    for seed in 0..300 {
        let wal = open(&fs.crash(&mut Seeded::new(seed)));
        // A torn last write may be kept as damaged where there are other replicas.
        if wal.last_index(GroupId(1)) == Some(8) {
            there += 1;
            assert_eq!(wal.last_index(GroupId(2)), Some(8));
            assert_eq!(wal.get(GroupId(2), b"state").unwrap(), b"new");
        } else {
            gone += 1;
            assert_eq!(wal.last_index(GroupId(1)), Some(2));
            assert_eq!(wal.groups(), [GroupId(1)]);
        }
    }
    assert!(there > 0 && gone > 0, "{there} {gone}");
}

#[test]
fn keys_are_set_replaced_and_removed() {
    let fs = MemFs::new();
    let mut wal = open(&fs);
    let mut batch = LogBatch::new();
    batch.put(GroupId(1), b"a".to_vec(), b"1".to_vec());
    batch.put(GroupId(1), b"b".to_vec(), b"2".to_vec());
    wal.write(batch, Durability::Synced).unwrap();
    let mut batch = LogBatch::new();
    batch.put(GroupId(1), b"a".to_vec(), b"3".to_vec());
    batch.delete(GroupId(1), b"b".to_vec());
    wal.write(batch, Durability::Synced).unwrap();
    drop(wal);
    assert_eq!(open(&fs).keys(GroupId(1)), [(b"a".to_vec(), b"3".to_vec())]);
}

#[test]
fn compaction_and_removal_last() {
    let fs = MemFs::new();
    let mut wal = open(&fs);
    append(&mut wal, 1, &entries(1..11, 1));
    append(&mut wal, 2, &entries(1..11, 1));
    let mut batch = LogBatch::new();
    batch.compact_to(GroupId(1), 6);
    batch.clean(GroupId(2));
    wal.write(batch, Durability::Synced).unwrap();
    drop(wal);
    let wal = open(&fs);
    assert_eq!(wal.first_index(GroupId(1)), Some(6));
    assert_eq!(wal.groups(), [GroupId(1)]);
}

#[test]
fn a_hole_is_refused_and_nothing_is_written() {
    let mut wal = open(&MemFs::new());
    append(&mut wal, 1, &entries(1..3, 1));
    let before = wal.last_lsn();
    let mut batch = LogBatch::new();
    batch.append(GroupId(1), &entries(4..5, 1)).unwrap();
    assert!(matches!(wal.write(batch, Durability::Synced), Err(Error::Gap { .. })));
    assert_eq!(wal.last_lsn(), before);
}

#[test]
fn what_was_acknowledged_survives_every_crash() {
    let fs = MemFs::new();
    let mut wal = open(&fs);
    append(&mut wal, 1, &entries(1..6, 1));
    let mut batch = LogBatch::new();
    batch.append(GroupId(1), &entries(6..9, 1)).unwrap();
    wal.write(batch, Durability::Deferred).unwrap();
    let found = fs.crash_states(300, 1);
    for fs in found.states {
        let wal = open(&fs);
        assert_eq!(wal.fetch(GroupId(1), 1..6, u64::MAX).unwrap(), entries(1..6, 1));
    }
}

#[test]
fn the_durable_position_is_reported() {
    let mut wal = open(&MemFs::new());
    append(&mut wal, 1, &entries(1..2, 1));
    let durable = wal.synced_lsn();
    let mut batch = LogBatch::new();
    batch.append(GroupId(1), &entries(2..3, 1)).unwrap();
    let written = wal.write(batch, Durability::Deferred).unwrap();
    assert!(written > durable);
    assert_eq!(wal.synced_lsn(), durable);
    assert_eq!(wal.sync().unwrap(), written);
    assert_eq!(wal.synced_lsn(), written);
}

#[test]
fn purge_frees_what_nobody_needs_and_names_who_blocks_it() {
    let fs = MemFs::new();
    let mut wal = Wal::<RawEntry>::open(
        Arc::new(fs.clone()),
        Path::new("log"),
        Options { straggler_bytes_max: 1000, ..options() },
    )
    .unwrap()
    .0;
    append(&mut wal, 1, &entries(1..11, 1));
    append(&mut wal, 2, &entries(1..3, 1));
    let mut next = 1;
    while wal.metrics().log_bytes <= 96 << 10 {
        append(&mut wal, 3, &entries(next..next + 5, 1));
        next += 5;
    }
    let mut batch = LogBatch::new();
    batch.compact_to(GroupId(3), next - 1);
    wal.write(batch, Durability::Synced).unwrap();
    let report = wal.purge().unwrap();
    assert_eq!(report.blocked_by.iter().map(|(group, _)| *group).collect::<Vec<_>>(), [GroupId(1)]);
    let mut batch = LogBatch::new();
    batch.compact_to(GroupId(1), 11);
    wal.write(batch, Durability::Synced).unwrap();
    assert!(wal.purge().unwrap().freed > 0);
    assert_eq!(wal.fetch(GroupId(2), 1..3, u64::MAX).unwrap(), entries(1..3, 1), "rewritten");
    drop(wal);
    assert_eq!(open(&fs).fetch(GroupId(2), 1..3, u64::MAX).unwrap(), entries(1..3, 1));
}

#[test]
fn a_failed_sync_closes_the_log() {
    let fs = ErrFs::over_memory(MemFs::new());
    let mut wal =
        Wal::<RawEntry>::open(Arc::new(fs.clone()), Path::new("log"), options()).unwrap().0;
    append(&mut wal, 1, &entries(1..2, 1));
    fs.inject(Fault::nth(FsOp::SyncData, 0, Failure::Io));
    let mut batch = LogBatch::new();
    batch.append(GroupId(1), &entries(2..3, 1)).unwrap();
    assert!(wal.write(batch.clone(), Durability::Synced).is_err());
    fs.heal();
    assert!(matches!(wal.write(batch, Durability::Synced), Err(Error::Poisoned)));
}

#[test]
fn a_log_is_open_once() {
    let fs = MemFs::new();
    let wal = open(&fs);
    let again = Wal::<RawEntry>::open(Arc::new(fs.clone()), Path::new("log"), options());
    assert!(matches!(again, Err(Error::Locked(_))));
    drop(wal);
    open(&fs);
}

#[test]
fn many_threads_write_and_all_of_it_is_there() {
    let fs = MemFs::new();
    let (wal, _) =
        SharedWal::<RawEntry>::open(Arc::new(fs.clone()), Path::new("log"), options()).unwrap();
    std::thread::scope(|scope| {
        for group in 1..=4 {
            let wal = wal.clone();
            scope.spawn(move || {
                for index in 1..=50 {
                    let mut batch = LogBatch::new();
                    batch.append(GroupId(group), &entries(index..index + 1, 1)).unwrap();
                    wal.write(batch, Durability::Synced).unwrap();
                }
            });
        }
    });
    let crashed = fs.crash(&mut Seeded::new(3));
    let wal = open(&crashed);
    for group in 1..=4 {
        assert_eq!(wal.fetch(GroupId(group), 1..51, u64::MAX).unwrap(), entries(1..51, 1));
    }
}
