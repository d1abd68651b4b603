//! Power loss at every operation, in every legal way.
//!
//! Each script runs once on a file system that records itself after every operation. From each of
//! these moments, each state that a crash may leave (all of them where that is at most
//! `CRASH_STATES`, else the extremes and random ones from `SEED`) is opened again, and:
//!
//! - the content is what it was after some number of the writes, in order, each batch whole: at
//!   least all that were acknowledged as durable, at most all that were begun;
//! - a crash at each operation of this recovery, recovered again, gives the same content;
//! - a crash right after it loses nothing either, and what is written next is durable.

use std::collections::HashMap;
use std::sync::Arc;

use wal::{CrashPoint, Fs, MemFs};

use crate::script::{Promise, Recording, Script, scripts};
use crate::store::{Content, open, put, setting, write};

/// How much was tried.
#[derive(Default)]
struct Counts {
    points: usize,
    /// Points at which all states were tried.
    complete: usize,
    states: usize,
    recoveries: usize,
}

/// A script, and what is known so far.
struct Check<'a> {
    script: &'a Script,
    contents: Vec<Content>,
    counts: Counts,
    /// What recovery made of each disk that was tried, by fingerprint.
    recovered: HashMap<u64, Content>,
}

fn shared(fs: &MemFs) -> Arc<dyn Fs> {
    Arc::new(fs.clone())
}

impl Check<'_> {
    /// Opens and reads a disk on which everything is durable; `from` says where it comes from.
    fn recover(&mut self, fs: &MemFs, from: &dyn Fn() -> String) -> Content {
        self.counts.recoveries += 1;
        let fingerprint = fs.fingerprint();
        if let Some(content) = self.recovered.get(&fingerprint) {
            return content.clone();
        }
        let engine = open(shared(fs)).unwrap_or_else(|error| panic!("{}: {error}", from()));
        let content = Content::read(&engine).unwrap_or_else(|error| panic!("{}: {error}", from()));
        drop(engine);
        self.recovered.insert(fingerprint, content.clone());
        content
    }

    fn state(&mut self, fs: &MemFs, promise: Promise, from: &dyn Fn() -> String) {
        let known = self.recovered.contains_key(&fs.fingerprint());
        let content = self.recover(&fs.fork(), from);
        let mut writes = (promise.durable..=promise.begun).rev();
        assert!(
            writes.any(|writes| self.contents[writes] == content),
            "{}: {promise:?} allows no such content: {content:?}, but\n{:?}\nto\n{:?}",
            from(),
            self.contents[promise.durable],
            self.contents[promise.begun],
        );
        if !known {
            self.recovery(&fs.fork(), &content, from);
        }
    }

    /// Recovers with a crash at each operation, and uses what was recovered.
    fn recovery(&mut self, fs: &MemFs, content: &Content, from: &dyn Fn() -> String) {
        fs.record();
        let engine = open(shared(fs)).unwrap_or_else(|error| panic!("{}: {error}", from()));
        let points = fs.recorded();
        for point in &points {
            for state in point.fs().crash_states(3, 2).states {
                let again = || format!("{}, then a crash in recovery after {}", from(), point.what);
                assert_eq!(self.recover(&state, &again), *content, "{}", again());
            }
        }
        let batch = put("after the crash", "x");
        write(&engine, &batch);
        let mut after = content.clone();
        after.apply(&batch);
        for state in fs.crash_states(4, 1).states {
            let again = || format!("{}, then a write and a crash", from());
            assert_eq!(self.recover(&state, &again), after, "{}", again());
        }
        drop(engine);
        let again = || format!("{}, then closed and opened", from());
        assert_eq!(self.recover(fs, &again), after, "{}", again());
    }

    fn point(&mut self, point: &CrashPoint, promise: Promise) {
        let (limit, seed) = (setting("CRASH_STATES", 24), setting("SEED", 1));
        let found = point.fs().crash_states(limit as usize, seed);
        self.counts.points += 1;
        self.counts.complete += usize::from(found.complete);
        let name = self.script.name;
        for (number, state) in found.states.iter().enumerate() {
            self.counts.states += 1;
            let from = || {
                format!(
                    "{name}: crash after operation {} ({}), state {number}; \
                     CRASH_STATES={limit} SEED={seed} repeats it",
                    point.operations, point.what
                )
            };
            self.state(state, promise, &from);
        }
    }
}

fn check_script(script: &Script) {
    let recording = Recording::new(script);
    let mut check = Check {
        script,
        contents: script.contents(),
        counts: Counts::default(),
        recovered: HashMap::new(),
    };
    for point in &recording.points {
        check.point(point, recording.promise(point.operations));
    }
    let end = check.recover(&recording.fs, &|| script.name.to_owned());
    assert_eq!(end, check.contents[script.writes()], "{}: without a crash", script.name);
    let Counts { points, complete, states, recoveries } = check.counts;
    println!(
        "{}: {points} crash points, {complete} of them complete, {states} states, \
         {recoveries} recoveries",
        script.name
    );
}

fn check_named(name: &str) {
    let script = scripts().into_iter().find(|script| script.name == name).expect("a script");
    check_script(&script);
}

#[test]
fn plain_writes() {
    check_named("plain writes");
}

#[test]
fn wide_batches() {
    check_named("wide batches");
}

#[test]
fn writes_without_a_sync() {
    check_named("writes without a sync");
}

#[test]
fn segments_roll() {
    check_named("segments roll");
}

#[test]
fn merge() {
    check_named("merge");
}

#[test]
fn reopen_and_hints() {
    check_named("reopen and hints");
}

#[test]
fn removed_ranges() {
    check_named("removed ranges");
}
