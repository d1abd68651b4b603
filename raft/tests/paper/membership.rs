//! Paper 6 and thesis 4: membership changes.

use bytes::Bytes;
use tinykv_raft::RoleKind::{Candidate, Follower, Leader};
use tinykv_raft::confchange::{Change, Step, Transition};
use tinykv_raft::{ChangeError, Index, Membership, NodeId, ProposeError};

use crate::cluster::{Cluster, Member, hard_state, stage_config, storage_of};
use crate::{accepted, appends_to, vote};

fn step(step: Step) -> Change {
    Change::simple(step)
}

/// From voters {1,2,3} to {1,4,5}, by a joint configuration that is left when asked.
fn joint() -> Change {
    let steps = vec![
        Step::Remove(NodeId(2)),
        Step::Remove(NodeId(3)),
        Step::AddVoter(NodeId(4)),
        Step::AddVoter(NodeId(5)),
    ];
    Change { transition: Transition::JointExplicit, steps, ..Change::default() }
}

/// Member 1 in the joint configuration of {1,2,3} and {1,4,5}.
fn in_joint() -> Member {
    let mut member = Member::of(1, &[1, 2, 3]);
    member.node.apply_change(&joint()).expect("it is possible");
    member
}

/// Elections need majorities of both configurations, each by its own count.
#[test]
fn a_joint_election_needs_both_majorities() {
    for (voters, role) in
        [(&[2, 3][..], Candidate), (&[4, 5], Candidate), (&[2, 4], Leader), (&[3, 5], Leader)]
    {
        let mut member = in_joint();
        member.campaign();
        for id in voters {
            member.hear(*id, 1, vote(true));
        }
        assert_eq!(member.node.role(), role, "votes of {voters:?}");
    }
}

/// So does commitment; and entries go to the members of both.
#[test]
fn a_joint_commit_needs_both_majorities() {
    let mut leader = in_joint();
    let sent = leader.lead();
    for id in [2, 3, 4, 5] {
        assert_eq!(appends_to(&sent, id).len(), 1, "node {id}");
    }
    leader.hear(2, 1, accepted(1));
    leader.hear(3, 1, accepted(1));
    assert_eq!(leader.node.committed(), Index(0), "only the old ones have it");
    leader.hear(4, 1, accepted(1));
    assert_eq!(leader.node.committed(), Index(1));
    let mut leader = in_joint();
    leader.lead();
    leader.hear(4, 1, accepted(1));
    leader.hear(5, 1, accepted(1));
    assert_eq!(leader.node.committed(), Index(0), "only the new ones have it");
}

/// A whole change: old and new voters, the joint configuration, and the new ones alone.
#[test]
fn a_group_moves_to_other_voters() {
    let mut cluster = Cluster::from_members(
        (1..=3).map(|id| Member::of(id, &[1, 2, 3])).chain((4..=5).map(|id| Member::of(id, &[]))),
    );
    cluster.campaign(1);
    cluster.propose(1, "before");
    // The founders' membership stands in no entry; who comes later learns it from a snapshot.
    cluster.compact(1);
    for change in [joint(), Change::leave_joint()] {
        cluster.member(1).node.propose_change(change).unwrap();
        cluster.settle();
        (0..3).for_each(|_| cluster.heartbeat(1));
    }
    cluster.propose(1, "after");
    for id in [1, 4, 5] {
        assert_eq!(cluster.member(id).applied.last().unwrap(), "after", "node {id}");
        assert_eq!(*cluster.node(id).membership(), Membership::of_voters([1, 4, 5]));
    }
    // The old ones are not needed any more.
    cluster.isolate(2);
    cluster.isolate(3);
    cluster.propose(1, "alone");
    assert_eq!(cluster.member(5).applied, ["after", "alone"]);
}

/// A leader that is not in the new configuration leads until it is in force, without counting itself
/// for it, and then steps down.
#[test]
fn a_leader_removes_itself() {
    let mut cluster = Cluster::configured(3, |config| config.step_down_on_removal = true);
    cluster.campaign(1);
    cluster.member(1).node.propose_change(step(Step::Remove(NodeId(1)))).unwrap();
    cluster.settle();
    assert_eq!(cluster.role(1), Follower);
    cluster.campaign(2);
    assert_eq!(cluster.role(2), Leader);
    cluster.isolate(1);
    cluster.propose(2, "x");
    assert_eq!(cluster.member(3).applied, ["x"]);
}

