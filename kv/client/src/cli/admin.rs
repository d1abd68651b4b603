//! `tinykv admin`: looks at a cluster and steers it. What is shown is what the store at `--addr`
//! knows.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;
use serde_json::Value;
use tinykv_client::{AdminRequest, Client};

use crate::cli::Global;
use crate::cli::output::Output;

/// Look at a cluster, or steer it
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tinykv admin stores
  tinykv admin regions
  tinykv admin transfer-leader 1 --to 2
  tinykv admin add-peer 1 --store 4
  tinykv admin remove-peer 1 --store 2
  tinykv admin raft-log 1 --limit 5 --json")]
pub(crate) struct Admin {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The regions of the store that is asked
    Regions,
    /// One of them
    Region {
        /// Its id
        id: u64,
    },
    /// The stores of the cluster
    Stores,
    /// Have another store lead a region
    TransferLeader {
        /// The region
        region: u64,
        /// The store
        #[arg(long, value_name = "STORE")]
        to: u64,
    },
    /// Give a store a peer of a region: it learns until it has all data, and votes then
    AddPeer {
        /// The region
        region: u64,
        /// The store, which must run
        #[arg(long, value_name = "STORE")]
        store: u64,
        /// It shall not vote
        #[arg(long)]
        learner: bool,
    },
    /// Take a region's peer from a store, with its data there
    RemovePeer {
        /// The region
        region: u64,
        /// The store
        #[arg(long, value_name = "STORE")]
        store: u64,
    },
    /// The newest entries of a region's raft log
    RaftLog {
        /// The region
        region: u64,
        /// How many entries, at most 10000; fewer where they are large
        #[arg(long, default_value_t = 10, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
}

impl Admin {
    pub(super) async fn run(self, global: &Global, mut out: Output) -> anyhow::Result<ExitCode> {
        let (request, columns): (_, &[&str]) = match self.command {
            Command::Regions => (AdminRequest::Regions, &REGION),
            Command::Region { id } => (AdminRequest::Region { id }, &REGION),
            Command::Stores => (AdminRequest::Stores, &STORE),
            Command::TransferLeader { region, to } => {
                let request = AdminRequest::TransferLeader { region, store: to };
                (request, &["region", "asked_to_lead"])
            }
            Command::AddPeer { region, store, learner } => {
                (AdminRequest::AddPeer { region, store, learner }, &PEER)
            }
            Command::RemovePeer { region, store } => {
                (AdminRequest::RemovePeer { region, store }, &PEER)
            }
            Command::RaftLog { region, limit } => {
                (AdminRequest::RaftLog { region, limit }, &["index", "term", "kind", "bytes"])
            }
        };
        let client = global.connect().await?;
        let mut answer = ask(&client, request.clone()).await?;
        if let AdminRequest::AddPeer { learner: false, .. } = &request {
            // Each request is one step.
            while answer["is"] != "voter" {
                tokio::time::sleep(STEP).await;
                answer = ask(&client, request.clone()).await?;
            }
        }
        if global.json {
            out.json(&answer)?;
        } else {
            let rows = match &answer {
                Value::Array(rows) => rows.as_slice(),
                one => std::slice::from_ref(one),
            };
            table(rows, columns).iter().try_for_each(|line| out.line(line))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// How long a peer that is added is left alone before the next look.
const STEP: Duration = Duration::from_millis(200);

/// Asks, and understands the answer.
async fn ask(client: &Client, request: AdminRequest) -> anyhow::Result<Value> {
    let text = client.admin(request).await?;
    serde_json::from_str(&text).context("the answer is no JSON")
}

const PEER: [&str; 4] = ["region", "store", "is", "behind"];

const REGION: [&str; 11] = [
    "id",
    "start",
    "end",
    "role",
    "leader_store",
    "term",
    "committed",
    "applied",
    "first_index",
    "last_index",
    "peers",
];

const STORE: [&str; 4] = ["id", "peer_address", "native_address", "connected"];

/// Rows as lines of columns.
fn table(rows: &[Value], columns: &[&str]) -> Vec<String> {
    let mut cells: Vec<Vec<String>> = vec![columns.iter().map(|it| (*it).to_owned()).collect()];
    cells.extend(rows.iter().map(|row| columns.iter().map(|it| cell(&row[*it])).collect()));
    let width = |column: usize| cells.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    cells.iter().map(line).collect()
}

/// A value in a table.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        // The first or the last key there is.
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        // The stores that have a peer, a learner in brackets.
        Value::Array(peers) => {
            let name = |peer: &Value| match peer["learner"] == true {
                true => format!("({})", peer["store"]),
                false => peer["store"].to_string(),
            };
            peers.iter().map(name).collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    }
}
