//! Operations that fail while the store runs, each of them once and for good.
//!
//! Whatever fails, when, and how:
//!
//! - what was acknowledged is there, then, after closing and opening, and after a power loss;
//! - what failed is not seen, and is there as a whole or not at all after opening;
//! - after a failed write or sync, every write fails with `Poisoned`, and reads go on;
//! - a full disk is no damage: `DiskFull`, and writes work again once there is space;
//! - a short or interrupted write is no failure at all.

use std::sync::Arc;

use tinykv_engine::bitcask::Bitcask;
use tinykv_engine::{Batch, Durability, Engine, Error};
use wal::{ErrFs, Failure, Fault, FsOp, MemFs};

use crate::script::{Script, Step, scripts};
use crate::store::{Content, delete, maintain, open, put, setting, write};

/// A store on a failing disk, and what it may hold.
struct Run {
    memory: MemFs,
    fs: ErrFs,
    engine: Option<Bitcask>,
    /// All acknowledged writes in order.
    acknowledged: Content,
    /// The batch whose write failed in a way that leaves open whether it is there.
    unknown: Option<Batch>,
    poisoned: bool,
    /// Whether something failed that may poison.
    failed: bool,
    /// Whether the last acknowledged write is durable.
    durable: bool,
    what: String,
}

impl Run {
    fn new(what: String) -> Run {
        let memory = MemFs::new();
        Run {
            fs: ErrFs::over_memory(memory.clone()),
            memory,
            engine: None,
            acknowledged: Content::default(),
            unknown: None,
            poisoned: false,
            failed: false,
            durable: true,
            what,
        }
    }

    /// What may be found after opening again.
    fn allowed(&self) -> Vec<Content> {
        let mut allowed = vec![self.acknowledged.clone()];
        if let Some(unknown) = &self.unknown {
            let mut with = self.acknowledged.clone();
            with.apply(unknown);
            allowed.push(with);
        }
        allowed
    }

    fn open(&mut self) {
        drop(self.engine.take());
        if let Ok(engine) = open(Arc::new(self.fs.clone())) {
            self.engine = Some(engine);
            (self.poisoned, self.failed) = (false, false);
            self.settle();
        }
    }

    /// Finds out whether the unknown batch is there: from now on it stays so.
    fn settle(&mut self) {
        let engine = self.engine.as_ref().expect("it is open");
        // A read may meet the fault; then it is settled another time.
        if let Ok(content) = Content::read(engine) {
            assert!(self.allowed().contains(&content), "{}: found {content:?}", self.what);
            self.acknowledged = content;
            self.unknown = None;
        }
    }

    fn check_reads(&self) {
        let Some(engine) = &self.engine else { return };
        let content = Content::read(engine).unwrap_or_else(|e| panic!("{}: {e}", self.what));
        assert_eq!(content, self.acknowledged, "{}: while it runs", self.what);
    }

    fn step(&mut self, step: &Step) {
        if self.engine.is_none() || matches!(step, Step::Reopen) {
            self.open();
        }
        let Some(engine) = &self.engine else { return };
        let result = match step {
            Step::Write(batch, durability) => engine.write(batch.clone(), *durability),
            Step::Flush => engine.flush(),
            Step::Merge => engine.merge(),
            Step::Maintain => maintain(engine),
            Step::Reopen => Ok(()),
        };
        let batch = match step {
            Step::Write(batch, _) => Some(batch),
            _ => None,
        };
        match result {
            Ok(()) => {
                assert!(!self.poisoned || batch.is_none(), "{}: poison is forgotten", self.what);
                match (step, batch) {
                    (Step::Write(_, durability), Some(batch)) => {
                        // If writing goes on, what failed before must not be there.
                        self.unknown = None;
                        self.acknowledged.apply(batch);
                        self.durable = *durability == Durability::Always;
                    }
                    (Step::Flush, _) => self.durable = true,
                    _ => {}
                }
            }
            Err(Error::DiskFull { .. }) => {}
            Err(Error::Poisoned(_)) => {
                assert!(self.failed, "{}: poisoned by whom?", self.what);
                self.poisoned = true;
            }
            Err(Error::Io { .. }) => {
                assert!(!self.poisoned, "{}: the error of a poisoned store", self.what);
                self.failed = true;
                if let Some(batch) = batch {
                    // One that failed for sure before may be followed by one that is unknown.
                    self.unknown = Some(batch.clone());
                }
            }
            Err(error) => panic!("{}: {error}", self.what),
        }
    }

