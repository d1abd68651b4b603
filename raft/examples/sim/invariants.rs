//! What must hold after every step. One guarantee a file; each sees what it needs of what happens.

mod acknowledged_is_durable;
mod answers_are_true;
mod campaigns_as_a_member;
mod committed_is_on_quorum;
mod delivery;
mod election_safety;
mod leader_append_only;
mod leader_completeness;
mod leadership;
mod lease_promise;
mod log_matching;
mod matched_is_durable;
mod membership_agreement;
mod monotonic;
mod own_term;
mod reads_are_linearizable;
mod state_machine_safety;
pub(crate) mod transfers;
mod vote_once;

use std::hash::{Hash, Hasher};

use tinykv_raft::{Body, Entry, Message, Payload, RoleKind, Storage};

use super::member::Member;
use super::options::Options;
pub(crate) use delivery::Delivery;
pub(crate) use reads_are_linearizable::Reads;

/// All guarantees, with what they remember.
#[derive(Default)]
pub(crate) struct Invariants {
    election_safety: election_safety::ElectionSafety,
    leader_append_only: leader_append_only::LeaderAppendOnly,
    leader_completeness: leader_completeness::LeaderCompleteness,
    log_matching: log_matching::LogMatching,
    membership_agreement: membership_agreement::MembershipAgreement,
    pub(crate) leadership: leadership::Leadership,
    pub(crate) lease_promise: lease_promise::LeasePromise,
    monotonic: monotonic::Monotonic,
    own_term: own_term::OwnTerm,
    state_machine_safety: state_machine_safety::StateMachineSafety,
    vote_once: vote_once::VoteOnce,
    campaigns_as_a_member: campaigns_as_a_member::CampaignsAsAMember,
    committed_is_on_quorum: committed_is_on_quorum::CommittedIsOnQuorum,
    pub(crate) answers: answers_are_true::Answers,
    pub(crate) reads: Reads,
}

/// A guarantee that does not hold, in words.
pub(crate) type Check = Result<(), String>;

impl Invariants {
    /// After a node has done something.
    pub(crate) fn after_step(
        &mut self,
        member: &Member,
        all: &[Member],
        options: &Options,
    ) -> Check {
        let Some(node) = &member.node else { return Ok(()) };
        node.assert_invariants();
        self.own_term.check(node)?;
        self.campaigns_as_a_member.check(node)?;
        self.leadership.check(node, &options.config)?;
        self.lease_promise.check(node, &options.config)?;
        self.monotonic.check(node)?;
        self.election_safety.check(node)?;
        self.leader_append_only.check(node)?;
        let committed = self.state_machine_safety.last_committed();
        self.leader_completeness.check(node, committed)?;
        if options.damaged.is_none() {
            self.committed_is_on_quorum.check(node, all)?;
            return matched_is_durable::check(node, all);
        }
        // Entries up to the applied one are in the state machine.
        let damaged = node.storage().initial_state().map_or(Vec::new(), |state| state.faulty);
        let lacks = damaged.iter().any(|index| *index > member.disk.machine.applied);
        match lacks && node.role() == RoleKind::Candidate {
            true => Err(format!("damage: {} campaigns with damaged entries", node.id())),
            false => Ok(()),
        }
    }

    /// When a node has been stopped: what was only in memory is gone.
    pub(crate) fn after_crash(&mut self, id: u64) {
        self.monotonic.forget(id);
        self.leader_append_only.forget(id);
        self.campaigns_as_a_member.forget(id);
        self.committed_is_on_quorum.forget(id);
        self.leadership.forget(id);
        self.own_term.forget(id);
        self.answers.forget(id);
        self.reads.forget(id);
    }

    /// When a message leaves a node.
    pub(crate) fn on_send(
        &mut self,
        member: &Member,
        all: &[Member],
        message: &Message,
        options: &Options,
    ) -> Check {
        self.lease_promise.on_send(message);
        match &message.body {
            Body::TimeoutNow if options.damaged.is_none() => {
                transfers::on_timeout_now(member, all, message)
            }
            Body::VoteResponse(vote) if vote.granted => self.vote_once.check(message),
            Body::AppendAccepted { index } => {
                acknowledged_is_durable::check(member, message.term, *index)
            }
            _ => Ok(()),
        }
    }

    /// When a node writes an entry.
    pub(crate) fn on_write(&mut self, before: Option<&Entry>, entry: &Entry) -> Check {
        self.log_matching.check(before, entry)
    }

    /// When a node applies an entry. `machine` is the hash of its state machine thereafter.
    pub(crate) fn on_apply(&mut self, member: &Member, entry: &Entry) -> Check {
        self.state_machine_safety.check(member, entry)?;
        self.answers.on_apply(member.id, entry)?;
        if matches!(entry.payload, Payload::Change(_)) {
            self.membership_agreement.check(member, entry)?;
            return member.node.as_ref().map_or(Ok(()), transfers::on_change);
        }
        Ok(())
    }
}

/// Mixes anything into a hash, the same in every process.
pub(crate) fn mix(hash: u64, value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = Fnv(hash ^ 0xcbf2_9ce4_8422_2325);
    value.hash(&mut hasher);
    hasher.finish()
}

/// Fowler-Noll-Vo, 64 bits: simple, and not seeded.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// Returns a hash of what an entry says.
pub(crate) fn entry_hash(hash: u64, entry: &Entry) -> u64 {
    let hash = mix(hash, &(entry.term, entry.index));
    match &entry.payload {
        Payload::Normal(data) => mix(hash, &data[..]),
        Payload::Change(change) => mix(hash, &format!("{change:?}")),
    }
}
