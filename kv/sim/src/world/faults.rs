//! How each fault is done.

use std::io;
use std::path::Path;

use rand::RngExt;
use rand::rngs::SmallRng;
use wal::{Failure as DiskFailure, FsOp};

use super::{Event, World};
use crate::disk::{Disk, Rot};
use crate::fault::{DiskOp, Fault, Planned, Target, Way};
use crate::marks::mark;
use crate::network::{Conditions, Place};
use crate::outcome::Failure;
use crate::process::{Admin, Process};
use crate::queue::Micros;
use crate::random::stream;
use crate::trace::What;

/// Numbers of members that come later: above those of the first.
const MEMBERS_FROM: u64 = 100;

impl<P: Process> World<'_, P> {
    pub(super) fn strike(&mut self, number: usize) -> Result<(), Failure> {
        let Planned { lasts, fault, .. } = self.scenario.faults[number];
        if self.peace {
            return Ok(());
        }
        self.stats.faults += 1;
        match fault {
            Fault::Crash { target } => {
                let store = self.resolve(target);
                self.compare_state(store)?;
                self.crash(store, lasts);
            }
            Fault::CrashInWork { target, operations } => {
                let store = self.resolve(target);
                self.note(store, true, || format!("will lose power in {operations} operations"));
                self.store(store).disk.fail_power_after(operations);
            }
            Fault::PowerCut => {
                mark("power fails everywhere");
                (1..=self.scenario.stores).for_each(|store| self.crash(store, lasts));
            }
            Fault::Pause { target } => {
                let (store, until) = (self.resolve(target), self.queue.now() + lasts);
                self.note(store, true, || format!("stands still for {} ms", lasts / 1000));
                self.store(store).paused_until = until;
            }
            Fault::DiskError { target, op, after } => {
                let store = self.resolve(target);
                self.note(store, true, || format!("will fail in a {op:?}"));
                let (op, failure) = match op {
                    DiskOp::Sync => (FsOp::SyncData, DiskFailure::Io),
                    DiskOp::Write => (FsOp::Write, DiskFailure::Torn),
                    DiskOp::Create => (FsOp::Create, DiskFailure::Io),
                };
                self.store(store).disk.fail_once(op, after, failure);
            }
            Fault::DiskFull { target, room } => {
                let store = self.resolve(target);
                self.note(store, true, || format!("has {room} bytes left on its disk"));
                self.store(store).disk.fill(Some(room));
                self.queue.add(lasts, Event::HealDisk { store });
            }
            Fault::Rot { store } => self.rot(store, lasts, number)?,
            Fault::Loss { store } => {
                mark("a store is lost for good");
                let it = self.store(store);
                it.lost = true;
                it.disk.wipe();
                self.crash(store, lasts);
            }
            Fault::Ambush { mark, operations } => {
                let now = self.queue.now();
                self.trace.add(now, || What::All {
                    text: format!("power will fail {operations} operations after: {}", mark.0),
                });
                self.stores.values_mut().for_each(|it| it.ambush = Some((mark.0, operations)));
            }
            Fault::Transfer { group, to } => self.ask_all(&Admin::Transfer { group, to })?,
            Fault::Member { group, store } => {
                let peer = MEMBERS_FROM + number as u64;
                self.ask_all(&Admin::Member { group, store, peer })?;
            }
            Fault::Split { .. }
            | Fault::Isolate { .. }
            | Fault::CutOne { .. }
            | Fault::Clog { .. }
            | Fault::Weather { .. } => self.strike_network(fault, lasts),
        }
        Ok(())
    }

    /// Asks every store that runs to do what an operator wants; who leads does it.
    fn ask_all(&mut self, admin: &Admin) -> Result<(), Failure> {
        let now = self.queue.now();
        self.trace.add(now, || What::All { text: format!("operator: {admin:?}") });
        for store in 1..=self.scenario.stores {
            let clock = self.stores[&store].clock.read(now);
            if self.stores[&store].paused_until <= now {
                self.with(store, |program| program.admin(admin, clock))?;
            }
        }
        Ok(())
    }

    fn strike_network(&mut self, fault: Fault, lasts: Micros) {
        let now = self.queue.now();
        self.trace.add(now, || What::All { text: format!("network: {fault:?}") });
        let all = 1..=self.scenario.stores;
        match fault {
            Fault::Split { side } => {
                let second = |store: Place| side >> store & 1 == 1;
                for from in all.clone() {
                    for to in all.clone().filter(|to| second(*to) != second(from)) {
                        self.network.cut(from, to);
                    }
                }
            }
            Fault::Isolate { target, way, clients } => {
                let store = self.resolve(target);
                let mut others: Vec<Place> = all.filter(|other| *other != store).collect();
                if clients {
                    others.extend(self.clients.keys());
                }
                for other in others {
                    if way != Way::In {
                        self.network.cut(store, other);
                    }
                    if way != Way::Out {
                        self.network.cut(other, store);
                    }
                }
            }
            Fault::CutOne { from, to } => self.network.cut(from, to),
            Fault::Clog { from, to } => self.network.clog(from, to, now + lasts),
            Fault::Weather { conditions } => self.network.conditions = conditions,
            _ => {}
        }
        self.network_faults += 1;
        self.queue.add(lasts, Event::HealNetwork { number: self.network_faults });
    }

    /// The network is as it usually is.
    pub(super) fn heal_network(&mut self) {
        let now = self.queue.now();
        self.trace.add(now, || What::All { text: "the network heals".to_owned() });
        self.network.heal();
        self.network.conditions = if self.peace { Conditions::GOOD } else { self.scenario.network };
    }

    fn resolve(&self, target: Target) -> Place {
        match target {
            Target::Store(store) => store,
            Target::Leader => {
                let leads = |program: &P| program.is_leader();
                let leader =
                    self.stores.iter().find(|(_, it)| it.program.as_ref().is_some_and(leads));
                leader.map_or(1, |(store, _)| *store)
            }
        }
    }

    /// A store loses power, and before it comes back a part of its disk is damaged.
    fn rot(&mut self, store: Place, lasts: Micros, number: usize) -> Result<(), Failure> {
        let mut rng = stream(self.scenario.seed, "rot", number as u64);
        self.crash(store, lasts);
        let folders = P::folders();
        let folder = folders[rng.random_range(0..folders.len())];
        let rot = rot_noticeably::<P>(&mut self.store(store).disk, &mut rng, Path::new(folder));
        let rot = rot.map_err(|error| Failure::Panic { message: error.to_string() })?;
        if let Some(rot) = rot {
            self.store(store).damaged = true;
            mark("a disk rots");
            self.note(store, true, || format!("its disk rots in {}", rot.path.display()));
        }
        Ok(())
    }
}

/// Lets a disk rot, but not so that the end of a log is gone: that looks like a write which the
/// failing power tore, and nobody claims to notice it.
fn rot_noticeably<P: Process>(
    disk: &mut Disk,
    rng: &mut SmallRng,
    folder: &Path,
) -> io::Result<Option<Rot>> {
    let before = P::log_end(disk.fs());
    let Some(rot) = disk.rot(rng, folder)? else { return Ok(None) };
    match (before, P::log_end(disk.fs())) {
        (Some(before), Some(after)) if after < before => {
            disk.undo(&rot)?;
            Ok(None)
        }
        _ => Ok(Some(rot)),
    }
}
