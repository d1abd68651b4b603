//! W3, W4, W10, W24: positions, reading in order, the mark of an idle log, and what is counted.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use tinykv_wal::{
    Damage, Durability, ErrFs, Error, Failure, Fault, Fs, FsOp, GroupId, LogBatch, Lsn, MemFs,
    OpenMode, Options, RawEntry, RealFs, Replayed, SharedWal, Wal, options_of, replay,
};

use crate::model::{self, DIR, entry};

fn append(group: u64, index: u64, len: usize) -> LogBatch<RawEntry> {
    let mut batch = LogBatch::new();
    batch.append(GroupId(group), &[entry(index, 1, vec![index as u8; len])]).unwrap();
    batch
}

#[test]
fn a_position_is_made_durable_once() {
    let fs = MemFs::new();
    let mut wal = model::open(&fs, &model::options()).unwrap().0;
    let first = wal.write(append(1, 1, 10), Durability::Deferred).unwrap();
    let second = wal.write(append(1, 2, 10), Durability::Deferred).unwrap();
    assert_eq!(wal.sync_to(first).unwrap(), second, "all that was written");
    let before = fs.operations();
    assert_eq!(wal.sync_to(second).unwrap(), second);
    assert_eq!(wal.sync_to(Lsn(0)).unwrap(), second);
    assert_eq!(fs.operations(), before, "it was durable");
    let later = wal.sync_to(second.next());
    assert!(matches!(later, Err(Error::NotWritten { lsn, last }) if lsn == last.next()));
    drop(wal);
    let opened = SharedWal::open(Arc::new(fs.clone()), Path::new(DIR), model::options());
    let wal: SharedWal<RawEntry> = opened.unwrap().0;
    let third = wal.write(append(1, 3, 10), Durability::Deferred).unwrap();
    assert!(wal.synced_lsn() < third);
    assert!(wal.sync_to(third).unwrap() >= third);
    assert!(fs.is_durable());
    assert!(matches!(wal.sync_to(Lsn(1000)), Err(Error::NotWritten { .. })));
}

