//! RocksDB behind the engine's traits: the conformance suite, and what is its own.

#![cfg(feature = "rocksdb")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use tempfile::TempDir;
use tinykv_engine::conformance::{self, Open};
use tinykv_engine::rocksdb::{Options, RocksDb};
use tinykv_engine::{Batch, Cf, Durability, Engine, Error, Lookup};

fn small() -> Options {
    Options { block_cache_bytes: 1 << 20, write_buffer_bytes: 1 << 20, ..Options::default() }
}

fn open_in(folder: TempDir) -> Open {
    Box::new(move || Arc::new(RocksDb::open(folder.path(), &small()).unwrap()))
}

#[test]
fn rocksdb_conforms() {
    conformance::run_reopen(&|| open_in(TempDir::new().unwrap()));
}

#[test]
fn a_second_opening_is_refused() {
    let folder = TempDir::new().unwrap();
    let first = RocksDb::open(folder.path(), &small()).unwrap();
    let second = RocksDb::open(folder.path(), &small());
    assert!(matches!(second, Err(Error::Locked { .. })), "{second:?}");
    drop(first);
    RocksDb::open(folder.path(), &small()).unwrap();
}

#[test]
fn options_out_of_range_are_refused() {
    let folder = TempDir::new().unwrap();
    for options in [
        Options { block_cache_bytes: 0, ..Options::default() },
        Options { write_buffer_bytes: 1, ..Options::default() },
        Options { background_jobs: 0, ..Options::default() },
    ] {
        let opened = RocksDb::open(folder.path(), &options);
        assert!(matches!(opened, Err(Error::Invalid(_))), "{options:?}");
    }
}

#[test]
fn a_key_on_disk_may_block_and_one_in_memory_does_not() {
    let folder = TempDir::new().unwrap();
    let key = |number: u32| format!("key {number:06}");
    {
        let engine = RocksDb::open(folder.path(), &small()).unwrap();
        for number in 0..20_000 {
            let mut batch = Batch::new();
            batch.put(Cf::Default, key(number), vec![7; 100]);
            engine.write(batch, Durability::Never).unwrap();
        }
        engine.merge().unwrap();
    }
    let engine = RocksDb::open(folder.path(), &small()).unwrap();
    let wanted = key(12_345);
    let first = engine.get_nowait(Cf::Default, wanted.as_bytes()).unwrap();
    assert_eq!(first, Lookup::MayBlock);
    let value = engine.get(Cf::Default, wanted.as_bytes()).unwrap();
    assert_eq!(value.as_deref(), Some(&[7; 100][..]));
    let second = engine.get_nowait(Cf::Default, wanted.as_bytes()).unwrap();
    assert_eq!(second, Lookup::Ready(value));
}

#[test]
fn statistics_count() {
    let folder = TempDir::new().unwrap();
    let engine = RocksDb::open(folder.path(), &small()).unwrap();
    let mut batch = Batch::new();
    batch.put(Cf::Default, "key", "value");
    engine.write(batch, Durability::Always).unwrap();
    let stats = engine.stats();
    assert_eq!(stats.batches, 1);
    assert!(stats.syncs >= 1, "{stats:?}");
    assert!(stats.written_bytes > 0, "{stats:?}");
    assert!(stats.extra.iter().any(|(name, _)| *name == "block_cache_bytes"));
}
