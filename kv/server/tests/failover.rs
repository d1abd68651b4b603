//! How long nobody can write after the leader has died: from `kill -9` to the first write that is
//! answered through another store, whose client sends the next one as soon as it has an answer.
//!
//! `make failover` prints the median and the worst of `ROUNDS` deaths (20 there, 2 as a test).

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/http.rs"]
mod http;
#[path = "support/program.rs"]
mod program;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/resp.rs"]
mod resp;

use std::time::{Duration, Instant};

use cluster::Cluster;

#[test]
fn writes_go_on_after_the_leader_has_died() {
    let rounds: usize = std::env::var("ROUNDS").ok().map_or(2, |text| text.parse().unwrap());
    // With the default configuration, but for how long a request waits.
    let mut cluster = Cluster::start(3, &["--request-timeout=60s"]);
    let mut gaps: Vec<Duration> = Vec::new();
    for round in 0..rounds {
        (1..=3).for_each(|id| cluster.wait_ready(id));
        let leader = cluster.leader(&[1, 2, 3]);
        let witness = (1..=3).find(|id| *id != leader).unwrap();
        let mut client = cluster.client(witness);
        while client.run(&format!("SET key {round}")) != "OK" {}
        cluster.kill(leader);
        let died = Instant::now();
        while client.run(&format!("SET key {round}")) != "OK" {}
        gaps.push(died.elapsed());
        cluster.start_store(leader);
    }
    gaps.sort();
    println!(
        "{rounds} deaths of the leader: writes go on after {} ms (median), {} ms (worst)",
        gaps[rounds / 2].as_millis(),
        gaps[rounds - 1].as_millis()
    );
}
