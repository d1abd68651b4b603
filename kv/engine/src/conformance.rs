//! One suite that every engine must pass, behind the feature `conformance`.
//!
//! It knows an engine by the traits [`Engine`] and [`View`](crate::View) alone, so that an adapter
//! in another crate runs it on rocksdb or sled as our own tests run it on memory and bitcask: a
//! test calls [`run`] with what makes a new engine, or [`run_reopen`] where an engine keeps a folder.
//!
//! A case fails by a panic that says what was expected. [`run`] and [`run_reopen`] go through all
//! cases before they panic with the names of those that failed.

#![expect(clippy::unwrap_used, reason = "a suite fails by panicking")]

mod basics;
mod concurrent;
mod ranges;
mod reopen;
mod views;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;

use crate::{Batch, Cf, Direction, Durability, Engine, Range, View};

/// Makes a new, empty engine.
pub type New<'a> = &'a dyn Fn() -> Arc<dyn Engine>;

/// Opens the engine of one data folder; the one that it gave before is closed then.
pub type Open = Box<dyn Fn() -> Arc<dyn Engine>>;

/// A case: it gets a new, empty engine.
type Case = fn(&Arc<dyn Engine>);

/// A case that closes and opens: it gets a new, empty data folder.
type ReopenCase = fn(&Open);

/// All cases that any engine must pass, by name.
const CASES: &[(&str, Case)] = &[
    ("empty_engine", basics::empty_engine),
    ("get_after_put", basics::get_after_put),
    ("absent_keys", basics::absent_keys),
    ("column_families_are_apart", basics::column_families_are_apart),
    ("later_writes_of_a_batch_win", basics::later_writes_of_a_batch_win),
    ("an_empty_batch_is_fine", basics::an_empty_batch_is_fine),
    ("every_durability_is_visible_at_once", basics::every_durability_is_visible_at_once),
    ("empty_keys_and_values", basics::empty_keys_and_values),
    ("binary_keys", basics::binary_keys),
    ("values_of_every_size", basics::values_of_every_size),
    ("large_keys", basics::large_keys),
    ("nowait_agrees", basics::nowait_agrees),
    ("stats_are_sane", basics::stats_are_sane),
    ("iteration_bounds", ranges::iteration_bounds),
    ("iterators_are_independent", ranges::iterators_are_independent),
    ("range_delete_bounds", ranges::range_delete_bounds),
    ("range_delete_and_later_puts", ranges::range_delete_and_later_puts),
    ("range_delete_of_many_keys", ranges::range_delete_of_many_keys),
    ("many_keys_in_order", ranges::many_keys_in_order),
    ("views_do_not_change", views::views_do_not_change),
    ("views_outlive_merges", views::views_outlive_merges),
    ("views_of_every_age", views::views_of_every_age),
    ("iterators_do_not_see_later_writes", views::iterators_do_not_see_later_writes),
    ("merge_keeps_all", views::merge_keeps_all),
    ("random_operations", views::random_operations),
    ("batches_are_seen_whole", concurrent::batches_are_seen_whole),
    ("keys_never_vanish", concurrent::keys_never_vanish),
    ("many_writers", concurrent::many_writers),
    ("many_readers", concurrent::many_readers),
];

/// All cases that an engine with a data folder must pass besides, by name.
const REOPEN_CASES: &[(&str, ReopenCase)] = &[
    ("everything_survives", reopen::everything_survives),
    ("removed_keys_stay_removed", reopen::removed_keys_stay_removed),
    ("overwritten_after_reopening", reopen::overwritten_after_reopening),
    ("range_deletes_survive", reopen::range_deletes_survive),
    ("merged_data_survives", reopen::merged_data_survives),
    ("random_operations_and_reopening", reopen::random_operations_and_reopening),
];

/// Runs all cases, each on an engine of its own.
///
/// # Panics
/// If a case fails.
pub fn run(new: New<'_>) {
    each(CASES, |case| case(&new()));
}

/// Runs all cases on engines that keep their data, and those that close and open them. `new` makes
/// an empty data folder and gives what opens it.
///
/// # Panics
/// If a case fails.
pub fn run_reopen(new: &dyn Fn() -> Open) {
    run_reopen_without(new, &[]);
}

/// As [`run_reopen`], for an engine that cannot promise all: the cases named in `exempt` are left
/// out.
///
/// # Panics
/// If another case fails, or `exempt` names none.
pub fn run_reopen_without(new: &dyn Fn() -> Open, exempt: &[&str]) {
    let known = |name: &&str| {
        CASES.iter().any(|case| case.0 == *name) || REOPEN_CASES.iter().any(|case| case.0 == *name)
    };
    assert!(exempt.iter().all(known), "an exempt case does not exist");
    each(&without(CASES, exempt), |case| case(&new()()));
    each(&without(REOPEN_CASES, exempt), |case| case(&new()));
}

