//! A store whose disk has no room at all: nothing that was answered is lost, nobody ends, and it goes
//! on by itself once there is room.
//!
//! The disk is a small file system in memory, which only an administrator can mount, or anybody in a
//! namespace of his own: `make test-full-disk` makes one.

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

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use cluster::Cluster;

/// The log takes 192 MiB of it from the beginning.
const DISK: &str = "size=288m";

/// What one key is set to.
const VALUE_BYTES: usize = 512 << 10;

/// A disk of its own, for as long as this lives.
struct Disk {
    path: PathBuf,
}

impl Disk {
    fn mount(path: &Path) -> Disk {
        std::fs::create_dir_all(path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(path);
        assert!(mount.status().unwrap().success(), "use `make test-full-disk`");
        Disk { path: path.to_owned() }
    }

    /// Takes all room that is left.
    fn fill(&self) -> PathBuf {
        let path = self.path.join("ballast");
        let mut file = File::create(&path).unwrap();
        while file.write_all(&[1; 4096]).is_ok() {}
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}

fn value(round: usize) -> String {
    format!("{round:0>1024}").repeat(VALUE_BYTES / 1024)
}

fn set(cluster: &Cluster, id: u64, round: usize) {
    let answer = cluster.client(id).run(&format!("SET key{round} {}", value(round)));
    assert_eq!(answer, "OK", "round {round} at store {id}");
}

fn is_short(cluster: &Cluster, id: u64) -> bool {
    cluster.metric(id, "tinykv_disk_short") > 0.0
}

#[test]
fn a_full_disk_of_one_store_is_noticed_by_no_client_and_loses_nothing() {
    let flags = ["--request-timeout=60s", "--disk-reserve=0", "--raft-election-ticks=40"];
    let mut cluster = Cluster::prepare(3, &flags, BTreeMap::new());
    let disk = Disk::mount(&cluster.path(1));
    (1..=3).for_each(|id| cluster.start_store(id));
    cluster.wait_ready(1);
    // The store with the small disk leads.
    while cluster.leader(&[2]) != 1 {
        let leader = cluster.leader(&[2]);
        cluster.signal(leader, "TERM");
        cluster.stores.remove(&leader).unwrap().wait();
        cluster.start_store(leader);
        cluster.wait_ready(leader);
    }
    let ballast = disk.fill();
    let mut rounds = 0..;
    while !is_short(&cluster, 1) {
        let round = rounds.start;
        let answer = cluster.client(2).run(&format!("SET key{round} {}", value(round)));
        // What was on its way may or may not have been carried out; nothing else happens.
        assert!(answer == "OK" || answer.starts_with("(error) UNDETERMINED"), "{answer}");
        if answer == "OK" {
            rounds.start += 1;
        }
    }
    let at_full = rounds.start;
    // The log is full too, some time.
    rounds.by_ref().take(400).for_each(|round| set(&cluster, round as u64 % 3 + 1, round));
    assert_ne!(cluster.leader(&[2]), 1);
    // It can be started again as it is.
    cluster.kill(1);
    cluster.start_store(1);
    while !is_short(&cluster, 1) {
        std::thread::yield_now();
    }
    // A store that is behind has reads carried out elsewhere.
    let last = rounds.start - 1;
    for round in [0, at_full, last] {
        let found = cluster.client(1).run(&format!("GET key{round}"));
        assert!(found.contains(&value(round)), "{}", &found[..found.len().min(200)]);
    }
    // With room it goes on, without a restart.
    std::fs::remove_file(ballast).unwrap();
    let mut mount = Command::new("mount");
    mount.args(["-o", "remount,size=2g"]).arg(&disk.path);
    assert!(mount.status().unwrap().success());
    while is_short(&cluster, 1) {
        std::thread::yield_now();
    }
    set(&cluster, 1, 0);
    cluster.kill(2);
    // Only the store that was full and another one are left.
    for round in (0..=last).step_by(7) {
        let found = cluster.client(1).run(&format!("GET key{round}"));
        assert!(found.contains(&value(round)), "round {round}");
    }
}
