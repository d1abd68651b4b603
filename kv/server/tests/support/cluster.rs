//! A cluster of real processes for tests, with a proxy on the way from each store to each other.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use super::http;
use super::program::Program;
use super::proxy::Proxy;
use super::resp::Resp;

/// The stores of a cluster.
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    flags: Vec<String>,
    /// From a store to another one.
    pub(crate) proxies: BTreeMap<(u64, u64), Proxy>,
    pub(crate) stores: BTreeMap<u64, Program>,
}

#[allow(dead_code, reason = "not every suite needs every helper")]
impl Cluster {
    /// Starts stores 1 to `count`.
    pub(crate) fn start(count: u64, flags: &[&str]) -> Cluster {
        let mut proxies = BTreeMap::new();
        for from in 1..=count {
            for to in (1..=count).filter(|to| *to != from) {
                proxies.insert((from, to), Proxy::start());
            }
        }
        let mut cluster = Cluster {
            folder: tempfile::tempdir().unwrap(),
            flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
            proxies,
            stores: BTreeMap::new(),
        };
        (1..=count).for_each(|id| cluster.start_store(id));
        cluster
    }

    /// Where a store keeps its data.
    pub(crate) fn path(&self, id: u64) -> PathBuf {
        self.folder.path().join(id.to_string())
    }

    /// Starts a store, perhaps again.
    pub(crate) fn start_store(&mut self, id: u64) {
        let members: Vec<String> = std::iter::once(format!("{id}=127.0.0.1:0"))
            .chain(
                self.proxies
                    .iter()
                    .filter(|((from, _), _)| *from == id)
                    .map(|((_, to), proxy)| format!("{to}={}", proxy.address)),
            )
            .collect();
        let cluster = format!("--cluster={}", members.join(","));
        let store_id = format!("--store-id={id}");
        let mut flags = vec![&cluster[..], &store_id, "--peer-addr=127.0.0.1:0"];
        flags.extend(self.flags.iter().map(String::as_str));
        let program = Program::start(&self.path(id), &flags);
        let peer: SocketAddr = program.field("peer").parse().unwrap();
        for ((_, to), proxy) in &self.proxies {
            if *to == id {
                proxy.set_target(peer);
            }
        }
        self.stores.insert(id, program);
    }

    /// Kills a store as `kill -9` does.
    pub(crate) fn kill(&mut self, id: u64) {
        self.stores.remove(&id).unwrap().kill();
    }

    /// Sends a store a signal by name.
    pub(crate) fn signal(&self, id: u64, signal: &str) {
        let pid = self.stores[&id].id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    }

    /// Cuts a store off from all others, or ends that.
    pub(crate) fn isolate(&self, id: u64, isolated: bool) {
        for ((from, to), proxy) in &self.proxies {
            if *from == id || *to == id {
                proxy.isolate(isolated);
            }
        }
    }

    /// A client of a store.
    pub(crate) fn client(&self, id: u64) -> Resp {
        Resp::connect(self.stores[&id].resp())
    }

    /// Waits until a majority answers, and gives who leads as one of `witnesses` says.
    pub(crate) fn leader(&self, witnesses: &[u64]) -> u64 {
        loop {
            for witness in witnesses {
                let status: SocketAddr = self.stores[witness].field("status").parse().unwrap();
                let (_, text) = http::get(status, "/status");
                let place = text.find("\"leader_store\":");
                let rest = place.map(|place| &text[place + "\"leader_store\":".len()..]);
                let id = rest.and_then(|rest| rest.split([',', '}']).next()?.parse().ok());
                if let Some(id) = id {
                    return id;
                }
            }
            std::thread::yield_now();
        }
    }

    /// Waits until a store answers a read, and so is one of the cluster again.
    pub(crate) fn wait_ready(&self, id: u64) {
        let mut client = self.client(id);
        while client.run("EXISTS nothing") != "0" {}
    }
}
