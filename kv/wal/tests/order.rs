//! T9: the order of the log's operations on real files.
//!
//! `TraceFs` passes each operation on to the real file system and notes it, and when a writer is
//! answered. `Rules` goes through the notes and demands:
//!
//! 1. an answer comes after a sync that began after its block, and all before it, were written;
//! 2. and after the sync of the folder that made the names of their segments durable;
//! 3. the first block of a segment comes after everything before it is durable;
//! 4. what a purge removes, it removes after a block that it wrote is durable (one caller);
//! 5. a recycled file is written to only after its new name is durable;
//! 6. no file grows once it has a segment's name.
//!
//! What a crash then leaves is tested on a disk that forgets (`wal/crash.rs`); here it is shown that
//! the same calls reach the operating system, by one caller and by threads. That each call is the
//! system call of its name is for strace, where that can be had.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "order/rules.rs"]
mod rules;
#[path = "order/strace.rs"]
mod strace;
#[path = "order/trace.rs"]
mod trace;

use std::sync::Arc;
use std::sync::mpsc;

use rules::{Rules, Seen};
use tinykv_wal::{Durability, Fs, GroupId, LogBatch, Options, RawEntry, RealFs, SharedWal, Wal};
use trace::{Event, TraceFs};

pub(crate) fn options() -> Options {
    Options {
        store_id: 1,
        segment_bytes: 64 << 10,
        block_align: 512,
        pool_segments: 1,
        purge_bytes: 192 << 10,
        compress_bytes_min: None,
        ..Options::default()
    }
}

/// An entry, and a compaction that makes the old segments free.
pub(crate) fn batch(group: u64, index: u64) -> LogBatch<RawEntry> {
    let mut batch = LogBatch::new();
    let entry = RawEntry { index, term: 1, data: vec![index as u8; 1500] };
    batch.append(GroupId(group), &[entry]).unwrap();
    batch.put(GroupId(group), b"vote".to_vec(), index.to_le_bytes());
    batch.compact_to(GroupId(group), index);
    batch
}

fn check(events: &[Event]) -> Seen {
    let seen = Rules::check(events).unwrap_or_else(|why| panic!("{why}"));
    assert!(seen.answers > 100 && seen.rolls > 4 && seen.recycled > 2, "{seen:?}");
    seen
}

#[test]
fn one_caller() {
    let folder = tempfile::tempdir().unwrap();
    let trace = TraceFs::new(RealFs::shared());
    let fs: Arc<dyn Fs> = Arc::new(trace.clone());
    for life in 0..3_u64 {
        let dir = folder.path().join("log");
        // Those that are not recycled are removed.
        let options = Options { recycle: life != 1, ..options() };
        let (mut wal, _) = Wal::open(Arc::clone(&fs), &dir, options).unwrap();
        for index in life * 200 + 1..=life * 200 + 200 {
            let durable = !index.is_multiple_of(3);
            let durability = if durable { Durability::Synced } else { Durability::Deferred };
            let lsn = wal.write(batch(1, index), durability).unwrap();
            if durable {
                trace.answer(lsn);
            }
            if index.is_multiple_of(10) {
                trace.purge();
                wal.purge().unwrap();
            }
        }
        wal.mark().unwrap();
    }
    println!("T9: {:?}", check(&trace.events()));
}

#[test]
fn many_threads() {
    let folder = tempfile::tempdir().unwrap();
    let trace = TraceFs::new(RealFs::shared());
    let (wal, _) =
        SharedWal::open(Arc::new(trace.clone()), &folder.path().join("log"), options()).unwrap();
    std::thread::scope(|scope| {
        for group in 1..=3 {
            let (wal, trace) = (wal.clone(), trace.clone());
            scope.spawn(move || {
                for index in 1..=100 {
                    let lsn = wal.write(batch(group, index), Durability::Synced).unwrap();
                    trace.answer(lsn);
                }
            });
        }
        scope.spawn(|| submit(&wal, &trace, 4));
        scope.spawn(|| {
            while wal.last_index(GroupId(1)).unwrap_or(0) < 100 {
                wal.purge().unwrap();
                std::thread::yield_now();
            }
        });
    });
    drop(wal);
    println!("T9: {:?}", check(&trace.events()));
}

