//! Linearizable reads of a region: [`Reads`].
//!
//! Reads that come between two outputs share one question to the raft group. Once it is confirmed
//! they wait until as much is applied, and go out.

use std::collections::BTreeMap;

use mark::mark;
use proto::peer::{Epoch, RegionError};
use raft::Index;

use crate::proposals::{Failed, Tag};

/// A read that waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) tag: Tag,
    /// The region's epoch that it was checked against.
    pub(crate) epoch: Epoch,
}

/// The reads of a region that are not answered.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    /// Not asked yet.
    gathered: Vec<Waiting>,
    /// Asked, by the raft group's name of the question.
    asked: BTreeMap<u64, Vec<Waiting>>,
    /// Confirmed: to be read when this index is applied.
    confirmed: Vec<(Index, Vec<Waiting>)>,
    len: usize,
}

impl Reads {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn gather(&mut self, read: Waiting) {
        self.len += 1;
        self.gathered.push(read);
    }

    /// Whether there are reads to ask for.
    pub(crate) fn has_gathered(&self) -> bool {
        !self.gathered.is_empty()
    }

    /// Notes that all that has gathered is asked for under a name.
    pub(crate) fn asked(&mut self, token: u64) {
        let gathered = std::mem::take(&mut self.gathered);
        self.asked.insert(token, gathered);
    }

    /// Notes that a question is answered.
    pub(crate) fn confirmed(&mut self, token: u64, index: Index) {
        if let Some(reads) = self.asked.remove(&token) {
            self.confirmed.push((index, reads));
        }
    }

    /// Fails the reads of a question.
    pub(crate) fn refused(&mut self, token: u64, error: &RegionError, failed: &mut Vec<Failed>) {
        let reads = self.asked.remove(&token).unwrap_or_default();
        self.len -= reads.len();
        failed.extend(reads.iter().map(|read| (read.tag.tag, error.clone())));
    }

    /// Fails what has gathered.
    pub(crate) fn refuse_gathered(&mut self, error: &RegionError, failed: &mut Vec<Failed>) {
        self.len -= self.gathered.len();
        failed.extend(self.gathered.drain(..).map(|read| (read.tag.tag, error.clone())));
    }

    /// Takes the reads that may be carried out once `applied` is.
    pub(crate) fn due(&mut self, applied: Index) -> Vec<Waiting> {
        let mut due = Vec::new();
        self.confirmed.retain_mut(|(index, reads)| {
            let is_due = *index <= applied;
            match is_due {
                true => due.append(reads),
                false => mark!("a read waits until more is applied"),
            }
            !is_due
        });
        self.len -= due.len();
        due
    }

    /// Gives up what is past its deadline at tick `now`.
    pub(crate) fn expire(&mut self, now: u64, failed: &mut Vec<Failed>) {
        let before = failed.len();
        let mut keep = |read: &Waiting| {
            let late = read.tag.deadline <= now;
            if late {
                failed.push((read.tag.tag, RegionError::DeadlineExceeded));
            }
            !late
        };
        self.gathered.retain(&mut keep);
        for reads in self.asked.values_mut() {
            reads.retain(&mut keep);
        }
        self.asked.retain(|_, reads| !reads.is_empty());
        for (_, reads) in &mut self.confirmed {
            reads.retain(&mut keep);
        }
        self.confirmed.retain(|(_, reads)| !reads.is_empty());
        self.len -= failed.len() - before;
    }

    /// Gives up all.
    pub(crate) fn give_up(&mut self, error: &RegionError, failed: &mut Vec<Failed>) {
        let asked = std::mem::take(&mut self.asked).into_values();
        let confirmed = std::mem::take(&mut self.confirmed).into_iter().map(|(_, reads)| reads);
        let all = std::mem::take(&mut self.gathered).into_iter();
        let all = all.chain(asked.flatten()).chain(confirmed.flatten());
        failed.extend(all.map(|read| (read.tag.tag, error.clone())));
        self.len = 0;
    }
}