    /// Heals the disk, and looks after closing and opening, and after power losses.
    fn finish(mut self) {
        self.fs.heal();
        self.check_reads();
        if self.durable {
            for state in self.memory.crash_states(4, 1).states {
                let engine = open(Arc::new(state)).unwrap_or_else(|e| panic!("{}: {e}", self.what));
                let content = Content::read(&engine).unwrap();
                let allowed = self.allowed();
                assert!(
                    allowed.contains(&content),
                    "{}: after a crash {content:?}\nnot {allowed:?}",
                    self.what
                );
            }
        }
        drop(self.engine.take());
        self.open();
        let engine = self.engine.as_ref().unwrap_or_else(|| panic!("{}: stays shut", self.what));
        let mut wanted = Content::read(engine).unwrap();
        write(engine, &put("at the end", "x"));
        wanted.apply(&put("at the end", "x"));
        assert_eq!(Content::read(engine).unwrap(), wanted, "{}: works again", self.what);
    }
}

/// Every `EVERY`-th operation of every script fails so. The answer is how many failures there were.
fn sweep(op: FsOp, failure: Failure, sticky: bool) -> u64 {
    let mut fired = 0;
    for script in scripts() {
        for nth in (0..).step_by(setting("EVERY", 1) as usize) {
            let what = format!("{}: {failure:?} at {op:?} {nth}, sticky {sticky}", script.name);
            let run = run_script(&script, what, |fs| {
                let fault = Fault::nth(op, nth, failure);
                fs.inject(if sticky { Fault { times: None, ..fault } } else { fault });
            });
            let hit = run.fs.fired();
            let harmless = failure == Failure::NoSpace && op != FsOp::AnyChange;
            assert!(!harmless || !run.failed, "{}: a full disk is no failure", run.what);
            run.finish();
            fired += hit;
            if hit == 0 {
                break;
            }
        }
    }
    println!("{op:?} {failure:?} (sticky {sticky}): {fired} failures");
    fired
}

fn run_script(script: &Script, what: String, inject: impl FnOnce(&ErrFs)) -> Run {
    let mut run = Run::new(what);
    inject(&run.fs);
    for step in &script.steps {
        run.step(step);
    }
    run
}

#[test]
fn io_error_once() {
    assert!(sweep(FsOp::AnyChange, Failure::Io, false) > 100);
}

#[test]
fn io_error_for_good() {
    assert!(sweep(FsOp::AnyChange, Failure::Io, true) > 100);
}

#[test]
fn torn_write() {
    assert!(sweep(FsOp::Write, Failure::Torn, false) > 50);
}

#[test]
fn failed_sync() {
    assert!(sweep(FsOp::SyncData, Failure::Io, false) > 50);
    assert!(sweep(FsOp::SyncDir, Failure::Io, false) > 10);
}

#[test]
fn no_space_once() {
    assert!(sweep(FsOp::Write, Failure::NoSpace, false) > 50);
    assert!(sweep(FsOp::Resize, Failure::NoSpace, false) > 10);
    assert!(sweep(FsOp::Create, Failure::NoSpace, false) > 10);
}

#[test]
fn no_space_for_good() {
    assert!(sweep(FsOp::Write, Failure::NoSpace, true) > 50);
    assert!(sweep(FsOp::AnyChange, Failure::NoSpace, true) > 50);
}

/// Short and interrupted operations are finished by trying again: nobody notices.
#[test]
fn short_and_interrupted_operations_are_no_failures() {
    for (op, failure) in [
        (FsOp::Write, Failure::Short),
        (FsOp::Write, Failure::Interrupted),
        (FsOp::Read, Failure::Short),
        (FsOp::Read, Failure::Interrupted),
    ] {
        for script in scripts() {
            for nth in (0..).step_by(3) {
                let what = format!("{}: {failure:?} at {op:?} {nth}", script.name);
                let run = run_script(&script, what, |fs| fs.inject(Fault::nth(op, nth, failure)));
                let contents = script.contents();
                assert_eq!(Some(&run.acknowledged), contents.last(), "{}", run.what);
                let hit = run.fs.fired();
                run.finish();
                if hit == 0 {
                    break;
                }
            }
        }
    }
}

