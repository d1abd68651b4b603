//! Stage 3a: leader transfer (thesis 3.10) and membership changes (section 6).

#[path = "support/cluster.rs"]
mod cluster;

use bytes::Bytes;
use cluster::{Cluster, Member, hard_state, stage_config, storage_of};
use tinykv_raft::RoleKind::{Follower, Leader};
use tinykv_raft::confchange::{Change, Step};
use tinykv_raft::{Body, ChangeError, EntryId, Index, NodeId, Payload, TransferError, Vote};

fn ids(member: &Member) -> Vec<u64> {
    member.node.membership().ids().iter().map(|id| id.0).collect()
}

fn transfer(cluster: &mut Cluster, from: u64, to: u64) -> Result<(), TransferError> {
    let result = cluster.member(from).node.transfer_leader(NodeId(to));
    cluster.settle();
    result
}

fn assert_leader(cluster: &Cluster, leader: u64) {
    for (id, member) in &cluster.members {
        let expected = if *id == leader { Leader } else { Follower };
        assert_eq!(member.node.role(), expected, "node {id}");
        assert_eq!(member.node.leader(), Some(NodeId(leader)), "node {id}");
    }
    assert_eq!(cluster.node(leader).status().transferee, None);
}

#[test]
fn adding_a_node() {
    let mut member = Member::of(1, &[1]);
    member.node.apply_change(&Change::simple(Step::AddVoter(NodeId(2)))).unwrap();
    assert_eq!(ids(&member), [1, 2]);
}

#[test]
fn removing_a_node() {
    let mut member = Member::of(1, &[1, 2]);
    member.node.apply_change(&Change::simple(Step::Remove(NodeId(2)))).unwrap();
    assert_eq!(ids(&member), [1]);
    // The last one cannot go; nothing panics.
    let last = member.node.apply_change(&Change::simple(Step::Remove(NodeId(1))));
    assert_eq!(last, Err(ChangeError::RemovesAllVoters));
    assert_eq!(ids(&member), [1]);
}

#[test]
fn a_removal_lets_the_smaller_quorum_commit() {
    let mut leader = Member::of(1, &[1, 2]);
    leader.lead();
    leader.hear(2, 1, Body::AppendAccepted { index: Index(1) });
    leader.node.propose_change(Change::simple(Step::Remove(NodeId(2)))).unwrap();
    leader.work();
    assert_eq!(leader.node.committed(), Index(1));
    leader.node.propose(Bytes::from_static(b"hello")).unwrap();
    leader.work();
    // Node 2 has the removal, but not the command.
    leader.hear(2, 1, Body::AppendAccepted { index: Index(2) });
    assert_eq!(ids(&leader), [1]);
    assert_eq!(leader.node.committed(), Index(3));
    assert_eq!(leader.applied, ["hello"]);
}

#[test]
fn transfer_to_an_up_to_date_node() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    transfer(&mut cluster, 1, 2).unwrap();
    assert_leader(&cluster, 2);
    cluster.propose(2, "x");
    transfer(&mut cluster, 2, 1).unwrap();
    assert_leader(&cluster, 1);
}

#[test]
fn transfer_asked_of_a_follower() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    transfer(&mut cluster, 2, 2).unwrap();
    assert_leader(&cluster, 2);
    cluster.propose(2, "x");
    transfer(&mut cluster, 1, 1).unwrap();
    assert_leader(&cluster, 1);
}

#[test]
fn transfer_to_a_slow_follower() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    cluster.isolate(3);
    cluster.propose(1, "x");
    cluster.recover();
    assert_eq!(cluster.node(1).status().progress[2].matched, Index(1));
    transfer(&mut cluster, 1, 3).unwrap();
    // What was sent while 3 was away is lost; the next heartbeat shows it.
    cluster.heartbeat(1);
    assert_leader(&cluster, 3);
}

#[test]
fn transfer_after_a_snapshot() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    cluster.isolate(3);
    cluster.propose(1, "x");
    cluster.compact(1);
    cluster.recover();
    transfer(&mut cluster, 1, 3).unwrap();
    cluster.heartbeat(1);
    assert_leader(&cluster, 3);
}

