//! A world that a test steers by hand: [`Script`].

use super::{Event, World};
use crate::history::{Answer, Kind, Op};
use crate::network::Place;
use crate::outcome::Failure;
use crate::process::Process;
use crate::queue::{MILLI, Micros, SECOND};
use crate::scenario::Scenario;

/// A world without clients of its own, in which nothing goes wrong but what a test does. Every step
/// is checked as in a campaign; what fails panics with the seed.
pub struct Script<'a, P: Process> {
    world: World<'a, P>,
}

impl<'a, P: Process> Script<'a, P> {
    /// Starts the stores of a scenario.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn new(scenario: &'a Scenario) -> Script<'a, P> {
        let mut script = Script { world: World::new(scenario, true) };
        for store in 1..=scenario.stores {
            let started = script.world.start(store);
            script.expect(started);
        }
        script
    }

    fn expect<T>(&self, result: Result<T, Failure>) -> T {
        match result {
            Ok(value) => value,
            Err(failure) => panic!("seed {}: {failure}", self.world.scenario.seed),
        }
    }

    /// Lets time pass.
    ///
    /// # Panics
    /// If a guarantee breaks.
    pub fn pass(&mut self, time: Micros) {
        let end = self.world.queue.now() + time;
        let passed = self.world.run_until(end, |_| false);
        self.expect(passed);
    }

    /// Lets time pass until something is so.
    ///
    /// # Panics
    /// If it is not within half a minute of virtual time, or a guarantee breaks.
    pub fn until(&mut self, what: &str, so: impl Fn(&Script<'a, P>) -> bool) {
        for _ in 0..600 {
            if so(self) {
                return;
            }
            self.pass(50 * MILLI);
        }
        panic!("seed {}: not in time: {what}", self.world.scenario.seed);
    }

    /// The stores that believe to lead.
    #[must_use]
    pub fn leaders(&self) -> Vec<Place> {
        let leads = |program: &P| program.is_leader();
        let stores = self.world.stores.iter();
        stores.filter(|(_, it)| it.program.as_ref().is_some_and(leads)).map(|(id, _)| *id).collect()
    }

    /// Lets time pass until exactly one store leads, and says which.
    ///
    /// # Panics
    /// As [`Script::until`].
    pub fn leader(&mut self) -> Place {
        self.until("one store leads", |script| script.leaders().len() == 1);
        self.leaders()[0]
    }

    /// Calls the cluster as the only client, at any of some stores, until it is answered.
    ///
    /// # Panics
    /// If there is no answer within half a minute of virtual time, or a guarantee breaks.
    pub fn call(&mut self, stores: &[Place], op: &Op) -> Answer {
        let client = crate::network::FIRST_CLIENT;
        for attempt in 0..200 {
            let store = stores[attempt % stores.len()];
            self.world.calls += 1;
            let call = self.world.calls;
            let now = self.world.queue.now();
            self.world.history.push(now, client, call, Kind::Invoke { op: op.clone() });
            if let Some(it) = self.world.clients.get_mut(&client) {
                it.waits = Some(call);
            }
            let op = op.clone();
            self.world.queue.add(MILLI, Event::Request { client, store, call, op });
            // The client's own loop must not go on.
            self.world.closing = true;
            let end = now + SECOND;
            let done = move |world: &World<'_, P>| {
                world.clients.get(&client).is_none_or(|it| it.waits != Some(call))
            };
            let answered = self.world.run_until(end, done);
            if !self.expect(answered) {
                self.world.timed_out(client, call);
                continue;
            }
            if let Some(Kind::Ok { answer }) = self.world.history.events.last().map(|it| &it.kind) {
                return answer.clone();
            }
            self.pass(100 * MILLI);
        }
        panic!("seed {}: no answer to {}", self.world.scenario.seed, op.short());
    }

    /// Splits the stores; those that are in no group are alone.
    pub fn split(&mut self, groups: &[&[Place]]) {
        let together = |one: Place, other: Place| {
            groups.iter().any(|group| group.contains(&one) && group.contains(&other))
        };
        for from in 1..=self.world.scenario.stores {
            for to in 1..=self.world.scenario.stores {
                if from != to && !together(from, to) {
                    self.world.network.cut(from, to);
                }
            }
        }
    }

    /// Undoes all splits.
    pub fn heal(&mut self) {
        self.world.heal_network();
    }

    /// Lets the power of a store fail and come back.
    pub fn crash(&mut self, store: Place, down: Micros) {
        self.world.crash(store, down);
    }

    /// What a store holds for a key, whether it may serve it or not; none if it is down.
    ///
    /// # Panics
    /// If it cannot be read.
    #[must_use]
    pub fn peek(&self, store: Place, key: &str) -> Option<String> {
        let program = self.world.stores[&store].program.as_ref()?;
        program.peek(key).expect("what a running store holds can be read")
    }

    /// Applied entries in the longest log of a store.
    #[must_use]
    pub fn log_entries(&self, store: Place) -> u64 {
        self.world.stores[&store].program.as_ref().map_or(0, Process::log_entries)
    }

    /// Ends with peace, and judges what the client saw.
    ///
    /// # Panics
    /// If anything is wrong.
    pub fn end(mut self) {
        let disagreement = |script: &Script<'a, P>| script.world.disagreement();
        self.until("all stores agree", |script| disagreement(script).is_none());
        let failure = self.world.judge();
        assert!(failure.is_none(), "seed {}: {failure:?}", self.world.scenario.seed);
    }
}
