//! The marks of rare branches in raft, raftstore and wal: all that the sources leave are listed.
//!
//! What no seed reaches, no seed tests:
//! `cargo run --release -p tinykv-sim -- --seeds 5000 --marks` prints a seed for each mark, and fails
//! if one is missing.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::path::Path;

use tinykv_sim::marks::PRODUCT;

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
