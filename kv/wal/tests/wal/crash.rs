//! T2: the power fails after each operation of a run, in every way that the disk allows.
//!
//! What must hold after each: the log opens; what was acknowledged is there; a batch is there
//! whole or not at all, and none without those before it; nothing is there that was not written;
//! a second recovery gives the same. Then the same again for crashes during that recovery and the
//! writes after it.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tinykv_wal::{CrashPoint, Durability, MemFs, Options, RawEntry, TailPolicy, Wal};

use crate::model::{self, Change, Model, entry};

/// A run with what it promised at each moment.
struct Run {
    points: Vec<CrashPoint>,
    /// The model after each batch; first, before any.
    states: Vec<Model>,
    /// For each batch: after how many disk operations it was begun, and durable.
    begun: Vec<u64>,
    durable: Vec<Option<u64>>,
}

impl Run {
    /// Which states may be found after a crash at a point.
    fn allowed(&self, operations: u64) -> std::ops::RangeInclusive<usize> {
        let durable = |at: &Option<u64>| at.is_some_and(|at| at <= operations);
        let low = self.durable.iter().rposition(durable).map_or(0, |at| at + 1);
        let high = self.begun.iter().filter(|begun| **begun < operations).count();
        low..=high.max(low)
    }
}

/// A step of a script.
enum Step {
    Write(Vec<Change>, Durability),
    Sync,
    Mark,
    Purge,
    Reopen,
}

fn run(fs: &MemFs, options: &Options, start: Model, steps: &[Step]) -> Run {
    fs.record();
    let mut wal = model::open(fs, options).unwrap().0;
    let mut run = Run { points: vec![], states: vec![start], begun: vec![], durable: vec![] };
    for step in steps {
        match step {
            Step::Write(changes, durability) => {
                run.begun.push(fs.operations());
                let mut model = run.states.last().unwrap().clone();
                changes.iter().for_each(|change| model.apply(change));
                run.states.push(model);
                model::write(&mut wal, changes, *durability).unwrap();
                run.durable.push(None);
            }
            Step::Sync => {
                wal.sync().unwrap();
            }
            Step::Mark => wal.mark().unwrap(),
            Step::Purge => {
                wal.purge().unwrap();
            }
            Step::Reopen => {
                drop(wal);
                wal = model::open(fs, options).unwrap().0;
            }
        }
        let synced = wal.synced_lsn() == wal.last_lsn();
        if synced {
            let now = fs.operations();
            run.durable.iter_mut().for_each(|at| *at = at.or(Some(now)));
        }
    }
    run.points = fs.recorded();
    run
}

/// What an enumeration tried.
#[derive(Debug, Default)]
struct Counts {
    points: usize,
    states: usize,
    complete: usize,
    second: usize,
}

/// Finds which of the allowed states the log is in.
fn state_of(
    wal: &Wal<RawEntry>,
    run: &Run,
    allowed: std::ops::RangeInclusive<usize>,
) -> Option<usize> {
    allowed.rev().find(|at| run.states[*at].compare(wal).is_ok())
}

/// Crashes everywhere; with `depth` again during each recovery.
fn enumerate(run: &Run, options: &Options, limit: usize, depth: usize, counts: &mut Counts) {
    for point in &run.points {
        let crashed = point.fs().crash_states(limit, point.operations);
        counts.points += 1;
        counts.complete += usize::from(crashed.complete);
        for (number, fs) in crashed.states.iter().enumerate() {
            counts.states += 1;
            let context = format!("crash state {number} after {:?}", point.what);
            let allowed = run.allowed(point.operations);
            let (wal, report) = model::open(&fs.fork(), options)
                .unwrap_or_else(|error| panic!("{error}: {context}"));
            if options.tail == TailPolicy::Single {
                assert!(report.faulty.is_empty(), "{report:?}: {context}");
            }
            let found = state_of(&wal, run, allowed.clone());
            let Some(found) = found else {
                // With other replicas, the last, unacknowledged write may be kept as faulty.
                if report.faulty.iter().all(|faulty| !faulty.durable) && !report.faulty.is_empty() {
                    continue;
                }
                let why = run.states[*allowed.start()].compare(&wal);
                panic!("none of the states {allowed:?}: {why:?}: {report:?}: {context}");
            };
            drop(wal);
            recover_again(fs, run.states[found].clone(), options, (limit, depth), &context, counts);
        }
    }
}

