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
    /// The key that it asks for.
    asks: String,
    /// The store that it asks first, by key.
    favourites: BTreeMap<String, Place>,
    /// In the end: the keys it has still to read.
    pub left: Vec<String>,
    /// How many values it has made.
    values: u64,
}

impl Client {
    /// The client of a number from 0 on.
    #[must_use]
    pub fn new(seed: u64, number: u64) -> Client {
        Client {
            place: FIRST_CLIENT + number,
            waits: None,
            rng: stream(seed, "client", number),
            asks: String::new(),
            favourites: BTreeMap::new(),
            left: Vec::new(),
            values: 0,
        }
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

    /// Whom it asks for a key.
    pub fn choose(&mut self, key: &str, clients: &Clients, stores: u64) -> Place {
        self.asks.clear();
        self.asks.push_str(key);
        match self.favourites.get(key) {
            Some(favourite) if self.rng.random_range(0..100) >= clients.anywhere => *favourite,
            _ => self.rng.random_range(1..=stores),
        }
    }

    /// Asks this store first from now on.
    pub fn prefers(&mut self, store: Place) {
        self.favourites.insert(self.asks.clone(), store);
    }

    /// Learns that whom it asked does not lead.
    pub fn turn_to(&mut self, leader: Option<Place>, stores: u64) {
        let next = match leader {
            Some(leader) if self.favourites.get(&self.asks) != Some(&leader) => leader,
            _ => self.rng.random_range(1..=stores),
        };
        self.prefers(next);
    }
}
