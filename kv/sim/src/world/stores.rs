//! Starting, stopping and driving the programs of stores.

use rand::RngExt;

use super::{Event, Store, World};
use crate::invariants::Broken;
use crate::marks::{self, mark};
use crate::network::Place;
use crate::outcome::Failure;
use crate::process::{Deed, Lane, Output, Process, Setup};
use crate::queue::{MILLI, Micros, SECOND};

impl<P> Store<P> {
    /// Lets the power fail if the program leaves the mark of an ambush.
    fn lie_in_wait(&self) {
        if let Some((mark, operations)) = self.ambush {
            self.disk.fail_power_at(mark, operations);
        }
    }

    /// Ends what [`Store::lie_in_wait`] began.
    fn strike_no_more(&mut self) {
        if !mark::disarm() && self.ambush.take().is_some() {
            marks::mark("power fails at a mark");
        }
    }
}

impl<P: Process> World<'_, P> {
    /// Starts the program of a store on its disk.
    pub(super) fn start(&mut self, store: Place) -> Result<(), Failure> {
        let (now, scenario) = (self.queue.now(), self.scenario);
        let it = self.store(store);
        if it.program.is_some() || it.lost {
            return Ok(());
        }
        let setup = Setup {
            seed: scenario.seed,
            store,
            stores: scenario.stores,
            life: it.life,
            features: &scenario.features,
            clock: it.clock.read(now),
        };
        it.life += 1;
        it.lie_in_wait();
        let started = P::start(&setup, it.disk.fs());
        it.strike_no_more();
        match started {
            Ok(program) => it.program = Some(program),
            Err(why) => return self.did_not_start(store, why),
        }
        let (life, tick) = (it.life, it.clock.lasts(scenario.tick));
        self.note(store, false, || "starts".to_owned());
        if self.stores[&store].disk.power_failed() {
            return self.settle(store);
        }
        let states = self.states(store)?;
        self.invariants.restarted(store, &states);
        for state in &states {
            self.invariants.check_state(store, state)?;
        }
        let first = self.chance.random_range(0..=tick);
        self.queue.add(first, Event::Tick { store, life });
        self.settle(store)
    }

    fn did_not_start(&mut self, store: Place, why: String) -> Result<(), Failure> {
        let it = self.store(store);
        if it.disk.power_failed() {
            self.crash(store, 100 * MILLI);
            return Ok(());
        }
        if it.damaged {
            // It knows of the damage and stays down, which is right.
            it.lost = true;
            mark("refuses a damaged disk");
            self.note(store, true, || format!("does not start on a damaged disk: {why}"));
            return Ok(());
        }
        self.stats.failed_starts += 1;
        self.note(store, true, || format!("does not start: {why}"));
        if self.peace && self.stats.failed_starts > 1_000 {
            return Err(Failure::NotLive { what: format!("store {store} does not start: {why}") });
        }
        let life = self.stores[&store].life;
        self.queue.add(SECOND / 2, Event::Start { store, life });
        Ok(())
    }

    fn states(&mut self, store: Place) -> Result<Vec<crate::process::State>, Failure> {
        let program = self.stores[&store].program.as_ref();
        let states = program.map_or(Ok(Vec::new()), Process::states);
        states.map_err(|why| Failure::Panic { message: format!("store {store}: {why}") })
    }

    /// Compares the state of a store with those of the others at the same index.
    pub(super) fn compare_state(&mut self, store: Place) -> Result<(), Failure> {
        for state in &self.states(store)? {
            self.invariants.check_state(store, state)?;
        }
        Ok(())
    }

    pub(super) fn tick(&mut self, store: Place, life: u32) -> Result<(), Failure> {
        let (now, tick) = (self.queue.now(), self.scenario.tick);
        let it = self.store(store);
        if it.life != life || it.program.is_none() {
            return Ok(());
        }
        let next = it.clock.lasts(tick).max(it.paused_until.saturating_sub(now));
        let paused = it.paused_until > now;
        let clock = it.clock.read(now);
        self.queue.add(next, Event::Tick { store, life });
        if paused {
            return Ok(());
        }
        self.with(store, |program| program.tick(clock))
    }

    pub(super) fn work(&mut self, store: Place, life: u32, lane: Lane) -> Result<(), Failure> {
        let it = &self.stores[&store];
        if it.life != life {
            return Ok(());
        }
        let wait = it.paused_until.saturating_sub(self.queue.now());
        if wait > 0 {
            self.queue.add(wait, Event::Work { store, life, lane });
            return Ok(());
        }
        self.with(store, |program| program.work(lane))
    }

    /// Does something to a program, if it runs, and then what it wants.
    pub(super) fn with(&mut self, store: Place, what: impl FnOnce(&mut P)) -> Result<(), Failure> {
        let it = self.store(store);
        it.lie_in_wait();
        if let Some(program) = &mut it.program {
            what(program);
        }
        it.strike_no_more();
        self.settle(store)
    }

    /// Does what a program wants.
    pub(super) fn settle(&mut self, store: Place) -> Result<(), Failure> {
        let it = self.store(store);
        let Some(program) = &mut it.program else { return Ok(()) };
        let output = program.output();
        if it.disk.power_failed() {
            // What it wanted after the power failed never left it.
            mark("power fails in the middle of work");
            let down = self.chance.random_range(MILLI..SECOND);
            self.crash(store, down);
            return Ok(());
        }
        let Output { messages, replies, work, facts, notes, alarms, stopped } = output;
        for note in notes {
            self.note(store, false, || note);
        }
        let may_complain = self.stores[&store].damaged;
        if let Some(alarm) = alarms.into_iter().find(|_| !may_complain) {
            let detail = format!("store {store}: {alarm}");
            return Err(Broken { name: "no alarm", detail }.into());
        }
        for fact in facts {
            self.remember(store, fact.deed);
            self.invariants.check(store, fact)?;
        }
        for (to, message) in messages {
            self.send(store, to, message);
        }
        for (call, reply) in replies {
            self.answer(store, call, reply)?;
        }
        for lane in work {
            self.plan_work(store, lane);
        }
        if let Some(why) = stopped {
            mark("a program stops by itself");
            self.note(store, true, || format!("stops: {why}"));
            self.stats.stops += 1;
            self.crash(store, SECOND / 2);
        }
        Ok(())
    }

    fn remember(&mut self, store: Place, deed: Deed) {
        match deed {
            Deed::Leads { term } => {
                self.stats.elections += 1;
                self.note(store, false, || format!("leads in term {term}"));
            }
            Deed::Restored { index } => {
                mark("a snapshot is installed");
                self.note(store, false, || format!("restored by a snapshot up to {index}"));
            }
            Deed::Compacted { index } => {
                mark("a log is compacted");
                self.note(store, false, || format!("cuts off its log up to {index}"));
            }
            Deed::Gone => {
                mark("a member leaves for good");
                self.note(store, false, || "has left the group".to_owned());
            }
            Deed::Appended { .. } | Deed::Committed { .. } | Deed::Applied { .. } => {}
        }
    }

    /// A piece of work takes its time, after those before it in the lane.
    fn plan_work(&mut self, store: Place, lane: Lane) {
        let now = self.queue.now();
        let (shortest, longest) = self.scenario.work[lane as usize];
        let longest = if self.peace { longest.min(5 * MILLI) } else { longest };
        let takes = self.chance.random_range(shortest.min(longest)..=longest);
        let it = self.store(store);
        let busy = it.busy.entry(lane).or_default();
        *busy = (*busy).max(now) + takes;
        let (delay, life) = (*busy - now, it.life);
        self.queue.add(delay, Event::Work { store, life, lane });
    }

    /// The power of a store fails, and comes back after a while.
    pub(super) fn crash(&mut self, store: Place, down: Micros) {
        let seed = self.chance.random();
        self.note(store, true, || "crashes".to_owned());
        self.stats.crashes += 1;
        let it = self.store(store);
        it.program = None;
        it.life += 1;
        it.calls.clear();
        it.busy.clear();
        it.paused_until = 0;
        it.disk.crash(seed);
        let life = it.life;
        if !it.lost {
            self.queue.add(down, Event::Start { store, life });
        }
    }
}
