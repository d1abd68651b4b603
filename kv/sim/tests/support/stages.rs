//! The scenario that most stages are a case of: five stores, clients that share keys, three rounds
//! of faults; then peace, in which all must agree. What clients saw must be linearizable.
//!
//! `SEED=7` runs one seed, `SEEDS=1000` as many.

use rand::RngExt;
use tinykv_sim::fault::{Fault, Planned, Target};
use tinykv_sim::network::Conditions;
use tinykv_sim::queue::{MILLI, Micros, SECOND};
use tinykv_sim::random::stream;
use tinykv_sim::run;
use tinykv_sim::scenario::{Clients, Scenario};
use tinykv_sim::store::Store;

/// A round of faults.
const ROUND: Micros = 3 * SECOND;

/// What happens.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stage {
    pub(crate) clients: u64,
    /// Messages, requests and answers are lost, late and overtaken; messages come twice.
    pub(crate) unreliable: bool,
    /// Stores lose power at any time, and all at once at the end of each round. What they had not
    /// synced is lost or torn.
    pub(crate) crash: bool,
    /// Every half second or so the stores are split in another way, now and then in one direction.
    pub(crate) partitions: bool,
    /// How many applied entries a log may have before it is cut off.
    pub(crate) log_max: Option<u64>,
}

/// The seeds that the environment asks for, or a few.
pub(crate) fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|it| it.parse::<u64>().ok());
    match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(2),
    }
}

impl Stage {
    /// Runs it for all seeds.
    pub(crate) fn run(self) {
        for seed in seeds() {
            let scenario = self.scenario(seed);
            let report = run::<Store>(&scenario, false);
            if let Some(failure) = report.failure {
                panic!("replay with SEED={seed}: {failure}");
            }
            assert!(report.stats.answered > 20, "SEED={seed}: {:?}", report.stats);
            if let Some(max) = self.log_max {
                let longest = report.stats.log_entries;
                assert!(longest <= 2 * max, "SEED={seed}: a log has {longest} applied entries");
            }
        }
    }

    fn scenario(self, seed: u64) -> Scenario {
        let mut scenario = Scenario::calm(seed, 5);
        scenario.duration = 3 * ROUND;
        scenario.clients = Clients { count: self.clients, ..Clients::USUAL };
        if self.unreliable {
            scenario.network =
                Conditions { delay: (200, 20 * MILLI), slow: 20, loss: 100, twice: 50 };
        }
        if let Some(max) = self.log_max {
            scenario.features.insert("log_entries_max".to_owned(), max);
            scenario.features.insert("compact_ticks".to_owned(), 1);
        }
        if self.partitions {
            self.add_partitions(&mut scenario);
        }
        if self.crash {
            self.add_crashes(&mut scenario);
        }
        scenario
    }

    fn add_partitions(self, scenario: &mut Scenario) {
        let mut rng = stream(scenario.seed, "partitions", 0);
        let mut at = 300 * MILLI;
        while at < scenario.duration {
            let lasts = rng.random_range(500 * MILLI..700 * MILLI);
            let fault = match rng.random_range(0..5) {
                0 => Fault::CutOne { from: rng.random_range(1..=5), to: rng.random_range(1..=5) },
                _ => Fault::Split { side: rng.random_range(0..1 << 5) << 1 },
            };
            scenario.faults.push(Planned { at, lasts, fault });
            at += lasts;
        }
    }

    fn add_crashes(self, scenario: &mut Scenario) {
        let mut rng = stream(scenario.seed, "crashes", 0);
        for round in 1..=3 {
            let fault = Fault::PowerCut;
            let at = round * ROUND - 100 * MILLI;
            scenario.faults.push(Planned { at, lasts: 300 * MILLI, fault });
        }
        let mut at = SECOND;
        while at < scenario.duration {
            let target = match rng.random_bool(0.5) {
                true => Target::Leader,
                false => Target::Store(rng.random_range(1..=5)),
            };
            let fault = match rng.random_bool(0.5) {
                true => Fault::Crash { target },
                false => Fault::CrashInWork { target, operations: rng.random_range(1..10) },
            };
            let lasts = rng.random_range(100 * MILLI..SECOND);
            scenario.faults.push(Planned { at, lasts, fault });
            at += rng.random_range(SECOND / 2..SECOND);
        }
    }
}
