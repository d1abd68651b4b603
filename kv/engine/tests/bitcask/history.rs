//! Concurrent sets, gets and merges, and whether each key behaved as one register.
//!
//! Threads set unique values and read them, by `get` and by views, while others merge and open views;
//! every operation is noted with its start and end on one clock, and the history of each key is
//! checked for linearizability. What the threads do depends on `SEED`, how they interleave on the
//! machine. `OPERATIONS` is the number of operations of a thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use tinykv_engine::bitcask::{self, Bitcask, Options};
use tinykv_engine::{Cf, Durability, Engine, Lookup};
use wal::{Fs, MemFs, RealFs};

use crate::register::{Kind, Operation, check};
use crate::store::{FOLDER, put, setting, small};

const KEYS: u64 = 4;
const WRITERS: u64 = 3;
const READERS: u64 = 3;

/// One clock for all threads.
#[derive(Default)]
struct Clock(AtomicU64);

impl Clock {
    fn now(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }
}

fn value_of(bytes: Option<impl AsRef<[u8]>>) -> u64 {
    bytes.map_or(0, |bytes| {
        let text = str::from_utf8(bytes.as_ref()).unwrap();
        text.trim_start_matches('.').parse().unwrap()
    })
}

/// The operations of one thread, with their keys.
type Log = Vec<(u64, Operation)>;

fn writer(engine: &Bitcask, clock: &Clock, number: u64) -> Log {
    let mut log = Log::new();
    let mut state = setting("SEED", 1) * 1000 + number;
    for round in 0..setting("OPERATIONS", 300) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let key = (state >> 33) % KEYS;
        let value = 1 + round * WRITERS + number;
        let durability = match (state >> 40) % 8 {
            0 => Durability::Always,
            1 => Durability::Interval,
            _ => Durability::Never,
        };
        // Values of different sizes, so that records move.
        let text = format!("{}{value}", ".".repeat((state >> 50) as usize % 200));
        let start = clock.now();
        engine.write(put(format!("{key}"), text), durability).unwrap();
        log.push((key, Operation { start, end: clock.now(), kind: Kind::Write, value }));
    }
    log
}

fn reader(engine: &Bitcask, clock: &Clock, number: u64, stop: &AtomicBool) -> Log {
    let mut log = Log::new();
    let mut key = number;
    while !stop.load(Ordering::Acquire) && log.len() < 20_000 {
        key = (key + 1) % KEYS;
        let name = format!("{key}");
        let start = clock.now();
        let value = match log.len() % 4 {
            0 => match engine.get_nowait(Cf::Default, name.as_bytes()).unwrap() {
                Lookup::Ready(value) => value,
                Lookup::MayBlock => engine.get(Cf::Default, name.as_bytes()).unwrap(),
            },
            1 => engine.view().unwrap().get(Cf::Default, name.as_bytes()).unwrap(),
            _ => engine.get(Cf::Default, name.as_bytes()).unwrap(),
        };
        let value = value_of(value);
        log.push((key, Operation { start, end: clock.now(), kind: Kind::Read, value }));
    }
    log
}

/// Views and merges beside the others, for as long as they run.
fn disturb(engine: &Bitcask, stop: &AtomicBool) -> u64 {
    let mut merges = 0;
    while !stop.load(Ordering::Acquire) {
        let view = engine.view().unwrap();
        let before = value_of(view.get(Cf::Default, b"0").unwrap());
        engine.merge().unwrap();
        let after = value_of(view.get(Cf::Default, b"0").unwrap());
        assert_eq!(after, before, "a view changed across a merge");
        merges += 1;
    }
    merges
}

fn run(fs: Arc<dyn Fs>, folder: &std::path::Path, options: Options) {
    let engine = bitcask::open(Arc::clone(&fs), folder, options.clone()).unwrap();
    let (clock, stop) = (Clock::default(), AtomicBool::new(false));
    let mut log = Log::new();
    let mut merges = 0;
    thread::scope(|scope| {
        let (engine, clock, stop) = (&engine, &clock, &stop);
        let writers: Vec<_> =
            (0..WRITERS).map(|number| scope.spawn(move || writer(engine, clock, number))).collect();
        let readers: Vec<_> = (0..READERS)
            .map(|number| scope.spawn(move || reader(engine, clock, number, stop)))
            .collect();
        let merger = scope.spawn(move || disturb(engine, stop));
        let written: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        stop.store(true, Ordering::Release);
        for part in written.into_iter().chain(readers.into_iter().map(|reader| reader.join())) {
            log.extend(part.unwrap());
        }
        merges = merger.join().unwrap();
    });
    drop(engine);
    // What is read after opening again belongs to the history too.
    let engine = bitcask::open(fs, folder, options).unwrap();
    for key in 0..KEYS {
        let start = clock.now();
        let value = value_of(engine.get(Cf::Default, format!("{key}").as_bytes()).unwrap());
        log.push((key, Operation { start, end: clock.now(), kind: Kind::Read, value }));
    }
    for key in 0..KEYS {
        let history: Vec<_> =
            log.iter().filter(|(other, _)| *other == key).map(|(_, op)| *op).collect();
        if let Err(reason) = check(&history) {
            panic!(
                "key {key}: {reason} ({} operations, SEED={})",
                history.len(),
                setting("SEED", 1)
            );
        }
    }
    let reads = log.iter().filter(|(_, op)| op.kind == Kind::Read).count();
    println!("{} writes, {reads} reads, {merges} merges", log.len() - reads);
    assert!(merges > 0 && reads > 100);
}

#[test]
fn in_memory_without_threads_of_its_own() {
    run(Arc::new(MemFs::new()), FOLDER.as_ref(), small());
}

#[test]
fn in_memory_with_everything_in_the_background() {
    let options = Options { background: true, cache_bytes: 1 << 20, ..small() };
    run(Arc::new(MemFs::new()), FOLDER.as_ref(), options);
}

#[test]
fn on_real_files() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { background: true, segment_bytes: 64 << 10, ..small() };
    run(RealFs::shared(), &dir.path().join(FOLDER), options);
}
