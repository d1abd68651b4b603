//! A disk that forgets what was not synced, or all but a beginning of it.

use rand::RngExt;
use rand::rngs::SmallRng;
use tinykv_raft::{
    Entries, Entry, HardState, Index, MemStorage, Membership, Ready, Snapshot, Storage,
};

/// One write, which happens wholly or not at all.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Snapshot(Snapshot),
    /// The term and the vote of a hard state.
    TermAndVote(HardState),
    /// The commit index, which must not be durable before the entries that it covers.
    Commit(Index),
    Entries(Entries),
    Repair(Entry),
}

/// The state machine: it remembers a hash of all commands in order. It is durable at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    pub(crate) applied: Index,
    pub(crate) hash: u64,
    pub(crate) membership: Membership,
}

/// What survives a crash, and what may not.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// What is synced.
    pub(crate) durable: MemStorage,
    pub(crate) machine: Machine,
    /// What is written and not synced: the number of the portion, and the write.
    unsynced: Vec<(u64, Write)>,
}

impl Machine {
    pub(crate) fn of(snapshot: &Snapshot) -> Machine {
        let hash = snapshot.data.first_chunk().copied().map_or(0, u64::from_le_bytes);
        Machine { applied: snapshot.last.index, hash, membership: snapshot.membership.clone() }
    }
}

/// Splits a portion into its writes, in the order in which they may become durable.
pub(crate) fn writes_of(ready: &Ready) -> Vec<Write> {
    let mut writes: Vec<Write> = ready.snapshot.clone().map(Write::Snapshot).into_iter().collect();
    writes.extend(ready.hard_state.map(Write::TermAndVote));
    writes.extend(ready.repaired.iter().cloned().map(Write::Repair));
    writes.extend(ready.entries.iter().cloned().map(Write::Entries));
    writes.extend(ready.hard_state.map(|state| Write::Commit(state.commit)));
    writes
}

/// Carries a write out.
pub(crate) fn write(storage: &mut MemStorage, write: &Write) {
    match write {
        Write::Snapshot(snapshot) => storage.install_snapshot(snapshot.clone()),
        Write::TermAndVote(state) => {
            let commit = storage.hard_state().commit;
            storage.set_hard_state(HardState { commit, ..*state });
        }
        Write::Commit(commit) => {
            let state = storage.hard_state();
            storage.set_hard_state(HardState { commit: *commit, ..state });
        }
        Write::Entries(entries) => storage.append(entries),
        Write::Repair(entry) => storage.repair(entry),
    }
}

impl Disk {
    pub(crate) fn founding(snapshot: &Snapshot) -> Disk {
        Disk {
            durable: MemStorage::with_snapshot(snapshot.clone()),
            machine: Machine::of(snapshot),
            unsynced: Vec::new(),
        }
    }

    pub(crate) fn remember(&mut self, number: u64, writes: Vec<Write>) {
        self.unsynced.extend(writes.into_iter().map(|write| (number, write)));
    }

    /// Makes the portions up to `number` durable.
    pub(crate) fn sync(&mut self, number: u64) {
        let count = self.unsynced.iter().take_while(|(portion, _)| *portion <= number).count();
        self.keep(count);
    }

    /// Loses what was not synced, but for a beginning of it.
    pub(crate) fn crash(&mut self, rng: &mut SmallRng) {
        let count = rng.random_range(0..=self.unsynced.len());
        self.keep(count);
        self.unsynced.clear();
    }

    fn keep(&mut self, count: usize) {
        for (_, done) in self.unsynced.drain(..count) {
            if let Write::Snapshot(snapshot) = &done
                && snapshot.last.index > self.machine.applied
            {
                self.machine = Machine::of(snapshot);
            }
            write(&mut self.durable, &done);
        }
    }

    /// Marks one durable entry as damaged, often one that is not applied.
    pub(crate) fn damage(&mut self, rng: &mut SmallRng) {
        let (mut first, last) = (self.durable.first_index(), self.durable.last_index());
        if self.machine.applied < last && rng.random_bool(0.7) {
            first = first.max(self.machine.applied.next());
        }
        if first <= last {
            self.durable.damage(Index(rng.random_range(first.0..=last.0)));
        }
    }
}
