//! What can go wrong: the catalogue of faults, as data.
//!
//! A run's faults are a list with times, decided before it starts, so that a failing run can be
//! tried again without some of them.

use rand::RngExt;
use rand::rngs::SmallRng;
use serde::{Deserialize, Serialize};

use crate::marks::{AMBUSHES, Spot};
use crate::network::{Conditions, Place};
use crate::queue::{MILLI, Micros, SECOND};

/// A fault and when it strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// When, in microseconds.
    pub at: Micros,
    /// How long it lasts, in microseconds.
    pub lasts: Micros,
    /// What.
    pub fault: Fault,
}

/// Whom a fault strikes; decided when it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// This store.
    Store(Place),
    /// A store that believes to lead, or store 1.
    Leader,
}

/// Which directions are cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// It hears nobody.
    In,
    /// Nobody hears it.
    Out,
    /// Both.
    Both,
}

/// The kinds of disk operations that fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiskOp {
    /// A sync of a file.
    Sync,
    /// A write, after half of it.
    Write,
    /// A new file.
    Create,
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Power fails, and comes back; what was not synced is lost, there, or torn.
    Crash {
        /// Whom.
        target: Target,
    },
    /// Power fails in the middle of disk work, after so many operations.
    CrashInWork {
        /// Whom.
        target: Target,
        /// Changing operations until then.
        operations: u64,
    },
    /// Power fails everywhere at once.
    PowerCut,
    /// A program stands still, and then goes on as if nothing had been.
    Pause {
        /// Whom.
        target: Target,
    },
    /// Stores are split into two groups; clients reach both.
    Split {
        /// Bit `n` set: store `n` is in the second group.
        side: u64,
    },
    /// One store is cut off from the other stores.
    Isolate {
        /// Whom.
        target: Target,
        /// Which directions.
        way: Way,
        /// Whether from clients too.
        clients: bool,
    },
    /// One direction between two stores is cut.
    CutOne {
        /// From this store.
        from: Place,
        /// To this one.
        to: Place,
    },
    /// Messages of one direction wait, and then come at once.
    Clog {
        /// From this store.
        from: Place,
        /// To this one.
        to: Place,
    },
    /// The network is worse for a while.
    Weather {
        /// How it is then.
        conditions: Conditions,
    },
    /// A disk operation fails once.
    DiskError {
        /// Whose.
        target: Target,
        /// Which kind.
        op: DiskOp,
        /// After so many that succeed.
        after: u64,
    },
    /// A disk has little room left for a while.
    DiskFull {
        /// Whose.
        target: Target,
        /// Bytes that still fit.
        room: u64,
    },
    /// Power fails, and bits of a file flip or sectors of it are empty before it comes back. Strikes
    /// only stores of a minority that the scenario names.
    Rot {
        /// Whom.
        store: Place,
    },
    /// A store and its disk are gone for good. Strikes only stores of that minority.
    Loss {
        /// Whom.
        store: Place,
    },
    /// Power fails just after a program comes through a rare branch, the next time that it does; of
    /// each store.
    Ambush {
        /// The mark of the branch.
        mark: Spot,
        /// Changing operations on the disk until then.
        operations: u64,
    },
    /// An operator has a group's leadership handed over.
    Transfer {
        /// The group.
        group: u64,
        /// To whom.
        to: Place,
    },
    /// An operator changes the members of a group: see [`crate::process::Admin::Member`].
    Member {
        /// The group.
        group: u64,
        /// Where.
        store: Place,
    },
}

/// The kinds that a swarm switches on or off.
const KINDS: u32 = 16;

/// The most groups that there are.
const GROUPS: u64 = 3;

