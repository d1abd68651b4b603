//! Changes of the membership (section 6; thesis chapter 4).
//!
//! A change is an entry of the log and takes effect **when it is applied**, not when it is appended
//! as in the paper. That is safe because of two rules kept elsewhere:
//!
//! 1. a leader proposes a change only when no earlier one may be unapplied (`proposal.rs`);
//! 2. a node with a committed, unapplied change does not campaign (`election.rs`).
//!
//! Without rule 1, five nodes could apply two removals in different orders and have two leaders by
//! disjoint majorities. What apply-time changes cost is liveness: when the leader that committed a
//! change dies before the others hear of the commit, they still need the old quorum.
//!
//! This module is pure: it maps a membership and a change to a new membership.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::ChangeError;
use crate::membership::Membership;
use crate::quorum::Majority;
use crate::types::NodeId;

/// What happens to one node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Step {
    /// It becomes a voter, new or promoted.
    AddVoter(NodeId),
    /// It becomes a learner, new or demoted.
    AddLearner(NodeId),
    /// It leaves the group.
    Remove(NodeId),
    /// Nothing; the entry carries news for the application.
    Update(NodeId),
}

/// How the group gets to its new membership.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Transition {
    /// In one step if there is one change, else by a joint configuration that is left by itself.
    #[default]
    Auto,
    /// By a joint configuration that the leader leaves by itself.
    JointImplicit,
    /// By a joint configuration that is left by an empty change.
    JointExplicit,
}

/// An entry that changes the membership.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Change {
    /// How to get there.
    pub transition: Transition,
    /// What changes, in order. Empty with [`Transition::Auto`] leaves a joint configuration.
    pub steps: Vec<Step>,
    /// Whatever the application wants to know when the change is applied.
    pub context: Bytes,
}

/// What a change does to the set of members, for whoever keeps data about each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Diff {
    /// Members that are new, or that were removed and added again within the change.
    pub added: Vec<NodeId>,
    /// Members that are gone.
    pub removed: Vec<NodeId>,
}

impl Change {
    /// Makes a change of one step.
    pub fn simple(step: Step) -> Change {
        Change { steps: vec![step], ..Change::default() }
    }

    /// Makes the change that leaves a joint configuration.
    pub fn leave_joint() -> Change {
        Change::default()
    }

    /// Returns whether the change leaves a joint configuration.
    pub fn leaves_joint(&self) -> bool {
        self.transition == Transition::Auto && self.steps.is_empty()
    }

    /// Returns whether the change enters a joint configuration, and then whether it is left by
    /// itself.
    pub fn enters_joint(&self) -> Option<bool> {
        match self.transition {
            Transition::Auto if self.steps.len() > 1 => Some(true),
            Transition::Auto => None,
            Transition::JointImplicit => Some(true),
            Transition::JointExplicit => Some(false),
        }
    }

    /// Returns the membership after this change.
    ///
    /// # Errors
    /// Why the change is not possible from `from`.
    pub fn apply(&self, from: &Membership) -> Result<(Membership, Diff), ChangeError> {
        if self.leaves_joint() {
            leave_joint(from)
        } else if let Some(auto_leave) = self.enters_joint() {
            enter_joint(from, auto_leave, &self.steps)
        } else {
            simple(from, &self.steps)
        }
    }
}

/// Carries out steps that change at most one voter, so that any majority before and any majority
/// after share a node (thesis 4.1).
///
/// # Errors
/// If more than one voter would change, nobody would be left, or the configuration is joint.
pub fn simple(from: &Membership, steps: &[Step]) -> Result<(Membership, Diff), ChangeError> {
    if from.voters.is_joint() {
        return Err(ChangeError::SimpleInJoint);
    }
    let mut editor = Editor::new(from);
    editor.carry_out(steps)?;
    let changed = difference(&from.voters.incoming, &editor.to.voters.incoming);
    if changed > 1 {
        return Err(ChangeError::NeedsJoint);
    }
    Ok(editor.finish(from))
}

