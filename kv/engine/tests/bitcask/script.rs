//! Scripted workloads, and what may be found after they were interrupted anywhere.

use std::sync::Arc;

use tinykv_engine::bitcask::Bitcask;
use tinykv_engine::{Batch, Cf, Durability, Engine, Range, Result};
use wal::{CrashPoint, Fs, MemFs};

use crate::store::{Content, delete, maintain, open, put};

/// One step of a workload.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Write(Batch, Durability),
    Flush,
    Merge,
    Maintain,
    Reopen,
}

/// A workload with a name.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) name: &'static str,
    pub(crate) steps: Vec<Step>,
}

impl Script {
    fn new(name: &'static str) -> Script {
        Script { name, steps: Vec::new() }
    }

    fn always(mut self, batch: Batch) -> Script {
        self.steps.push(Step::Write(batch, Durability::Always));
        self
    }

    fn never(mut self, batch: Batch) -> Script {
        self.steps.push(Step::Write(batch, Durability::Never));
        self
    }

    fn then(mut self, step: Step) -> Script {
        self.steps.push(step);
        self
    }

    /// The content after each number of writes: 0, 1, ... all.
    pub(crate) fn contents(&self) -> Vec<Content> {
        let mut now = Content::default();
        let mut contents = vec![now.clone()];
        for step in &self.steps {
            if let Step::Write(batch, _) = step {
                now.apply(batch);
                contents.push(now.clone());
            }
        }
        contents
    }

    /// How many writes the script has.
    pub(crate) fn writes(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step, Step::Write(..))).count()
    }
}

/// What a run of a script has promised, as numbers of writes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Promise {
    /// Operations of the file system before.
    pub(crate) operations: u64,
    /// Writes that began.
    pub(crate) begun: usize,
    /// Writes that must never be lost again.
    pub(crate) durable: usize,
}

/// Runs the steps, each by `each`, which may fail; after and before each step, `promised` is told
/// what holds then. Ends with the first failure.
pub(crate) fn run(
    script: &Script,
    fs: &Arc<dyn Fs>,
    mut promised: impl FnMut(usize, usize),
) -> Result<Option<Bitcask>> {
    let (mut begun, mut done, mut durable) = (0, 0, 0);
    promised(begun, durable);
    let mut engine = Some(open(Arc::clone(fs))?);
    for step in &script.steps {
        let open_engine = engine.as_ref().expect("open between the steps");
        match step {
            Step::Write(batch, durability) => {
                begun += 1;
                promised(begun, durable);
                open_engine.write(batch.clone(), *durability)?;
                done += 1;
                if *durability == Durability::Always {
                    durable = done;
                }
            }
            Step::Flush => {
                open_engine.flush()?;
                durable = done;
            }
            Step::Merge => open_engine.merge()?,
            Step::Maintain => maintain(open_engine)?,
            Step::Reopen => {
                drop(engine.take());
                engine = Some(open(Arc::clone(fs))?);
            }
        }
        promised(begun, durable);
    }
    Ok(engine)
}

/// A script that was run to its end: every moment at which the power could have failed, and what
/// was promised then.
pub(crate) struct Recording {
    pub(crate) points: Vec<CrashPoint>,
    promises: Vec<Promise>,
    /// The file system at the end, the engine closed.
    pub(crate) fs: MemFs,
}

impl Recording {
    pub(crate) fn new(script: &Script) -> Recording {
        let fs = MemFs::new();
        fs.record();
        let mut promises = Vec::new();
        let shared: Arc<dyn Fs> = Arc::new(fs.clone());
        let engine = run(script, &shared, |begun, durable| {
            promises.push(Promise { operations: fs.operations(), begun, durable });
        });
        drop(engine.unwrap());
        Recording { points: fs.recorded(), promises, fs }
    }

    /// What was promised when so many operations were done.
    pub(crate) fn promise(&self, operations: u64) -> Promise {
        let mut held = self.promises.iter().filter(|promise| promise.operations <= operations);
        *held.next_back().expect("the first promise comes before the first operation")
    }
}

fn large(byte: u8, len: usize) -> Vec<u8> {
    (0..len).map(|n| byte.wrapping_add(n as u8 % 7)).collect()
}

/// A batch over column families and more than a sector.
fn wide(round: u8) -> Batch {
    let mut batch = Batch::new();
    for cf in Cf::ALL {
        batch.put(cf, format!("wide {}", cf.name()), large(b'a' + round, 250));
    }
    batch.put(Cf::Default, "round", [round].to_vec());
    batch
}

fn delete_range(start: &'static str, end: &'static str) -> Batch {
    let mut batch = Batch::new();
    batch.delete_range(Cf::Default, Range::new(start, end));
    batch
}

/// The workloads that every crash and every error is tried on.
pub(crate) fn scripts() -> Vec<Script> {
    let mut plain = Script::new("plain writes").always(put("a", "1")).always(put("b", "2"));
    plain = plain.always(put("a", "3")).always(delete("b")).always(put("empty", ""));
    plain = plain.always(delete_range("a", "b")).always(put("a", "4"));

    let mut batches = Script::new("wide batches");
    for round in 0..3 {
        batches = batches.always(wide(round));
    }

    let mut lazy = Script::new("writes without a sync");
    for round in 0..4 {
        lazy = lazy.never(put("key", large(round, 150))).never(delete(format!("no {round}")));
    }
    lazy = lazy.then(Step::Flush).never(put("key", "last")).never(put("other", "x"));
    lazy = lazy.always(put("third", "y")).never(put("key", "lost"));

    let mut roll = Script::new("segments roll");
    for round in 0..9 {
        roll = roll.always(put(format!("key {}", round % 4), large(round, 1100)));
    }
    roll = roll.never(put("key 1", large(90, 3000))).never(put("key 2", large(91, 1500)));

    let mut merge = Script::new("merge");
    for round in 0..5 {
        merge = merge.always(put(format!("key {}", round % 3), large(round, 1200)));
    }
    merge = merge.always(delete("key 0")).always(put("gone", "x")).always(delete("gone"));
    merge = merge.always(put("filler", large(50, 3000))).always(put("filler", large(51, 2000)));
    merge = merge.then(Step::Merge).always(put("key 2", "after")).then(Step::Merge);
    merge = merge.never(delete("key 1")).then(Step::Merge).always(put("end", ""));

    let mut reopen = Script::new("reopen and hints").always(put("a", large(1, 2500)));
    reopen = reopen.always(put("b", large(2, 2500))).always(delete("a")).then(Step::Maintain);
    reopen = reopen.then(Step::Reopen).always(put("c", large(3, 2000))).never(put("d", "4"));
    reopen = reopen.then(Step::Reopen).always(put("e", "5")).then(Step::Maintain);
    reopen = reopen.then(Step::Merge).then(Step::Reopen).always(delete("b"));

    let mut ranges = Script::new("removed ranges");
    for round in 0..6 {
        ranges = ranges.always(put(format!("k{round}"), large(round, 900)));
    }
    ranges = ranges.always(delete_range("k1", "k4")).always(put("k2", "back"));
    ranges = ranges.then(Step::Merge).always(delete_range("", "k3")).then(Step::Reopen);
    ranges = ranges.then(Step::Merge).always(put("k1", "again"));

    vec![plain, batches, lazy, roll, merge, reopen, ranges]
}
