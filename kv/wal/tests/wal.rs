//! The write-ahead log through its public API: against a model, through every crash, with damaged
//! sectors, failing operations, and the bugs that other logs shipped.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "wal/crash.rs"]
mod crash;
#[path = "wal/model.rs"]
mod model;
#[path = "wal/random.rs"]
mod random;
#[path = "wal/shared.rs"]
mod shared;
