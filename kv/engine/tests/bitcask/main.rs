//! What bitcask promises when disks, processes and threads misbehave.
//!
//! Everything here goes through the public API, on the file systems of `wal` that crash and fail.
//! `CRASH_STATES`, `FAULT_BITS`, `CASES` and `SEED` make the suites larger or different; each suite
//! says in its first lines which of them it reads.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]
#![expect(clippy::print_stdout, reason = "the suites tell how much they have tried")]

mod bounds;
mod crash;
mod errors;
mod faults;
mod fuzz;
mod history;
mod model;
mod register;
mod script;
mod store;
mod views;
