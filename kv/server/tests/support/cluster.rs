//! A cluster of real processes for tests, with a proxy on the way from each store to each other.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::http;
use super::program::Program;
use super::proxy::Proxy;
use super::resp::Resp;

/// The stores of a cluster.
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    flags: Vec<String>,
    /// Flags of single stores, which win over those of all.
    own_flags: BTreeMap<u64, Vec<String>>,
    /// From a store to another one.
    pub(crate) proxies: BTreeMap<(u64, u64), Proxy>,
    /// On the way from clients to a store, for the native protocol and for RESP: addresses that
    /// stay when the store is started again. None if clients go to the stores themselves.
    pub(crate) doors: BTreeMap<u64, [Proxy; 2]>,
    pub(crate) stores: BTreeMap<u64, Program>,
}

#[allow(dead_code, reason = "not every suite needs every helper")]
impl Cluster {
    /// Starts stores 1 to `count`.
    pub(crate) fn start(count: u64, flags: &[&str]) -> Cluster {
        Cluster::start_with(count, flags, BTreeMap::new())
    }

    /// The same, with a proxy before each door for clients.
    pub(crate) fn start_behind_doors(count: u64, flags: &[&str]) -> Cluster {
        let doors = (1..=count).map(|id| (id, [Proxy::start(), Proxy::start()])).collect();
        Cluster::start_with(count, flags, doors)
    }

    fn start_with(count: u64, flags: &[&str], doors: BTreeMap<u64, [Proxy; 2]>) -> Cluster {
        let mut cluster = Cluster::prepare(count, flags, doors);
        (1..=count).for_each(|id| cluster.start_store(id));
        cluster
    }

    /// The same, before any of the stores is started.
    pub(crate) fn prepare(count: u64, flags: &[&str], doors: BTreeMap<u64, [Proxy; 2]>) -> Cluster {
        let mut proxies = BTreeMap::new();
        for from in 1..=count {
            for to in (1..=count).filter(|to| *to != from) {
                proxies.insert((from, to), Proxy::start());
            }
        }
        Cluster {
            folder: tempfile::tempdir().unwrap(),
            flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
            own_flags: BTreeMap::new(),
            proxies,
            doors,
            stores: BTreeMap::new(),
        }
    }

    /// Has a store start with more flags, the next time.
    pub(crate) fn set_flags(&mut self, id: u64, flags: &[&str]) {
        self.own_flags.insert(id, flags.iter().map(|&flag| flag.to_owned()).collect());
    }

    /// Where a store keeps its data.
    pub(crate) fn path(&self, id: u64) -> PathBuf {
        self.folder.path().join(id.to_string())
    }

    /// Where a store logs to.
    pub(crate) fn log_file(&self, id: u64) -> PathBuf {
        self.folder.path().join(format!("{id}.log"))
    }

    /// Starts a store that the others do not know of, and that joins them.
    pub(crate) fn start_joiner(&mut self, id: u64) {
        let others: Vec<u64> = self.stores.keys().copied().collect();
        for other in others {
            self.proxies.insert((id, other), Proxy::start());
            let peer = self.stores[&other].field("peer").parse().unwrap();
            self.proxies[&(id, other)].set_target(peer);
        }
        // Where it says that it is reached.
        self.proxies.insert((0, id), Proxy::start());
        self.start_store(id);
    }

    /// Starts a store, perhaps again.
    pub(crate) fn start_store(&mut self, id: u64) {
        let joins = self.proxies.get(&(0, id)).map(|proxy| proxy.address.to_string());
        let own = joins.as_deref().unwrap_or("127.0.0.1:0");
        let members: Vec<String> = std::iter::once(format!("{id}={own}"))
            .chain(
                self.proxies
                    .iter()
                    .filter(|((from, _), _)| *from == id)
                    .map(|((_, to), proxy)| format!("{to}={}", proxy.address)),
            )
            .collect();
        let cluster = format!("--cluster={}", members.join(","));
        let store_id = format!("--store-id={id}");
        let log_file = format!("--log-file={}", self.log_file(id).display());
        let door = self.doors.get(&id).map(|[native, _]| native.address);
        let advertised = door.map(|address| format!("--advertise-addr={address}"));
        let mut flags = vec![&cluster[..], &store_id, &log_file, "--peer-addr=127.0.0.1:0"];
        flags.extend(advertised.as_deref());
        flags.extend(joins.is_some().then_some("--join"));
        flags.extend(self.flags.iter().map(String::as_str));
        flags.extend(self.own_flags.get(&id).into_iter().flatten().map(String::as_str));
        let program = Program::start(&self.path(id), &flags);
        if let Some([native, resp]) = self.doors.get(&id) {
            native.set_target(program.field("native").parse().unwrap());
            resp.set_target(program.resp());
        }
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
        self.stores.remove(&id).unwrap().process.kill();
    }

    /// Removes all that a store keeps. It must not run.
    pub(crate) fn wipe(&self, id: u64) {
        std::fs::remove_dir_all(self.path(id)).unwrap();
    }

    /// A metric of a store.
    pub(crate) fn metric(&self, id: u64, name: &str) -> f64 {
        http::metric(self.stores[&id].field("status").parse().unwrap(), name)
    }

    /// Sends a store a signal by name.
    pub(crate) fn signal(&self, id: u64, signal: &str) {
        self.stores[&id].process.signal(signal);
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
