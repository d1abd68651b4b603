//! Stage 1a: a log-structured engine. What it must do, whatever its files look like.
//!
//! Append each write to a log, keep an index of where the values are, find everything again at the
//! next start, and merge away what was overwritten. Nothing here knows a file name or a format: torn
//! and damaged files are made by comparing the folder before and after a write.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tempfile::TempDir;
use tinykv_engine::bitcask::{self, Bitcask, Options};
use tinykv_engine::{Batch, Cf, Durability, Engine, Error};
use wal::{Fs, MemFs, OpenMode, RealFs};

/// Segments small enough that a test fills several.
fn options() -> Options {
    Options {
        segment_bytes: 64 << 10,
        allocate_bytes: 16 << 10,
        reserve_bytes: 4 << 10,
        ..Options::default()
    }
}

fn open(folder: &Path) -> Bitcask {
    bitcask::open(RealFs::shared(), folder, options()).unwrap()
}

fn new() -> (TempDir, Bitcask) {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    (folder, engine)
}

fn set(engine: &dyn Engine, key: &str, value: &str) {
    let mut batch = Batch::new();
    batch.put(Cf::Default, key.to_owned(), value.to_owned());
    engine.write(batch, Durability::Never).unwrap();
}

fn remove(engine: &dyn Engine, key: &str) {
    let mut batch = Batch::new();
    batch.delete(Cf::Default, key.to_owned());
    engine.write(batch, Durability::Never).unwrap();
}

fn get(engine: &dyn Engine, key: &str) -> Option<String> {
    let value = engine.get(Cf::Default, key.as_bytes()).unwrap();
    value.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

fn has(engine: &dyn Engine, key: &str, value: &str) -> bool {
    get(engine, key).as_deref() == Some(value)
}

#[test]
fn stored_values_are_there_before_and_after_a_restart() {
    let (folder, engine) = new();
    set(&engine, "key1", "value1");
    set(&engine, "key2", "value2");
    assert!(has(&engine, "key1", "value1") && has(&engine, "key2", "value2"));
    drop(engine);
    let engine = open(folder.path());
    assert!(has(&engine, "key1", "value1") && has(&engine, "key2", "value2"));
}

#[test]
fn the_last_of_several_values_counts() {
    let (folder, engine) = new();
    set(&engine, "key1", "value1");
    set(&engine, "key1", "value2");
    assert!(has(&engine, "key1", "value2"));
    drop(engine);
    let engine = open(folder.path());
    assert!(has(&engine, "key1", "value2"));
    set(&engine, "key1", "value3");
    assert!(has(&engine, "key1", "value3"));
    drop(engine);
    assert!(has(&open(folder.path()), "key1", "value3"));
}

#[test]
fn unknown_keys_are_absent() {
    let (folder, engine) = new();
    set(&engine, "key1", "value1");
    assert_eq!(get(&engine, "key2"), None);
    remove(&engine, "key2");
    assert_eq!(get(&engine, "key2"), None);
    drop(engine);
    assert_eq!(get(&open(folder.path()), "key2"), None);
}

#[test]
fn removed_keys_stay_removed() {
    let (folder, engine) = new();
    set(&engine, "key1", "value1");
    remove(&engine, "key1");
    assert_eq!(get(&engine, "key1"), None);
    drop(engine);
    let engine = open(folder.path());
    assert_eq!(get(&engine, "key1"), None, "after a restart");
    engine.merge().unwrap();
    drop(engine);
    let engine = open(folder.path());
    assert_eq!(get(&engine, "key1"), None, "after a merge and a restart");
    set(&engine, "key1", "value2");
    assert!(has(&engine, "key1", "value2"));
}

#[test]
fn a_folder_is_open_once() {
    let (folder, engine) = new();
    let error = bitcask::open(RealFs::shared(), folder.path(), options()).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    drop(engine);
    open(folder.path());
}

fn folder_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap();
    // A file may be merged away between the listing and the look.
    entries.filter_map(|entry| entry.unwrap().metadata().ok()).map(|file| file.len()).sum()
}

const ROUND_KEYS: usize = 100;
const VALUE_BYTES: usize = 200;

fn write_round(engine: &Bitcask, round: usize) {
    for key in 0..ROUND_KEYS {
        set(engine, &format!("key{key}"), &format!("{round:0>VALUE_BYTES$}"));
    }
}

fn check_round(engine: &Bitcask, round: usize) {
    for key in 0..ROUND_KEYS {
        assert!(has(engine, &format!("key{key}"), &format!("{round:0>VALUE_BYTES$}")), "key{key}");
    }
}

/// Overwritten values go: of 2 MB written, 20 kB are live.
#[test]
fn a_merge_bounds_the_folder() {
    let (folder, engine) = new();
    for round in 0..100 {
        write_round(&engine, round);
    }
    engine.merge().unwrap();
    let bytes = folder_bytes(folder.path());
    assert!(bytes < 200_000, "{bytes} bytes for 20 kB of values");
    check_round(&engine, 99);
    drop(engine);
    check_round(&open(folder.path()), 99);
}

