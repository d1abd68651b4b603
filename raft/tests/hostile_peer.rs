//! Whatever a peer sends, a node does not panic, and keeps its invariants.
//!
//! Peers that are broken or worse: messages of every kind with terms, indexes, memberships and
//! entries from the edges of their ranges, in every role. A node may be led astray by that, since Raft
//! trusts its members; but it must answer with an error, or not at all, and go on.
//!
//! `SEED=n cargo test -p tinykv-raft --test hostile_peer` runs one seed.
#![expect(clippy::unwrap_used, reason = "a test wants to fail at the place of the surprise")]

#[path = "support/cluster.rs"]
mod cluster;

use std::sync::Arc;

use bytes::Bytes;
use cluster::{Member, hard_state, stage_config, storage_of};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tinykv_raft::confchange::{Change, Step, Transition};
use tinykv_raft::quorum::Joint;
use tinykv_raft::{
    Body, Entries, Entry, EntryId, Index, Membership, Message, NodeId, Payload, ReadMode, RoleKind,
    SendPolicy, Snapshot, StepError, Term, Vote,
};

/// A source of messages that no correct peer would send, and of some that one might.
struct Hostile {
    rng: SmallRng,
    /// What the node has, since most edges are near it.
    term: u64,
    last: u64,
    committed: u64,
}

impl Hostile {
    fn one_of(&mut self, choices: &[u64]) -> u64 {
        *choices.choose(&mut self.rng).unwrap()
    }

    fn term(&mut self) -> Term {
        let (term, max) = (self.term, u64::MAX);
        // The last terms of all end every game, so they come rarely.
        let rare = if self.rng.random_bool(0.01) { max } else { term };
        let near = term.saturating_add(1);
        Term(self.one_of(&[0, 1, term, term, term, term.saturating_sub(1), near, rare]))
    }

    fn index(&mut self) -> Index {
        let (last, committed, max) = (self.last, self.committed, u64::MAX);
        let next = last.saturating_add(1);
        let near = last.saturating_sub(1);
        let choices =
            [0, 1, last, last, next, near, committed, committed + 1, max / 2, max - 1, max];
        Index(self.one_of(&choices))
    }

    fn id(&mut self) -> EntryId {
        EntryId { term: self.term(), index: self.index() }
    }

    fn node(&mut self) -> NodeId {
        NodeId(self.one_of(&[0, 1, 2, 2, 3, 3, 4, u64::MAX]))
    }

    fn ids(&mut self) -> Vec<NodeId> {
        (0..self.rng.random_range(0..4)).map(|_| self.node()).collect()
    }

    fn membership(&mut self) -> Membership {
        if self.rng.random_bool(0.5) {
            return Membership::of_voters([1, 2, 3]);
        }
        Membership {
            voters: Joint { incoming: self.ids().into(), outgoing: self.ids().into() },
            learners: self.ids().into(),
            learners_next: self.ids().into(),
            auto_leave: self.rng.random_bool(0.5),
        }
    }

    fn change(&mut self) -> Change {
        let steps = (0..self.rng.random_range(0..4)).map(|_| {
            let id = self.node();
            match self.rng.random_range(0..4) {
                0 => Step::AddVoter(id),
                1 => Step::AddLearner(id),
                2 => Step::Remove(id),
                _ => Step::Update(id),
            }
        });
        let steps = steps.collect();
        let ways = [Transition::Auto, Transition::JointImplicit, Transition::JointExplicit];
        let transition = *ways.choose(&mut self.rng).unwrap();
        Change { transition, steps, context: Bytes::new() }
    }

    fn payload(&mut self) -> Payload {
        match self.rng.random_range(0..4) {
            0 => Payload::Change(Arc::new(self.change())),
            1 => Payload::NOOP,
            _ => Payload::Normal(Bytes::from_static(b"command")),
        }
    }

    /// Mostly entries that follow `prev` as they should.
    fn entries(&mut self, prev: EntryId) -> Entries {
        let count = self.rng.random_range(0..4u64);
        let sane = self.rng.random_bool(0.8);
        let entry = |offset: u64| {
            let (term, index) = match sane {
                true => {
                    (Term(self.term.max(prev.term.0)), Index(prev.index.0.wrapping_add(offset)))
                }
                false => (self.term(), self.index()),
            };
            Entry { term, index, payload: self.payload() }
        };
        Entries::new((1..=count).map(entry).collect())
    }

    fn snapshot(&mut self) -> Box<Snapshot> {
        let (last, membership) = (self.id(), self.membership());
        Box::new(Snapshot { last, membership, data: Bytes::new() })
    }

    fn vote(&mut self) -> Vote {
        Vote { granted: self.rng.random_bool(0.6), committed: self.id() }
    }

    fn body(&mut self) -> Body {
        match self.rng.random_range(0..16) {
            0 => Body::RequestPreVote { last: self.id() },
            1 => Body::PreVoteResponse(self.vote()),
            2 => Body::RequestVote { last: self.id(), transfer: self.rng.random_bool(0.5) },
            3 => Body::VoteResponse(self.vote()),
            4 | 5 => {
                let prev = self.id();
                let entries = self.entries(prev);
                Body::Append { prev, commit: self.index(), entries }
            }
            6 => Body::AppendAccepted { index: self.index() },
            7 => {
                let (rejected, hint) = (self.index(), self.id());
                Body::AppendRejected { rejected, hint, damaged: self.rng.random_bool(0.3) }
            }
            8 => Body::Heartbeat { commit: self.index(), round: self.index().0 },
            9 => Body::HeartbeatResponse { round: self.index().0 },
            10 => Body::Commit { index: self.index() },
            11 if self.rng.random_bool(0.3) => Body::Snapshot(self.snapshot()),
            11 => Body::TimeoutNow,
            12 => Body::TransferLeader { target: self.node() },
            13 => {
                let payloads = (0..self.rng.random_range(0..3)).map(|_| self.payload());
                Body::Propose { payloads: payloads.collect() }
            }
            14 => Body::ReadIndex { token: self.index().0 },
            _ => Body::ReadIndexResponse { token: self.index().0, index: self.index() },
        }
    }

