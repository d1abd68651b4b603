//! The second half of a run: faults have ended, and the stores that are left must come together.
//!
//! A run without it finds only what must never happen. What must happen at last (an election is
//! won, a lagging store catches up, every client is served) needs a time in which nothing more goes
//! wrong. What is broken for good stays so: a minority may be away for ever.

use std::collections::BTreeMap;

use rand::RngExt;

use super::World;
use crate::network::Place;
use crate::outcome::Failure;
use crate::process::{Process, State};
use crate::queue::{Micros, SECOND};
use crate::trace::What;

impl<P: Process> World<'_, P> {
    /// Ends all faults, lets clients read every key, and demands that all that run agree.
    pub(super) fn make_peace(&mut self) -> Result<(), Failure> {
        let now = self.queue.now();
        self.trace.add(now, || What::All { text: "faults end".to_owned() });
        self.peace = true;
        self.choose_who_stays();
        self.heal_network();
        for store in 1..=self.scenario.stores {
            let it = self.store(store);
            it.disk.heal();
            it.paused_until = 0;
            it.ambush = None;
            self.start(store)?;
        }
        let end = now + self.scenario.patience;
        // Clients go on for a while, so that progress is not only in reading.
        let served = self.stats.answered;
        let mut until = now;
        while self.stats.answered < served + self.scenario.clients.count {
            self.be_patient(until, end, "clients are served")?;
            until += SECOND / 4;
            self.run_until(until, |_| false)?;
        }
        self.read_all(end)?;
        let agree = |world: &World<'_, P>| world.disagreement().is_none();
        let mut until = self.queue.now();
        while !agree(self) {
            self.be_patient(until, end, "stores agree")?;
            until += SECOND / 4;
            self.run_until(until, |_| false)?;
        }
        for store in self.running() {
            self.compare_state(store)?;
        }
        Ok(())
    }

    fn be_patient(&self, now: Micros, end: Micros, what: &str) -> Result<(), Failure> {
        if now <= end {
            return Ok(());
        }
        if let Some(what) = self.beyond_repair() {
            return Err(Failure::BeyondRepair { what });
        }
        let why = self.disagreement().unwrap_or_else(|| "all stores agree".to_owned());
        Err(Failure::NotLive { what: format!("not before time is up: {what}; {why}") })
    }

    /// Lets a minority be lost, in some scenarios.
    fn choose_who_stays(&mut self) {
        let stores = self.scenario.stores;
        let lost = self.stores.values().filter(|it| it.lost || it.damaged).count() as u64;
        let may_go = ((stores - 1) / 2).saturating_sub(lost);
        if !self.scenario.minority_stays_away {
            return;
        }
        for _ in 0..may_go {
            let store = self.chance.random_range(1..=stores);
            if !self.stores[&store].lost {
                self.crash(store, 0);
                self.store(store).lost = true;
            }
        }
    }

    /// Lets each client read each key, until it has an answer.
    fn read_all(&mut self, end: Micros) -> Result<(), Failure> {
        self.closing = true;
        let keys: Vec<String> =
            (0..self.scenario.clients.keys).map(|key| format!("k{key}")).collect();
        let idle: Vec<Place> = self.clients.keys().copied().collect();
        for client in idle {
            if let Some(it) = self.clients.get_mut(&client) {
                it.left.clone_from(&keys);
            }
        }
        let done = |world: &World<'_, P>| {
            world.clients.values().all(|client| client.left.is_empty() && client.waits.is_none())
        };
        match self.run_until(end, done)? {
            true => Ok(()),
            false => self.be_patient(end + 1, end, "clients have read all keys"),
        }
    }

    fn running(&self) -> Vec<Place> {
        self.stores.iter().filter(|(_, it)| it.program.is_some()).map(|(store, _)| *store).collect()
    }

    /// The stores that run and have a log of a group.
    fn holders(&self, group: u64) -> impl Iterator<Item = Place> + '_ {
        let has = move |program: &P| program.logs().iter().any(|log| log.group == group);
        let running = self.stores.iter().filter(|(_, it)| !it.lost);
        running.filter(move |(_, it)| it.program.as_ref().is_some_and(has)).map(|(id, _)| *id)
    }

    /// How the stores differ that should agree: none if all is as it should be.
    pub(super) fn disagreement(&self) -> Option<String> {
        let mut all: BTreeMap<(u64, Place), State> = BTreeMap::new();
        for (store, it) in self.stores.iter().filter(|(_, it)| !it.lost) {
            let Some(program) = &it.program else { return Some(format!("store {store} is down")) };
            match program.states() {
                Ok(states) => all.extend(states.into_iter().map(|it| ((it.group, *store), it))),
                Err(why) => return Some(format!("store {store}: {why}")),
            }
        }
        let mut newest: BTreeMap<u64, (Place, &State)> = BTreeMap::new();
        for ((group, store), state) in &all {
            let first = newest.entry(*group).or_insert((*store, state));
            if state.applied > first.1.applied {
                *first = (*store, state);
            }
        }
        for (group, (store, state)) in newest {
            if let Some(store) = self.holders(group).find(|it| !state.members.contains(it)) {
                return Some(format!(
                    "store {store} has group {group}, and is no member: {state:?}"
                ));
            }
            let stays = |member: &&Place| self.stores.get(member).is_some_and(|it| !it.lost);
            for member in state.members.iter().filter(stays) {
                let its = all.get(&(group, *member));
                if its != Some(state) {
                    return Some(format!(
                        "stores {store} and {member} are at {state:?} and {its:?}"
                    ));
                }
            }
        }
        None
    }
}
