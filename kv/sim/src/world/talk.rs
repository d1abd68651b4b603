//! Messages between stores, and what clients and stores say to each other.

use rand::RngExt;

use super::{Event, World};
use crate::history::{Kind, Op};
use crate::marks::mark;
use crate::network::Place;
use crate::outcome::Failure;
use crate::process::{Process, Reply};
use crate::queue::{MILLI, Micros};
use crate::trace::What;

impl<P: Process> World<'_, P> {
    pub(super) fn send(&mut self, from: Place, to: Place, mut message: P::Message) {
        let now = self.queue.now();
        self.stats.messages += 1;
        let damage = if self.peace { 0 } else { self.scenario.damage };
        if damage > 0
            && self.chance.random_range(0..1000) < damage
            && P::damage(&mut message, &mut self.chance)
        {
            mark("a message is damaged");
        }
        let arrivals = self.network.send(now, from, to);
        if arrivals.delays[0].is_none() {
            self.trace.add(now, || {
                let text = P::describe(&message);
                What::Message { from, to, sent: now, arrived: false, text }
            });
        }
        if let Some(delay) = arrivals.delays[1] {
            let message = message.clone();
            self.queue.add(delay, Event::Deliver { from, to, sent: now, message });
        }
        if let Some(delay) = arrivals.delays[0] {
            self.queue.add(delay, Event::Deliver { from, to, sent: now, message });
        }
    }

    pub(super) fn deliver(
        &mut self,
        from: Place,
        to: Place,
        sent: Micros,
        message: P::Message,
    ) -> Result<(), Failure> {
        let now = self.queue.now();
        let Some(it) = self.stores.get(&to) else { return Ok(()) };
        let wait = it.paused_until.saturating_sub(now);
        if wait > 0 {
            // It finds its messages when it goes on.
            self.queue.add(wait, Event::Deliver { from, to, sent, message });
            return Ok(());
        }
        let (arrived, clock) = (it.program.is_some(), it.clock.read(now));
        self.trace.add(now, || {
            let text = P::describe(&message);
            What::Message { from, to, sent, arrived, text }
        });
        self.with(to, |program| program.receive(message, clock))
    }

    /// A client begins a call.
    pub(super) fn call(&mut self, client: Place) {
        let (now, scenario) = (self.queue.now(), self.scenario);
        let Some(it) = self.clients.get_mut(&client) else { return };
        let op = match (self.closing, it.left.last()) {
            (true, None) => return,
            (true, Some(key)) => Op::Get { key: key.clone() },
            (false, _) => it.draw(&scenario.clients),
        };
        let key = op.keys().next().unwrap_or_default();
        let group = P::group(&scenario.features, key);
        let store = it.choose(group, &scenario.clients, scenario.stores);
        self.calls += 1;
        let call = self.calls;
        it.waits = Some(call);
        self.stats.calls += 1;
        self.history.push(now, client, call, Kind::Invoke { op: op.clone() });
        self.note(client, false, || op.short());
        self.queue.add(scenario.clients.timeout, Event::TimedOut { client, call });
        if let Some(delay) = self.network.send(now, client, store).delays[0] {
            self.queue.add(delay, Event::Request { client, store, call, op });
        }
    }

    pub(super) fn request(
        &mut self,
        client: Place,
        store: Place,
        call: u64,
        op: &Op,
    ) -> Result<(), Failure> {
        let now = self.queue.now();
        let it = self.store(store);
        let wait = it.paused_until.saturating_sub(now);
        if wait > 0 {
            let op = op.clone();
            self.queue.add(wait, Event::Request { client, store, call, op });
            return Ok(());
        }
        let clock = it.clock.read(now);
        if it.program.is_none() {
            let why = "the connection is refused".to_owned();
            self.tell(store, client, call, Reply::Refused { why, leader: None });
            return Ok(());
        }
        it.calls.insert(call, client);
        self.with(store, |program| program.request(call, op, clock))
    }

    /// A store answers a call.
    pub(super) fn answer(&mut self, store: Place, call: u64, reply: Reply) -> Result<(), Failure> {
        match self.store(store).calls.remove(&call) {
            Some(client) => {
                self.tell(store, client, call, reply);
                Ok(())
            }
            None => Err(Failure::Invariant(crate::invariants::Broken {
                name: "each call is answered once",
                detail: format!("store {store} answers call {call}, which is not open: {reply:?}"),
            })),
        }
    }

    fn tell(&mut self, store: Place, client: Place, call: u64, reply: Reply) {
        let now = self.queue.now();
        if let Some(delay) = self.network.send(now, store, client).delays[0] {
            self.queue.add(delay, Event::Reply { store, client, call, reply });
        }
    }

    /// A client hears of its call.
    pub(super) fn reply(&mut self, store: Place, client: Place, call: u64, reply: Reply) {
        let (now, stores) = (self.queue.now(), self.scenario.stores);
        let Some(it) = self.clients.get_mut(&client).filter(|it| it.waits == Some(call)) else {
            return;
        };
        it.waits = None;
        let mut pause = it.rng.random_range(0..=self.scenario.clients.think);
        let kind = match reply {
            Reply::Done(answer) => {
                it.prefers(store);
                if self.closing {
                    it.left.pop();
                }
                self.stats.answered += 1;
                Kind::Ok { answer }
            }
            Reply::Refused { why, leader } => {
                it.turn_to(leader, stores);
                pause += 10 * MILLI;
                Kind::Fail { why }
            }
            Reply::Unknown { why } => {
                it.turn_to(None, stores);
                Kind::Info { why }
            }
        };
        self.trace.add(now, || {
            let text = match &kind {
                Kind::Ok { answer } => format!("is told {}", answer.short()),
                Kind::Fail { why } => format!("is refused: {why}"),
                Kind::Info { why } => format!("does not know: {why}"),
                Kind::Invoke { .. } => String::new(),
            };
            What::Note { place: client, fault: false, text }
        });
        self.history.push(now, client, call, kind);
        self.queue.add(pause, Event::Client { client });
    }

    pub(super) fn timed_out(&mut self, client: Place, call: u64) {
        let (now, stores) = (self.queue.now(), self.scenario.stores);
        let Some(it) = self.clients.get_mut(&client).filter(|it| it.waits == Some(call)) else {
            return;
        };
        it.waits = None;
        it.turn_to(None, stores);
        self.stats.timeouts += 1;
        self.note(client, false, || "waits no longer".to_owned());
        self.history.push(now, client, call, Kind::Info { why: "no answer in time".to_owned() });
        self.queue.add(0, Event::Client { client });
    }
}
