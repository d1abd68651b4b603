//! What can be chosen about a server: one struct, from which the flags, the keys of the file, the
//! defaults and `--print-config` all come.
//!
//! A key of the file is the long name of its flag. A flag wins over the file, the file over the
//! default.

mod file;
mod print;
mod values;

use std::path::PathBuf;

use clap::Parser;

pub use file::ConfigError;
pub use values::{
    Address, EngineKind, LogFormat, Members, OptionalAddress, Period, PoolKind, Size, SplitKeys,
    Sync,
};

/// The configuration of a server.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "tinykv-server",
    version,
    about = "Runs one tinykv store: a durable key-value server that speaks Redis.",
    args_override_self = true
)]
pub struct Config {
    /// Address of the native protocol; port 0 takes a free one, `off` switches it off.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:20160")]
    pub addr: Address,

    /// Address of the Redis protocol; port 0 takes a free one, `off` switches it off.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6380")]
    pub resp_addr: Address,

    /// Address of /metrics, /health and /status; port 0 takes a free one, `off` switches it off.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:20180")]
    pub status_addr: Address,

    /// The data folder; it is made if it does not exist.
    #[arg(long, visible_alias = "data-dir", value_name = "DIR", default_value = "data")]
    pub path: PathBuf,

    /// The storage engine: `bitcask` keeps data on disk, `memory` keeps nothing.
    #[arg(long, value_name = "ENGINE", default_value = "bitcask")]
    pub engine: EngineKind,

    /// When a write is synced: `always` before its answer, `interval` within a second, `never`
    /// leaves it to the system.
    #[arg(long, value_name = "WHEN", default_value = "always")]
    pub sync: Sync,

    /// Threads for reads that may wait for the disk: `naive` starts one a read, `shared` has a
    /// queue, `rayon` steals.
    #[arg(long, value_name = "KIND", default_value = "shared")]
    pub read_pool: PoolKind,

    /// How many threads read from the disk, 1 to 1024.
    #[arg(long, value_name = "N", default_value = "4", value_parser = values::count(1, 1024))]
    pub read_pool_threads: usize,

    /// How many threads serve connections, at most 1024; 0 takes half of the cores, at least 1.
    #[arg(long, value_name = "N", default_value = "0", value_parser = values::count(0, 1024))]
    pub threads: usize,

    /// Which records are logged: error, warn, info, debug, trace, off, or a list such as
    /// `info,tinykv_engine=debug`.
    #[arg(long, value_name = "FILTER", default_value = "info", env = "TINYKV_LOG")]
    pub log_level: String,

    /// The form of the log: `text` or `json`.
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub log_format: LogFormat,

    /// The file to log to, which rotates; empty for stderr.
    #[arg(long, value_name = "FILE", default_value = "")]
    pub log_file: String,

    /// Memory for values that were read lately.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = values::size("0", "1TiB"))]
    pub cache_size: Size,

