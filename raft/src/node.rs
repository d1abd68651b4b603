//! The node: inputs are methods, output is a [`Ready`].

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use rand::rngs::SmallRng;

use crate::confchange::Change;
use crate::config::{Config, ReadMode, SendPolicy};
use crate::entry::Payload;
use crate::error::{
    CampaignError, ChangeError, ConfigError, ProposeError, ReadError, StepError, TransferError,
};
use crate::membership::Membership;
use crate::message::Message;
use crate::progress::Progress;
use crate::proposal::Proposed;
use crate::raft::Raft;
use crate::raft_log::RaftLog;
use crate::ready::{Ready, WriteReport};
use crate::role::Role;
use crate::state::State;
use crate::status::Status;
use crate::storage::Storage;
use crate::types::{EntryId, HardState, Index, NodeId, RoleKind, SoftState, Term};

/// One member of a Raft group, without clock, network, disk, threads or logging.
///
/// The caller owns time and I/O:
///
/// ```text
///   tick(), step(message), propose(..), read_index(..)          inputs
///        |
///   ready() -> Ready { messages, entries, hard_state, .. }      output, numbered
///        |
///        |-- send `messages` at once
///        |-- write `hard_state`, `snapshot`, `entries`, `repaired`; sync if `must_sync`
///        |      then persisted(number), then send the `promises` to other nodes
///        `-- apply `committed`; for each membership change in it apply_change(..)
///               then applied(index)
/// ```
///
/// Writing and applying may go on while further portions are taken, but portions are written in
/// order and applied in order. [`Node::advance`] makes both reports at once, for a caller that does
/// all work of a portion before it takes the next.
#[derive(Debug)]
pub struct Node<S> {
    raft: Raft<S>,
    /// What the caller was told last.
    told_soft: SoftState,
    told_hard: HardState,
    /// The number of the last portion.
    number: u64,
    /// Portions that are being written, oldest first.
    writing: VecDeque<Writing>,
    /// Something was written since buffers were released.
    buffers_used: bool,
    /// [`Node::has_ready`] found nothing, and no input came since. Drivers ask after each input of any
    /// node, so mostly in vain.
    quiet: AtomicBool,
}

/// A portion that is being written and whose report means something.
#[derive(Debug)]
struct Writing {
    number: u64,
    report: Option<WriteReport>,
    /// A leader's own acknowledgement and its term. It counts when it is durable, like a peer's.
    own: Option<(Term, Index)>,
    /// What is rare.
    rest: Option<Box<Rest>>,
}

/// What few portions have.
#[derive(Debug)]
struct Rest {
    /// This node's own votes; and its acknowledgements, if it sends at once.
    own: Vec<Message>,
    /// The places of damaged entries that got fresh copies.
    repaired: Vec<Index>,
}

impl<S: Storage> Node<S> {
    /// Starts a member from what its storage holds.
    ///
    /// `rng` draws the election timeouts, and nothing else: with the same seed and the same inputs a
    /// node does the same.
    ///
    /// # Errors
    /// If options or stored state cannot work.
    pub fn new(config: Config, storage: S, rng: SmallRng) -> Result<Node<S>, ConfigError> {
        config.validate()?;
        let initial = storage.initial_state()?;
        initial.membership.validate()?;
        let log = RaftLog::open(storage, &initial, config.applied, config.applying_bytes_max)?;
        let state = State::new(config, rng, initial.hard_state, initial.membership, log);
        let raft = Raft::new(state);
        let (told_soft, told_hard) = (raft.soft_state(), raft.state.hard_state());
        Ok(Node {
            raft,
            told_soft,
            told_hard,
            number: 0,
            writing: VecDeque::new(),
            buffers_used: false,
            quiet: AtomicBool::new(false),
        })
    }

    // Inputs.

    /// Returns what takes an input; afterwards there may be something to do.
    fn input(&mut self) -> &mut Raft<S> {
        *self.quiet.get_mut() = false;
        &mut self.raft
    }

