//! Bugs that other libraries have shipped, each as the smallest scenario that shows it.
//!
//! Each can be switched on here: `make mutants ARGS='-p tinykv-raft'` demands that a test notices,
//! and `cargo run -p tinykv-raft --features mutants --example sim -- --bugs` prints which test, and
//! how many seeds the simulator needs.

#[path = "../support/cluster.rs"]
mod cluster;

mod damage;
mod elections;
mod leases_and_reads;
mod membership;
mod replication;
mod restarts;
mod snapshots;
mod transfers;