#[test]
fn transfer_to_oneself_does_nothing() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    transfer(&mut cluster, 1, 1).unwrap();
    assert_leader(&cluster, 1);
}

#[test]
fn transfer_to_a_stranger_does_nothing() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    let target = NodeId(4);
    assert_eq!(transfer(&mut cluster, 1, 4), Err(TransferError::NotVoter { target }));
    assert_leader(&cluster, 1);
}

#[test]
fn a_campaign_in_a_later_term_ends_a_transfer() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    cluster.isolate(3);
    transfer(&mut cluster, 1, 3).unwrap();
    assert_eq!(cluster.node(1).status().transferee, Some(NodeId(3)));
    cluster.campaign(2);
    assert_eq!((cluster.role(1), cluster.role(2)), (Follower, Leader));
    assert_eq!(cluster.node(1).leader(), Some(NodeId(2)));
}

#[test]
fn a_transfer_to_a_removed_node_is_given_up() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    cluster.ignore(|body| matches!(body, Body::TimeoutNow));
    transfer(&mut cluster, 1, 3).unwrap();
    assert_eq!(cluster.node(1).status().transferee, Some(NodeId(3)));
    let change = Change::simple(Step::Remove(NodeId(3)));
    cluster.member(1).node.apply_change(&change).unwrap();
    cluster.settle();
    assert_eq!(cluster.role(1), Leader);
    assert_eq!(cluster.node(1).status().transferee, None);
}

#[test]
fn a_transfer_to_oneself_ends_a_pending_one() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    cluster.isolate(3);
    transfer(&mut cluster, 1, 3).unwrap();
    transfer(&mut cluster, 1, 1).unwrap();
    assert_eq!(cluster.role(1), Leader);
    assert_eq!(cluster.node(1).status().transferee, None);
}

#[test]
fn a_second_transfer_replaces_the_first() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    cluster.isolate(3);
    transfer(&mut cluster, 1, 3).unwrap();
    transfer(&mut cluster, 1, 2).unwrap();
    assert_eq!((cluster.role(1), cluster.role(2)), (Follower, Leader));
}

#[test]
fn a_node_that_is_no_member_does_not_campaign() {
    let mut member = Member::of(1, &[2, 3, 4]);
    member.hear(2, 1, Body::TimeoutNow);
    member.hear(2, 1, Body::VoteResponse(Vote::GRANTED));
    member.hear(3, 1, Body::VoteResponse(Vote::GRANTED));
    assert_eq!(member.node.role(), Follower);
}

#[test]
fn a_membership_change_stands_in_the_log_like_a_command() {
    let mut member = Member::new(stage_config(1), storage_of(&[1], &[], hard_state(0, None, 0)));
    member.lead();
    member.node.propose(Bytes::from_static(b"somedata")).unwrap();
    let change = Change {
        context: Bytes::from_static(b"where it listens"),
        ..Change::simple(Step::AddVoter(NodeId(2)))
    };
    let id = member.node.propose_change(change.clone()).unwrap();
    member.work();
    let payloads: Vec<Payload> = member.log().into_iter().map(|entry| entry.payload).collect();
    assert_eq!(
        payloads,
        [
            Payload::NOOP,
            Payload::Normal(Bytes::from_static(b"somedata")),
            Payload::Change(change.into()),
        ]
    );
    assert_eq!(id, EntryId::new(1, 3));
    assert_eq!(ids(&member), [1, 2]);
}

#[test]
fn adding_a_node_twice_is_harmless() {
    let mut member = Member::new(stage_config(1), storage_of(&[1], &[], hard_state(0, None, 0)));
    member.lead();
    let add = |id| Change::simple(Step::AddVoter(NodeId(id)));
    for id in [1, 1, 2] {
        member.node.propose_change(add(id)).unwrap();
        member.work();
    }
    let changes: Vec<Payload> =
        member.log().into_iter().skip(1).map(|entry| entry.payload).collect();
    let expected: Vec<Payload> =
        [1, 1, 2].map(|id| Payload::Change(add(id).into())).into_iter().collect();
    assert_eq!(changes, expected);
    assert_eq!(ids(&member), [1, 2]);
}
