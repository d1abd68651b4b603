//! Thesis 3.10: leadership transfer.

use bytes::Bytes;
use tinykv_raft::RoleKind::{Follower, Leader};
use tinykv_raft::{Body, NodeId, ProposeError, Term, TransferError};

use crate::cluster::Cluster;
use crate::{accepted, leader, member_with, to};

fn group() -> Cluster {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    cluster
}

/// The prior leader stops taking proposals, brings the target up to date, and tells it to campaign.
#[test]
fn the_target_is_brought_up_to_date_first() {
    let mut leader = leader();
    leader.hear(3, 1, accepted(1));
    leader.node.propose(Bytes::from_static(b"x")).unwrap();
    leader.work();
    leader.node.transfer_leader(NodeId(2)).unwrap();
    let told = |sent: &[tinykv_raft::Message]| {
        to(sent, 2).iter().any(|message| message.body == Body::TimeoutNow)
    };
    assert!(!told(&leader.work()), "node 2 lacks x");
    let target = NodeId(2);
    let refused = leader.node.propose(Bytes::from_static(b"y"));
    assert_eq!(refused, Err(ProposeError::Transferring { target }));
    assert!(told(&leader.hear(2, 1, accepted(2))));
}

/// The target starts an election at once, in a new term, without waiting for its timeout; with an
/// up-to-date log and the leader's blessing it wins, and the old leader follows.
#[test]
fn the_target_wins_and_the_leader_follows() {
    let mut cluster = group();
    cluster.member(1).node.transfer_leader(NodeId(3)).unwrap();
    cluster.settle();
    assert_eq!((cluster.role(3), cluster.role(1)), (Leader, Follower));
    assert_eq!(cluster.node(3).term(), Term(2));
    assert_eq!(cluster.node(1).leader(), Some(NodeId(3)));
}

/// If the target does not win within an election timeout, the leader goes on taking proposals.
#[test]
fn a_transfer_that_fails_is_given_up() {
    let mut cluster = group();
    cluster.isolate(3);
    cluster.member(1).node.transfer_leader(NodeId(3)).unwrap();
    cluster.ticks(1, 9);
    let target = NodeId(3);
    let refused = cluster.member(1).node.propose(Bytes::from_static(b"x"));
    assert_eq!(refused, Err(ProposeError::Transferring { target }));
    cluster.ticks(1, 1);
    cluster.propose(1, "x");
    assert_eq!(cluster.member(2).applied, ["x"]);
}

/// Only a voter can be a target, and a transfer to it is asked for once.
#[test]
fn a_transfer_needs_a_voter() {
    let mut leader = leader();
    let (stranger, target) = (NodeId(9), NodeId(2));
    let asked = leader.node.transfer_leader(stranger);
    assert_eq!(asked, Err(TransferError::NotVoter { target: stranger }));
    leader.node.transfer_leader(target).unwrap();
    assert_eq!(leader.node.transfer_leader(target), Err(TransferError::InProgress { target }));
    let mut alone = member_with(&[]);
    assert_eq!(alone.node.transfer_leader(target), Err(TransferError::NoLeader));
}

/// The message that tells a target to campaign counts in its term only.
#[test]
fn an_old_order_to_campaign_is_ignored() {
    let mut member = member_with(&[3]);
    member.hear(2, 2, Body::TimeoutNow);
    assert_eq!((member.node.role(), member.node.term()), (Follower, Term(3)));
}
