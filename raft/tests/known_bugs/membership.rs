//! Membership changes: joint configurations, new members, members that leave.

use bytes::Bytes;
use tinykv_raft::RoleKind::{Follower, Leader};
use tinykv_raft::confchange::{Change, Step};
use tinykv_raft::{NodeId, Payload};

use crate::cluster::{Cluster, Member, hard_state, stage_config, storage_of};

fn changes(member: &Member) -> Vec<Change> {
    let of_entry = |payload| match payload {
        Payload::Change(change) => Some(Change::clone(&change)),
        Payload::Normal(_) => None,
    };
    member.log().into_iter().filter_map(|entry| of_entry(entry.payload)).collect()
}

/// A change of two members goes through a joint configuration, which the leader leaves once.
#[test]
fn a_joint_configuration_is_left_by_itself() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    let steps = vec![Step::Remove(NodeId(3)), Step::AddLearner(NodeId(4))];
    let change = Change { steps, ..Change::default() };
    cluster.member(1).node.propose_change(change.clone()).unwrap();
    cluster.settle();
    for id in [1, 2] {
        assert_eq!(cluster.node(id).membership().to_string(), "voters=(1 2) learners=(4)");
        assert_eq!(changes(&cluster.members[&id]), [change.clone(), Change::leave_joint()]);
    }
}

/// Between the joint configuration and its end further entries are applied, one by one.
#[test]
fn a_joint_configuration_is_left_once() {
    let mut config = stage_config(1);
    config.applying_bytes_max = 1;
    let mut member = Member::new(config, storage_of(&[1], &[], hard_state(0, None, 0)));
    member.lead();
    let steps = vec![Step::AddLearner(NodeId(2)), Step::AddLearner(NodeId(3))];
    let change = Change { steps, ..Change::default() };
    member.node.propose_change(change.clone()).unwrap();
    let batch = ["x", "y", "z"].map(|data| Bytes::from_static(data.as_bytes()));
    member.node.propose_batch(batch).unwrap();
    member.work();
    assert_eq!(changes(&member), [change, Change::leave_joint()]);
    assert!(!member.node.membership().voters.is_joint());
}

/// A node that was just added had no time to be heard. It does not cost the leader its quorum.
#[test]
fn a_new_member_is_given_time() {
    let mut config = stage_config(1);
    config.check_quorum = true;
    let mut member = Member::new(config, storage_of(&[1], &[], hard_state(0, None, 0)));
    member.lead();
    member.ticks(9);
    member.node.propose_change(Change::simple(Step::AddVoter(NodeId(2)))).unwrap();
    member.work();
    member.ticks(1);
    assert_eq!(member.node.role(), Leader);
    // But not for ever.
    member.ticks(10);
    assert_eq!(member.node.role(), Follower);
}

/// A leader that is removed steps down when it applies that, if it is told to.
#[test]
fn a_removed_leader_steps_down() {
    for (steps_down, role) in [(true, Follower), (false, Leader)] {
        let mut cluster = Cluster::configured(3, |config| config.step_down_on_removal = steps_down);
        cluster.campaign(1);
        let change = Change::simple(Step::Remove(NodeId(1)));
        cluster.member(1).node.propose_change(change).unwrap();
        cluster.settle();
        assert_eq!(cluster.node(1).membership().ids(), [NodeId(2), NodeId(3)]);
        assert_eq!(cluster.role(1), role);
    }
}