/// Draws the faults of a run of `stores` stores: first which kinds there are, then when they strike.
#[must_use]
pub fn draw(rng: &mut SmallRng, stores: u64, duration: Micros, has_members: bool) -> Vec<Planned> {
    // Each kind is on in about half of the runs: some bugs need a kind to be absent.
    let kinds: Vec<u32> = (0..KINDS).filter(|_| rng.random_bool(0.4)).collect();
    let fragile = fragile(rng, stores);
    let pause = [SECOND / 10, SECOND / 3, SECOND][rng.random_range(0..3)];
    let mut faults = Vec::new();
    let mut at = rng.random_range(0..SECOND);
    while at < duration && !kinds.is_empty() {
        let kind = kinds[rng.random_range(0..kinds.len())];
        let lasts = match rng.random_range(0..10) {
            0..4 => rng.random_range(MILLI..100 * MILLI),
            4..8 => rng.random_range(100 * MILLI..SECOND),
            _ => rng.random_range(SECOND..4 * SECOND),
        };
        if let Some(fault) = one(rng, kind, stores, fragile) {
            // Long enough for another leader, and short enough for clients to wait for the old one.
            let lasts = match fault {
                Fault::Isolate { target: Target::Leader, .. } if rng.random_bool(0.5) => {
                    rng.random_range(SECOND..3 * SECOND)
                }
                _ => lasts,
            };
            if has_members && matches!(fault, Fault::Member { .. }) && rng.random_bool(0.3) {
                faults.extend(overtaken(rng, at, fault));
            }
            faults.push(Planned { at, lasts, fault });
        }
        at += rng.random_range(pause / 4..2 * pause);
    }
    faults
}

/// What lets a change of members that is asked for at `at` be overtaken by another one: the leader is
/// cut off just before, and the operator asks again when there is another.
fn overtaken(rng: &mut SmallRng, at: Micros, again: Fault) -> [Planned; 2] {
    let cut = Fault::Isolate { target: Target::Leader, way: Way::Both, clients: false };
    let lasts = rng.random_range(SECOND..3 * SECOND);
    let later = at + rng.random_range(SECOND..2 * SECOND);
    let before = at.saturating_sub(MILLI);
    [Planned { at: before, lasts, fault: cut }, Planned { at: later, lasts: MILLI, fault: again }]
}

/// The store whose disk may rot or be lost: one, if that leaves a majority.
fn fragile(rng: &mut SmallRng, stores: u64) -> Option<Place> {
    (stores >= 3).then(|| rng.random_range(1..=stores))
}

fn one(rng: &mut SmallRng, kind: u32, stores: u64, fragile: Option<Place>) -> Option<Fault> {
    let store = rng.random_range(1..=stores);
    let other = rng.random_range(1..=stores);
    let target = if rng.random_bool(0.5) { Target::Leader } else { Target::Store(store) };
    Some(match kind {
        0 => Fault::Crash { target },
        1 => Fault::CrashInWork { target, operations: rng.random_range(1..12) },
        2 => Fault::PowerCut,
        3 => Fault::Pause { target },
        4 => Fault::Split { side: rng.random_range(0..1 << stores) << 1 },
        5 => {
            let way = [Way::In, Way::Out, Way::Both][rng.random_range(0..3)];
            Fault::Isolate { target, way, clients: rng.random_bool(0.3) }
        }
        6 => Fault::CutOne { from: store, to: other },
        7 => Fault::Clog { from: store, to: other },
        8 => Fault::Weather { conditions: weather(rng) },
        9 => {
            let op = [DiskOp::Sync, DiskOp::Write, DiskOp::Create][rng.random_range(0..3)];
            Fault::DiskError { target, op, after: rng.random_range(0..20) }
        }
        10 => Fault::DiskFull { target, room: rng.random_range(0..20_000) },
        11 => Fault::Rot { store: fragile? },
        12 => {
            // The first is where most can go wrong.
            let place = rng.random_range(0..2 * AMBUSHES.len()).saturating_sub(AMBUSHES.len());
            let operations = [0, 1, 1, 2, 3, 4, 6, 8][rng.random_range(0..8)];
            Fault::Ambush { mark: Spot(AMBUSHES[place]), operations }
        }
        13 => Fault::Transfer { group: rng.random_range(1..=GROUPS), to: store },
        14 => Fault::Member { group: rng.random_range(1..=GROUPS), store },
        // Rare, since it is for good.
        _ => match rng.random_range(0..20) {
            0 => Fault::Loss { store: fragile? },
            _ => return None,
        },
    })
}

fn weather(rng: &mut SmallRng) -> Conditions {
    let longest = [2 * MILLI, 20 * MILLI, 100 * MILLI][rng.random_range(0..3)];
    Conditions {
        delay: (100, longest),
        slow: [0, 10, 100][rng.random_range(0..3)],
        loss: [0, 20, 100, 300][rng.random_range(0..4)],
        twice: [0, 50, 300][rng.random_range(0..3)],
    }
}