    /// Lets one unit of time pass.
    pub fn tick(&mut self) {
        self.input().tick();
        // Most groups are idle most of the time, and a tick of those should touch little memory.
        if self.buffers_used && self.writing.is_empty() {
            self.buffers_used = false;
            self.release_buffers();
        }
    }

    /// Frees what is empty and only needed for proposals. There may be many groups, of which few have
    /// any between two ticks.
    fn release_buffers(&mut self) {
        self.writing = VecDeque::new();
        let state = &mut self.raft.state;
        if state.promises.is_empty() {
            state.promises = Vec::new();
        }
        state.log.release_buffers();
        if let Role::Leader(leader) = &mut self.raft.role {
            leader.progress.iter_mut().for_each(|progress| progress.inflights.release_buffer());
        }
    }

    /// Takes a message from a peer.
    ///
    /// # Errors
    /// Why the message was not taken. Nothing that a peer sends can make this panic.
    pub fn step(&mut self, message: Message) -> Result<(), StepError> {
        self.raft.validate(&message)?;
        self.input().step(message)
    }

    /// Starts an election now, with pre-vote if that is configured.
    ///
    /// # Errors
    /// Why this node may not campaign. With [`ReadMode::Lease`] a node that has heard a leader within
    /// the last election timeout may not: [`CampaignError::OwesLease`]. To depose a leader without
    /// risk to its reads, use [`Node::transfer_leader`].
    pub fn campaign(&mut self) -> Result<(), CampaignError> {
        self.input().campaign_by_request()
    }

    /// Proposes a command.
    ///
    /// # Errors
    /// Why it was not taken.
    pub fn propose(&mut self, data: Bytes) -> Result<Proposed, ProposeError> {
        self.input().propose([Payload::Normal(data)])
    }

    /// Proposes commands that stand together in the log, all or none.
    ///
    /// # Errors
    /// Why none was taken.
    pub fn propose_batch(
        &mut self,
        batch: impl IntoIterator<Item = Bytes>,
    ) -> Result<Proposed, ProposeError> {
        self.input().propose(batch.into_iter().map(Payload::Normal))
    }

    /// Proposes a membership change. Only a leader takes one, since only it knows whether another is
    /// on the way.
    ///
    /// # Errors
    /// Why it was not taken; a change is never dropped silently.
    pub fn propose_change(&mut self, change: Change) -> Result<EntryId, ProposeError> {
        self.input().propose_change(change)
    }

    /// Carries out a membership change whose entry is being applied, and returns the membership from
    /// then on, which is stored with the applied index.
    ///
    /// Once a snapshot was reported as durable, entries that it covers must not be applied any more,
    /// even if they were handed out before.
    ///
    /// # Errors
    /// If the change is not possible; the membership stays, on every member alike.
    pub fn apply_change(&mut self, change: &Change) -> Result<Membership, ChangeError> {
        self.input().apply_change(change)
    }

    /// Asks for a linearizable read. The outcome comes in [`Ready::reads`] under `token`, which
    /// should be unique among the reads of this node.
    ///
    /// On a follower the read is forwarded and may be lost with the message; the caller sets a limit
    /// to its patience. It fails when the leader changes.
    ///
    /// # Errors
    /// Why the read cannot even wait.
    pub fn read_index(&mut self, token: u64) -> Result<(), ReadError> {
        self.input().read_index(token)
    }

    /// Asks to hand leadership over to `target`; from any member.
    ///
    /// # Errors
    /// Why not. `Ok` is a beginning: whether it worked shows in who leads.
    pub fn transfer_leader(&mut self, target: NodeId) -> Result<(), TransferError> {
        self.input().transfer_leader(target)
    }