/// Thesis 4.2.1: a member that is new to the group first receives entries without being counted.
#[test]
fn a_learner_does_not_count() {
    let mut cluster =
        Cluster::from_members([Member::of(1, &[1, 2]), Member::of(2, &[1, 2]), Member::of(3, &[])]);
    cluster.campaign(1);
    cluster.member(1).node.propose_change(step(Step::AddLearner(NodeId(3)))).unwrap();
    cluster.settle();
    cluster.heartbeat(1);
    cluster.isolate(2);
    cluster.propose(1, "x");
    assert_eq!(cluster.node(3).last(), cluster.node(1).last(), "the learner gets entries");
    assert!(cluster.node(1).committed() < cluster.node(1).last().index, "but does not count");
    // Nor does it campaign.
    cluster.ticks(3, 60);
    assert_eq!(cluster.role(3), Follower);
    cluster.recover();
    cluster.heartbeat(1);
    // Promoted, it counts.
    cluster.member(1).node.propose_change(step(Step::AddVoter(NodeId(3)))).unwrap();
    cluster.settle();
    cluster.isolate(2);
    cluster.propose(1, "y");
    assert_eq!(cluster.member(3).applied, ["x", "y"]);
}

/// Thesis 4.1: one change at a time. The next may be proposed when the last has taken effect.
#[test]
fn one_change_at_a_time() {
    let mut leader = Member::of(1, &[1, 2, 3]);
    leader.lead();
    leader.hear(2, 1, accepted(1));
    leader.node.propose_change(step(Step::AddVoter(NodeId(4)))).unwrap();
    let second = |leader: &mut Member| leader.node.propose_change(step(Step::AddVoter(NodeId(5))));
    let pending = ChangeError::PendingAt { index: Index(2) };
    assert_eq!(second(&mut leader), Err(ProposeError::Change(pending)));
    leader.work();
    assert_eq!(second(&mut leader), Err(ProposeError::Change(pending)));
    leader.hear(2, 1, accepted(2));
    assert!(second(&mut leader).is_ok());
}

/// A new leader does not know whether its log's tail holds a change, so it takes none before its
/// first entry is applied (the bug of single-server changes that was found in 2015).
#[test]
fn a_new_leader_first_commits_an_entry_of_its_term() {
    let mut leader =
        Member::new(stage_config(1), storage_of(&[1, 2, 3], &[1, 1], hard_state(1, None, 0)));
    leader.lead();
    let change = || step(Step::Remove(NodeId(3)));
    assert!(leader.node.propose_change(change()).is_err());
    leader.hear(2, 2, accepted(3));
    assert!(leader.node.propose_change(change()).is_ok());
}

/// Thesis 4.1: in one step at most one voter changes, so that old and new majorities overlap.
#[test]
fn several_voters_change_only_jointly() {
    let from = Membership::of_voters([1, 2, 3]);
    let steps = [Step::AddVoter(NodeId(4)), Step::AddVoter(NodeId(5))];
    let simple = tinykv_raft::confchange::simple(&from, &steps);
    assert_eq!(simple, Err(ChangeError::NeedsJoint));
    for size in 1..8u64 {
        let old = Membership::of_voters(1..=size);
        for change in [step(Step::AddVoter(NodeId(9))), step(Step::Remove(NodeId(1)))] {
            if let Ok((new, _)) = change.apply(&old) {
                let majority = |m: &Membership| m.voters.incoming.ids().len() / 2 + 1;
                let all = old
                    .voters
                    .ids()
                    .chain(new.voters.ids())
                    .collect::<std::collections::BTreeSet<_>>();
                assert!(majority(&old) + majority(&new) > all.len(), "{old} to {new}");
            }
        }
    }
}

/// Paper 6: removed members do not disturb. Those who hear a leader do not mind their requests.
#[test]
fn a_removed_member_does_not_disturb() {
    let mut cluster = Cluster::configured(3, |config| config.check_quorum = true);
    cluster.campaign(1);
    cluster.isolate(3);
    cluster.member(1).node.propose_change(step(Step::Remove(NodeId(3)))).unwrap();
    cluster.settle();
    cluster.heartbeat(1);
    cluster.recover();
    // It does not know that it was removed, and campaigns in ever later terms.
    let term = cluster.term(1);
    for _ in 0..5 {
        cluster.campaign(3);
        cluster.heartbeat(1);
    }
    assert!(cluster.term(3) > term);
    assert_eq!((cluster.role(1), cluster.term(1), cluster.term(2)), (Leader, term, term));
}

/// A command that is proposed together with a change is committed like any other.
#[test]
fn service_goes_on_during_a_change() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    let node = &mut cluster.member(1).node;
    node.propose(Bytes::from_static(b"a")).unwrap();
    node.propose_change(step(Step::Remove(NodeId(3)))).unwrap();
    node.propose(Bytes::from_static(b"b")).unwrap();
    cluster.settle();
    assert_eq!(cluster.member(2).applied, ["a", "b"]);
}