fn without<C: Copy>(cases: &[(&'static str, C)], exempt: &[&str]) -> Vec<(&'static str, C)> {
    cases.iter().copied().filter(|(name, _)| !exempt.contains(name)).collect()
}

fn each<C: Copy>(cases: &[(&'static str, C)], run: impl Fn(C)) {
    let failed: Vec<&str> = cases
        .iter()
        .filter(|(_, case)| catch_unwind(AssertUnwindSafe(|| run(*case))).is_err())
        .map(|(name, _)| *name)
        .collect();
    assert!(failed.is_empty(), "failed cases: {}", failed.join(", "));
}

/// What an engine should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    cfs: [BTreeMap<Bytes, Bytes>; Cf::ALL.len()],
}

impl Model {
    fn apply(&mut self, batch: &Batch) {
        for write in batch.writes() {
            match write {
                crate::Write::Put { cf, key, value } => {
                    self.cfs[cf.index()].insert(key.clone(), value.clone());
                }
                crate::Write::Delete { cf, key } => {
                    self.cfs[cf.index()].remove(key);
                }
                crate::Write::DeleteRange { cf, range } => {
                    self.cfs[cf.index()].retain(|key, _| !range.contains(key));
                }
            }
        }
    }

    /// The pairs of a range in ascending order.
    fn range(&self, cf: Cf, range: &Range) -> Vec<(Bytes, Bytes)> {
        let pairs = self.cfs[cf.index()].iter().filter(|(key, _)| range.contains(key));
        pairs.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Checks that a view holds this and nothing else, in both directions, with and without values.
    #[track_caller]
    fn check(&self, view: &dyn View) {
        for cf in Cf::ALL {
            self.check_range(view, cf, &Range::all());
            for (key, value) in &self.cfs[cf.index()] {
                assert_eq!(view.get(cf, key).unwrap().as_ref(), Some(value), "{cf} {key:?}");
            }
        }
    }

    #[track_caller]
    fn check_range(&self, view: &dyn View, cf: Cf, range: &Range) {
        let mut wanted = self.range(cf, range);
        for direction in [Direction::Forward, Direction::Backward] {
            assert_eq!(pairs(view, cf, range, direction), wanted, "{cf} {range:?} {direction:?}");
            let keys: Vec<Bytes> = wanted.iter().map(|(key, _)| key.clone()).collect();
            let found: Vec<Bytes> =
                view.keys(cf, range.clone(), direction).map(|key| key.unwrap()).collect();
            assert_eq!(found, keys, "keys of {cf} {range:?} {direction:?}");
            wanted.reverse();
        }
    }
}

/// An engine and what it should hold.
struct Checked {
    engine: Arc<dyn Engine>,
    model: Model,
}

impl Checked {
    fn new(engine: &Arc<dyn Engine>) -> Checked {
        Checked { engine: Arc::clone(engine), model: Model::default() }
    }

    #[track_caller]
    fn write(&mut self, batch: Batch) {
        self.model.apply(&batch);
        self.engine.write(batch, Durability::Never).unwrap();
    }

    #[track_caller]
    fn check(&self) {
        self.model.check(&*self.engine.view().unwrap());
        for cf in Cf::ALL {
            for (key, value) in &self.model.cfs[cf.index()] {
                assert_eq!(self.engine.get(cf, key).unwrap().as_ref(), Some(value), "{cf} {key:?}");
            }
        }
    }
}

fn pairs(view: &dyn View, cf: Cf, range: &Range, direction: Direction) -> Vec<(Bytes, Bytes)> {
    view.iter(cf, range.clone(), direction).map(|pair| pair.unwrap()).collect()
}

/// One batch, by a closure.
fn batch(fill: impl FnOnce(&mut Batch)) -> Batch {
    let mut batch = Batch::new();
    fill(&mut batch);
    batch
}

/// One put.
fn putting(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Batch {
    let mut batch = Batch::new();
    batch.put(Cf::Default, key, value);
    batch
}

/// One delete.
fn deleting(key: impl Into<Bytes>) -> Batch {
    let mut batch = Batch::new();
    batch.delete(Cf::Default, key);
    batch
}

/// One range delete.
fn deleting_range(range: Range) -> Batch {
    let mut batch = Batch::new();
    batch.delete_range(Cf::Default, range);
    batch
}

#[track_caller]
fn put(engine: &Arc<dyn Engine>, key: impl Into<Bytes>, value: impl Into<Bytes>) {
    engine.write(putting(key, value), Durability::Never).unwrap();
}

#[track_caller]
fn get(engine: &Arc<dyn Engine>, key: &[u8]) -> Option<Bytes> {
    engine.get(Cf::Default, key).unwrap()
}

/// Numbers that look random and are always the same (xorshift64*).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % limit
    }

    /// One of few keys, so that they are overwritten often.
    fn key(&mut self) -> Vec<u8> {
        format!("k{:02}", self.below(40)).into_bytes()
    }

    fn batch(&mut self) -> Batch {
        batch(|batch| {
            for _ in 0..=self.below(4) {
                let cf = Cf::ALL[self.below(Cf::ALL.len() as u64) as usize];
                match self.below(10) {
                    0 => batch.delete_range(cf, Range::new(self.key(), self.key())),
                    1..4 => batch.delete(cf, self.key()),
                    _ => {
                        let value = vec![b'a' + self.below(26) as u8; self.below(50) as usize];
                        batch.put(cf, self.key(), value)
                    }
                };
            }
        })
    }
}
