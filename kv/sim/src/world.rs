//! The world: stores, clients, the network and the disks between them, faults, and time.
//!
//! ```text
//!   queue ──> event ──> store ──> output: messages, replies, work, facts
//!     ^                                      │         │       │      └─> invariants
//!     └──────── network, disk: delays <──────┴─────────┴───────┘
//! ```
//!
//! One thread, one queue, one seed. First faults go on for a while and every step is checked; then
//! the world heals and the stores that are left must come together in time; at last the history of
//! the clients is judged.

mod faults;
mod peace;
mod repair;
pub(crate) mod script;
mod stores;
mod talk;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::client::Client;
use crate::clock::Clock;
use crate::disk::Disk;
use crate::history::{History, Op};
use crate::invariants::{Broken, Invariants};
use crate::linear::{self, Verdict};
use crate::marks;
use crate::network::{Network, Place};
use crate::outcome::{Failure, Report, Stats};
use crate::process::{Lane, Process, Reply};
use crate::queue::{Micros, Queue};
use crate::random::stream;
use crate::scenario::Scenario;
use crate::trace::{Trace, What};

/// Something that will happen.
enum Event<M> {
    Tick { store: Place, life: u32 },
    Deliver { from: Place, to: Place, sent: Micros, message: M },
    Request { client: Place, store: Place, call: u64, op: Op },
    Reply { store: Place, client: Place, call: u64, reply: Reply },
    Work { store: Place, life: u32, lane: Lane },
    Start { store: Place, life: u32 },
    Client { client: Place },
    TimedOut { client: Place, call: u64 },
    Fault { number: usize },
    HealNetwork { number: u64 },
    HealDisk { store: Place },
}

/// A store: its disk, its clock, and its program while it runs.
struct Store<P> {
    disk: Disk,
    clock: Clock,
    program: Option<P>,
    /// Counts starts; what was meant for an earlier life does not happen.
    life: u32,
    paused_until: Micros,
    /// Gone for good.
    lost: bool,
    /// Its disk was damaged while it was down: that it does not start is no failure of the program.
    damaged: bool,
    /// Its power fails this many operations after it leaves this mark.
    ambush: Option<(&'static str, u64)>,
    /// Calls it has not answered, and who waits.
    calls: BTreeMap<u64, Place>,
    /// When the last piece of work of each lane is done.
    busy: BTreeMap<Lane, Micros>,
}

/// A run of a program in a scenario.
struct World<'a, P: Process> {
    scenario: &'a Scenario,
    queue: Queue<Event<P::Message>>,
    network: Network,
    stores: BTreeMap<Place, Store<P>>,
    clients: BTreeMap<Place, Client>,
    history: History,
    invariants: Invariants,
    trace: Trace,
    stats: Stats,
    calls: u64,
    /// Faults have ended.
    peace: bool,
    /// Clients make no new calls but those at the end.
    closing: bool,
    /// Counts what was done to the network, so that an end of an old fault is known as such.
    network_faults: u64,
    chance: rand::rngs::SmallRng,
}

/// Runs a scenario. `keeps_trace` is for those who want to look: the run is the same without.
pub fn run<P: Process>(scenario: &Scenario, keeps_trace: bool) -> Report {
    marks::begin();
    let mut world: World<'_, P> = World::new(scenario, keeps_trace);
    let ran = catch_unwind(AssertUnwindSafe(|| world.run()));
    let failure = match ran {
        Ok(Ok(())) => world.judge(),
        Ok(Err(Failure::BeyondRepair { what })) => {
            world.stats.beyond_repair = 1;
            let now = world.queue.now();
            world.trace.add(now, || What::All { text: format!("beyond repair: {what}") });
            world.judge()
        }
        Ok(Err(failure)) => Some(failure),
        Err(panic) => Some(Failure::Panic { message: message_of(&*panic) }),
    };
    world.stats.entries = world.invariants.applied();
    world.stats.virtual_micros = world.queue.now();
    let programs = world.stores.values().filter_map(|it| it.program.as_ref());
    world.stats.log_entries = programs.map(Process::log_entries).max().unwrap_or(0);
    Report {
        failure,
        trace_hash: world.trace.hash(),
        stats: world.stats,
        history: world.history,
        trace: world.trace,
        marks: marks::end(),
    }
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
}

