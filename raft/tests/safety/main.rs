//! The five guarantees of the paper's figure 3, one file each: the case that threatens it, and a
//! search through random runs.
//!
//! `SEED=n cargo test -p tinykv-raft --test safety` searches one seed.

#[path = "../support/cluster.rs"]
mod cluster;

mod chaos;
mod election_safety;
mod leader_append_only;
mod leader_completeness;
mod log_matching;
mod state_machine_safety;
