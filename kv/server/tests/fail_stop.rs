//! A store whose disk fails ends, says what to do, and comes back; the others go on without it.
//!
//! The disk fails through the limit on the size of files, which `prlimit` sets while the store runs:
//! from then on every write fails.

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

use std::process::Command;

use cluster::Cluster;
use program::{Program, complaint};
use resp::Resp;

/// Has all writes of a program to files fail.
fn fail_disk(program: &Program) {
    let pid = format!("--pid={}", program.process.id());
    assert!(Command::new("prlimit").args([&pid, "--fsize=0:0"]).status().unwrap().success());
}

#[test]
fn a_leader_whose_disk_fails_ends_and_another_one_leads() {
    // Nobody is elected for want of a leader: leadership can only be handed over.
    let flags = ["--request-timeout=60s", "--raft-election-ticks=40", "--split-keys=k"];
    let mut cluster = Cluster::start(3, &flags);
    cluster.wait_ready(1);
    let leader = cluster.leader(&[1]);
    let mut others = (1..=3).filter(|id| *id != leader);
    let mut client = cluster.client(others.next().unwrap());
    assert_eq!(client.run("SET a 1"), "OK");
    assert_eq!(client.run("SET z 1"), "OK");
    fail_disk(&cluster.stores[&leader]);
    // What the old leader had and did not write has no known outcome.
    while client.run("SET a 2") != "OK" {}
    while client.run("SET z 2") != "OK" {}
    let (status, log) = cluster.stores.remove(&leader).unwrap().wait();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("Look at the disk"), "{log}");
    cluster.start_store(leader);
    cluster.wait_ready(leader);
    assert_eq!(cluster.client(leader).run("MGET a z"), "[\"2\", \"2\"]");
}

#[test]
fn a_store_alone_whose_disk_fails_ends() {
    let folder = tempfile::tempdir().unwrap();
    let store = Program::start(folder.path(), &[]);
    let mut client = Resp::connect(store.resp());
    assert_eq!(client.run("SET key 1"), "OK");
    fail_disk(&store);
    let answer = client.run("SET key 2");
    assert!(answer.starts_with("(error) ") || answer == "(closed)", "{answer}");
    let (status, log) = store.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("Look at the disk"), "{log}");
    let store = Program::start(folder.path(), &[]);
    let value = Resp::connect(store.resp()).run("GET key");
    assert!(value == "\"1\"" || value == "\"2\"", "{value}");
}

/// Who starts a store on a damaged folder reads what to do.
#[test]
fn a_damaged_folder_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (alone, member) = (folder.path().join("alone"), folder.path().join("member"));
    let flags = ["--cluster=1=127.0.0.1:0", "--store-id=1", "--engine=bitcask"];
    drop(Program::start(&alone, &flags[2..]));
    drop(Program::start(&member, &flags));
    std::fs::write(alone.join("MANIFEST"), "damaged").unwrap();
    let log = complaint(&alone, &flags[2..]);
    assert!(log.contains("MANIFEST: damaged") && log.contains("tinykv salvage --path"), "{log}");
    std::fs::write(member.join("engine/MANIFEST"), "damaged").unwrap();
    let log = complaint(&member, &flags);
    assert!(log.contains("MANIFEST: damaged") && log.contains("tinykv admin remove-peer"), "{log}");
}
