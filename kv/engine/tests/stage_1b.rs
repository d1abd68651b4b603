//! Stage 1b: the engine trait, with column families, batches and views.
//!
//! The first ten tests are the scenarios of the standalone store, as far as the engine is asked; the
//! raw API above it has its own in `kv/node`. Each runs on every engine. Then the whole conformance
//! suite does.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tinykv_engine::bitcask::{self, Options};
use tinykv_engine::{Batch, Cf, Direction, Durability, Engine, Memory, Range, View, conformance};
use wal::{Fs, MemFs};

fn bitcask_in(fs: &MemFs) -> Arc<dyn Engine> {
    let fs: Arc<dyn Fs> = Arc::new(fs.clone());
    let options = Options {
        segment_bytes: 64 << 10,
        allocate_bytes: 4 << 10,
        reserve_bytes: 4 << 10,
        ..Options::default()
    };
    Arc::new(bitcask::open(fs, Path::new("data"), options).unwrap())
}

/// A new engine of each kind.
fn engines() -> [Arc<dyn Engine>; 2] {
    [Arc::new(Memory::new()), bitcask_in(&MemFs::new())]
}

fn put(engine: &dyn Engine, cf: Cf, key: &'static str, value: &'static str) {
    let mut batch = Batch::new();
    batch.put(cf, key, value);
    engine.write(batch, Durability::Always).unwrap();
}

fn delete(engine: &dyn Engine, cf: Cf, key: &'static str) {
    let mut batch = Batch::new();
    batch.delete(cf, key);
    engine.write(batch, Durability::Always).unwrap();
}

/// At most `limit` pairs from `start` on, as text.
fn scan(view: &dyn View, start: &'static str, limit: usize) -> Vec<(String, String)> {
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let range = Range { start: start.into(), end: None };
    let pairs = view.iter(Cf::Default, range, Direction::Forward).take(limit);
    pairs.map(|pair| pair.unwrap()).map(|(key, value)| (text(key), text(value))).collect()
}

fn keys(view: &dyn View, limit: usize) -> Vec<String> {
    scan(view, "", limit).into_iter().map(|(key, _)| key).collect()
}

fn five_keys(engine: &dyn Engine) {
    let mut batch = Batch::new();
    for (key, value) in [("1", "10"), ("2", "20"), ("3", "30"), ("4", "40"), ("5", "50")] {
        batch.put(Cf::Default, key, value);
    }
    engine.write(batch, Durability::Always).unwrap();
}

#[test]
fn what_was_written_is_read() {
    for engine in engines() {
        put(&*engine, Cf::Default, "99", "42");
        assert_eq!(engine.get(Cf::Default, b"99").unwrap(), Some("42".into()));
    }
}

#[test]
fn a_missing_key_is_no_error() {
    for engine in engines() {
        assert_eq!(engine.get(Cf::Default, b"99").unwrap(), None);
        assert_eq!(engine.view().unwrap().get(Cf::Default, b"99").unwrap(), None);
    }
}

#[test]
fn a_put_is_seen_by_a_new_view() {
    for engine in engines() {
        let before = engine.view().unwrap();
        put(&*engine, Cf::Default, "99", "42");
        assert_eq!(engine.view().unwrap().get(Cf::Default, b"99").unwrap(), Some("42".into()));
        assert_eq!(before.get(Cf::Default, b"99").unwrap(), None);
    }
}

#[test]
fn one_key_has_a_value_in_each_column_family() {
    for engine in engines() {
        put(&*engine, Cf::Default, "99", "42");
        put(&*engine, Cf::Write, "99", "24");
        assert_eq!(engine.get(Cf::Default, b"99").unwrap(), Some("42".into()));
        assert_eq!(engine.get(Cf::Write, b"99").unwrap(), Some("24".into()));
        assert_eq!(engine.get(Cf::Lock, b"99").unwrap(), None);
    }
}

#[test]
fn a_deleted_key_is_not_found() {
    for engine in engines() {
        put(&*engine, Cf::Default, "99", "42");
        delete(&*engine, Cf::Default, "99");
        assert_eq!(engine.get(Cf::Default, b"99").unwrap(), None);
    }
}

#[test]
fn a_view_of_a_deleted_key_gives_nothing() {
    for engine in engines() {
        put(&*engine, Cf::Default, "99", "42");
        delete(&*engine, Cf::Default, "99");
        let view = engine.view().unwrap();
        assert_eq!(view.get(Cf::Default, b"99").unwrap(), None);
        assert_eq!(keys(&*view, 10), Vec::<String>::new());
    }
}

#[test]
fn a_scan_stops_at_its_limit() {
    for engine in engines() {
        five_keys(&*engine);
        let found = scan(&*engine.view().unwrap(), "1", 3);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(found, [pair("1", "10"), pair("2", "20"), pair("3", "30")]);
    }
}

#[test]
fn a_scan_sees_the_newest_put() {
    for engine in engines() {
        five_keys(&*engine);
        put(&*engine, Cf::Default, "35", "35");
        assert_eq!(keys(&*engine.view().unwrap(), 10), ["1", "2", "3", "35", "4", "5"]);
    }
}

#[test]
fn a_scan_skips_a_deleted_key() {
    for engine in engines() {
        five_keys(&*engine);
        delete(&*engine, Cf::Default, "3");
        assert_eq!(keys(&*engine.view().unwrap(), 3), ["1", "2", "4"]);
    }
}

#[test]
fn an_iteration_that_began_before_a_delete_still_sees_the_key() {
    for engine in engines() {
        five_keys(&*engine);
        let view = engine.view().unwrap();
        let mut iter = view.iter(Cf::Default, Range::all(), Direction::Forward);
        assert_eq!(iter.next().unwrap().unwrap().0, "1");
        delete(&*engine, Cf::Default, "1");
        delete(&*engine, Cf::Default, "3");
        let rest: Vec<Bytes> = iter.map(|pair| pair.unwrap().0).collect();
        assert_eq!(rest, ["2", "3", "4", "5"]);
        assert_eq!(keys(&*view, 10), ["1", "2", "3", "4", "5"]);
        assert_eq!(keys(&*engine.view().unwrap(), 10), ["2", "4", "5"]);
    }
}

#[test]
fn a_batch_is_there_as_a_whole_after_a_restart() {
    let fs = MemFs::new();
    let engine = bitcask_in(&fs);
    let mut batch = Batch::new();
    batch.put(Cf::Default, "key", "value").put(Cf::Lock, "key", "lock").delete(Cf::Write, "key");
    engine.write(batch, Durability::Always).unwrap();
    drop(engine);
    let engine = bitcask_in(&fs);
    assert_eq!(engine.get(Cf::Default, b"key").unwrap(), Some("value".into()));
    assert_eq!(engine.get(Cf::Lock, b"key").unwrap(), Some("lock".into()));
    assert_eq!(engine.get(Cf::Write, b"key").unwrap(), None);
}

#[test]
fn a_removed_range_ends_before_its_end() {
    for engine in engines() {
        five_keys(&*engine);
        let mut batch = Batch::new();
        batch.delete_range(Cf::Default, Range::new("2", "4"));
        engine.write(batch, Durability::Always).unwrap();
        assert_eq!(keys(&*engine.view().unwrap(), 10), ["1", "4", "5"]);
    }
}

#[test]
fn memory_passes_the_conformance_suite() {
    conformance::run(&|| Arc::new(Memory::new()));
}

#[test]
fn bitcask_passes_the_conformance_suite() {
    conformance::run_reopen(&|| {
        let fs = MemFs::new();
        Box::new(move || bitcask_in(&fs))
    });
}
