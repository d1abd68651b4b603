//! The scenario that most stages are a case of: clients, faults, a check; three times.
#![allow(dead_code, reason = "every suite uses a part")]

use rand::RngExt;

use super::clients::Clients;
use super::world::{Options, REGION, World};

/// What happens in a scenario.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scenario {
    pub(crate) clients: usize,
    /// Messages are lost, doubled and delayed, and so are requests and answers.
    pub(crate) unreliable: bool,
    /// One store after the other fails at any time, and all at once at the end of each round.
    pub(crate) crash: bool,
    /// The stores are split at random, again and again.
    pub(crate) partitions: bool,
    /// The length at which logs are cut off.
    pub(crate) log_max: Option<u64>,
    /// Reads rely on the leader's lease.
    pub(crate) lease: bool,
}

/// The ticks of one round in which clients run.
const ROUND_TICKS: u64 = 150;

/// Runs a scenario for the seed in `SEED`, or for as many seeds as `SEEDS` says (3).
pub(crate) fn run(scenario: Scenario) {
    let number = |name: &str| std::env::var(name).ok().and_then(|it| it.parse::<u64>().ok());
    match number("SEED") {
        Some(seed) => run_seed(scenario, seed),
        None => {
            for seed in 0..number("SEEDS").unwrap_or(3) {
                run_seed(scenario, seed);
            }
        }
    }
}

fn run_seed(scenario: Scenario, seed: u64) {
    // Whatever panics inside is found again by this.
    let _replay = Replay(seed);
    let mut options = Options::new(seed, 5);
    if let Some(log_max) = scenario.log_max {
        assert_eq!(log_max, 100, "the configuration is a function");
        options.configure = |config| config.log_entries_max = 100;
    }
    if scenario.lease {
        options.configure = |config| config.reads = raft::ReadMode::Lease;
    }
    if scenario.unreliable {
        (options.loss, options.doubles, options.delay_max) = (10, 5, 3);
    }
    let mut world = World::new(options);
    let loss = if scenario.unreliable { 5 } else { 0 };
    let mut clients = Clients::new(scenario.clients, 3, loss);
    let done: usize = (0..3).map(|_| round(scenario, &mut world, &mut clients)).sum();
    assert!(done > 0, "nothing was answered in all rounds");
    assert!(world.alarms.is_empty(), "{:?}", world.alarms);
}

/// Runs one round; returns how many requests were answered.
fn round(scenario: Scenario, world: &mut World, clients: &mut Clients) -> usize {
    let mut next_partition = world.now;
    for _ in 0..ROUND_TICKS {
        if scenario.partitions && world.now >= next_partition {
            next_partition = world.now + world.rng.random_range(10..15);
            let (mut one, mut other) = (Vec::new(), Vec::new());
            for id in world.ids() {
                let side = if world.rng.random() { &mut one } else { &mut other };
                side.push(id);
            }
            world.partition(&[&one, &other]);
            if world.rng.random_bool(0.2) {
                world.heal();
                let (from, to) = (world.rng.random_range(1..=5), world.rng.random_range(1..=5));
                world.cut(from, to);
            }
        }
        if scenario.crash && world.rng.random_bool(0.05) {
            let id = world.rng.random_range(1..=world.options.stores);
            match world.is_up(id) {
                false => world.start(id),
                // The region goes on while a majority lives.
                true if world.running().len() > 3 => world.crash(id),
                true => {}
            }
        }
        clients.step(world);
        world.tick();
        if world.rng.random_bool(0.05) {
            world.purge();
        }
    }
    world.heal();
    if scenario.crash {
        // In the midst of it: what is under way is lost with what was not synced.
        for id in world.running() {
            world.crash(id);
        }
        for id in world.ids() {
            world.start(id);
        }
    }
    world.run(10);
    let done = clients.completed();
    clients.check(world);
    world.settle();
    if let Some(log_max) = scenario.log_max {
        check_logs(world, log_max);
    }
    done
}

/// Checks that no log holds more than twice its length, and that all stores hold the same data.
fn check_logs(world: &mut World, log_max: u64) {
    world.until("the logs are cut off", |world| {
        world.ids().iter().all(|id| {
            let status = world.node(*id).store.status(REGION).expect("the region is everywhere");
            status.applied.index.0 - status.truncated.index.0 <= 2 * log_max
        })
    });
}

/// Says how to run a failed seed again.
struct Replay(u64);

impl Drop for Replay {
    #[expect(clippy::print_stderr, reason = "whoever sees the failure needs it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let name = std::thread::current().name().unwrap_or("?").to_owned();
            eprintln!("to see it again: SEED={} cargo test -p tinykv-raftstore {name}", self.0);
        }
    }
}
