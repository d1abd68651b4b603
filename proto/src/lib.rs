//! Every type that travels between processes, without any IO.

pub mod raw;