    fn message(&mut self) -> Message {
        let body = self.body();
        let termless = matches!(body, Body::Propose { .. } | Body::ReadIndex { .. });
        let term = if termless && self.rng.random_bool(0.9) { Term(0) } else { self.term() };
        let to = if self.rng.random_bool(0.02) { self.node() } else { NodeId(1) };
        Message { from: self.node(), to, term, body }
    }
}

/// A node with some log, in some mode.
fn member(rng: &mut SmallRng) -> Member {
    let mut config = stage_config(1);
    config.pre_vote = rng.random_bool(0.5);
    config.check_quorum = rng.random_bool(0.5);
    if config.check_quorum && rng.random_bool(0.5) {
        config.reads = ReadMode::Lease;
    }
    if rng.random_bool(0.3) {
        config.send = SendPolicy::Immediate;
    }
    config.async_writes = rng.random_bool(0.7);
    config.step_down_on_removal = rng.random_bool(0.5);
    config.reads_max = 8;
    config.inflight_messages_max = 2;
    let terms: Vec<u64> = (0..rng.random_range(0..5)).map(|at| 1 + at / 2).collect();
    let state = hard_state(3, None, terms.len() as u64 / 2);
    let mut storage = storage_of(&[1, 2, 3], &terms, state);
    if rng.random_bool(0.2) {
        storage.damage(Index(2));
    }
    Member::new(config, storage)
}

/// Runs one seed, and returns the roles that the node had and how many messages it refused.
fn run(seed: u64) -> ([u32; 4], u32) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut member = member(&mut rng);
    let mut hostile = Hostile { rng: rng.clone(), term: 0, last: 0, committed: 0 };
    let (mut roles, mut refused) = ([0; 4], 0);
    for _ in 0..400 {
        hostile.term = member.node.term().0;
        hostile.last = member.node.last().index.0;
        hostile.committed = member.node.committed().0;
        match rng.random_range(0..12) {
            0 => member.node.tick(),
            1 => drop(member.node.campaign()),
            2 => drop(member.node.propose(Bytes::from_static(b"ours"))),
            3 => drop(member.node.read_index(rng.random())),
            4 => drop(member.node.transfer_leader(hostile.node())),
            _ => match member.node.step(hostile.message()) {
                Ok(()) | Err(StepError::Violation { .. } | StepError::Forgotten { .. }) => {}
                Err(_) => refused += 1,
            },
        }
        member.node.assert_invariants();
        if rng.random_bool(0.6) {
            member.work();
        }
        roles[match member.node.role() {
            RoleKind::Follower => 0,
            RoleKind::PreCandidate => 1,
            RoleKind::Candidate => 2,
            RoleKind::Leader => 3,
        }] += 1;
    }
    (roles, refused)
}

#[test]
fn nothing_that_a_peer_sends_panics() {
    if let Ok(seed) = std::env::var("SEED") {
        run(seed.parse().expect("SEED is a number"));
        return;
    }
    let (mut roles, mut refused) = ([0; 4], 0);
    for seed in 0..1000 {
        let ran = std::panic::catch_unwind(|| run(seed)).unwrap_or_else(|panic| {
            println!("replay: SEED={seed} cargo test -p tinykv-raft --test hostile_peer");
            std::panic::resume_unwind(panic)
        });
        roles.iter_mut().zip(ran.0).for_each(|(sum, count)| *sum += count);
        refused += ran.1;
    }
    assert!(roles.iter().all(|count| *count > 1000), "a role was hardly seen: {roles:?}");
    assert!(refused > 1000, "hardly anything was refused");
}

/// A peer's entries come as a list without a limit of its own; what is too much is cut off, and the
/// peer sends it again.
#[test]
fn a_batch_that_is_too_long_is_cut() {
    let entry = |index| Entry { term: Term(1), index: Index(index), payload: Payload::NOOP };
    let entries = Entries::from((1..=70_000).map(entry).collect::<Vec<_>>());
    assert_eq!(entries.len(), tinykv_raft::BATCH_ENTRIES_MAX);
    let mut member = Member::of(1, &[1, 2, 3]);
    let prev = EntryId::default();
    let sent = member.hear(2, 1, Body::Append { prev, commit: Index(u64::MAX), entries });
    assert_eq!(sent[0].body, Body::AppendAccepted { index: Index(65_535) });
}

/// An index so high that counting on from it could wrap is no index of a real log.
#[test]
fn indexes_have_a_limit() {
    let refused = |body| {
        let message = Message { from: NodeId(2), to: NodeId(1), term: Term(9), body };
        let mut member = Member::of(1, &[1, 2, 3]);
        let result = member.node.step(message);
        assert!(matches!(result, Err(StepError::Malformed(_))), "{result:?}");
    };
    for index in [u64::MAX, u64::MAX - 1, u64::MAX / 2 + 1] {
        let last = EntryId::new(9, index);
        let membership = Membership::of_voters([1, 2, 3]);
        refused(Body::Snapshot(Box::new(Snapshot { last, membership, data: Bytes::new() })));
        refused(Body::Append { prev: last, commit: Index(0), entries: Entries::default() });
    }
}
