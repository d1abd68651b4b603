//! The write-ahead log through its public API: against a model, through every crash, with damaged
//! sectors, failing operations, and the bugs that other logs shipped.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "wal/arbitrary.rs"]
mod arbitrary;
#[path = "../fuzz/src/body.rs"]
mod body;
#[path = "wal/cases.rs"]
mod cases;
#[path = "wal/crash.rs"]
mod crash;
#[path = "wal/errors.rs"]
mod errors;
#[path = "wal/faults.rs"]
mod faults;
#[path = "wal/model.rs"]
mod model;
#[path = "wal/notes.rs"]
mod notes;
#[path = "wal/purge.rs"]
mod purge;
#[path = "wal/random.rs"]
mod random;
#[path = "wal/reads.rs"]
mod reads;
#[path = "wal/regressions.rs"]
mod regressions;
#[path = "wal/threads.rs"]
mod threads;
#[path = "wal/tools.rs"]
mod tools;
