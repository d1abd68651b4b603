//! The conformance suite on the engines of this crate.

use std::sync::Arc;

use tinykv_engine::bitcask::{self, Options};
use tinykv_engine::{Memory, Mirror, conformance};
use wal::MemFs;

fn options() -> Options {
    Options { background: false, ..Options::default() }
}

fn new_bitcask() -> bitcask::Bitcask {
    bitcask::open(Arc::new(MemFs::new()), "data", options()).expect("a new folder opens")
}

#[test]
fn memory_conforms() {
    conformance::run(&|| Arc::new(Memory::new()));
}

#[test]
fn bitcask_conforms() {
    conformance::run(&|| Arc::new(new_bitcask()));
}

#[test]
fn memory_and_bitcask_agree() {
    conformance::run(&|| Arc::new(Mirror::new(Arc::new(Memory::new()), Arc::new(new_bitcask()))));
}
