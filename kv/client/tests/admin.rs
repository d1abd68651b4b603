//! `tinykv admin` against a cluster of one store in this process.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "support/program.rs"]
mod program;

use program::Tinykv;
use server::config::{Config, Request};
use server::{Running, Server};

fn config(flags: &[&str]) -> Config {
    let free = ["tinykv-server", "--addr=127.0.0.1:0", "--resp-addr=off", "--status-addr=off"];
    let args = free.into_iter().chain(flags.iter().copied()).map(str::to_owned);
    match Request::parse(args.collect()).unwrap() {
        Request::Run(config) => *config,
        Request::Print(text) => panic!("{text}"),
    }
}

fn start(folder: &tempfile::TempDir) -> (Tinykv, Running) {
    let path = format!("--path={}", folder.path().display());
    let server =
        Server::start(config(&["--cluster=1=127.0.0.1:0", "--store-id=1", &path])).unwrap();
    (Tinykv::on(server.addresses().native.unwrap()), server)
}

#[test]
fn a_cluster_shows_its_stores_regions_and_log() {
    let folder = tempfile::tempdir().unwrap();
    let (tinykv, _server) = start(&folder);
    assert_eq!(tinykv.run(&["set", "a", "1"]).code, 0);
    let run = tinykv.run(&["admin", "regions"]);
    let lines: Vec<&str> = run.out().lines().collect();
    assert!(lines[0].starts_with("id  start  end  role    leader_store"), "{}", run.out());
    assert!(lines[1].starts_with("1   -      -    leader  1"), "{}", run.out());
    let run = tinykv.run(&["admin", "stores"]);
    assert!(run.out().lines().nth(1).unwrap().starts_with("1   127.0.0.1:0"), "{}", run.out());
    let run = tinykv.run(&["admin", "raft-log", "1", "--json"]);
    assert!(run.out().contains("\"kind\":\"new leader\""), "{}", run.out());
    assert!(run.out().contains("\"kind\":\"commands\""), "{}", run.out());
    let run = tinykv.run(&["admin", "region", "1", "--json"]);
    assert!(run.out().contains("\"leader_store\":1"), "{}", run.out());
    assert_eq!(tinykv.run(&["admin", "transfer-leader", "1", "--to", "1"]).code, 0);
    // It is a voter already, and cannot leave: it leads.
    let run = tinykv.run(&["admin", "add-peer", "1", "--store", "1"]);
    assert_eq!(run.out(), "region  store  is     behind\n1       1      voter  0\n");
    let run = tinykv.run(&["admin", "remove-peer", "1", "--store", "1"]);
    assert!(run.code == 1 && run.err().contains("transfer its leadership first"), "{}", run.err());
    let run = tinykv.run(&["admin", "add-peer", "1", "--store", "2"]);
    assert!(run.code == 1 && run.err().contains("has not connected"), "{}", run.err());
    let run = tinykv.run(&["admin", "remove-peer", "1", "--store", "2", "--json"]);
    assert!(run.out().contains("\"is\":\"none\""), "{}", run.out());
    for wrong in [&["admin", "region", "7"][..], &["admin", "transfer-leader", "1", "--to", "9"]] {
        let run = tinykv.run(wrong);
        assert_eq!((run.code, run.out()), (1, ""), "{wrong:?}");
        assert!(!run.err().is_empty());
    }
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (tinykv, server) = start(&folder);
    assert_eq!(tinykv.run(&["set", "a", "1"]).code, 0);
    server.shutdown().unwrap();
    let (tinykv, _server) = start(&folder);
    assert_eq!(tinykv.run(&["get", "a"]).out(), "1\n");
}

#[test]
fn a_store_that_stands_alone_says_so() {
    let server = Server::start(config(&["--engine=memory"])).unwrap();
    let tinykv = Tinykv::on(server.addresses().native.unwrap());
    let run = tinykv.run(&["admin", "stores"]);
    assert_eq!(run.code, 1);
    assert!(run.err().contains("stands alone"), "{}", run.err());
}
