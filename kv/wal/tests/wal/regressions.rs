//! T8: the bugs that other logs shipped, each by its name.

use std::path::Path;

use tinykv_wal::{
    Damage, Durability, ErrFs, Error, Failure, Fault, Fs, FsOp, GroupId, LogBatch, MemFs, OpenMode,
    Options, RawEntry, Seeded, TailPolicy, Wal,
};

use crate::model::{self, DIR, entry};

fn put(wal: &mut Wal<RawEntry>, group: u64, index: u64, term: u64, len: usize) {
    let mut batch = LogBatch::new();
    batch.append(GroupId(group), &[entry(index, term, vec![index as u8; len])]).unwrap();
    wal.write(batch, Durability::Synced).unwrap();
}

fn compact(wal: &mut Wal<RawEntry>, group: u64, to: u64) {
    let mut batch = LogBatch::new();
    batch.compact_to(GroupId(group), to);
    wal.write(batch, Durability::Synced).unwrap();
}

fn wal_files(fs: &MemFs) -> Vec<std::path::PathBuf> {
    let names = fs.list(Path::new(DIR)).unwrap();
    let files = names.into_iter().map(|name| Path::new(DIR).join(name));
    files.filter(|path| path.extension().is_some_and(|end| end == "wal")).collect()
}

/// Writes to group 1 until purge has moved what the other groups have; several cycles.
fn churn(wal: &mut Wal<RawEntry>, from: u64, cycles: usize) -> u64 {
    let mut index = from;
    for _ in 0..cycles {
        for _ in 0..100 {
            put(wal, 1, index, 1, 900);
            index += 1;
        }
        compact(wal, 1, index - 1);
        wal.purge().unwrap();
    }
    index
}

#[test]
fn raft_engine_288_an_interrupted_rewrite_of_a_rewrite_keeps_the_front() {
    let options = model::options();
    let fs = MemFs::new();
    let mut wal = model::open(&fs, &options).unwrap().0;
    for index in 1..=9 {
        put(&mut wal, 2, index, 1, 50);
    }
    let index = churn(&mut wal, 1, 3);
    assert!(wal.low_water_mark(GroupId(2)).unwrap() > 1, "rewritten at least once");
    for at in index..index + 100 {
        put(&mut wal, 1, at, 1, 900);
    }
    compact(&mut wal, 1, index + 99);
    fs.record();
    wal.purge().unwrap();
    let points = fs.recorded();
    assert!(points.len() > 3, "the purge rewrites again");
    for point in points {
        for seed in 0..10 {
            let fs = point.fs().crash(&mut Seeded::new(seed));
            let (wal, _) = model::open(&fs, &options).unwrap();
            let found = wal.fetch(GroupId(2), 1..10, u64::MAX).unwrap();
            assert_eq!(found.len(), 9, "seed {seed} after {}", point.what);
        }
    }
}

#[test]
fn tikv_17383_the_index_never_points_into_a_purged_segment() {
    let options = model::options();
    let fs = MemFs::new();
    let mut wal = model::open(&fs, &options).unwrap().0;
    for index in 1..=9 {
        put(&mut wal, 2, index, 1, 50);
    }
    let mut index = 1;
    for _ in 0..8 {
        index = churn(&mut wal, index, 1);
        let found = wal.fetch(GroupId(2), 1..10, u64::MAX).unwrap();
        assert_eq!(found.len(), 9);
        let oldest: u32 = wal_files(&fs)
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap()[..10].parse().unwrap())
            .min()
            .unwrap();
        // Recycled files keep their old name until they are used.
        assert!(oldest <= wal.low_water_mark(GroupId(2)).unwrap());
    }
}

#[test]
fn raft_engine_040_what_recovery_found_in_memory_is_synced_before_it_counts() {
    let options = model::options();
    let fs = MemFs::new();
    let mut wal = model::open(&fs, &options).unwrap().0;
    put(&mut wal, 1, 1, 1, 600);
    let mut batch = LogBatch::new();
    batch.append(GroupId(1), &[entry(2, 1, vec![2; 1500])]).unwrap();
    wal.write(batch, Durability::Deferred).unwrap();
    drop(wal);
    // Only the process ended: the next one reads the second entry from memory and builds on it.
    let mut wal = model::open(&fs, &options).unwrap().0;
    assert_eq!(wal.last_index(GroupId(1)), Some(2));
    put(&mut wal, 1, 3, 1, 10);
    for seed in 0..200 {
        let crashed = fs.crash(&mut Seeded::new(seed));
        let (wal, _) = model::open(&crashed, &options).unwrap();
        assert_eq!(wal.fetch(GroupId(1), 1..4, u64::MAX).unwrap().len(), 3, "seed {seed}");
    }
}