    /// Forgets the leader, so that this follower gives its vote at once although its lease has not
    /// ended. Returns whether a leader was forgotten. With [`ReadMode::Lease`] it never is: the
    /// leader relies on that promise.
    pub fn forget_leader(&mut self) -> bool {
        let raft = self.input();
        let state = &mut raft.state;
        let may = matches!(raft.role, Role::Follower)
            && state.leader.is_some()
            && state.config.reads != ReadMode::Lease;
        if may {
            state.set_leader(None);
        }
        may
    }

    /// Reports that messages to `id` are being lost, so that no more is sent ahead.
    pub fn report_unreachable(&mut self, id: NodeId) {
        if let Role::Leader(leader) = &mut self.input().role {
            leader.unreachable(id);
        }
    }

    /// Reports whether a snapshot reached `id`.
    pub fn report_snapshot(&mut self, id: NodeId, arrived: bool) {
        if let Role::Leader(leader) = &mut self.input().role {
            leader.snapshot_sent(id, arrived);
        }
    }

    // Output.

    /// Returns whether [`Node::ready`] would have anything to do.
    pub fn has_ready(&self) -> bool {
        if self.quiet.load(Ordering::Relaxed) {
            return false;
        }
        let ready = self.has_work();
        self.quiet.store(!ready, Ordering::Relaxed);
        ready
    }

    fn has_work(&self) -> bool {
        let state = &self.raft.state;
        // What is likely, and cheap to see, comes first.
        if !state.promises.is_empty()
            || !state.outbox.is_empty()
            || state.log.has_unhanded()
            || state.log.has_committed(!state.config.async_writes)
        {
            return true;
        }
        let due = match &self.raft.role {
            Role::Leader(leader) => leader.has_round_due() || leader.has_due(state),
            _ => false,
        };
        due || !state.reads.is_empty()
            || state.log.has_unhanded_snapshot()
            || state.hard_state() != self.told_hard
            || self.raft.soft_state() != self.told_soft
    }

    /// Returns the work that has gathered.
    pub fn ready(&mut self) -> Ready {
        let mut ready = Ready::default();
        self.ready_into(&mut ready);
        ready
    }

    /// Fills `ready` with the work that has gathered, and takes over its buffers for what gathers
    /// next: a caller that passes the same `Ready` again causes no allocation.
    pub fn ready_into(&mut self, ready: &mut Ready) {
        ready.clear();
        *self.quiet.get_mut() = false;
        let own = self.send_gathered();
        self.number += 1;
        ready.number = self.number;
        let state = &mut self.raft.state;
        std::mem::swap(&mut ready.messages, &mut state.outbox);
        std::mem::swap(&mut ready.promises, &mut state.promises);
        std::mem::swap(&mut ready.reads, &mut state.reads);
        state.log.hand_out(&mut ready.entries, &mut ready.repaired);
        ready.snapshot = state.log.hand_out_snapshot();
        let unstable_too = !state.config.async_writes;
        ready.storage_error =
            state.log.hand_out_committed(unstable_too, &mut ready.committed).err();
        self.tell_states(ready);
        self.note_writing(ready, own);
    }

    /// Sends what waited for output to be taken. Returns the leader's own acknowledgement of the
    /// entries that are about to be handed out.
    fn send_gathered(&mut self) -> Option<(Term, Index)> {
        let state = &mut self.raft.state;
        let Role::Leader(leader) = &mut self.raft.role else { return None };
        if leader.has_round_due() {
            leader.broadcast_heartbeat(state);
            leader.confirm_reads(state);
        }
        leader.flush(state);
        let acknowledges = state.config.send == SendPolicy::Coalesce && state.log.has_unhanded();
        acknowledges.then(|| (state.term, state.log.last().index))
    }

    /// Fills in the states that changed.
    fn tell_states(&mut self, ready: &mut Ready) {
        let soft = self.raft.soft_state();
        if soft != self.told_soft {
            self.told_soft = soft;
            ready.soft_state = Some(soft);
        }
        let hard = self.raft.state.hard_state();
        let late = crate::mutant!("hard_state_after_entries") && !ready.entries.is_empty();
        if hard != self.told_hard && !late {
            ready.must_sync = (hard.term, hard.vote) != (self.told_hard.term, self.told_hard.vote);
            self.told_hard = hard;
            ready.hard_state = Some(hard);
        }
        ready.must_sync |= !ready.entries.is_empty() || !ready.repaired.is_empty();
    }

