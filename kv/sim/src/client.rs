//! Clients: each makes one call at a time on keys that all share, and writes down what it is told.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::SmallRng;

use crate::history::Op;
use crate::network::{FIRST_CLIENT, Place};
use crate::random::stream;
use crate::scenario::Clients;

/// A client.
#[derive(Debug)]
pub struct Client {
    /// Where it is.
    pub place: Place,
    /// The call it waits for.
    pub waits: Option<u64>,
    /// Chance for all it does.
    pub rng: SmallRng,
    /// The group whose key it asks for.
    group: u64,
    /// The store that it asks first, by group.
    favourites: BTreeMap<u64, Place>,
    /// Whom it asks first of all.
    first: Place,
    /// In the end: the keys it has still to read.
    pub left: Vec<String>,
    /// How many values it has made.
    values: u64,
}

impl Client {
    /// The client of a number from 0 on.
    #[must_use]
    pub fn new(seed: u64, number: u64, stores: u64) -> Client {
        let mut rng = stream(seed, "client", number);
        let first = rng.random_range(1..=stores);
        let (place, favourites) = (FIRST_CLIENT + number, BTreeMap::new());
        Client { place, waits: None, rng, group: 1, favourites, first, left: Vec::new(), values: 0 }
    }

    /// Its next call.
    pub fn draw(&mut self, clients: &Clients) -> Op {
        let many = clients.many > 0 && self.rng.random_range(0..100) < clients.many;
        if many {
            return self.draw_many();
        }
        let key = format!("k{}", self.rng.random_range(0..clients.keys));
        let mut at = self.rng.random_range(0..clients.mix.iter().sum::<u32>());
        let kind = clients.mix.iter().position(|share| match at.checked_sub(*share) {
            Some(rest) => {
                at = rest;
                false
            }
            None => true,
        });
        match kind.unwrap_or(0) {
            0 => Op::Get { key },
            1 => Op::Put { key, value: self.value() },
            2 => Op::Append { key, value: format!("{};", self.value()) },
            3 => Op::Delete { key },
            _ => {
                let expected = match self.rng.random_range(0..3) {
                    0 => None,
                    // Now and then it is right.
                    _ => {
                        let writer = self.rng.random_range(0..clients.count);
                        let number = self.values.saturating_sub(self.rng.random_range(0..3));
                        Some(format!("c{writer}.{number}"))
                    }
                };
                Op::Cas { key, expected, value: self.value() }
            }
        }
    }

    /// Keys of their own, so that the others can still be judged one by one.
    fn draw_many(&mut self) -> Op {
        let keys = || ["m0", "m1"].map(str::to_owned);
        match self.rng.random_bool(0.5) {
            true => Op::GetMany { keys: keys().to_vec() },
            false => {
                let value = self.value();
                Op::PutMany { pairs: keys().map(|key| (key, value.clone())).to_vec() }
            }
        }
    }

    /// A value that nobody else writes.
    fn value(&mut self) -> String {
        self.values += 1;
        format!("c{}.{}", self.place - FIRST_CLIENT, self.values)
    }

    /// Whom it asks for a key of a group.
    pub fn choose(&mut self, group: u64, clients: &Clients, stores: u64) -> Place {
        self.group = group;
        match self.rng.random_range(0..100) < clients.anywhere {
            true => self.rng.random_range(1..=stores),
            false => self.favourite(),
        }
    }

    fn favourite(&self) -> Place {
        self.favourites.get(&self.group).copied().unwrap_or(self.first)
    }

    /// Asks this store first from now on.
    pub fn prefers(&mut self, store: Place) {
        self.favourites.insert(self.group, store);
    }

    /// Learns that its favourite does not lead.
    pub fn turn_to(&mut self, leader: Option<Place>, stores: u64) {
        let next = match leader {
            Some(leader) if leader != self.favourite() => leader,
            _ => self.rng.random_range(1..=stores),
        };
        self.prefers(next);
    }
}
