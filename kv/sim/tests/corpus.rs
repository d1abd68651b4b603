//! The corpus: a few seeds that leave every mark of a rare branch. What no seed reaches, no seed tests.
//!
//! After a change all seeds may be other runs; `make sim-corpus` chooses some that leave all marks.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::path::Path;

use tinykv_sim::marks::{PRODUCT, WORLD};
use tinykv_sim::scenario::Scenario;
use tinykv_sim::store::Store;
use tinykv_sim::{corpus, run};

/// Adds the names of the marks in the sources of a folder.
fn marks_in(folder: &Path, marks: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            marks_in(&path, marks);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let uses = text.split("mark!(\"").skip(1);
            marks.extend(uses.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
}

#[test]
fn the_list_of_marks_is_that_of_the_sources() {
    let mut used = BTreeSet::new();
    for sources in ["../../raft/src", "../raftstore/src", "../wal/src"] {
        marks_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join(sources), &mut used);
    }
    let listed: BTreeSet<String> = PRODUCT.iter().map(|mark| (*mark).to_owned()).collect();
    assert_eq!(used, listed);
}

#[test]
fn the_corpus_leaves_every_mark() {
    let corpus = corpus::parse(include_str!("../corpus.txt")).unwrap();
    let mut left = BTreeSet::new();
    for kept in &corpus {
        let seed = kept.seed;
        let report = run::<Store>(&Scenario::draw::<Store>(seed), false);
        assert_eq!(report.failure, None, "cargo run -p tinykv-sim -- --seed {seed}");
        left.extend(report.marks);
    }
    let missing: Vec<_> = WORLD.iter().chain(PRODUCT).filter(|it| !left.contains(*it)).collect();
    assert!(missing.is_empty(), "no seed leaves {missing:?}: make sim-corpus SEEDS=20000");
}