/// Hands in batches; each answer is noted by the thread that committed it.
fn submit(wal: &SharedWal<RawEntry>, trace: &TraceFs, group: u64) {
    let (sender, done) = mpsc::channel();
    for index in 1..=100 {
        let (trace, sender) = (trace.clone(), sender.clone());
        let told = move |lsn: tinykv_wal::Result<_>| {
            trace.answer(lsn.unwrap());
            sender.send(()).unwrap();
        };
        wal.submit(batch(group, index), Durability::Synced, told).unwrap();
        if index > 4 {
            done.recv().unwrap();
        }
    }
    (0..4).for_each(|_| done.recv().unwrap());
}

/// The rules themselves: each broken order is found.
#[test]
fn each_rule_can_be_broken() {
    use Event::{
        Answer, Block, Create, DirSyncBegins, DirSyncEnds, Grows, Purge, Remove, Rename,
        SyncBegins, SyncEnds, Write,
    };
    let prepared = [
        Create { file: 1, path: "d/x.tmp".into() },
        Write { file: 1 },
        SyncBegins { file: 1 },
        SyncEnds { file: 1 },
        Rename { from: "d/x.tmp".into(), to: "d/1.wal".into() },
    ];
    let named = [DirSyncBegins { path: "d".into() }, DirSyncEnds { path: "d".into() }];
    let sync = [SyncBegins { file: 1 }, SyncEnds { file: 1 }];
    let wrote = [Block { file: 1, lsn: 1 }];
    let answer = [Answer { lsn: 1 }];
    let broken = |parts: &[&[Event]]| Rules::check(&parts.concat()).err().unwrap_or_default();
    assert_eq!(broken(&[&prepared, &named, &wrote, &sync, &answer]), "");
    let demand = |parts: &[&[Event]], why: &str| {
        let found = broken(&[&[&prepared[..], &named].concat()[..], &parts.concat()]);
        assert!(found.starts_with(why), "{found:?}, not {why:?}");
    };
    let unsynced = "a writer is answered, and block 1 is not durable";
    demand(&[&wrote, &answer, &sync], unsynced);
    demand(&[&sync, &wrote, &answer], unsynced);
    demand(&[&sync[..1], &wrote, &sync[1..], &answer], unsynced);
    demand(&[&answer], "a writer is answered, and block 1 is not written");
    assert!(broken(&[&prepared, &wrote]).starts_with("the segment's name is not durable"));
    assert!(broken(&[&prepared, &named[..1], &wrote]).starts_with("the segment's name"));
    let next = [
        Create { file: 2, path: "d/2.wal".into() },
        named[0].clone(),
        named[1].clone(),
        Block { file: 2, lsn: 2 },
    ];
    demand(&[&wrote, &next], "the next segment is begun, and block 1 is not durable");
    demand(&[&wrote, &sync, &next], "");
    let remove = [Remove { path: "d/1.wal".into() }];
    demand(&[&wrote, &sync, &[Purge], &remove], "a segment is removed by a purge");
    demand(&[&wrote, &sync, &[Purge], &next, &remove], "a segment is removed by a purge");
    let synced_next = [SyncBegins { file: 2 }, SyncEnds { file: 2 }];
    demand(&[&wrote, &sync, &[Purge], &next, &synced_next, &remove], "");
    let recycle = [Rename { from: "d/1.wal".into(), to: "d/y.tmp".into() }];
    demand(&[&recycle, &[Write { file: 1 }]], "a recycled file may still have its old name");
    demand(&[&recycle, &named, &[Write { file: 1 }]], "");
    demand(&[&[Grows { file: 1 }]], "a segment grows");
}
