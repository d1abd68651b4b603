//! Snapshots between real processes: a store that was away for too long, and a store that is new.
//!
//! A store that lost its disk does not come back: it has forgotten what it promised. It leaves the
//! region, and a store with another number comes instead.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/http.rs"]
mod http;
#[path = "support/members.rs"]
mod members;
#[path = "support/program.rs"]
mod program;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/resp.rs"]
mod resp;
#[path = "support/writers.rs"]
mod writers;

use client::AdminRequest;
use cluster::Cluster;
use members::{add, admin, refusal, region_of};
use program::complaint;
use writers::{check, writers};

/// Requests wait so long for a leader; and logs are cut off after a few entries.
const FLAGS: [&str; 2] = ["--request-timeout=60s", "--raft-log-entries=20"];

const INSTALLED: &str = "tinykv_snapshots_installed_total";

/// Waits until the log of a store begins after an entry, and gives the first.
fn wait_cut(cluster: &Cluster, store: u64, after: u64) -> u64 {
    loop {
        let first = region_of(cluster, store)["first_index"].as_u64();
        if let Some(first) = first.filter(|first| *first > after) {
            return first;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_store_that_was_away_gets_a_snapshot_while_clients_write() {
    let mut cluster = Cluster::start(3, &FLAGS);
    cluster.wait_ready(1);
    let away = cluster.leader(&[1]) % 3 + 1;
    let rest: Vec<u64> = (1..=3).filter(|id| *id != away).collect();
    let through = writers(&cluster, &rest);
    through.iter().for_each(|writer| writer.wait(20));
    cluster.kill(away);
    let mut last = 0;
    for store in &rest {
        // What it has is at most what was written by now.
        let first = wait_cut(&cluster, *store, last);
        last = last.max(first + 200);
        wait_cut(&cluster, *store, last);
    }
    cluster.start_store(away);
    while cluster.metric(away, INSTALLED) == 0.0 {}
    cluster.wait_ready(away);
    through.iter().for_each(|writer| writer.wait(20));
    check(&cluster, through);
}

#[test]
fn a_store_that_lost_its_disk_does_not_come_back_under_its_number() {
    let mut cluster = Cluster::start(3, &["--request-timeout=300ms"]);
    let mut client = cluster.client(1);
    while client.run("SET key 1") != "OK" {}
    (1..=3).for_each(|id| cluster.wait_ready(id));
    cluster.kill(2);
    cluster.wipe(2);
    cluster.start_store(2);
    let refused = |id| cluster.metric(id, "tinykv_peer_refused_total");
    while refused(1) == 0.0 || refused(3) == 0.0 {}
    // It would answer that there is nothing.
    assert!(cluster.client(2).run("GET key").starts_with("(error) CLUSTERDOWN"));
    while client.run("GET key") != "\"1\"" {}
}

#[test]
fn a_store_that_lost_its_log_and_not_its_name_does_not_start() {
    let mut cluster = Cluster::start(3, &["--request-timeout=300ms"]);
    let mut client = cluster.client(1);
    while client.run("SET key 1") != "OK" {}
    (1..=3).for_each(|id| cluster.wait_ready(id));
    cluster.kill(2);
    for folder in ["wal", "engine"] {
        std::fs::remove_dir_all(cluster.path(2).join(folder)).unwrap();
    }
    let members = "--cluster=1=127.0.0.1:1,2=127.0.0.1:0,3=127.0.0.1:1";
    let log = complaint(&cluster.path(2), &[members, "--store-id=2"]);
    assert!(log.contains("it has forgotten what it promised"), "{log}");
}

#[test]
fn a_store_that_is_removed_gives_its_data_up_and_can_come_back() {
    let cluster = Cluster::start(3, &["--request-timeout=1s", "--raft-election-ticks=40"]);
    let mut client = cluster.client(1);
    while client.run("SET key 1") != "OK" {}
    let leader = cluster.leader(&[1]);
    let leaves = leader % 3 + 1;
    for round in 0..3 {
        let request = AdminRequest::RemovePeer { region: 1, store: leaves };
        assert_eq!(admin(&cluster, &request)["is"], "none");
        assert_eq!(admin(&cluster, &request)["is"], "none", "it is not there twice");
        while !region_of(&cluster, leaves).is_null() {}
        let mut gone = cluster.client(leaves);
        assert!(gone.run("GET key").starts_with("(error) CLUSTERDOWN"));
        assert!(gone.run("SET key 0").starts_with("(error) CLUSTERDOWN"));
        let mut stays = cluster.client(leader);
        while stays.run(&format!("SET key {round}")) != "OK" {}
        add(&cluster, leaves);
        while gone.run("GET key") != format!("\"{round}\"") {}
    }
    let (_, status) =
        http::get(cluster.stores[&leaves].field("status").parse().unwrap(), "/status");
    assert!(status.contains("\"failure\":null"), "{status}");
}

/// Of three stores one is down. Were another one taken away, the third would need the one that is
/// down for a majority.
#[test]
fn nobody_is_removed_without_whom_there_is_no_majority() {
    let mut cluster = Cluster::start(3, &["--request-timeout=60s", "--raft-election-ticks=40"]);
    (1..=3).for_each(|id| cluster.wait_ready(id));
    let leader = cluster.leader(&[1]);
    let (up, down) = (leader % 3 + 1, (leader + 1) % 3 + 1);
    cluster.kill(down);
    let is_connected = |rows: serde_json::Value| {
        let mut rows = rows.as_array().unwrap().clone().into_iter();
        rows.any(|row| row["id"] == down && row["connected"] == true)
    };
    let natives = |cluster: &Cluster| {
        let (_, text) =
            http::get(cluster.stores[&leader].field("status").parse().unwrap(), "/status");
        let status: serde_json::Value = serde_json::from_str(&text).unwrap();
        status["cluster"]["stores"].clone()
    };
    while is_connected(natives(&cluster)) {}
    let remove = |store| AdminRequest::RemovePeer { region: 1, store };
    let refused = refusal(&cluster, leader, &remove(up));
    assert!(refused.contains("would have no majority"), "{refused}");
    assert!(refused.contains(&format!("not connected: {down};")), "{refused}");
    assert_eq!(cluster.client(up).run("SET key 1"), "OK");
    // The one that is down may go, and then another one: one store is a majority of one.
    assert_eq!(refusal(&cluster, leader, &remove(down)), "");
    assert_eq!(refusal(&cluster, leader, &remove(up)), "");
    assert_eq!(cluster.client(leader).run("GET key"), "\"1\"");
}

#[test]
fn a_store_that_lost_its_disk_is_replaced_while_clients_write() {
    let mut cluster = Cluster::start(3, &FLAGS);
    cluster.wait_ready(1);
    let lost = cluster.leader(&[1]) % 3 + 1;
    let rest: Vec<u64> = (1..=3).filter(|id| *id != lost).collect();
    let through = writers(&cluster, &rest);
    through.iter().for_each(|writer| writer.wait(20));
    wait_cut(&cluster, rest[0], 100);
    cluster.kill(lost);
    cluster.wipe(lost);
    let gone = admin(&cluster, &AdminRequest::RemovePeer { region: 1, store: lost });
    assert_eq!(gone["is"], "none");
    cluster.start_joiner(4);
    add(&cluster, 4);
    assert!(cluster.metric(4, INSTALLED) > 0.0);
    through.iter().for_each(|writer| writer.wait(20));
    check(&cluster, through);
    // It counts: with one of the old ones it is a majority.
    let leader = cluster.leader(&rest);
    cluster.kill(leader);
    let alive: Vec<u64> = cluster.stores.keys().copied().collect();
    let through = writers(&cluster, &alive);
    through.iter().for_each(|writer| writer.wait(20));
    // And it is one of them after a restart.
    cluster.kill(4);
    cluster.start_store(4);
    cluster.wait_ready(4);
    through.iter().for_each(|writer| writer.wait(20));
    check(&cluster, through);
}
