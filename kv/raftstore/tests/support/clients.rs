//! Clients that append to shared registers and read them, and what they saw checked.
//!
//! A register's final value is the order of all appends to it. So what clients saw is linearizable
//! if and only if each answer is a prefix of the final value, no append is in it twice, none that
//! failed for sure is in it, and the order respects real time.
#![allow(dead_code, reason = "every suite uses a part")]

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proto::peer::RegionError;
use rand::RngExt;

use super::machine::Op;
use super::world::{Outcome, World};

/// A request of a client.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    key: Bytes,
    /// What is appended; none: it reads.
    token: Option<String>,
    /// Counts of events.
    invoked: u64,
    completed: Option<u64>,
    end: End,
}

/// What a client knows of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// The answer.
    Value(Bytes),
    /// It was not carried out and will not be.
    Failed,
    /// Nothing.
    Unknown,
}

/// A client.
#[derive(Debug, Default)]
struct Client {
    /// The request that it waits for: its place in the history, its tag, and whether the answer is
    /// lost on the way.
    waiting: Option<(usize, u64, bool)>,
    /// The store that it asks next.
    asks: u64,
    /// What it appends again, since it failed for sure.
    again: Option<(Bytes, String)>,
    count: u64,
}

/// Clients with the history of what they did.
#[derive(Debug)]
pub(crate) struct Clients {
    clients: Vec<Client>,
    keys: u64,
    round: u64,
    events: u64,
    history: Vec<Call>,
    /// How many of a hundred requests or answers are lost.
    loss: u32,
}

impl Clients {
    pub(crate) fn new(count: usize, keys: u64, loss: u32) -> Clients {
        let clients = (0..count).map(|_| Client::default()).collect();
        Clients { clients, keys, round: 0, events: 0, history: Vec::new(), loss }
    }

    /// Lets each client do one step.
    pub(crate) fn step(&mut self, world: &mut World) {
        for id in 0..self.clients.len() {
            self.receive(world, id);
            if self.clients[id].waiting.is_none() && world.rng.random_bool(0.7) {
                self.send(world, id);
            }
        }
    }

    fn receive(&mut self, world: &mut World, id: usize) {
        let client = &mut self.clients[id];
        let Some((place, tag, is_lost)) = client.waiting else { return };
        let Some(outcome) = world.outcomes.remove(&tag) else { return };
        client.waiting = None;
        self.events += 1;
        let call = &mut self.history[place];
        if is_lost {
            return;
        }
        match outcome {
            Outcome::Done(value) => {
                call.completed = Some(self.events);
                call.end = End::Value(value);
            }
            Outcome::Failed(error) => {
                let stores = world.options.stores;
                client.asks = match &error {
                    RegionError::NotLeader { leader: Some(hint), .. } => hint.peer.store.0,
                    _ => world.rng.random_range(1..=stores),
                };
                if !matches!(error, RegionError::Undetermined { .. }) {
                    call.end = End::Failed;
                    if let Some(token) = &call.token {
                        client.again = Some((call.key.clone(), token.clone()));
                    }
                }
            }
        }
    }

    fn send(&mut self, world: &mut World, id: usize) {
        let running = world.running();
        let client = &mut self.clients[id];
        if running.is_empty() {
            return;
        }
        if !running.contains(&client.asks) {
            client.asks = running[world.rng.random_range(0..running.len())];
        }
        client.count += 1;
        let fresh = format!("{}-{id}.{};", self.round, client.count);
        let key: Bytes = format!("{}-{}", self.round, world.rng.random_range(0..self.keys)).into();
        let again = client.again.take();
        let reads = again.is_none() && world.rng.random_bool(0.5);
        let (key, token) = match again {
            Some((key, token)) => (key, Some(token)),
            None => (key, (!reads).then_some(fresh)),
        };
        self.events += 1;
        let place = self.history.len();
        let mut call = Call {
            key: key.clone(),
            token: token.clone(),
            invoked: self.events,
            completed: None,
            end: End::Unknown,
        };
        if world.rng.random_range(0..100) < self.loss {
            // The request is lost on its way, and the client gives up.
            self.history.push(call);
            return;
        }
        // A token that was tried before and failed for sure is the same append.
        if token.is_some() {
            call.end = End::Unknown;
        }
        self.history.push(call);
        let is_lost = world.rng.random_range(0..100) < self.loss;
        let asks = client.asks;
        let tag = match token {
            Some(token) => world.propose(asks, &Op::Append(key, token.into())),
            None => world.read(asks, &key),
        };
        self.clients[id].waiting = Some((place, tag, is_lost));
    }