/// Removed keys go too, and so does what says that they were removed.
#[test]
fn a_merge_forgets_removed_keys() {
    let (folder, engine) = new();
    for round in 0..4 {
        for key in 0..2500 {
            set(&engine, &format!("{round} {key}"), "a value of some length, to be removed");
        }
        for key in 0..2500 {
            remove(&engine, &format!("{round} {key}"));
        }
    }
    engine.merge().unwrap();
    let bytes = folder_bytes(folder.path());
    assert!(bytes < 150_000, "{bytes} bytes for nothing");
    drop(engine);
    assert_eq!(get(&open(folder.path()), "3 3"), None);
}

/// Nobody has to ask for a merge: while a writer goes on, its files come to hold less than it wrote.
/// However the threads are scheduled, that is so after the first merge.
#[test]
fn merges_come_by_themselves() {
    let fs = MemFs::new();
    let engine = bitcask::open(Arc::new(fs.clone()), FOLDER, options()).unwrap();
    let mut round = 0;
    loop {
        write_round(&engine, round);
        round += 1;
        let written = (round * ROUND_KEYS * VALUE_BYTES) as u64;
        let held = fs.used();
        if held < written {
            break;
        }
        assert!(round < 10_000, "{held} bytes for {written} bytes of values");
    }
    check_round(&engine, round - 1);
}

/// A log: what a write costs does not depend on how much is there.
#[test]
fn a_write_is_appended() {
    let folder = tempfile::tempdir().unwrap();
    let quiet = Options { background: false, ..options() };
    let engine = bitcask::open(RealFs::shared(), folder.path(), quiet).unwrap();
    for key in 0..5_000 {
        set(&engine, &format!("key{key}"), "some value");
    }
    let before = engine.stats().written_bytes;
    for key in 0..100 {
        set(&engine, &format!("key{key}"), "other value");
    }
    let written = engine.stats().written_bytes - before;
    assert!(written < 100 * 200, "{written} bytes for 100 small writes");
}

/// All files of a folder in memory.
type Files = BTreeMap<PathBuf, Vec<u8>>;

const FOLDER: &str = "data";

fn files(fs: &MemFs) -> Files {
    let names = fs.list(Path::new(FOLDER)).unwrap();
    let read = |name: PathBuf| {
        let file = fs.open(&Path::new(FOLDER).join(&name), OpenMode::Read).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        (name, bytes)
    };
    names.into_iter().map(read).collect()
}

fn with_files(files: &Files) -> Arc<dyn Fs> {
    let fs = MemFs::new();
    fs.create_dir_all(Path::new(FOLDER)).unwrap();
    for (name, bytes) in files {
        let file = fs.open(&Path::new(FOLDER).join(name), OpenMode::CreateNew).unwrap();
        file.write_all_at(bytes, 0).unwrap();
    }
    Arc::new(fs)
}

fn in_memory(fs: Arc<dyn Fs>) -> Result<Bitcask, Error> {
    bitcask::open(fs, FOLDER, Options { background: false, cache_bytes: 0, ..options() })
}

/// A store in memory, closed, with some keys; and its files before the last write and after it.
fn two_states() -> (Files, Files) {
    let fs = MemFs::new();
    let engine = in_memory(Arc::new(fs.clone())).unwrap();
    for key in 0..10 {
        set(&engine, &format!("key{key}"), &format!("value{key}"));
    }
    drop(engine);
    let before = files(&fs);
    let engine = in_memory(Arc::new(fs.clone())).unwrap();
    set(&engine, "last", "the value of the last write");
    drop(engine);
    (before, files(&fs))
}

/// A write that was cut off anywhere: the store opens, the write is there or not, all else is.
#[test]
fn a_torn_tail_is_no_obstacle() {
    let (before, after) = two_states();
    let mut torn = 0;
    for (name, new) in &after {
        let old = before.get(name).cloned().unwrap_or_default();
        let changed: Vec<usize> =
            (0..new.len()).filter(|at| old.get(*at).unwrap_or(&0) != &new[*at]).collect();
        for cut in &changed {
            let mut files = after.clone();
            let mut bytes = new.clone();
            for at in changed.iter().filter(|at| *at >= cut) {
                bytes[*at] = *old.get(*at).unwrap_or(&0);
            }
            files.insert(name.clone(), bytes);
            let engine = in_memory(with_files(&files)).unwrap_or_else(|error| {
                panic!("{} torn at byte {cut}: {error}", name.display());
            });
            for key in 0..10 {
                assert!(has(&engine, &format!("key{key}"), &format!("value{key}")));
            }
            let last = get(&engine, "last");
            assert!(last.is_none_or(|value| value == "the value of the last write"));
            torn += 1;
        }
    }
    assert!(torn > 30, "a write changes more than {torn} bytes");
}