    /// Remembers what the report that this portion is durable will mean.
    ///
    /// Every portion that is written while entries are not durable attests the end of the log anew:
    /// a report whose term has passed is dropped, and a later one must stand in for it.
    fn note_writing(&mut self, ready: &mut Ready, own: Option<(Term, Index)>) {
        let state = &self.raft.state;
        let id = state.id();
        let snapshot = ready.snapshot.as_ref().map(|snapshot| snapshot.last.index);
        let unstable = state.log.has_unstable();
        let attests = unstable || snapshot.is_some() || !ready.repaired.is_empty();
        if attests && (ready.has_writes() || !ready.promises.is_empty()) {
            let last = unstable.then(|| state.log.last());
            ready.report = Some(WriteReport { term: state.term, last, snapshot });
        }
        let mut promised = ready.promises.iter().filter(|message| message.to == id).peekable();
        if ready.report.is_none() && own.is_none() && promised.peek().is_none() {
            return;
        }
        let rest = (promised.peek().is_some() || !ready.repaired.is_empty()).then(|| {
            let repaired = ready.repaired.iter().map(|entry| entry.index).collect();
            Box::new(Rest { own: promised.cloned().collect(), repaired })
        });
        self.buffers_used = true;
        self.writing.push_back(Writing { number: self.number, report: ready.report, own, rest });
        if crate::mutant!("promise_before_durable") {
            self.deliver_own();
        }
    }

    /// Records that the portion `number` and all before it are durable.
    ///
    /// # Panics
    /// If there was no such portion.
    pub fn persisted(&mut self, number: u64) {
        assert!(number <= self.number, "portion {number} was never handed out");
        *self.quiet.get_mut() = false;
        while let Some(writing) = self.writing.front()
            && writing.number <= number
        {
            let writing = self.writing.pop_front().expect("there is a front");
            // What this node promised itself may be void by now, and then it is ignored.
            if let Some((term, index)) = writing.own
                && term == self.raft.state.term
            {
                let _ = self.raft.on_append_accepted(self.id(), index);
            }
            if let Some(rest) = writing.rest {
                for own in rest.own {
                    let _ = self.raft.step(own);
                }
                self.raft.state.log.repairs_stored(&rest.repaired);
            }
            let state = &mut self.raft.state;
            let Some(report) = writing.report else { continue };
            // Entries written in an earlier term may have been replaced since, by other entries at
            // the same places, of which some are not written yet.
            let current = report.term == state.term || crate::mutant!("stale_write_report");
            if let Some(last) = report.last
                && current
            {
                state.log.stable_to(last);
            }
            if let Some(index) = report.snapshot {
                self.raft.snapshot_stored(index);
            }
        }
    }

    /// Delivers this node's own promises at once: a bug that has shipped, for the tests to find.
    fn deliver_own(&mut self) {
        let Some(writing) = self.writing.back_mut() else { return };
        let (own, rest) = (writing.own.take(), writing.rest.take());
        if let Some((_, index)) = own {
            let _ = self.raft.on_append_accepted(self.id(), index);
        }
        for own in rest.into_iter().flat_map(|rest| rest.own) {
            let _ = self.raft.step(own);
        }
    }

    /// Records that committed entries up to `index` are applied.
    ///
    /// # Panics
    /// If such an entry was never handed out.
    pub fn applied(&mut self, index: Index) {
        let committed = self.raft.state.log.committed();
        assert!(index <= committed, "index {index} is applied but only {committed} is committed");
        self.input().applied_to(index);
    }

    /// Records that all work of a portion is done: written, durable and applied.
    pub fn advance(&mut self, ready: &Ready) {
        self.persisted(ready.number);
        if let Some(index) = ready.last_committed() {
            self.applied(index);
        }
    }