#[test]
fn entries_come_one_after_another_with_errors_in_their_place() {
    let options = Options { compress_bytes_min: None, ..model::options() };
    let fs = MemFs::new();
    let mut wal = model::open(&fs, &options).unwrap().0;
    for index in 1..=9 {
        wal.write(append(1, index, 700), Durability::Synced).unwrap();
    }
    wal.mark().unwrap();
    drop(wal);
    // A bit of the fourth entry.
    let names = fs.list(Path::new(DIR)).unwrap();
    let name = names.into_iter().find(|name| name.extension().is_some_and(|end| end == "wal"));
    let path = Path::new(DIR).join(name.unwrap());
    let file = fs.open(&path, OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let at = bytes.windows(32).position(|window| window == [4; 32]).unwrap();
    Damage::FlipBit { offset: at as u64, bit: 3 }.apply(&fs, &path).unwrap();
    let (wal, _) = model::open(&fs, &options).unwrap();
    let found: Vec<_> = wal.iter(GroupId(1), 2..8).collect();
    let indexes = found.iter().map(|found| found.as_ref().map_or(0, |entry| entry.index));
    assert_eq!(indexes.collect::<Vec<_>>(), [2, 3, 0, 5, 6, 7]);
    assert!(matches!(found[2], Err(Error::Faulty { index: 4, .. })));
    let found: Vec<_> = wal.iter(GroupId(1), 8..12).collect();
    assert!(matches!(found[..], [Err(Error::Unavailable { last: 9, .. })]), "{found:?}");
    assert_eq!(wal.iter(GroupId(1), 3..3).count(), 0);
    drop(wal);

    let mut told = Vec::new();
    let visit = |_, what: Replayed<RawEntry>| {
        if let Replayed::Entry { index, entry, .. } = what {
            told.push((index, entry.is_some()));
        }
        ControlFlow::Continue(())
    };
    replay(Arc::new(fs), Path::new(DIR), &options, visit).unwrap();
    assert_eq!(told, (1..=9).map(|index| (index, index != 4)).collect::<Vec<_>>());
}

/// Entries that follow each other on the disk are read at once; where that fails, only those that
/// the disk refuses are named.
#[test]
fn the_neighbours_of_an_unreadable_entry_are_read() {
    let memory = MemFs::new();
    let options = Options { cache_bytes: 0, compress_bytes_min: None, ..model::options() };
    let mut wal = model::open(&memory, &options).unwrap().0;
    let mut batch = LogBatch::new();
    let entries: Vec<RawEntry> = (1..=5).map(|index| entry(index, 1, vec![7; 1000])).collect();
    batch.append(GroupId(1), &entries).unwrap();
    wal.write(batch, Durability::Synced).unwrap();
    wal.mark().unwrap();
    drop(wal);
    let fs = ErrFs::over_memory(memory);
    let wal = model::open(&fs, &options).unwrap().0;
    // In the third entry: the payload begins within the first sectors of the block.
    let place = 4096 + 2 * 1016 + 600;
    fs.inject(Fault::sticky(FsOp::Read, Failure::Io).touching(place..place + 1));
    assert!(matches!(wal.fetch(GroupId(1), 1..6, 1 << 20), Err(Error::Faulty { index: 3, .. })));
    assert_eq!(wal.fetch(GroupId(1), 1..3, 1 << 20).unwrap(), entries[..2]);
    let found: Vec<_> = wal.iter(GroupId(1), 1..6).map(|found| found.map(|it| it.index)).collect();
    assert!(matches!(found[..], [Ok(1), Ok(2), Err(Error::Faulty { .. }), Ok(4), Ok(5)]));
}

#[test]
fn a_replay_tells_everything_in_order_and_stops_when_told_to() {
    let options = Options { compress_bytes_min: Some(64), ..model::options() };
    let fs = MemFs::new();
    let mut wal = model::open(&fs, &options).unwrap().0;
    wal.write(append(1, 1, 500), Durability::Synced).unwrap();
    let mut batch = append(1, 2, 10);
    batch.put(GroupId(2), b"k".to_vec(), b"v".to_vec());
    batch.delete(GroupId(2), b"k".to_vec());
    batch.compact_to(GroupId(1), 2);
    batch.clean(GroupId(2));
    wal.write(batch, Durability::Synced).unwrap();
    let open = replay::<RawEntry>(Arc::new(fs.clone()), Path::new(DIR), &options, |_, _| {
        ControlFlow::Continue(())
    });
    assert!(matches!(open, Err(Error::Locked(_))));
    drop(wal);
    let (group, key) = (GroupId(2), b"k".to_vec());
    let told_entry = |index, len| Replayed::Entry {
        group: GroupId(1),
        index,
        term: 1,
        entry: Some(entry(index, 1, vec![index as u8; len])),
        again: false,
    };
    let wanted = [
        (1, told_entry(1, 500)),
        (2, told_entry(2, 10)),
        (2, Replayed::Put { group, key: key.clone(), value: b"v".to_vec() }),
        (2, Replayed::Delete { group, key }),
        (2, Replayed::Compact { group: GroupId(1), to: 2 }),
        (2, Replayed::Clean { group }),
    ];
    for limit in [usize::MAX, 3] {
        let mut told = Vec::new();
        let visit = |lsn: Lsn, what| {
            told.push((lsn.0, what));
            if told.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        replay(Arc::new(fs.clone()), Path::new(DIR), &options, visit).unwrap();
        assert_eq!(told, wanted[..wanted.len().min(limit)]);
    }
}

#[test]
fn the_options_of_a_log_are_read_from_it() {
    let fs = MemFs::new();
    let none = options_of(Arc::new(fs.clone()), Path::new(DIR));
    assert!(matches!(none, Err(Error::NoLog(_))), "{none:?}");
    let options = model::options();
    drop(model::open(&fs, &options).unwrap());
    let found = options_of(Arc::new(fs), Path::new(DIR)).unwrap();
    assert_eq!(
        (found.store_id, found.segment_bytes, found.block_align),
        (options.store_id, options.segment_bytes, options.block_align)
    );
}

/// Ends only once the mark is there: the log fell idle after the write.
#[test]
fn an_idle_log_protects_its_last_block_by_itself() {
    let fs = MemFs::new();
    let opened = SharedWal::open(Arc::new(fs), Path::new(DIR), model::options());
    let wal: SharedWal<RawEntry> = opened.unwrap().0;
    let lsn = wal.write(append(1, 1, 10), Durability::Synced).unwrap();
    while wal.last_lsn() == lsn {
        std::thread::yield_now();
    }
    assert_eq!(wal.synced_lsn(), lsn.next());
}

#[test]
fn syncs_are_timed_on_a_disk_and_take_no_time_without() {
    let folder = tempfile::tempdir().unwrap();
    let real: Arc<dyn Fs> = RealFs::shared();
    for (fs, is_real) in [(real, true), (Arc::new(MemFs::new()), false)] {
        let (mut wal, _) =
            Wal::<RawEntry>::open(fs, &folder.path().join(DIR), model::options()).unwrap();
        for index in 1..=20 {
            wal.write(append(1, index, 10), Durability::Synced).unwrap();
        }
        let metrics = wal.metrics();
        assert_eq!((metrics.syncs, metrics.sync_times.count()), (20, 20));
        if !is_real {
            assert_eq!(metrics.sync_times.buckets[0], 20, "{metrics:?}");
        }
    }
}