/// Goes from `C_old` to `C_old,new`: the present voters become the outgoing half, and the steps are
/// carried out on a copy of them, the incoming half.
///
/// # Errors
/// If the configuration is joint already, or nobody would be left.
pub fn enter_joint(
    from: &Membership,
    auto_leave: bool,
    steps: &[Step],
) -> Result<(Membership, Diff), ChangeError> {
    if from.voters.is_joint() {
        return Err(ChangeError::AlreadyJoint);
    }
    if from.voters.incoming.is_empty() {
        return Err(ChangeError::NoVoters);
    }
    let mut editor = Editor::new(from);
    editor.to.voters.outgoing = from.voters.incoming.clone();
    editor.carry_out(steps)?;
    editor.to.auto_leave = auto_leave;
    Ok(editor.finish(from))
}

/// Goes from `C_old,new` to `C_new`: the incoming half decides alone, and staged learners become
/// learners.
///
/// # Errors
/// If the configuration is not joint.
pub fn leave_joint(from: &Membership) -> Result<(Membership, Diff), ChangeError> {
    if !from.voters.is_joint() {
        return Err(ChangeError::NotJoint);
    }
    let mut editor = Editor::new(from);
    let staged = std::mem::take(&mut editor.to.learners_next);
    for id in staged.ids() {
        editor.to.learners.insert(*id);
    }
    editor.to.voters.outgoing = Majority::default();
    editor.to.auto_leave = false;
    Ok(editor.finish(from))
}

/// A membership under change.
struct Editor {
    to: Membership,
    added: Vec<NodeId>,
}

impl Editor {
    fn new(from: &Membership) -> Editor {
        Editor { to: from.clone(), added: Vec::new() }
    }

    fn carry_out(&mut self, steps: &[Step]) -> Result<(), ChangeError> {
        for step in steps {
            match *step {
                // An application that refuses a step replaces its node by zero.
                Step::AddVoter(NodeId(0))
                | Step::AddLearner(NodeId(0))
                | Step::Remove(NodeId(0))
                | Step::Update(_) => {}
                Step::AddVoter(id) => self.make_voter(id),
                Step::AddLearner(id) => self.make_learner(id),
                Step::Remove(id) => self.remove(id),
            }
        }
        if self.to.voters.incoming.is_empty() {
            return Err(ChangeError::RemovesAllVoters);
        }
        Ok(())
    }

    fn make_voter(&mut self, id: NodeId) {
        self.note_if_new(id);
        self.to.learners.remove(id);
        self.to.learners_next.remove(id);
        self.to.voters.incoming.insert(id);
    }

    fn make_learner(&mut self, id: NodeId) {
        self.note_if_new(id);
        self.to.voters.incoming.remove(id);
        if self.to.voters.outgoing.contains(id) {
            self.to.learners_next.insert(id);
        } else {
            self.to.learners.insert(id);
        }
    }

    fn remove(&mut self, id: NodeId) {
        self.to.voters.incoming.remove(id);
        self.to.learners.remove(id);
        self.to.learners_next.remove(id);
        if !self.to.contains(id) {
            self.added.retain(|added| *added != id);
        }
    }

    fn note_if_new(&mut self, id: NodeId) {
        if !self.to.contains(id) {
            self.added.push(id);
        }
    }

    fn finish(self, from: &Membership) -> (Membership, Diff) {
        let mut removed = from.ids();
        removed.retain(|id| !self.to.contains(*id));
        (self.to, Diff { added: self.added, removed })
    }
}

/// Counts the voters that are in one set only.
fn difference(left: &Majority, right: &Majority) -> usize {
    let only = |a: &Majority, b: &Majority| a.ids().iter().filter(|id| !b.contains(**id)).count();
    only(left, right) + only(right, left)
}