    /// Waits for what is outstanding, checks all that was seen of this round's registers, and goes
    /// on with new ones. The world must be able to answer.
    pub(crate) fn check(&mut self, world: &mut World) {
        for id in 0..self.clients.len() {
            if let Some((_, tag, _)) = self.clients[id].waiting {
                world.until("a client is answered", |world| world.outcomes.contains_key(&tag));
                self.receive(world, id);
            }
            self.clients[id].again = None;
        }
        let mut calls: BTreeMap<Bytes, Vec<Call>> = BTreeMap::new();
        for call in self.history.drain(..) {
            calls.entry(call.key.clone()).or_default().push(call);
        }
        let seed = world.options.seed;
        for (key, calls) in calls {
            let last = world.must_get(&String::from_utf8_lossy(&key));
            check_register(&last, &calls)
                .unwrap_or_else(|why| panic!("{key:?}: {why}; SEED={seed}; final {last:?}"));
        }
        self.round += 1;
    }

    pub(crate) fn completed(&self) -> usize {
        self.history.iter().filter(|call| call.completed.is_some()).count()
    }
}

/// Checks what was seen of one register against its final value.
fn check_register(last: &Bytes, calls: &[Call]) -> Result<(), String> {
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    let text = std::str::from_utf8(last).map_err(|error| error.to_string())?;
    let mut at = 0;
    for token in text.split_inclusive(';') {
        at += token.len();
        if ends.insert(token, at).is_some() {
            return Err(format!("{token} is there twice"));
        }
    }
    let boundaries: BTreeSet<usize> = ends.values().copied().chain([0]).collect();
    // Where each call stands in the order of the register.
    let mut placed: Vec<(&Call, usize)> = Vec::new();
    let retried = |token: &str| {
        calls
            .iter()
            .filter(|call| call.token.as_deref() == Some(token))
            .any(|it| it.end != End::Failed)
    };
    for call in calls {
        match (&call.token, &call.end) {
            (Some(token), End::Value(value)) => {
                let end = ends.get(token.as_str()).ok_or(format!("{token} is lost"))?;
                if value != &last[..*end] {
                    return Err(format!("{token} answered {value:?}"));
                }
                placed.push((call, *end));
            }
            (Some(token), End::Failed) => {
                if ends.contains_key(token.as_str()) && !retried(token) {
                    return Err(format!("{token} failed and is there"));
                }
            }
            (Some(token), End::Unknown) => {
                if let Some(end) = ends.get(token.as_str()) {
                    placed.push((call, *end));
                }
            }
            (None, End::Value(value)) => {
                if !last.starts_with(value) || !boundaries.contains(&value.len()) {
                    return Err(format!("a read saw {value:?}"));
                }
                placed.push((call, value.len()));
            }
            (None, End::Failed | End::Unknown) => {}
        }
    }
    check_real_time(placed)
}

/// Checks that what was over before a call began stands before it.
fn check_real_time(mut placed: Vec<(&Call, usize)>) -> Result<(), String> {
    let mut over: Vec<(u64, usize)> =
        placed.iter().filter_map(|(call, end)| Some((call.completed?, *end))).collect();
    over.sort_unstable();
    placed.sort_unstable_by_key(|(call, _)| call.invoked);
    let (mut next, mut highest) = (0, 0);
    for (call, end) in placed {
        while next < over.len() && over[next].0 < call.invoked {
            highest = highest.max(over[next].1);
            next += 1;
        }
        let fits = match &call.token {
            Some(_) => end > highest,
            None => end >= highest,
        };
        if !fits {
            return Err(format!("{call:?} stands at {end}, before {highest} that was over"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(token: Option<&str>, invoked: u64, completed: Option<u64>, end: End) -> Call {
        let key = Bytes::from_static(b"k");
        Call { key, token: token.map(str::to_owned), invoked, completed, end }
    }

    fn value(value: &'static str) -> End {
        End::Value(Bytes::from_static(value.as_bytes()))
    }

    #[test]
    fn the_check_knows_good_histories_from_bad_ones() {
        let last = Bytes::from_static(b"a;b;");
        let a = call(Some("a;"), 1, Some(2), value("a;"));
        let b = call(Some("b;"), 3, Some(4), value("a;b;"));
        let good = [a.clone(), b.clone(), call(None, 3, Some(6), value("a;"))];
        assert_eq!(check_register(&last, &good), Ok(()));
        let bad = [
            // A stale read.
            vec![a.clone(), b.clone(), call(None, 5, Some(6), value("a;"))],
            // A read of what never was.
            vec![a.clone(), b.clone(), call(None, 5, Some(6), value("a;c;"))],
            // A lost append.
            vec![a.clone(), b.clone(), call(Some("c;"), 5, Some(6), value("a;b;c;"))],
            // One that failed for sure.
            vec![a.clone(), call(Some("b;"), 3, None, End::Failed)],
            // The order turned round.
            vec![call(Some("a;"), 5, Some(6), value("a;")), b.clone()],
        ];
        for calls in bad {
            assert!(check_register(&last, &calls).is_err(), "{calls:?}");
        }
        assert!(check_register(&Bytes::from_static(b"a;a;"), &[a]).is_err(), "twice");
    }
}
