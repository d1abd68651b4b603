//! Paper 8 and thesis 6.4: what clients may rely on.

use bytes::Bytes;
use tinykv_raft::{Entry, Index, NodeId, ProposeError, Proposed, ReadError};

use crate::cluster::{Cluster, Member};
use crate::{accepted, leader, member_with};

/// Who does not lead says who does; or forwards, if it is told to.
#[test]
fn a_follower_names_the_leader() {
    let mut cluster = Cluster::configured(3, |config| config.forward_proposals = false);
    let propose = |cluster: &mut Cluster| cluster.member(2).node.propose(Bytes::from_static(b"x"));
    assert_eq!(propose(&mut cluster), Err(ProposeError::NoLeader));
    cluster.campaign(1);
    let leader = NodeId(1);
    assert_eq!(propose(&mut cluster), Err(ProposeError::NotLeader { leader }));

    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    assert_eq!(propose(&mut cluster), Ok(Proposed::Forwarded { leader }));
    cluster.settle();
    assert_eq!(cluster.member(3).applied, ["x"]);
}

/// A proposal is known by term and index. Another leader's entry may stand at the index.
#[test]
fn an_index_alone_says_nothing() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    cluster.isolate(1);
    let lost = cluster.member(1).node.propose(Bytes::from_static(b"lost")).unwrap();
    cluster.campaign(2);
    cluster.propose(2, "kept");
    cluster.recover();
    cluster.heartbeat(2);
    let outcomes = |entry: Entry| lost.outcome(entry.id());
    let outcomes: Vec<bool> = cluster.member(1).log().into_iter().filter_map(outcomes).collect();
    assert_eq!(outcomes, [false], "another entry stands there");
    assert_eq!(cluster.member(1).applied, ["kept"]);
}

/// A read waits for an entry of the leader's term: before that, the leader may not know all that is
/// committed.
#[test]
fn a_read_waits_for_the_first_commit_of_the_term() {
    let mut leader = member_with(&[1, 1]);
    leader.lead();
    leader.node.read_index(7).unwrap();
    leader.work();
    leader.ticks(2);
    for round in 1..4 {
        leader.hear(2, 2, tinykv_raft::Body::HeartbeatResponse { round });
    }
    assert!(leader.reads.is_empty());
    leader.hear(2, 2, accepted(3));
    for round in 1..9 {
        leader.hear(2, 2, tinykv_raft::Body::HeartbeatResponse { round });
    }
    assert_eq!(leader.reads.len(), 1);
    assert_eq!(leader.reads[0].result, Ok(Index(3)));
}

/// A read is served at the commit index of its beginning, once a majority has answered heartbeats
/// that were sent after that. The leader alone does not suffice, not even an old one's memory.
#[test]
fn a_read_needs_a_majority() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    cluster.isolate(1);
    cluster.member(1).node.read_index(1).unwrap();
    cluster.settle();
    (0..3).for_each(|_| cluster.heartbeat(1));
    assert!(cluster.member(1).reads.is_empty());
    // A new leader writes; the old one's read must not miss that.
    cluster.campaign(2);
    cluster.propose(2, "x");
    cluster.recover();
    (0..3).for_each(|_| cluster.heartbeat(2));
    let reads = cluster.member(1).reads.clone();
    assert_eq!(reads.len(), 1);
    assert_eq!(reads[0].result, Err(ReadError::LeaderChanged));
}

/// Thesis 6.4: followers serve reads too, by asking the leader for an index.
#[test]
fn a_follower_reads_by_the_leaders_index() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    cluster.propose(1, "x");
    cluster.member(3).node.read_index(5).unwrap();
    cluster.settle();
    let reads = cluster.member(3).reads.clone();
    assert_eq!((reads[0].token, reads[0].result), (5, Ok(Index(2))));
}

/// Reads cost no log entries.
#[test]
fn reads_leave_the_log_alone() {
    let mut leader = leader();
    let last = leader.node.last();
    for token in 0..100 {
        leader.node.read_index(token).unwrap();
    }
    leader.work();
    leader.hear(2, 1, tinykv_raft::Body::HeartbeatResponse { round: 1 });
    assert_eq!((leader.reads.len(), leader.node.last()), (100, last));
}

/// A group of one needs nobody's answer.
#[test]
fn a_group_of_one_reads_at_once() {
    let mut member = Member::of(1, &[1]);
    member.lead();
    member.node.read_index(1).unwrap();
    member.work();
    assert_eq!(member.reads[0].result, Ok(Index(1)));
}
