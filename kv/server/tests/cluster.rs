//! A cluster of three real processes with real files and sockets: any store serves any client, and
//! what was answered survives the death, the sleep and the isolation of any one of them.
//!
//! `ROUNDS` says how often a leader dies: `ROUNDS=100 cargo test -p tinykv-server --test cluster`.

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

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use client::AdminRequest;
use cluster::Cluster;
use members::admin;
use resp::{Resp, show};
use writers::{check, writers};

/// Requests wait so long for a leader: longer than a slow machine needs for some elections.
const FLAGS: [&str; 1] = ["--request-timeout=60s"];

fn others(id: u64) -> Vec<u64> {
    (1..=3).filter(|other| *other != id).collect()
}

#[test]
fn any_store_serves_reads_and_writes_of_all() {
    // A machine that is busy must not make the leader change in between.
    let cluster = Cluster::start(3, &[FLAGS[0], "--raft-election-ticks=40"]);
    let mut clients: Vec<Resp> = (1..=3).map(|id| cluster.client(id)).collect();
    for round in 0..20 {
        let value = round.to_string();
        assert_eq!(clients[round % 3].run(&format!("SET key {value}")), "OK");
        for client in &mut clients {
            assert_eq!(client.run("GET key"), format!("\"{value}\""), "in round {round}");
        }
    }
    for (at, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.run("INCR sum"), (at + 1).to_string());
        assert_eq!(client.run("MGET key absent"), "[\"19\", (nil)]");
        assert_eq!(client.run("APPEND text ab"), (2 * (at + 1)).to_string());
        assert!(client.run("INCR text").starts_with("(error) ERR value is not an integer"));
        assert_eq!(client.run("SET key 19 NX"), "(nil)");
        assert_eq!(client.run("TTL key"), "-1");
    }
    assert_eq!(clients[0].run("DEL key absent"), "1");
    assert_eq!(clients[1].run("EXISTS key sum text"), "2");
    assert_eq!(clients[2].run("KEYS s*"), "[\"sum\"]");
    assert_eq!(clients[0].run("FLUSHALL"), "OK");
    assert_eq!(clients[1].run("KEYS *"), "[]");
}

#[test]
fn what_was_answered_survives_the_death_of_leaders_under_load() {
    let mut cluster = Cluster::start(3, &FLAGS);
    cluster.wait_ready(1);
    let rounds = std::env::var("ROUNDS").ok().map_or(3, |text| text.parse().unwrap());
    for round in 0..rounds {
        let writers = writers(&cluster, &[1, 2, 3]);
        writers.iter().for_each(|writer| writer.wait(20));
        let leader = cluster.leader(&[1, 2, 3]);
        cluster.kill(leader);
        let started = std::time::Instant::now();
        writers.iter().for_each(|writer| writer.wait(20));
        println!("round {round}: all write again after {:?}", started.elapsed());
        cluster.start_store(leader);
        // It has another port now, which the writers do not know.
        cluster.wait_ready(leader);
        check(&cluster, writers);
    }
}

#[test]
fn a_leader_that_sleeps_is_replaced_and_does_not_answer_with_the_past() {
    let cluster = Cluster::start(3, &FLAGS);
    cluster.wait_ready(1);
    let leader = cluster.leader(&[1]);
    let mut sleeper = cluster.client(leader);
    while sleeper.run("SET key old") != "OK" {}
    cluster.signal(leader, "STOP");
    let awake = others(leader);
    let mut client = cluster.client(awake[0]);
    // One that was on its way to the sleeper has no known outcome.
    while client.run("SET key new") != "OK" {}
    assert_ne!(cluster.leader(&awake), leader);
    // It is asked while it sleeps, and answers when it wakes.
    sleeper.send(&[b"GET", b"key"]);
    cluster.signal(leader, "CONT");
    let answer = sleeper.receive().map(|value| resp::show(&value));
    assert_eq!(answer.as_deref(), Some("\"new\""), "it was asked after the write was answered");
    // Until it has heard of the new leader, nobody knows what becomes of its writes.
    while sleeper.run("SET key newer") != "OK" {}
    assert_eq!(client.run("GET key"), "\"newer\"");
}

#[test]
fn a_leader_that_is_cut_off_is_replaced_and_comes_back() {
    let cluster = Cluster::start(3, &FLAGS);
    cluster.wait_ready(1);
    let leader = cluster.leader(&[1]);
    let rest = others(leader);
    let through = writers(&cluster, &rest);
    through.iter().for_each(|writer| writer.wait(20));
    cluster.isolate(leader, true);
    through.iter().for_each(|writer| writer.wait(50));
    assert_ne!(cluster.leader(&rest), leader);
    // Its clients wait: it cannot know what is true now.
    let mut client = cluster.client(leader);
    client.send(&[b"GET", through[0].key.as_bytes()]);
    let before = through[0].answered.load(Ordering::SeqCst);
    through.iter().for_each(|writer| writer.wait(20));
    cluster.isolate(leader, false);
    let found = client.receive().map(|value| resp::show(&value)).unwrap();
    let found: u64 = found.trim_matches('"').parse().unwrap();
    assert!(found >= before, "{found} is read, {before} was answered before it was asked");
    check(&cluster, through);
}