    /// A data file is begun anew when it would grow beyond this (RocksDB: the size of a memtable,
    /// between 1MiB and 64MiB).
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = values::size("4KiB", "2GiB"))]
    pub segment_size: Size,

    /// The largest frame of the native protocol that is taken or sent.
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = values::size("1KiB", "1GiB"))]
    pub max_frame_size: Size,

    /// The largest request of the Redis protocol that is taken, with all its arguments.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = values::size("1KiB", "1GiB"))]
    pub max_request_size: Size,

    /// How many connections are served at a time; more are refused with an error.
    #[arg(long, value_name = "N", default_value = "10000", value_parser = values::count(1, 1_000_000))]
    pub max_connections: usize,

    /// How many requests of one native connection may be in flight; more are not read yet.
    #[arg(long, value_name = "N", default_value = "1024", value_parser = values::count(1, 1_000_000))]
    pub max_connection_inflight: usize,

    /// How many requests may be in flight in all; more are refused as `ServerIsBusy`.
    #[arg(long, value_name = "N", default_value = "65536", value_parser = values::count(1, 10_000_000))]
    pub max_inflight: usize,

    /// How many bytes of writes may wait for the disk; more are refused as `ServerIsBusy`.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = values::size("1MiB", "64GiB"))]
    pub max_pending_writes: Size,

    /// How many bytes of answers may wait for clients that do not take them, over all connections. A
    /// connection that needs more is closed; reads of the native protocol get `ServerIsBusy`.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = values::size("1MiB", "64GiB"))]
    pub max_pending_answers: Size,

    /// A connection that sends no whole request for so long is closed; 0 for never.
    #[arg(long, value_name = "TIME", default_value = "10m")]
    pub idle_timeout: Period,

    /// A connection that takes none of its answers for so long is closed.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub write_timeout: Period,

    /// How long a stopping server waits for requests in flight.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub shutdown_grace: Period,

    /// The stores of the cluster, and where each listens for the others:
    /// `1=HOST:PORT,2=HOST:PORT,3=HOST:PORT`, the same at each; empty for a store that stands alone.
    #[arg(long, value_name = "MEMBERS", default_value = "")]
    pub cluster: Members,

    /// Which of them this store is.
    #[arg(long, value_name = "ID", default_value = "0")]
    pub store_id: u64,

    /// A new, empty store joins a cluster that exists, instead of founding one with all of `cluster`:
    /// it has nothing until `tinykv admin add-peer`.
    #[arg(long, value_name = "YES", default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    pub join: bool,

    /// The number of the cluster; stores with another one are refused.
    #[arg(long, value_name = "N", default_value = "1")]
    pub cluster_id: u64,

    /// Keys at which the regions of a new cluster end, in order: `KEY,KEY,KEY`, the same at each
    /// store; empty for one region of all keys. Once there is data it is not looked at.
    #[arg(long, value_name = "KEYS", default_value = "")]
    pub split_keys: SplitKeys,

    /// Where to listen for other stores; empty for the address in `cluster`.
    #[arg(long, value_name = "HOST:PORT", default_value = "")]
    pub peer_addr: OptionalAddress,

    /// Where clients reach `addr` from elsewhere; empty where that is the same.
    #[arg(long, value_name = "HOST:PORT", default_value = "")]
    pub advertise_addr: OptionalAddress,

    /// How long a tick of raft takes.
    #[arg(long, value_name = "TIME", default_value = "50ms")]
    pub raft_tick: Period,

    /// After how many ticks without a leader a store stands for election, at least; at most twice
    /// as many.
    #[arg(long, value_name = "N", default_value = "10", value_parser = values::count(3, 10_000))]
    pub raft_election_ticks: usize,

    /// After how many ticks a leader says that it lives.
    #[arg(long, value_name = "N", default_value = "2", value_parser = values::count(1, 1000))]
    pub raft_heartbeat_ticks: usize,

    /// How many applied entries of a region's log are kept, before older ones are cut off: a store
    /// that was away for longer gets a snapshot instead.
    #[arg(long, value_name = "N", default_value = "100000", value_parser = values::count(2, 1_000_000_000))]
    pub raft_log_entries: usize,

    /// How often a piece of the log of 1 MiB is read again and checked for damage; 0: never.
    #[arg(long, value_name = "TIME", default_value = "1s")]
    pub log_scrub_interval: Period,

    /// How much of the disk a store of a cluster leaves free: while there is less, it hands leadership
    /// over, and refuses writes but removals; 0 leaves nothing [default: 128MiB, or a twentieth of a
    /// disk that has less than 20 times as much].
    #[arg(long, value_name = "SIZE", value_parser = values::size("0", "1024TiB"))]
    pub disk_reserve: Option<Size>,

    /// How long a request waits for a leader and a majority before it fails.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    pub request_timeout: Period,
}

impl Config {
    /// Whether the store is one of a cluster.
    #[must_use]
    pub fn is_clustered(&self) -> bool {
        !self.cluster.0.is_empty()
    }

    /// Checks what no value shows alone.
    fn check(&self) -> Result<(), String> {
        if !self.is_clustered() {
            let founds_nothing = "would stand alone and found a store of its own";
            return match self.store_id {
                _ if self.join => Err(format!(
                    "--join needs --cluster, which names the others: without it this store {founds_nothing}"
                )),
                _ if self.peer_addr.0.is_some() => {
                    Err("--peer-addr needs --cluster, which names the others".to_owned())
                }
                0 if self.split_keys.0.is_empty() => Ok(()),
                0 => Err("--split-keys needs --cluster: a store alone has no regions".to_owned()),
                _ => Err("--store-id needs --cluster, which names the others".to_owned()),
            };
        }
        if !self.cluster.0.contains_key(&self.store_id) {
            let ids: Vec<String> = self.cluster.0.keys().map(u64::to_string).collect();
            return Err(format!("--cluster needs --store-id, one of {}", ids.join(", ")));
        }
        if self.raft_heartbeat_ticks >= self.raft_election_ticks {
            return Err("raft-heartbeat-ticks must be less than raft-election-ticks".to_owned());
        }
        if self.raft_tick.0.is_zero() || self.request_timeout.0.is_zero() {
            return Err("raft-tick and request-timeout must be more than 0".to_owned());
        }
        Ok(())
    }
}

impl Default for Config {
    fn default() -> Config {
        Config::parse_from(["tinykv-server"])
    }
}

/// The command line: the configuration, and where more of it is.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "tinykv-server",
    version,
    about = "Runs one tinykv store: a durable key-value server that speaks Redis.",
    args_override_self = true
)]
struct CommandLine {
    #[command(flatten)]
    config: Config,

    /// A TOML file whose keys are the names of the flags.
    #[arg(long = "config", value_name = "FILE")]
    config_file: Option<PathBuf>,

    /// Prints the configuration that results, as a file with comments, and ends.
    #[arg(long)]
    print_config: bool,
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Request {
    /// To run a server.
    Run(Box<Config>),
    /// To print this text and end.
    Print(String),
}

impl Request {
    /// Understands a command line, the program's name first, and reads the file that it names.
    ///
    /// # Errors
    /// [`ConfigError`] says what is wrong, and where.
    pub fn parse(args: Vec<String>) -> Result<Request, ConfigError> {
        file::request(&args)
    }
}
