//! Many threads at once. What is checked holds in every interleaving.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use bytes::Bytes;

use super::{batch, get, put};
use crate::{Cf, Direction, Durability, Engine, Range};

/// How many readers there are, how often each must have read, and how often the writer wrote.
const READERS: u64 = 3;
const READS: u64 = 300;
const ROUNDS: u64 = 300;

/// How far the readers are.
#[derive(Default)]
struct Progress {
    reads: AtomicU64,
    stop: AtomicBool,
}

impl Progress {
    /// Counts a read; the answer is whether there should be another one.
    fn goes_on(&self) -> bool {
        self.reads.fetch_add(1, Ordering::Relaxed);
        !self.stop.load(Ordering::Acquire)
    }
}

/// Stops all when a thread panics.
struct StopOnDrop<'a>(&'a Progress);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Release);
    }
}

/// Runs `write` again and again, while several threads run `read`, until both have done enough.
fn while_reading(read: &(dyn Fn(&Progress) + Sync), write: &dyn Fn(u64)) {
    let progress: Vec<Progress> = (0..READERS).map(|_| Progress::default()).collect();
    thread::scope(|scope| {
        for progress in &progress {
            scope.spawn(move || {
                let _stop = StopOnDrop(progress);
                read(progress);
            });
        }
        let _stop: Vec<StopOnDrop<'_>> = progress.iter().map(StopOnDrop).collect();
        let enough = |progress: &Progress| {
            progress.stop.load(Ordering::Acquire) || progress.reads.load(Ordering::Relaxed) > READS
        };
        for round in 1.. {
            write(round);
            if round >= ROUNDS && progress.iter().all(enough) {
                break;
            }
        }
    });
}

/// The number in a value.
fn number(value: &Bytes) -> u64 {
    str::from_utf8(value).unwrap().parse().unwrap()
}

pub(super) fn batches_are_seen_whole(engine: &Arc<dyn Engine>) {
    const KEYS: u64 = 8;
    let write_round = |round: u64| {
        let write = batch(|batch| {
            for key in 0..KEYS {
                for cf in [Cf::Default, Cf::Write] {
                    batch.put(cf, format!("{key}"), format!("{round}"));
                }
            }
        });
        engine.write(write, Durability::Never).unwrap();
    };
    write_round(0);
    while_reading(
        &|progress| {
            let mut newest = 0;
            let directions = [Direction::Forward, Direction::Backward].into_iter().cycle();
            for direction in directions.take_while(|_| progress.goes_on()) {
                let view = engine.view().unwrap();
                let mut rounds = Vec::new();
                for cf in [Cf::Write, Cf::Default] {
                    let pairs = view.iter(cf, Range::all(), direction);
                    rounds.extend(pairs.map(|pair| number(&pair.unwrap().1)));
                }
                assert_eq!(rounds.len() as u64, 2 * KEYS);
                assert!(rounds.iter().all(|round| *round == rounds[0]), "{rounds:?}");
                assert!(rounds[0] >= newest, "views go back in time");
                newest = number(&get(engine, b"3").unwrap());
                assert!(newest >= rounds[0], "a get is older than a view");
            }
        },
        &|round| {
            write_round(round);
            if round % 100 == 0 {
                engine.merge().unwrap();
            }
        },
    );
}

/// Readers of keys that are always there, while these are overwritten and merged.
pub(super) fn keys_never_vanish(engine: &Arc<dyn Engine>) {
    const KEYS: u64 = 10;
    for key in 0..KEYS {
        put(engine, format!("{key}"), "0");
    }
    while_reading(
        &|progress| {
            let mut newest = [0; KEYS as usize];
            for key in (0..KEYS).cycle().take_while(|_| progress.goes_on()) {
                let value = get(engine, format!("{key}").as_bytes());
                let round = number(&value.expect("the key is never deleted"));
                assert!(round >= newest[key as usize], "key {key} goes back in time");
                newest[key as usize] = round;
            }
        },
        &|round| {
            for key in 0..KEYS {
                put(engine, format!("{key}"), format!("{round}"));
            }
            if round % 30 == 0 {
                engine.merge().unwrap();
            }
        },
    );
}

pub(super) fn many_writers(engine: &Arc<dyn Engine>) {
    const WRITERS: u64 = 8;
    const EACH: u64 = 50;
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            scope.spawn(move || {
                for number in 0..EACH {
                    let durability = [Durability::Always, Durability::Interval, Durability::Never]
                        [(number % 3) as usize];
                    let write = batch(|batch| {
                        batch.put(Cf::Default, format!("{writer} {number}"), format!("{number}"));
                        batch.put(Cf::Default, "shared", format!("{writer}"));
                        batch.put(Cf::Lock, "shared", format!("{writer}"));
                    });
                    engine.write(write, durability).unwrap();
                    let own = get(engine, format!("{writer} {number}").as_bytes());
                    assert_eq!(own, Some(format!("{number}").into()), "written, so readable");
                }
            });
        }
    });
    for writer in 0..WRITERS {
        for number in 0..EACH {
            let value = get(engine, format!("{writer} {number}").as_bytes());
            assert_eq!(value, Some(format!("{number}").into()));
        }
    }
    let view = engine.view().unwrap();
    let shared = |cf| view.get(cf, b"shared").unwrap();
    assert_eq!(shared(Cf::Default), shared(Cf::Lock), "batches come one after the other");
}

pub(super) fn many_readers(engine: &Arc<dyn Engine>) {
    const KEYS: u64 = 50;
    for key in 0..KEYS {
        put(engine, format!("{key:02}"), format!("{key}"));
    }
    let view = engine.view().unwrap();
    thread::scope(|scope| {
        for reader in 0..16 {
            let view = &view;
            scope.spawn(move || {
                for step in 0..KEYS {
                    let key = (step * 7 + reader) % KEYS;
                    let name = format!("{key:02}");
                    let wanted = Some(Bytes::from(format!("{key}")));
                    assert_eq!(get(engine, name.as_bytes()), wanted);
                    assert_eq!(view.get(Cf::Default, name.as_bytes()).unwrap(), wanted);
                }
                let direction = [Direction::Forward, Direction::Backward][(reader % 2) as usize];
                let pairs = view.iter(Cf::Default, Range::all(), direction);
                assert_eq!(pairs.filter(|pair| pair.is_ok()).count() as u64, KEYS);
            });
        }
    });
}
