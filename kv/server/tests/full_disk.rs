//! A store that lacks room on its disk refuses what needs room, says so, and does not lead if another
//! one can. What a disk without any room does is tried by `full_disk_mounted.rs`.

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

use cluster::Cluster;

/// More than any disk has.
const SHORT: &str = "--disk-reserve=1024TiB";

/// Nobody is elected for want of a leader soon, and requests wait for one.
const FLAGS: [&str; 2] = ["--request-timeout=60s", "--raft-election-ticks=40"];

/// Waits until a store knows how much room it has.
fn wait_short(cluster: &Cluster, id: u64, short: f64) {
    while cluster.metric(id, "tinykv_disk_short") != short {
        std::thread::yield_now();
    }
}

#[test]
fn a_leader_without_room_has_another_store_lead() {
    let mut cluster = Cluster::start(3, &FLAGS);
    cluster.wait_ready(1);
    let leader = cluster.leader(&[1]);
    let mut client = cluster.client(leader % 3 + 1);
    assert_eq!(client.run("SET key 1"), "OK");
    cluster.kill(leader);
    cluster.set_flags(leader, &[SHORT]);
    cluster.start_store(leader);
    wait_short(&cluster, leader, 1.0);
    // Whoever leads: a write through any store is carried out, and the short one does not keep
    // leadership.
    for round in 0..10 {
        for id in 1..=3 {
            assert_eq!(cluster.client(id).run(&format!("SET key {round}")), "OK");
            assert_eq!(cluster.client(id).run("GET key"), format!("\"{round}\""));
        }
    }
    assert_ne!(cluster.leader(&[1]), leader);
}

#[test]
fn where_no_store_has_room_writes_are_refused_and_reads_and_removals_go_on() {
    let mut cluster = Cluster::start(3, &FLAGS);
    cluster.wait_ready(1);
    let mut client = cluster.client(1);
    assert_eq!(client.run("MSET a 1 b 2 c 3"), "OK");
    for id in 1..=3 {
        cluster.kill(id);
        cluster.set_flags(id, &[SHORT]);
    }
    (1..=3).for_each(|id| cluster.start_store(id));
    (1..=3).for_each(|id| wait_short(&cluster, id, 1.0));
    for (id, key) in (1..=3).zip(["a", "b", "c"]) {
        let mut client = cluster.client(id);
        let answer = client.run("SET new 1");
        assert!(answer.starts_with("(error) MISCONF the disk of store "), "{answer}");
        assert_eq!(client.run(&format!("GET {key}")), format!("\"{id}\""));
        assert_eq!(client.run(&format!("DEL {key}")), "1");
    }
    // With room again they take writes.
    for id in 1..=3 {
        cluster.kill(id);
        cluster.set_flags(id, &[]);
        cluster.start_store(id);
    }
    assert_eq!(cluster.client(1).run("MGET a b c new"), "[(nil), (nil), (nil), (nil)]");
    while cluster.client(1).run("SET new 1") != "OK" {}
}
