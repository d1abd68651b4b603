//! What a leader knows about one follower: `nextIndex` and `matchIndex` of the paper (figure 2),
//! and how fast entries may be sent.
//!
//! ```text
//!              accepted                     entries are compacted
//!   Probe  ----------------->  Replicate  ------------------------>  Snapshot
//!     ^  \_____________________________________________________________^  |
//!     |       rejected, unreachable |        accepted (enough), failed    |
//!     +-----------------------------+-------------------------------------+
//! ```
//!
//! - **Probe**: where the logs match is unknown; one message at a time asks.
//! - **Replicate**: entries are sent ahead of the answers, as far as the window allows.
//! - **Snapshot**: a snapshot is on its way; nothing else is sent.

use crate::inflights::Inflights;
use crate::types::{Index, NodeId};

/// A leader's view of one member, itself included.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Whose progress this is.
    pub id: NodeId,
    /// The last index known to be durable on the member and equal to ours. Falls only when the
    /// member reports damage.
    pub matched: Index,
    /// The next index to send. Always above `matched`: what is known to match is never sent again.
    pub next: Index,
    /// How entries are sent.
    pub state: ProgressState,
    /// The member was heard in the present check-quorum interval; without check-quorum, in this term.
    pub recent_active: bool,
    /// Nothing is sent until the member answers.
    pub paused: bool,
    /// The highest commit index sent; below `next`. Spares messages that tell nothing new.
    pub sent_commit: Index,
    /// The latest round of heartbeats that the member answered.
    pub round: u64,
    /// Ticks since a snapshot was sent, in [`ProgressState::Snapshot`].
    pub snapshot_age: u32,
    /// The append messages on their way, in [`ProgressState::Replicate`].
    pub inflights: Inflights,
}

/// How entries are sent to a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProgressState {
    /// One message at a time, to find where the logs match.
    Probe,
    /// Ahead of the answers.
    Replicate,
    /// Not at all: a snapshot that ends at this index is on its way.
    Snapshot(Index),
}

impl Progress {
    /// Starts a member whose log is unknown, with `next` as the first guess.
    pub fn new(id: NodeId, next: Index) -> Progress {
        Progress {
            id,
            matched: Index(0),
            next: next.max(Index(1)),
            state: ProgressState::Probe,
            recent_active: false,
            paused: false,
            sent_commit: Index(0),
            round: 0,
            snapshot_age: 0,
            inflights: Inflights::default(),
        }
    }

    /// Returns whether nothing may be sent.
    pub fn is_paused(&self) -> bool {
        match self.state {
            ProgressState::Probe | ProgressState::Replicate => self.paused,
            ProgressState::Snapshot(_) => true,
        }
    }

    /// Asks again where the logs match. After a snapshot the guess is that it was installed.
    pub fn become_probe(&mut self) {
        let next = match self.state {
            ProgressState::Snapshot(pending) => self.matched.max(pending).next(),
            _ => self.matched.next(),
        };
        self.enter(ProgressState::Probe, next);
        self.sent_commit = self.sent_commit.min(next.prev());
    }

    /// Sends ahead, from just after what matches.
    pub fn become_replicate(&mut self) {
        self.enter(ProgressState::Replicate, self.matched.next());
    }

    /// Waits for a snapshot that ends at `index`.
    pub fn become_snapshot(&mut self, index: Index) {
        self.enter(ProgressState::Snapshot(index), index.next());
        self.sent_commit = index;
        self.snapshot_age = 0;
    }

    fn enter(&mut self, state: ProgressState, next: Index) {
        self.paused = false;
        self.state = state;
        self.next = next;
        self.inflights.reset();
    }

    /// Records that the log matches up to `index`; returns whether that is news.
    ///
    /// Old and repeated answers are not: `matched` never falls here.
    pub fn maybe_update(&mut self, index: Index) -> bool {
        if index <= self.matched {
            return false;
        }
        self.matched = index;
        self.next = self.next.max(index.next());
        self.paused = false;
        true
    }

    /// Records a rejection at `rejected`, with a guess of the last index that matches; returns
    /// whether it is news, and then that a probe should follow.
    ///
    /// A late rejection must not bring `next` to or below `matched`: sending what is known to
    /// match would let an old message of ours look like progress lost.
    pub fn maybe_decrease(&mut self, rejected: Index, hint: Index) -> bool {
        if self.state == ProgressState::Replicate {
            if rejected <= self.matched {
                return false;
            }
            self.next = self.matched.next();
            self.sent_commit = self.sent_commit.min(self.next.prev());
            return true;
        }
        // A probe is a single message, so a rejection of anything else is old.
        if self.next.prev() != rejected {
            return false;
        }
        let floor = if crate::mutant!("next_below_match") { Index(1) } else { self.matched.next() };
        let next = rejected.min(hint.next()).max(floor);
        // It says that it lacks what it acknowledged: an old answer, or its disk has lost what was
        // durable. To ask the same again at once would be answered alike, without end.
        if next == self.next && !crate::mutant!("lost_entry_asked_at_once") {
            return false;
        }
        self.next = next;
        self.sent_commit = self.sent_commit.min(self.next.prev());
        self.paused = false;
        true
    }

    /// Records that the member holds a damaged entry just after `intact`; returns whether that is news,
    /// and then that a probe should follow. The member repeats the report until it has a good copy.
    pub fn damaged_after(&mut self, intact: Index) -> bool {
        let known = match self.state {
            ProgressState::Probe => self.matched <= intact && self.next == intact.next(),
            ProgressState::Replicate => false,
            ProgressState::Snapshot(pending) => pending > intact,
        };
        if !known {
            self.matched = self.matched.min(intact);
            self.enter(ProgressState::Probe, intact.next());
            self.sent_commit = self.sent_commit.min(intact);
        }
        !known
    }

    /// Records an append message of `count` entries and `bytes`.
    pub fn sent_entries(&mut self, count: usize, bytes: u64, limits: (usize, u64)) {
        match self.state {
            ProgressState::Replicate => {
                if count > 0 {
                    self.next = self.next.plus(count as u64);
                    self.inflights.add(self.next.prev(), bytes);
                }
                // A message into a full window is a probe: an answer must come before another.
                self.paused = self.inflights.is_full(limits);
            }
            ProgressState::Probe => self.paused |= count > 0,
            ProgressState::Snapshot(_) => {}
        }
    }

    /// Returns whether telling the commit index could move the member's own.
    pub fn can_bump_commit(&self, commit: Index) -> bool {
        commit > self.sent_commit && self.sent_commit < self.next.prev()
    }
}
