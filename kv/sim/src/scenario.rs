//! A run before it starts: everything that is decided, as data that can be written and shrunk.

use rand::RngExt;
use rand::rngs::SmallRng;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::fault::{self, Planned};
use crate::network::Conditions;
use crate::process::{Features, Process};
use crate::queue::{MILLI, Micros, SECOND};
use crate::random::stream;

/// The most events of a run; few have more than a tenth of it.
const STEPS_MAX: u64 = 1_000_000;

/// What a run is like. With the same scenario a run is the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenario {
    /// Decides all that the other fields leave open.
    pub seed: u64,
    /// How many stores there are.
    pub stores: u64,
    /// What clients do.
    pub clients: Clients,
    /// How long faults go on, in microseconds.
    pub duration: Micros,
    /// How long the healed rest may take to come together, in microseconds.
    pub patience: Micros,
    /// The most events that may happen: a run that goes on for ever fails.
    pub steps_max: u64,
    /// Of 1000 messages that nobody else protects, how many arrive damaged.
    pub damage: u32,
    /// The time between two ticks of a store, by its clock.
    pub tick: Micros,
    /// How far apart clocks are: the most that one is ahead, in microseconds, and the most by which
    /// one is fast or slow, in millionths.
    pub clocks: (Micros, i64),
    /// The usual network.
    pub network: Conditions,
    /// The shortest and longest time of a piece of work: log, apply, snapshot.
    pub work: [(Micros, Micros); 3],
    /// What differs in the program.
    pub features: Features,
    /// What goes wrong.
    pub faults: Vec<Planned>,
    /// When faults end, a minority stays away for good.
    pub minority_stays_away: bool,
}

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clients {
    /// How many there are.
    pub count: u64,
    /// How many keys they share.
    pub keys: u64,
    /// The longest time between two calls, in microseconds.
    pub think: Micros,
    /// When a client gives up waiting, in microseconds.
    pub timeout: Micros,
    /// How often each operation is drawn: get, put, append, delete, compare-and-set.
    pub mix: [u32; 5],
    /// Of 100 calls, how many touch several keys; these are keys of their own.
    pub many: u32,
    /// Of 100 calls, how many go to any store instead of the one that led last.
    pub anywhere: u32,
}

impl Clients {
    /// A few clients with all operations.
    pub const USUAL: Clients = Clients {
        count: 4,
        keys: 3,
        think: 30 * MILLI,
        timeout: 500 * MILLI,
        mix: [4, 3, 2, 1, 1],
        many: 0,
        anywhere: 10,
    };
}

impl Scenario {
    /// Without any fault, and with good conditions.
    #[must_use]
    pub fn calm(seed: u64, stores: u64) -> Scenario {
        Scenario {
            seed,
            stores,
            clients: Clients::USUAL,
            duration: 5 * SECOND,
            patience: 30 * SECOND,
            steps_max: STEPS_MAX,
            damage: 0,
            tick: 50 * MILLI,
            clocks: (0, 0),
            network: Conditions::GOOD,
            work: [(100, 2_000), (50, 500), (100, 1_000)],
            features: Features::new(),
            faults: Vec::new(),
            minority_stays_away: false,
        }
    }

    /// What a seed gives, for a program: each time another mixture of everything.
    #[must_use]
    pub fn draw<P: Process>(seed: u64) -> Scenario {
        let mut rng = stream(seed, "scenario", 0);
        let rng = &mut rng;
        let stores = [1, 3, 3, 3, 4, 5, 5][rng.random_range(0..7)];
        let duration = [2 * SECOND, 5 * SECOND, 10 * SECOND][rng.random_range(0..3)];
        let slow_disk = [MILLI, 2 * MILLI, 10 * MILLI, 60 * MILLI][rng.random_range(0..4)];
        let slow_apply = [MILLI / 2, MILLI, 20 * MILLI, 200 * MILLI][rng.random_range(0..4)];
        let mut scenario = Scenario {
            clients: clients(rng),
            duration,
            clocks: [(0, 0), (SECOND, 1_000), (SECOND, 50_000)][rng.random_range(0..3)],
            network: Conditions {
                delay: (200, [MILLI, 5 * MILLI, 20 * MILLI][rng.random_range(0..3)]),
                slow: [0, 0, 20][rng.random_range(0..3)],
                loss: [0, 0, 10, 100][rng.random_range(0..4)],
                twice: [0, 0, 20, 100][rng.random_range(0..4)],
            },
            damage: [0, 20, 200][rng.random_range(0..3)],
            work: [(100, slow_disk), (50, slow_apply), (100, MILLI)],
            features: P::features(rng),
            faults: fault::draw(rng, stores, duration, P::has_members()),
            minority_stays_away: rng.random_bool(0.3),
            ..Scenario::calm(seed, stores)
        };
        P::adapt(&mut scenario);
        scenario
    }

    /// The clock of a store.
    #[must_use]
    pub fn clock(&self, store: u64) -> Clock {
        let mut rng = stream(self.seed, "clock", store);
        let (ahead, drift) = self.clocks;
        Clock { offset: rng.random_range(0..=ahead), drift_ppm: rng.random_range(-drift..=drift) }
    }
}

fn clients(rng: &mut SmallRng) -> Clients {
    Clients {
        // More calls of unknown fate on a key have too many orders to be judged.
        count: [1, 2, 4, 6][rng.random_range(0..4)],
        keys: [2, 3, 5][rng.random_range(0..3)],
        think: [5 * MILLI, 20 * MILLI, 100 * MILLI][rng.random_range(0..3)],
        timeout: [500 * MILLI, SECOND, 5 * SECOND][rng.random_range(0..3)],
        mix: [[4, 3, 2, 1, 1], [1, 1, 0, 0, 0], [2, 0, 3, 0, 0], [3, 2, 1, 1, 2], [2, 3, 0, 3, 0]]
            [rng.random_range(0..5)],
        many: [0, 0, 0, 5][rng.random_range(0..4)],
        anywhere: [2, 10, 50][rng.random_range(0..3)],
    }
}
