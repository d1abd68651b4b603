//! The server of tinykv: front doors, thread pools, configuration, metrics.
//!
//! [`Server::start`] takes a [`Config`](config::Config) and gives a [`Running`] server;
//! `tinykv-server` is that with a command line and signals around it.
//!
//! - [`config`]: what can be chosen, and where it comes from.
//! - `listener`, `worker`, `connection`, `stream`: connections and their limits.
//! - `resp`, `native`: the front doors. `status`: the one for people and Prometheus.
//! - `store`: the way to the engine: reads, and writes in groups.
//! - `cluster`: the store of a cluster: the raft thread and those around it.
//! - [`peer`]: the connections to the other stores of a cluster.
//! - [`pool`]: threads that may wait for the disk.

mod clock;
mod cluster;
pub mod config;
mod connection;
mod context;
mod halt;
mod histogram;
mod listener;
mod metrics;
mod native;
mod open;
pub mod peer;
pub mod pool;
mod resp;
mod server;
mod status;
mod store;
mod stream;
mod worker;

pub use server::{Addresses, Running, Server, StartError};

/// How a store of a cluster is replaced, for people who are told to.
pub const HOW_TO_REPLACE: &str = "To replace a store, remove it from its regions (`tinykv admin \
     remove-peer`), and start it with an empty folder, a new --store-id and --join";