impl<'a, P: Process> World<'a, P> {
    fn new(scenario: &'a Scenario, keeps_trace: bool) -> World<'a, P> {
        let seed = scenario.seed;
        let stores = (1..=scenario.stores).map(|store| {
            let new = Store {
                disk: Disk::new(),
                clock: scenario.clock(store),
                program: None,
                life: 0,
                paused_until: 0,
                lost: false,
                damaged: false,
                ambush: None,
                calls: BTreeMap::new(),
                busy: BTreeMap::new(),
            };
            (store, new)
        });
        let clients = (0..scenario.clients.count).map(|number| {
            let client = Client::new(seed, number, scenario.stores);
            (client.place, client)
        });
        World {
            scenario,
            queue: Queue::new(),
            network: Network::new(stream(seed, "network", 0), scenario.network),
            stores: stores.collect(),
            clients: clients.collect(),
            history: History::default(),
            invariants: Invariants::default(),
            trace: Trace::new(keeps_trace),
            stats: Stats::default(),
            calls: 0,
            peace: false,
            closing: false,
            network_faults: 0,
            chance: stream(seed, "world", 0),
        }
    }

    fn run(&mut self) -> Result<(), Failure> {
        for store in 1..=self.scenario.stores {
            self.start(store)?;
        }
        for (number, client) in self.clients.keys().copied().enumerate().collect::<Vec<_>>() {
            self.queue.add(number as u64 * 777, Event::Client { client });
        }
        for (number, planned) in self.scenario.faults.iter().enumerate() {
            self.queue.add(planned.at, Event::Fault { number });
        }
        self.run_until(self.scenario.duration, |_| false)?;
        self.make_peace()
    }

    /// Lets things happen until a time, or until something is so. Says whether it became so.
    fn run_until(
        &mut self,
        end: Micros,
        done: impl Fn(&World<'a, P>) -> bool,
    ) -> Result<bool, Failure> {
        while let Some(event) = self.queue.next_until(end) {
            self.stats.steps += 1;
            let most = self.scenario.steps_max;
            if self.stats.steps > most {
                return Err(Failure::Endless { steps: most });
            }
            self.happen(event)?;
            if done(self) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn happen(&mut self, event: Event<P::Message>) -> Result<(), Failure> {
        self.count(&event);
        match event {
            Event::Tick { store, life } => self.tick(store, life),
            Event::Deliver { from, to, sent, message } => self.deliver(from, to, sent, message),
            Event::Request { client, store, call, op } => self.request(client, store, call, &op),
            Event::Reply { store, client, call, reply } => {
                self.reply(store, client, call, reply);
                Ok(())
            }
            Event::Work { store, life, lane } => self.work(store, life, lane),
            Event::Start { store, life } => {
                let waits = self.stores[&store].life == life;
                if waits { self.start(store) } else { Ok(()) }
            }
            Event::Client { client } => {
                self.call(client);
                Ok(())
            }
            Event::TimedOut { client, call } => {
                self.timed_out(client, call);
                Ok(())
            }
            Event::Fault { number } => self.strike(number),
            Event::HealNetwork { number } => {
                if number == self.network_faults {
                    self.heal_network();
                }
                Ok(())
            }
            Event::HealDisk { store } => {
                self.note(store, true, || "has room on its disk again".to_owned());
                self.store(store).disk.heal();
                Ok(())
            }
        }
    }

    /// Mixes an event into the hash of the trace.
    fn count(&mut self, event: &Event<P::Message>) {
        let now = self.queue.now();
        let numbers = match event {
            Event::Tick { store, life } => [1, *store, u64::from(*life), 0],
            Event::Deliver { from, to, message, .. } => [2, *from, *to, P::digest(message)],
            Event::Request { client, store, call, .. } => [3, *client, *store, *call],
            Event::Reply { store, client, call, .. } => [4, *store, *client, *call],
            Event::Work { store, life, lane } => [5, *store, u64::from(*life), *lane as u64],
            Event::Start { store, life } => [6, *store, u64::from(*life), 0],
            Event::Client { client } => [7, *client, 0, 0],
            Event::TimedOut { client, call } => [8, *client, *call, 0],
            Event::Fault { number } => [9, *number as u64, 0, 0],
            Event::HealNetwork { number } => [10, *number, 0, 0],
            Event::HealDisk { store } => [11, *store, 0, 0],
        };
        self.trace.count(&[now]);
        self.trace.count(&numbers);
    }

    fn store(&mut self, store: Place) -> &mut Store<P> {
        self.stores.get_mut(&store).expect("stores are there from the start")
    }

    fn note(&mut self, place: Place, fault: bool, text: impl FnOnce() -> String) {
        let now = self.queue.now();
        self.trace.add(now, || What::Note { place, fault, text: text() });
    }

    /// Judges what the clients saw.
    fn judge(&mut self) -> Option<Failure> {
        let calls = match self.history.calls() {
            Ok(calls) => calls,
            Err(error) => return Some(Failure::Panic { message: error.to_string() }),
        };
        match linear::check(&calls, linear::Options { steps_max: 3_000_000 }) {
            Verdict::Linearizable => None,
            Verdict::Violation(violation) => Some(Failure::NotLinearizable(violation)),
            Verdict::Unknown { keys } => Some(Failure::TooHard { keys }),
        }
    }
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Failure {
        Failure::Invariant(broken)
    }
}
