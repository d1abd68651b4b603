//! Commands on their way through a region's log: [`Proposals`].
//!
//! A command is gathered, then proposed in an entry, then answered when an entry is applied at that
//! index: by what it came to if the term is the same, else as overtaken. Each tag is answered once.

use std::collections::VecDeque;

use bytes::Bytes;
use mark::mark;
use mutant::mutant;
use proto::peer::{Epoch, RegionError};
use raft::{EntryId, Index, Term};

/// The tag of a command and when it is given up, in ticks of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) tag: u64,
    pub(crate) deadline: u64,
}

/// A command that is not proposed yet.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) tag: Tag,
    pub(crate) epoch: Epoch,
    pub(crate) time: u64,
    pub(crate) command: Bytes,
}

/// An entry that was proposed.
#[derive(Debug)]
struct Proposed {
    id: EntryId,
    /// One a command, in order; none: answered already.
    tags: Vec<Option<Tag>>,
}

/// The commands of a region that are not answered.
#[derive(Debug, Default)]
pub(crate) struct Proposals {
    pub(crate) gathered: VecDeque<Gathered>,
    /// Ascending by index.
    proposed: VecDeque<Proposed>,
    /// Tags that are not answered.
    len: usize,
}

/// A tag with why it failed.
pub(crate) type Failed = (u64, RegionError);

impl Proposals {
    /// How many wait for an answer.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn gather(&mut self, gathered: Gathered) {
        self.len += 1;
        self.gathered.push_back(gathered);
    }

    /// Notes that an entry was proposed with commands that were gathered.
    pub(crate) fn proposed(&mut self, id: EntryId, tags: Vec<Tag>) {
        let tags = tags.into_iter().map(Some).collect();
        self.proposed.push_back(Proposed { id, tags });
    }

    /// Notes that commands that were gathered have failed.
    pub(crate) fn failed(&mut self, count: usize) {
        self.len -= count;
    }

    /// Finds whose the outcomes of an applied entry are. What was proposed at its place or before
    /// and was not it, is overtaken.
    pub(crate) fn applied<R>(
        &mut self,
        id: EntryId,
        outcomes: Vec<Result<R, RegionError>>,
        answer: &mut impl FnMut(u64, Result<R, RegionError>),
    ) {
        self.overtaken(id.index.prev(), answer);
        let Some(front) = self.proposed.front() else { return };
        if front.id.index != id.index {
            return;
        }
        if front.id.term != id.term && !mutant!("answer-of-another-term") {
            return self.overtaken(id.index, answer);
        }
        let Some(front) = self.proposed.pop_front() else { return };
        for (tag, outcome) in front.tags.into_iter().zip(outcomes) {
            if let Some(tag) = tag {
                self.len -= 1;
                answer(tag.tag, outcome);
            }
        }
    }

    /// Answers what was proposed up to `index` and can no longer be applied.
    pub(crate) fn overtaken<R>(
        &mut self,
        index: Index,
        answer: &mut impl FnMut(u64, Result<R, RegionError>),
    ) {
        while let Some(front) = self.proposed.pop_front_if(|front| front.id.index <= index) {
            for tag in front.tags.into_iter().flatten() {
                mark!("a command is overtaken");
                self.len -= 1;
                answer(tag.tag, Err(RegionError::StaleCommand));
            }
        }
    }

    /// Gives up what is no longer in the log at the place where it was proposed. It is not known
    /// to be lost: another store may hold it still, lead, and commit it.
    pub(crate) fn retain(
        &mut self,
        term_of: impl Fn(Index) -> Option<Term>,
        failed: &mut Vec<Failed>,
    ) {
        let kept = self.proposed.partition_point(|it| term_of(it.id.index) == Some(it.id.term));
        for gone in self.proposed.drain(kept..) {
            for tag in gone.tags.into_iter().flatten() {
                mark!("a command's entry is replaced");
                self.len -= 1;
                let reason = "a new leader's entries took its place here".to_owned();
                failed.push((tag.tag, RegionError::Undetermined { reason }));
            }
        }
    }

    /// Gives up what is past its deadline at tick `now`.
    pub(crate) fn expire(&mut self, now: u64, failed: &mut Vec<Failed>) {
        let before = failed.len();
        self.gathered.retain(|it| {
            let late = it.tag.deadline <= now;
            if late {
                failed.push((it.tag.tag, RegionError::DeadlineExceeded));
            }
            !late
        });
        for tag in self.proposed.iter_mut().flat_map(|it| &mut it.tags) {
            if let Some(late) = tag.take_if(|tag| tag.deadline <= now) {
                let reason = "it was not confirmed within its time".to_owned();
                failed.push((late.tag, RegionError::Undetermined { reason }));
            }
        }
        self.len -= failed.len() - before;
    }

    /// Gives up all: `gathered` with the error, and what was proposed as unknown for `reason`.
    pub(crate) fn give_up(
        &mut self,
        gathered: &RegionError,
        reason: &str,
        failed: &mut Vec<Failed>,
    ) {
        failed.extend(self.gathered.drain(..).map(|it| (it.tag.tag, gathered.clone())));
        for tag in self.proposed.drain(..).flat_map(|it| it.tags).flatten() {
            let reason = reason.to_owned();
            failed.push((tag.tag, RegionError::Undetermined { reason }));
        }
        self.len = 0;
    }

    /// Gives up what was proposed up to `index` as unknown: a snapshot took its place.
    pub(crate) fn covered(&mut self, index: Index, failed: &mut Vec<Failed>) {
        while let Some(front) = self.proposed.pop_front_if(|front| front.id.index <= index) {
            for tag in front.tags.into_iter().flatten() {
                mark!("a snapshot covers a command");
                self.len -= 1;
                let reason = "a snapshot covers it".to_owned();
                failed.push((tag.tag, RegionError::Undetermined { reason }));
            }
        }
    }
}
