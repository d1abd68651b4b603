//! W5, W21, W22: who blocks a purge is named, no group holds the log for ever, rewriting takes only
//! its share, and idle groups are small.

use std::path::Path;
use std::sync::Arc;

use tinykv_wal::{Durability, GroupId, LogBatch, MemFs, Options, RawEntry, SharedWal, Wal};

use crate::model::{self, DIR, entry};

fn append(wal: &mut Wal<RawEntry>, group: u64, index: u64, len: usize) {
    let mut batch = LogBatch::new();
    batch.append(GroupId(group), &[entry(index, 1, vec![index as u8; len])]).unwrap();
    wal.write(batch, Durability::Synced).unwrap();
}

fn compact(wal: &mut Wal<RawEntry>, group: u64, to: u64) {
    let mut batch = LogBatch::new();
    batch.compact_to(GroupId(group), to);
    wal.write(batch, Durability::Synced).unwrap();
}

/// Fills segments with a group that is compacted; gives its next index.
fn fill(wal: &mut Wal<RawEntry>, group: u64, from: u64, segments: u64) -> u64 {
    let mut index = from;
    let target = wal.metrics().segments + segments;
    while wal.metrics().segments < target {
        append(wal, group, index, 900);
        index += 1;
    }
    compact(wal, group, index - 1);
    index
}

fn options() -> Options {
    Options { compress_bytes_min: None, recycle: false, ..model::options() }
}

#[test]
fn a_segment_that_holds_more_than_the_budget_still_names_who_blocks_it() {
    // All of the first segment is live, and a purge may rewrite less than that.
    let options = Options { rewrite_bytes_max: 8 << 10, ..options() };
    let mut wal = model::open(&MemFs::new(), &options).unwrap().0;
    let mut index = 1;
    while wal.metrics().segments < 2 {
        append(&mut wal, 1, index, 900);
        index += 1;
    }
    fill(&mut wal, 2, 1, 2);
    let report = wal.purge().unwrap();
    assert_eq!(report.blocked_by, [(GroupId(1), 1)]);
    assert_eq!((report.freed, report.rewritten_bytes), (0, 0), "not at twice the size yet");
    // Its owner does nothing. At twice the size it is rewritten anyway, in several purges.
    let mut from = 1000;
    compact(&mut wal, 2, from);
    let mut purges = 0;
    while wal.low_water_mark(GroupId(1)) == Some(1) {
        from = fill(&mut wal, 2, from, 1);
        let report = wal.purge().unwrap();
        assert!(report.rewritten_bytes <= options.rewrite_bytes_max + (2 << 10), "{report:?}");
        purges += usize::from(report.rewritten_bytes > 0);
        assert!(wal.metrics().segments < 30, "{:?}", wal.metrics());
    }
    assert!(purges > 1, "in pieces");
    let found = wal.fetch(GroupId(1), 1..index, u64::MAX).unwrap();
    assert_eq!(found.len() as u64, index - 1);
}

#[test]
fn rewriting_takes_only_its_share_of_what_is_written() {
    // Many stragglers: each purge could rewrite them again and again.
    let options = Options {
        rewrite_percent: 10,
        rewrite_bytes_max: 4 << 10,
        purge_bytes: 96 << 10,
        ..options()
    };
    let mut wal = model::open(&MemFs::new(), &options).unwrap().0;
    for group in 100..140 {
        append(&mut wal, group, 1, 300);
    }
    let (mut written, mut rewritten) = (0, 0);
    for index in 1..=400 {
        let before = wal.metrics();
        append(&mut wal, 1, index, 900);
        compact(&mut wal, 1, index);
        wal.purge().unwrap();
        let after = wal.metrics();
        written += after.block_bytes - before.block_bytes;
        // A log of twice the size is another matter.
        if before.log_bytes <= 2 * options.purge_bytes {
            rewritten += after.rewritten_bytes - before.rewritten_bytes;
            let share = options.rewrite_bytes_max + written / 10 + 2000;
            assert!(rewritten <= share, "{rewritten} of {written}");
        }
    }
    assert!(rewritten > 0);
    assert!(wal.metrics().log_bytes <= 3 * options.purge_bytes, "{:?}", wal.metrics());
    for group in 100..140 {
        assert_eq!(wal.fetch(GroupId(group), 1..2, 0).unwrap().len(), 1);
    }
}

#[test]
fn ten_thousand_idle_groups_take_less_than_200_bytes_each() {
    let options = Options { segment_bytes: 4 << 20, cache_bytes: 0, ..options() };
    let fs = MemFs::new();
    let opened = SharedWal::<RawEntry>::open(Arc::new(fs.clone()), Path::new(DIR), options.clone());
    let wal = opened.unwrap().0;
    for group in 1..=10_000 {
        let mut batch = LogBatch::new();
        batch.append(GroupId(group), &[entry(5, 1, vec![7; 60])]).unwrap();
        batch.put(GroupId(group), b"hs".to_vec(), vec![1; 24]);
        wal.write(batch, Durability::Deferred).unwrap();
    }
    let each = |bytes: u64| bytes / 10_000;
    assert!(each(wal.metrics().index_bytes) < 200, "{:?}", wal.metrics());
    wal.sync().unwrap();
    drop(wal);
    let (wal, _) = model::open(&fs, &options).unwrap();
    assert_eq!(wal.metrics().groups, 10_000);
    assert!(each(wal.metrics().index_bytes) < 200, "after recovery: {:?}", wal.metrics());
}