#[test]
fn raft_engine_219_the_old_segment_is_durable_before_the_next_is_used() {
    let options = model::options();
    let memory = MemFs::new();
    let fs = ErrFs::over_memory(memory.clone());
    let mut wal = model::open(&fs, &options).unwrap().0;
    // The footer, which is only for speed, cannot be written: its sync must not be what helps.
    fs.inject(Fault::sticky(FsOp::Len, Failure::Io));
    let mut index = 1;
    while wal.metrics().segments < 2 {
        let mut batch = LogBatch::new();
        batch.append(GroupId(1), &[entry(index, 1, vec![1; 900])]).unwrap();
        let last = wal.metrics().segments;
        wal.write(batch, Durability::Deferred).unwrap();
        if wal.metrics().segments > last && last > 0 {
            break;
        }
        index += 1;
    }
    put(&mut wal, 1, index + 1, 1, 10);
    for seed in 0..200 {
        let crashed = memory.crash(&mut Seeded::new(seed));
        let (wal, _) = model::open(&crashed, &options).unwrap();
        assert_eq!(wal.last_index(GroupId(1)), Some(index + 1), "seed {seed}");
        assert_eq!(wal.fetch(GroupId(1), 1..index + 2, u64::MAX).unwrap().len() as u64, index + 1);
    }
}

#[test]
fn a_recycled_file_never_has_its_old_name_and_a_new_header() {
    let options = model::options();
    let fs = MemFs::new();
    let mut wal = model::open(&fs, &options).unwrap().0;
    let index = churn(&mut wal, 1, 2);
    fs.record();
    churn(&mut wal, index, 1);
    assert!(wal.metrics().segments_recycled > 0, "{:?}", wal.metrics());
    for point in fs.recorded().into_iter().filter(|point| point.what.contains("prepare")) {
        for fs in point.fs().crash_states(30, 1).states {
            let opened = model::open(&fs, &options);
            assert!(opened.is_ok(), "{:?} after {}", opened.err(), point.what);
        }
    }
}

#[test]
fn unistore_567_no_later_segment_is_replayed_over_a_hole() {
    let options = model::options();
    let fs = MemFs::new();
    let mut wal = model::open(&fs, &options).unwrap().0;
    for index in 1..=100 {
        put(&mut wal, 1, index, 1, 900);
    }
    drop(wal);
    let files = wal_files(&fs);
    assert!(files.len() >= 4);
    let second = &files[1];
    Damage::Missing.apply(&fs, second).unwrap();
    assert!(matches!(model::open(&fs, &options), Err(Error::MissingSegment { seq: 2, .. })));
}

#[test]
fn etcd_14098_losing_what_was_not_synced_leaves_a_log_that_opens() {
    let options = model::options();
    for seed in 0..200 {
        let fs = MemFs::new();
        let mut wal = model::open(&fs, &options).unwrap().0;
        put(&mut wal, 1, 1, 1, 600);
        for index in 2..=20 {
            let mut batch = LogBatch::new();
            batch.append(GroupId(1), &[entry(index, 1, vec![index as u8; 600])]).unwrap();
            wal.write(batch, Durability::Deferred).unwrap();
        }
        let crashed = fs.crash(&mut Seeded::new(seed));
        let (wal, _) = model::open(&crashed, &options).unwrap();
        assert!(wal.last_index(GroupId(1)).unwrap() >= 1);
    }
}

#[test]
fn etcd_6515_a_record_of_zeros_is_no_torn_write() {
    for len in [512, 1024, 5000] {
        let options = Options { compress_bytes_min: None, ..model::options() };
        let fs = MemFs::new();
        let mut wal = model::open(&fs, &options).unwrap().0;
        let mut batch = LogBatch::new();
        batch.append(GroupId(1), &[entry(1, 1, vec![0; len])]).unwrap();
        wal.write(batch, Durability::Synced).unwrap();
        put(&mut wal, 1, 2, 1, 10);
        drop(wal);
        let (wal, report) = model::open(&fs, &options).unwrap();
        assert!(report.is_clean() && report.torn.is_none(), "{report:?}");
        assert_eq!(wal.last_index(GroupId(1)), Some(2));
    }
}