#[test]
fn pipelines_keep_their_order_while_leaders_change() {
    let cluster = Cluster::start(3, &FLAGS);
    (1..=3).for_each(|id| cluster.wait_ready(id));
    let rest = others(cluster.leader(&[1]));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for id in &rest {
            let (mut client, done) = (cluster.client(*id), &done);
            scope.spawn(move || {
                let (key, mut answered) = (format!("sum:{id}"), 0);
                while !done.load(Ordering::SeqCst) {
                    for number in 0..50 {
                        client.send(&[b"INCR", key.as_bytes()]);
                        client.send(&[b"ECHO", number.to_string().as_bytes()]);
                        client.send(&[b"GET", key.as_bytes()]);
                    }
                    for number in 0..50 {
                        let mut next = || resp::show(&client.receive().unwrap());
                        // Of one whose leader has changed perhaps nobody knows.
                        answered = next().parse().unwrap_or(answered);
                        assert_eq!(next(), format!("\"{number}\""));
                        let read = next();
                        let read: u64 = read.trim_matches('"').parse().unwrap();
                        assert!(read >= answered, "{read} is read, {answered} was answered");
                    }
                }
            });
        }
        for round in 0..6 {
            let to = rest[round % 2];
            while cluster.leader(&rest) != to {
                admin(&cluster, &AdminRequest::TransferLeader { region: 1, store: to });
            }
        }
        done.store(true, Ordering::SeqCst);
    });
}

#[test]
fn a_minority_answers_with_an_error_and_not_with_the_past() {
    let cluster = Cluster::start(3, &["--request-timeout=300ms"]);
    let mut client = cluster.client(1);
    while client.run("SET key 1") != "OK" {}
    cluster.isolate(1, true);
    // As long as it thinks that there is a leader, the outcome is unknown; then there is none.
    let mut last = String::new();
    while !last.starts_with("(error) CLUSTERDOWN") {
        last = client.run("SET key 2");
        assert!(last.starts_with("(error) "), "{last}");
    }
    while !client.run("GET key").starts_with("(error) CLUSTERDOWN") {}
    cluster.isolate(1, false);
    while client.run("GET key").starts_with("(error)") {}
    let found = client.run("GET key");
    assert!(found == "\"1\"" || found == "\"2\"", "{found}");
}

#[test]
fn a_store_that_is_told_to_stop_hands_leadership_over() {
    let mut cluster = Cluster::start(3, &FLAGS);
    cluster.wait_ready(1);
    let leader = cluster.leader(&[1]);
    let rest = others(leader);
    let through = writers(&cluster, &rest);
    through.iter().for_each(|writer| writer.wait(20));
    let (status, log) = cluster.stores.remove(&leader).unwrap().end("TERM");
    assert!(status.success(), "{status} {log}");
    through.iter().for_each(|writer| writer.wait(20));
    cluster.start_store(leader);
    cluster.wait_ready(leader);
    check(&cluster, through);
    let metrics: SocketAddr = cluster.stores[&rest[0]].field("status").parse().unwrap();
    assert!(http::metric(metrics, "tinykv_raft_entries_applied_total") > 0.0);
}

#[test]
fn a_folder_of_a_store_that_stands_alone_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    program::Program::start(folder.path(), &[]).process.kill();
    let flags = ["--cluster=1=127.0.0.1:0", "--store-id=1"];
    let output = program::command(folder.path(), &flags).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains("stands alone"), "{error}");
}

/// What comes in one pipeline waits for a leader once, not each for itself. The measure is another
/// client, whose reads wait one after the other.
#[test]
fn a_pipeline_waits_for_a_leader_once() {
    let mut cluster = Cluster::prepare(3, &["--request-timeout=300ms"], BTreeMap::new());
    cluster.start_store(1);
    let is_done = AtomicBool::new(false);
    let (mut many, mut single) = (cluster.client(1), cluster.client(1));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            many.send_raw(&b"GET key\r\n".repeat(50));
            for _ in 0..50 {
                assert!(show(&many.receive().unwrap()).starts_with("(error) CLUSTERDOWN"));
            }
            is_done.store(true, Ordering::Release);
        });
        for _ in 0..10 {
            assert!(single.run("GET key").starts_with("(error) CLUSTERDOWN"));
        }
        assert!(is_done.load(Ordering::Acquire), "the pipeline takes longer than ten reads");
    });
}

/// A value that the leader would refuse for its size does not go there first.
#[test]
fn a_write_that_is_too_large_is_not_forwarded() {
    let cluster = Cluster::start(3, &[FLAGS[0], "--raft-election-ticks=40"]);
    (1..=3).for_each(|id| cluster.wait_ready(id));
    let follower = cluster.leader(&[1]) % 3 + 1;
    let mut client = cluster.client(follower);
    assert_eq!(client.run("SET key small"), "OK");
    let forwarded = || cluster.metric(follower, "tinykv_forwarded_writes_total");
    let before = forwarded();
    let answer = client.run(&format!("SET key {}", "x".repeat(9 << 20)));
    assert!(answer.contains("can be replicated at once"), "{answer}");
    assert!((forwarded() - before).abs() < 0.5, "{} were forwarded", forwarded() - before);
    assert_eq!(client.run("GET key"), "\"small\"");
}
