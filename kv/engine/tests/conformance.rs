//! The conformance suite on every engine of this crate, and on engines that are known to be wrong.

#[path = "common/naive.rs"]
mod naive;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use naive::{Bug, Naive};
use tinykv_engine::{Mirror, conformance};

#[test]
fn the_naive_engine_conforms() {
    conformance::run(&|| Arc::new(Naive::new(None)));
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
