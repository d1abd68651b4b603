//! A sans-IO Raft.
