//! The network: what becomes of a message.
//!
//! Messages are delayed, so that they overtake each other, lost, and repeated, each by chance. A
//! direction between two places can be cut (nothing is sent through it), or clogged (all waits
//! until a moment, and then comes at once). What was on its way before a cut still arrives.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;
use rand::rngs::SmallRng;
use serde::{Deserialize, Serialize};

use crate::queue::Micros;

/// A store (1, 2, ...) or a client (from [`FIRST_CLIENT`] on).
pub type Place = u64;

/// The first number that names a client.
pub const FIRST_CLIENT: Place = 1000;

/// How well messages fare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// The shortest and the longest usual delay.
    pub delay: (Micros, Micros),
    /// Of 1000 messages, how many take up to ten times the longest delay.
    pub slow: u32,
    /// Of 1000 messages, how many are lost.
    pub loss: u32,
    /// Of 1000 messages between stores, how many arrive twice.
    pub twice: u32,
}

impl Conditions {
    /// A network without faults.
    pub const GOOD: Conditions = Conditions { delay: (200, 1_000), slow: 0, loss: 0, twice: 0 };
}

/// The network of a run.
#[derive(Debug)]
pub struct Network {
    rng: SmallRng,
    /// As it is now.
    pub conditions: Conditions,
    cut: BTreeSet<(Place, Place)>,
    clogged: BTreeMap<(Place, Place), Micros>,
}

/// When a message arrives: not at all, once, or twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// Delays from now.
    pub delays: [Option<Micros>; 2],
}

impl Network {
    /// A network that draws from a stream.
    #[must_use]
    pub fn new(rng: SmallRng, conditions: Conditions) -> Network {
        Network { rng, conditions, cut: BTreeSet::new(), clogged: BTreeMap::new() }
    }

    /// Decides what becomes of a message that is sent now.
    pub fn send(&mut self, now: Micros, from: Place, to: Place) -> Arrivals {
        let conditions = self.conditions;
        if self.cut.contains(&(from, to)) || self.chance(conditions.loss) {
            return Arrivals::default();
        }
        let between_stores = from < FIRST_CLIENT && to < FIRST_CLIENT;
        let first = Some(self.delay(now, from, to));
        let twice = between_stores && self.chance(conditions.twice);
        let second = twice.then(|| self.delay(now, from, to) * 4);
        Arrivals { delays: [first, second] }
    }

    fn delay(&mut self, now: Micros, from: Place, to: Place) -> Micros {
        let (shortest, longest) = self.conditions.delay;
        let mut delay = self.rng.random_range(shortest..=longest);
        if self.chance(self.conditions.slow) {
            delay += self.rng.random_range(longest..=10 * longest);
        }
        match self.clogged.get(&(from, to)) {
            Some(until) if *until > now => until - now + delay,
            _ => delay,
        }
    }

    fn chance(&mut self, of_1000: u32) -> bool {
        of_1000 > 0 && self.rng.random_range(0..1000) < of_1000
    }

    /// Lets nothing more be sent from one place to another.
    pub fn cut(&mut self, from: Place, to: Place) {
        self.cut.insert((from, to));
    }

    /// Lets everything from one place to another wait until a moment.
    pub fn clog(&mut self, from: Place, to: Place, until: Micros) {
        self.clogged.insert((from, to), until);
    }

    /// Undoes all cuts and clogs.
    pub fn heal(&mut self) {
        self.cut.clear();
        self.clogged.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::stream;

    #[test]
    fn a_cut_is_one_way_and_heals() {
        let mut network = Network::new(stream(1, "network", 0), Conditions::GOOD);
        network.cut(1, 2);
        assert_eq!(network.send(0, 1, 2), Arrivals::default());
        assert!(network.send(0, 2, 1).delays[0].is_some());
        network.heal();
        assert!(network.send(0, 1, 2).delays[0].is_some());
    }

    #[test]
    fn a_clog_delays() {
        let mut network = Network::new(stream(1, "network", 0), Conditions::GOOD);
        network.clog(1, 2, 50_000);
        assert!(network.send(20_000, 1, 2).delays[0] >= Some(30_200));
        assert!(network.send(60_000, 1, 2).delays[0] <= Some(1_000));
    }

    #[test]
    fn conditions_are_met_about() {
        let conditions = Conditions { loss: 100, twice: 200, ..Conditions::GOOD };
        let mut network = Network::new(stream(1, "network", 0), conditions);
        let sent: Vec<_> = (0..10_000).map(|_| network.send(0, 1, 2)).collect();
        let count = |at: usize| sent.iter().filter(|it| it.delays[at].is_some()).count();
        assert!((8_800..9_200).contains(&count(0)), "{}", count(0));
        assert!((1_600..2_000).contains(&count(1)), "{}", count(1));
        // What a client sends travels over a connection, which repeats nothing.
        assert!((0..1000).all(|_| network.send(0, FIRST_CLIENT, 2).delays[1].is_none()));
    }
}