fn is_disk_full(result: &Result<(), Error>) -> bool {
    matches!(result, Err(Error::DiskFull { .. }))
}

/// A disk that fills up, is used while it is full, and gets space again: no restart is needed.
#[test]
fn a_full_disk_and_space_again() {
    let memory = MemFs::new();
    let engine = open(Arc::new(memory.clone())).unwrap();
    let mut wanted = Content::default();
    memory.set_capacity(Some(20_000));
    let mut full = 0;
    for round in 0..100_u32 {
        let batch = put(format!("key {round:03}"), vec![round as u8; 500]);
        let result = engine.write(batch.clone(), Durability::Always);
        if is_disk_full(&result) {
            full += 1;
        } else {
            result.unwrap();
            wanted.apply(&batch);
        }
        assert_eq!(Content::read(&engine).unwrap(), wanted, "reads go on");
    }
    assert!(full > 50, "the disk was full for {full} writes");
    let removal = delete("key 000");
    engine.write(removal.clone(), Durability::Always).expect("deletes go on");
    wanted.apply(&removal);
    memory.set_capacity(None);
    write(&engine, &put("after", "space"));
    wanted.apply(&put("after", "space"));
    assert_eq!(Content::read(&engine).unwrap(), wanted);
    for state in memory.crash_states(20, 1).states {
        let engine = open(Arc::new(state)).unwrap();
        assert_eq!(Content::read(&engine).unwrap(), wanted, "after a crash");
    }
    engine.merge().unwrap();
    assert_eq!(Content::read(&engine).unwrap(), wanted);
    drop(engine);
    assert_eq!(Content::read(&open(Arc::new(memory)).unwrap()).unwrap(), wanted);
}

/// Removing and merging make room; a merge needs a little of it to begin with.
#[test]
fn deletes_and_a_merge_free_a_full_disk() {
    let memory = MemFs::new();
    let engine = open(Arc::new(memory.clone())).unwrap();
    memory.set_capacity(Some(30_000));
    let mut written = 0;
    while !is_disk_full(
        &engine.write(put(format!("key {written:03}"), vec![1; 800]), Durability::Always),
    ) {
        written += 1;
    }
    // Few deletes fit into the reserve; one of them may name many keys.
    let mut batch = Batch::new();
    batch.delete_range(tinykv_engine::Cf::Default, tinykv_engine::Range::new("key 002", "key 999"));
    engine.write(batch, Durability::Always).expect("deletes go on");
    if let Err(error) = engine.merge() {
        assert!(matches!(error, Error::DiskFull { .. }), "{error}");
        memory.set_capacity(Some(34_000));
        engine.merge().expect("most segments have nothing that must be copied");
        memory.set_capacity(Some(30_000));
    }
    write(&engine, &put("room", vec![2; 800]));
    drop(engine);
    let engine = open(Arc::new(memory.clone())).unwrap();
    assert_eq!(Content::read(&engine).unwrap().iter().count(), 3);
    assert!(written > 20 && memory.used() < 20_000, "{written} keys, {} bytes", memory.used());
}

/// A failed batch is not seen, in no way of reading, although it may be on the disk.
#[test]
fn a_failed_write_is_not_seen() {
    for op in [FsOp::Write, FsOp::SyncData] {
        let memory = MemFs::new();
        let fs = ErrFs::over_memory(memory);
        let engine = open(Arc::new(fs.clone())).unwrap();
        write(&engine, &put("a", "1"));
        let view = engine.view().unwrap();
        let before = Content::read(&engine).unwrap();
        fs.inject(Fault::nth(op, 0, Failure::Io));
        let mut batch = put("a", "2");
        batch.append(put("b", "2"));
        let error = engine.write(batch, Durability::Always).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
        for _ in 0..3 {
            assert_eq!(Content::read(&engine).unwrap(), before);
            assert_eq!(Content::read_view(&*view).unwrap(), before);
            for durability in [Durability::Always, Durability::Interval, Durability::Never] {
                let error = engine.write(put("c", "3"), durability).unwrap_err();
                assert!(matches!(error, Error::Poisoned(_)), "{error}");
            }
            assert!(matches!(engine.flush().unwrap_err(), Error::Poisoned(_)));
        }
    }
}