/// Another value of any byte: an error, or the right values; for the last write also its absence.
#[test]
fn a_damaged_record_is_an_error() {
    let (_, files) = two_states();
    let (mut damaged, mut refused) = (0, 0);
    for (name, bytes) in &files {
        for at in (0..bytes.len()).filter(|at| bytes[*at] != 0) {
            let mut files = files.clone();
            files.get_mut(name).unwrap()[at] ^= 0x10;
            damaged += 1;
            let Ok(engine) = in_memory(with_files(&files)) else {
                refused += 1;
                continue;
            };
            let mut check = |key: &str, value: &str, may_be_absent: bool| match engine
                .get(Cf::Default, key.as_bytes())
            {
                Ok(None) if may_be_absent => {}
                Ok(found) => assert_eq!(
                    found.as_deref(),
                    Some(value.as_bytes()),
                    "{key}, byte {at} of {} is damaged",
                    name.display()
                ),
                Err(_) => refused += 1,
            };
            for key in 0..10 {
                check(&format!("key{key}"), &format!("value{key}"), false);
            }
            check("last", "the value of the last write", true);
        }
    }
    assert!(refused > 100, "{refused} refusals for {damaged} damaged bytes");
}

/// `always` is a promise: whatever a power loss takes, it does not take such a write.
#[test]
fn a_durable_write_survives_a_power_loss() {
    let fs = MemFs::new();
    let engine = in_memory(Arc::new(fs.clone())).unwrap();
    for round in 0..20 {
        let mut batch = Batch::new();
        batch.put(Cf::Default, format!("key{round}"), "value").put(Cf::Lock, "round", vec![round]);
        engine.write(batch, Durability::Always).unwrap();
        for state in fs.crash_states(20, 1).states {
            let engine = in_memory(Arc::new(state)).unwrap();
            assert!(has(&engine, &format!("key{round}"), "value"), "round {round}");
            assert_eq!(engine.get(Cf::Lock, b"round").unwrap(), Some(vec![round].into()));
        }
    }
}

/// A power loss anywhere in a merge: removed keys stay removed, all others are there.
#[test]
fn a_merge_may_be_interrupted() {
    let fs = MemFs::new();
    let engine = in_memory(Arc::new(fs.clone())).unwrap();
    let large = "x".repeat(30_000);
    for key in ["a", "b", "c", "d"] {
        set(&engine, key, &large);
    }
    remove(&engine, "a");
    set(&engine, "b", "small");
    for _ in 0..3 {
        set(&engine, "filler", &large);
    }
    engine.flush().unwrap();
    fs.record();
    engine.merge().unwrap();
    let points = fs.recorded();
    assert!(points.len() > 5, "{} operations", points.len());
    for point in points {
        for state in point.fs().crash_states(10, 1).states {
            let engine = in_memory(Arc::new(state)).unwrap();
            let after = &point.what;
            assert_eq!(get(&engine, "a"), None, "a came back: a crash after {after}");
            assert!(has(&engine, "b", "small") && has(&engine, "c", &large), "{after}");
            assert!(has(&engine, "d", &large) && has(&engine, "filler", &large), "{after}");
        }
    }
}

#[test]
fn many_threads_set() {
    let (folder, engine) = new();
    thread::scope(|scope| {
        for thread in 0..50 {
            let engine = &engine;
            scope.spawn(move || set(engine, &format!("key{thread}"), &format!("value{thread}")));
        }
    });
    let check = |engine: &Bitcask| {
        for thread in 0..50 {
            assert!(has(engine, &format!("key{thread}"), &format!("value{thread}")));
        }
    };
    check(&engine);
    drop(engine);
    check(&open(folder.path()));
}

#[test]
fn many_threads_get() {
    let (folder, engine) = new();
    for key in 0..100 {
        set(&engine, &format!("key{key}"), &format!("value{key}"));
    }
    let check = |engine: &Bitcask| {
        thread::scope(|scope| {
            for thread in 0..20 {
                scope.spawn(move || {
                    for key in (0..100).map(|key| (key + thread) % 100) {
                        assert!(has(engine, &format!("key{key}"), &format!("value{key}")));
                    }
                });
            }
        });
    };
    check(&engine);
    drop(engine);
    check(&open(folder.path()));
}

/// Readers are never in the way, and never see a key vanish, while it is overwritten and merged.
#[test]
fn reads_go_on_during_merges() {
    let (_folder, engine) = new();
    set(&engine, "key", "0");
    let (stop, reads) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut newest = 0;
            while !stop.load(Ordering::Acquire) {
                let value = get(&engine, "key").expect("the key is never removed");
                let value: u32 = value.trim_start_matches('.').parse().unwrap();
                assert!(value >= newest, "{value} after {newest}");
                newest = value;
                reads.store(true, Ordering::Release);
            }
        });
        let mut round = 0;
        while round < 300 || !reads.load(Ordering::Acquire) && !reader.is_finished() {
            round += 1;
            set(&engine, "key", &format!("{}{round}", ".".repeat(500)));
            if round % 20 == 0 {
                engine.merge().unwrap();
            }
        }
        stop.store(true, Ordering::Release);
    });
}
