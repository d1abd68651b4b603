//! The conformance suite on every engine of this crate, and on engines that are known to be wrong.

#[path = "support/naive.rs"]
mod naive;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use naive::{Bug, Naive};
use tinykv_engine::bitcask::{self, Options};
use tinykv_engine::{Engine, Memory, Mirror, conformance};
use wal::{Fs, MemFs, RealFs};

#[test]
fn the_naive_engine_conforms() {
    conformance::run(&|| Arc::new(Naive::new(None)));
}

#[test]
fn memory_conforms() {
    conformance::run(&|| Arc::new(Memory::new()));
}

/// Opens the bitcask of a folder, with what was changed about it.
fn opens(fs: Arc<dyn Fs>, folder: PathBuf, options: Options) -> conformance::Open {
    Box::new(move || {
        let engine = bitcask::open(Arc::clone(&fs), &folder, options.clone());
        Arc::new(engine.expect("the folder can be opened"))
    })
}

#[test]
fn bitcask_conforms_in_memory() {
    for background in [false, true] {
        let options = Options { background, segment_bytes: 16 << 10, ..small() };
        conformance::run_reopen(&|| opens(Arc::new(MemFs::new()), "data".into(), options.clone()));
    }
}

#[test]
fn bitcask_conforms_on_real_files() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let next = Cell::new(0);
    conformance::run_reopen(&|| {
        next.set(next.get() + 1);
        let options = Options { allocate_bytes: 64 << 10, ..Options::default() };
        opens(RealFs::shared(), dir.path().join(next.get().to_string()), options)
    });
}

/// Segments so small that everything spans several of them.
fn small() -> Options {
    Options {
        allocate_bytes: 4 << 10,
        reserve_bytes: 1 << 10,
        cache_bytes: 0,
        ..Options::default()
    }
}

#[test]
fn memory_and_bitcask_agree() {
    conformance::run(&|| {
        let options = Options { background: false, segment_bytes: 16 << 10, ..small() };
        let bitcask: Arc<dyn Engine> = opens(Arc::new(MemFs::new()), "data".into(), options)();
        Arc::new(Mirror::new(Arc::new(Memory::new()), bitcask))
    });
}

#[test]
fn the_suite_finds_every_bug() {
    for bug in Bug::ALL {
        let run = || conformance::run(&|| Arc::new(Naive::new(Some(bug))));
        let failure = catch_unwind(AssertUnwindSafe(run)).expect_err(&format!("{bug:?} is found"));
        println!("{bug:?}: {}", failure.downcast_ref::<String>().expect("a text"));
    }
}

#[test]
fn a_mirror_of_equals_conforms() {
    let naive = || Arc::new(Naive::new(None));
    conformance::run(&|| Arc::new(Mirror::new(naive(), naive())));
}

#[test]
fn a_mirror_tells_two_engines_apart() {
    for bug in [Bug::EndIncluded, Bug::KeysWithoutRange, Bug::GetIsStale, Bug::MergeBringsBack] {
        let mirror = || Mirror::new(Arc::new(Naive::new(None)), Arc::new(Naive::new(Some(bug))));
        let run = || conformance::run(&|| Arc::new(mirror()));
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err(), "{bug:?} is seen");
    }
}