/// Recovers for good, writes on, and demands that all of it stays; crashes on the way.
fn recover_again(
    fs: &MemFs,
    start: Model,
    options: &Options,
    (limit, depth): (usize, usize),
    context: &str,
    counts: &mut Counts,
) {
    let second = fs.fork();
    let index = start.groups.get(&99).map_or(1, |group| *group.entries.keys().max().unwrap() + 1);
    let change = Change::Append(99, vec![entry(index, 1, b"after the crash".to_vec())]);
    let steps = [Step::Write(vec![change], Durability::Synced), Step::Purge, Step::Mark];
    let again = run(&second, options, start, &steps);
    let (wal, report) = model::open(&second, options).unwrap();
    assert!(report.is_clean(), "{report:?}: recovered twice, {context}");
    again.states[1].compare(&wal).unwrap_or_else(|why| panic!("{why}: recovered twice, {context}"));
    if depth > 0 && counts.states % 23 == 1 {
        let mut deeper = Counts::default();
        enumerate(&again, options, limit / 4, depth - 1, &mut deeper);
        counts.second += deeper.states + deeper.second;
    }
}

fn small_append(group: u64, index: u64) -> Vec<Change> {
    vec![Change::Append(group, vec![entry(index, 1, vec![index as u8; 40])])]
}

#[test]
fn every_crash_of_a_short_run() {
    use Durability::{Deferred, Synced};
    for tail in [TailPolicy::Single, TailPolicy::Replicated] {
        let options = Options { tail, ..model::options() };
        let conflict = Change::Append(1, vec![entry(2, 2, vec![9; 700]), entry(3, 2, vec![8; 30])]);
        let keys = vec![
            Change::Put(1, b"vote".to_vec(), vec![1; 30]),
            Change::Append(2, vec![entry(5, 1, vec![5; 500])]),
        ];
        let steps = [
            Step::Write(small_append(1, 1), Synced),
            Step::Write(small_append(1, 2), Deferred),
            Step::Write(keys, Deferred),
            Step::Sync,
            Step::Write(vec![conflict], Synced),
            Step::Mark,
            Step::Write(vec![Change::Compact(1, 3)], Synced),
            Step::Reopen,
            Step::Write(vec![Change::Clean(2)], Synced),
            Step::Write(small_append(2, 1), Synced),
        ];
        let run = run(&MemFs::new(), &options, Model::default(), &steps);
        let mut counts = Counts::default();
        enumerate(&run, &options, 200, 1, &mut counts);
        println!("T2 short run, {tail:?}: {counts:?}");
        assert!(counts.states + counts.second > 500, "{counts:?}");
    }
}

/// Random scripts that roll, rewrite, purge and reopen.
fn script(rng: &mut StdRng, length: usize) -> Vec<Step> {
    let mut model = Model::default();
    let mut steps = Vec::new();
    for _ in 0..length {
        steps.push(match rng.random_range(0..20) {
            0 | 1 => Step::Purge,
            2 => Step::Reopen,
            3 => Step::Sync,
            4 => Step::Mark,
            5..8 => Step::Write(model::changes(&mut model, rng, 2, 4, 600), Durability::Deferred),
            _ => Step::Write(model::changes(&mut model, rng, 2, 4, 600), Durability::Synced),
        });
    }
    steps
}

#[test]
fn crashes_of_long_runs_with_purges_and_rewrites() {
    let first = model::seed(100);
    let rounds = if std::env::var_os("SEED").is_some() { 1 } else { 3 };
    let mut counts = Counts::default();
    for seed in first..first + rounds {
        println!("replay with SEED={seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let mut options = model::options();
        options.recycle = seed.is_multiple_of(2);
        options.purge_bytes = 40 << 10;
        let steps = script(&mut rng, 50);
        let run = run(&MemFs::new(), &options, Model::default(), &steps);
        enumerate(&run, &options, 12, 1, &mut counts);
    }
    println!("T2 long runs: {counts:?}");
}
