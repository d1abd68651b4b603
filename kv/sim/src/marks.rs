//! Coverage marks: rare things that happened.
//!
//! A search can only find bugs in what it reaches. Each rare branch of the world, and each place in
//! the product where a bug can be switched on (`mutant!`), leaves a mark when a run passes it; a
//! campaign tells which marks no run left.

use std::cell::RefCell;
use std::collections::BTreeSet;

thread_local! {
    static MARKS: RefCell<BTreeSet<&'static str>> = const { RefCell::new(BTreeSet::new()) };
}

/// The marks of the world, of which a large campaign must leave all.
pub const ALL: &[&str] = &[
    "a bit flips",
    "a log is compacted",
    "a program stops by itself",
    "a snapshot is installed",
    "a store is lost for good",
    "power fails everywhere",
    "power fails in the middle of work",
    "refuses a damaged disk",
];

/// Leaves a mark in the run of this thread.
pub fn mark(name: &'static str) {
    debug_assert!(ALL.contains(&name), "`{name}` is missing in the list of marks");
    MARKS.with_borrow_mut(|marks| marks.insert(name));
}

/// Begins a run: there are no marks.
pub(crate) fn begin() {
    MARKS.with_borrow_mut(BTreeSet::clear);
}

/// The marks of the run.
pub(crate) fn end() -> BTreeSet<&'static str> {
    MARKS.with_borrow_mut(std::mem::take)
}