    // Views.

    /// Returns this node's id.
    pub fn id(&self) -> NodeId {
        self.raft.state.id()
    }

    /// Returns the current term.
    pub fn term(&self) -> Term {
        self.raft.state.term
    }

    /// Returns the role.
    pub fn role(&self) -> RoleKind {
        self.raft.role.kind()
    }

    /// Returns whether this node leads, as far as it knows.
    pub fn is_leader(&self) -> bool {
        self.role() == RoleKind::Leader
    }

    /// Returns who leads the current term, if known.
    pub fn leader(&self) -> Option<NodeId> {
        self.raft.state.leader
    }

    /// Returns term, vote and commit index, durable or not.
    pub fn hard_state(&self) -> HardState {
        self.raft.state.hard_state()
    }

    /// Returns the last entry of the log, durable or not.
    pub fn last(&self) -> EntryId {
        self.raft.state.log.last()
    }

    /// Returns the commit index.
    pub fn committed(&self) -> Index {
        self.raft.state.log.committed()
    }

    /// Returns up to where entries are applied.
    pub fn applied_index(&self) -> Index {
        self.raft.state.log.applied()
    }

    /// Returns the last entry of a snapshot that was taken and is not durable yet.
    pub fn pending_snapshot(&self) -> Option<EntryId> {
        self.raft.state.log.pending_snapshot().map(|snapshot| snapshot.last)
    }

    /// Returns the membership as of the applied index.
    pub fn membership(&self) -> &Membership {
        &self.raft.state.membership
    }

    /// Returns what a leader knows of each member, ascending by id; nothing on other nodes.
    pub fn progress(&self) -> &[Progress] {
        self.raft.role.leader().map_or(&[], |leader| &leader.progress)
    }

    /// Returns the term of an entry, if it can be had.
    pub fn entry_term(&self, index: Index) -> Option<Term> {
        self.raft.state.log.term(index).ok()
    }

    /// Returns the storage.
    pub fn storage(&self) -> &S {
        &self.raft.state.log.storage
    }

    /// Returns the storage, for a caller that lets the node own it and writes through this.
    pub fn storage_mut(&mut self) -> &mut S {
        &mut self.input().state.log.storage
    }

    /// Returns a copy of what the node knows.
    pub fn status(&self) -> Status {
        let state = &self.raft.state;
        let leader = self.raft.role.leader();
        Status {
            id: state.id(),
            hard_state: state.hard_state(),
            soft_state: self.raft.soft_state(),
            applied: state.log.applied(),
            membership: state.membership.clone(),
            progress: leader.map_or(Vec::new(), |leader| leader.progress.clone()),
            transferee: leader.and_then(|leader| leader.transferee),
            election_elapsed: state.election_elapsed,
        }
    }

    /// Returns the ticks after which an election begins, as drawn last.
    pub fn election_timeout(&self) -> u32 {
        self.raft.state.election_timeout
    }

    /// Replaces the drawn election timeout until it is drawn again. For scripted clusters.
    pub fn set_election_timeout(&mut self, ticks: u32) {
        self.raft.state.election_timeout = ticks;
    }

    /// Checks the invariants that hold after every input.
    ///
    /// # Panics
    /// If one does not hold, which is a bug of this crate.
    pub fn assert_invariants(&self) {
        let state = &self.raft.state;
        state.log.assert_invariants();
        if let Some(leader) = self.raft.role.leader() {
            let ids: Vec<NodeId> = leader.progress.iter().map(|progress| progress.id).collect();
            assert_eq!(ids, state.membership.ids(), "a leader tracks exactly the members");
            for progress in &leader.progress {
                assert!(progress.matched < progress.next, "what matches is sent again");
                assert!(progress.matched <= state.log.last().index, "more matches than there is");
            }
            assert_eq!(state.leader, Some(state.id()), "a leader is its own leader");
        }
    }
}
