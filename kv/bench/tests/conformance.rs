//! Every backend passes the suite of the engines, but for what its caveat says.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use engine::conformance::{self, Open};
use tempfile::TempDir;
use tinykv_bench::backend::{self, Settings};
use tinykv_bench::level::Level;

/// An empty folder, and what opens a store in it.
fn open(name: &str) -> Open {
    let backend = backend::named(name).unwrap();
    let folder = TempDir::new().unwrap();
    let settings = Settings { level: Level::Interval, cache_bytes: 8 << 20 };
    Box::new(move || (backend.open)(&folder.path().join("store"), settings).unwrap())
}

#[test]
fn memory_conforms() {
    let backend = backend::named("memory").unwrap();
    let settings = Settings { level: Level::None, cache_bytes: 0 };
    let new = || (backend.open)(std::path::Path::new("nowhere"), settings).unwrap();
    conformance::run(&|| Arc::clone(&new()));
}

#[test]
fn bitcask_conforms() {
    conformance::run_reopen(&|| open("bitcask"));
}

#[cfg(feature = "rocksdb")]
#[test]
fn rocksdb_conforms() {
    conformance::run_reopen(&|| open("rocksdb"));
}

/// fjall has no empty keys, which these cases use; and its snapshots can go back in time.
#[test]
fn fjall_conforms_but_for_empty_keys_and_snapshots() {
    let exempt = [
        "empty_keys_and_values",
        "iteration_bounds",
        "iterators_are_independent",
        "range_delete_bounds",
        "range_delete_and_later_puts",
        "batches_are_seen_whole",
        "everything_survives",
    ];
    conformance::run_reopen_without(&|| open("fjall"), &exempt);
}

#[test]
fn redb_conforms() {
    conformance::run_reopen(&|| open("redb"));
}

/// sled has no snapshots.
#[test]
fn sled_conforms_but_for_snapshots() {
    let exempt = [
        "views_do_not_change",
        "views_outlive_merges",
        "views_of_every_age",
        "iterators_do_not_see_later_writes",
        "batches_are_seen_whole",
    ];
    conformance::run_reopen_without(&|| open("sled"), &exempt);
}