#[test]
fn etcd_14370_nothing_is_acknowledged_before_its_sync() {
    let options = model::options();
    let fs = MemFs::new();
    let mut wal = model::open(&fs, &options).unwrap().0;
    put(&mut wal, 1, 1, 1, 600);
    assert!(fs.is_durable(), "after the answer a crash loses nothing");
}

#[test]
fn easydist_d9_rot_of_a_durable_entry_is_named_and_not_cut_off() {
    for tail in [TailPolicy::Single, TailPolicy::Replicated] {
        let options =
            Options { tail, compress_bytes_min: None, recycle: false, ..model::options() };
        let fs = MemFs::new();
        let mut wal = model::open(&fs, &options).unwrap().0;
        put(&mut wal, 1, 1, 1, 600);
        put(&mut wal, 1, 2, 3, 600);
        wal.mark().unwrap();
        drop(wal);
        // The last byte that is not zero before the mark is in the payload of the last entry.
        let path = &wal_files(&fs)[0];
        let file = fs.open(path, OpenMode::Read).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        let run = bytes.windows(32).rposition(|window| window == [2; 32]).unwrap();
        Damage::FlipBit { offset: run as u64, bit: 0 }.apply(&fs, path).unwrap();
        let (wal, _) = model::open(&fs, &options).unwrap();
        assert_eq!(wal.last_index(GroupId(1)), Some(2));
        assert_eq!(wal.fetch(GroupId(1), 1..2, 0).unwrap().len(), 1);
        let faulty = wal.fetch(GroupId(1), 2..3, 0);
        assert!(matches!(faulty, Err(Error::Faulty { index: 2, term: 3, .. })), "{faulty:?}");
    }
}

#[test]
fn mkraft_a_shorter_suffix_leaves_nothing_of_the_longer_one() {
    let options = model::options();
    let fs = MemFs::new();
    let mut wal = model::open(&fs, &options).unwrap().0;
    for index in 1..=9 {
        put(&mut wal, 1, index, 1, 40);
    }
    put(&mut wal, 1, 4, 2, 40);
    drop(wal);
    let (wal, _) = model::open(&fs, &options).unwrap();
    assert_eq!(wal.last_index(GroupId(1)), Some(4));
    assert_eq!(wal.term(GroupId(1), 4), Some(2));
    assert_eq!(wal.term(GroupId(1), 3), Some(1));
    assert_eq!(wal.term(GroupId(1), 5), None);
}

#[test]
fn bitcask_a_removed_group_does_not_come_back_after_purge_and_crash() {
    let options = model::options();
    let fs = MemFs::new();
    let mut wal = model::open(&fs, &options).unwrap().0;
    for index in 1..=5 {
        put(&mut wal, 7, index, 1, 50);
    }
    let mut batch = LogBatch::new();
    batch.clean(GroupId(7));
    wal.write(batch, Durability::Synced).unwrap();
    put(&mut wal, 7, 1, 9, 10);
    churn(&mut wal, 1, 4);
    for seed in 0..50 {
        let (wal, _) = model::open(&fs.crash(&mut Seeded::new(seed)), &options).unwrap();
        assert_eq!((wal.first_index(GroupId(7)), wal.last_index(GroupId(7))), (Some(1), Some(1)));
        assert_eq!(wal.term(GroupId(7), 1), Some(9));
    }
}

#[test]
fn tikv_15462_the_pool_is_filled_before_it_is_needed() {
    let options = Options { pool_segments: 3, ..model::options() };
    let fs = MemFs::new();
    let mut wal = model::open(&fs, &options).unwrap().0;
    for index in 1..=200 {
        put(&mut wal, 1, index, 1, 900);
        wal.prepare();
    }
    let metrics = wal.metrics();
    assert!(metrics.segments >= 5);
    assert!(metrics.pool_waits <= 1, "only the first segment was waited for: {metrics:?}");
}

#[test]
fn mkraft_a_hole_is_refused() {
    let fs = MemFs::new();
    let mut wal = model::open(&fs, &model::options()).unwrap().0;
    put(&mut wal, 1, 5, 1, 10);
    let mut batch = LogBatch::new();
    batch.append(GroupId(1), &[entry(7, 1, [])]).unwrap();
    let refused = wal.write(batch, Durability::Synced);
    assert!(matches!(refused, Err(Error::Gap { index: 7, low: 5, high: 6, .. })));
}
