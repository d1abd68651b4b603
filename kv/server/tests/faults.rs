//! Faults on real processes: three stores behind proxies, clients that share keys, and a history
//! that a checker judges.
//!
//! ```text
//!  readers, writers (RESP), native clients ──> a proxy for each door ──> stores <══ proxies ══> stores
//!        │ begin and end of each call                                      ^
//!        v                                                                 │ kill -9, SIGSTOP, partitions
//!     history ──> is it linearizable?                        the plan, drawn from SEED
//! ```
//!
//! Three phases: stores die; stores sleep; the network falls apart, also one way only. After each
//! fault, and after its end, clients must have writes answered again. In the end all keys are read
//! through each store, so that a write that was answered and is lost contradicts the history.
//!
//! No fault depends on the clock in the short form, and no verdict does in either:
//!
//! ```text
//! cargo test -p tinykv-server --test faults                a few faults of each kind
//! make faults MINUTES=10 SEED=7                            the long form
//! ```
//!
//! What goes wrong is written to the folder `faults-SEED` among cargo's files for tests, and the run
//! says where that is: the history as JSON lines and as a page, and the logs of the stores.
//! `tinykv-sim check` judges such a history again.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![expect(clippy::print_stdout, reason = "it says what it does, and how to replay it")]

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/http.rs"]
mod http;
#[path = "faults/judge.rs"]
mod judge;
#[path = "faults/load.rs"]
mod load;
#[path = "faults/plan.rs"]
mod plan;
#[path = "support/program.rs"]
mod program;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "faults/record.rs"]
mod record;
#[path = "support/resp.rs"]
mod resp;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::Cluster;
use load::Load;
use plan::{Fault, Phase, Plan, Whom};
use proxy::Way;
use rand::RngExt;
use record::Recorder;

/// A number from the environment.
fn env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// Writes that are answered before the next thing happens.
const PROGRESS: u64 = 60;

/// The cluster, its clients, and what has happened.
struct Run {
    cluster: Cluster,
    recorder: Arc<Recorder>,
    plan: Plan,
    /// When leaders died, in microseconds of the history.
    deaths: Vec<u64>,
    faults: u64,
}

#[test]
fn clients_see_one_store_whatever_happens_to_it() {
    let (seed, minutes) = (env("SEED", 1), env("MINUTES", 0));
    println!("replay: SEED={seed} MINUTES={minutes} cargo test -p tinykv-server --test faults");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // With the default configuration, but for a log that is cut off often: who was away needs a
    // snapshot.
    let cluster = Cluster::start_behind_doors(3, &["--raft-log-entries=2000"]);
    (1..=3).for_each(|id| cluster.wait_ready(id));
    let recorder = Arc::new(Recorder::new());
    let mut run = Run {
        cluster,
        recorder: Arc::clone(&recorder),
        plan: Plan::new(seed),
        deaths: Vec::new(),
        faults: 0,
    };
    let load = runtime.block_on(async {
        let doors = run.cluster.doors.values();
        let load =
            Load::start(&recorder, doors.map(|door| door.each_ref().map(|it| it.address)), seed);
        for phase in Phase::ALL {
            run.phase(phase, minutes).await;
        }
        load
    });
    (1..=3).for_each(|id| run.cluster.wait_ready(id));
    let doors = runtime.block_on(load.stop());
    runtime.block_on(load::read_all(&recorder, &doors));
    let history = recorder.take();
    let logs = run.cluster.stores.keys().map(|id| run.cluster.log_file(*id)).collect();
    println!("seed {seed}: {} faults", run.faults);
    judge::judge(history, &run.deaths, seed, logs);
}

impl Run {
    /// Lets faults happen: for a third of the time, or a few in the short form.
    async fn phase(&mut self, phase: Phase, minutes: u64) {
        let started = Instant::now();
        let lasts = Duration::from_secs(minutes * 60 / 3);
        let mut round = 0;
        while round < phase.rounds_in_short() || started.elapsed() < lasts {
            round += 1;
            let fault = self.plan.next(phase);
            let names = self.strike(fault).await;
            let at = self.recorder.now() / 1000;
            println!("{at:>8} ms  {fault} ({names})");
            self.faults += 1;
            if minutes > 0 {
                let pause = Duration::from_millis(self.plan.random.random_range(500..3000));
                tokio::time::sleep_until(tokio::time::Instant::now() + pause).await;
            }
        }
    }

    /// Has something go wrong, and lets it pass once clients have gone on without. Gives the stores
    /// that it struck.
    async fn strike(&mut self, fault: Fault) -> String {
        let whom = match fault {
            Fault::KillAll => Whom::Store(1),
            Fault::Kill(whom) | Fault::Stop(whom) | Fault::Cut(whom) => whom,
            Fault::Isolate(whom, _) | Fault::Link(whom) => whom,
        };
        let leader = self.cluster.leader(&[1, 2, 3]);
        let victim = match whom {
            Whom::Leader => leader,
            Whom::Store(id) => id,
        };
        let other = victim % 3 + 1;
        let mut names = format!("store {victim}");
        match fault {
            Fault::Kill(_) => {
                self.cluster.kill(victim);
                if victim == leader {
                    self.deaths.push(self.recorder.now());
                    names.push_str(", the leader");
                }
                self.progress().await;
                self.cluster.start_store(victim);
            }
            Fault::KillAll => {
                (1..=3).for_each(|id| self.cluster.kill(id));
                (1..=3).for_each(|id| self.cluster.start_store(id));
                names = "all stores".to_owned();
            }
            Fault::Stop(_) => {
                self.cluster.signal(victim, "STOP");
                self.progress().await;
                self.cluster.signal(victim, "CONT");
            }
            Fault::Isolate(_, ways) => {
                self.hold(&self.links_of(victim), ways, true);
                self.progress().await;
                self.hold(&self.links_of(victim), ways, false);
            }
            Fault::Link(_) => {
                let link = BTreeSet::from([(victim, other), (other, victim)]);
                self.hold(&link, plan::Ways::Both, true);
                self.progress().await;
                self.hold(&link, plan::Ways::Both, false);
                names = format!("stores {victim} and {other}");
            }
            Fault::Cut(_) => {
                for link in self.links_of(victim) {
                    self.cluster.proxies[&link].cut();
                }
            }
        }
        self.progress().await;
        names
    }

    /// The proxies on the ways from a store, and to it.
    fn links_of(&self, store: u64) -> BTreeSet<(u64, u64)> {
        let links = self.cluster.proxies.keys().copied();
        links.filter(|(from, to)| *from == store || *to == store).collect()
    }

    /// Holds back what goes over links, or lets it go. One way means: as seen from the store that
    /// all links have in common.
    fn hold(&self, links: &BTreeSet<(u64, u64)>, ways: plan::Ways, held: bool) {
        let common = |id: u64| links.iter().all(|(from, to)| *from == id || *to == id);
        for (from, to) in links {
            let proxy = &self.cluster.proxies[&(*from, *to)];
            let is_caller = common(*from);
            // A connection carries messages one way, and signs of life and answers back.
            let (out, back) = match is_caller {
                true => (Way::There, Way::Back),
                false => (Way::Back, Way::There),
            };
            match ways {
                plan::Ways::Both => {
                    proxy.hold(out, held);
                    proxy.hold(back, held);
                }
                plan::Ways::Out => proxy.hold(out, held),
                plan::Ways::In => proxy.hold(back, held),
            }
        }
    }

    /// Waits until some more writes are answered.
    async fn progress(&self) {
        self.recorder.wait_writes(PROGRESS).await;
    }
}
