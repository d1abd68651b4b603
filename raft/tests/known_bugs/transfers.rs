//! Leadership that is handed over.

use tinykv_raft::{Body, NodeId, ReadMode};

use crate::cluster::Cluster;

/// Three nodes with leases, of which node 1 leads and has a lease.
fn with_lease() -> Cluster {
    let mut cluster = Cluster::configured(3, |config| {
        config.check_quorum = true;
        config.reads = ReadMode::Lease;
    });
    cluster.campaign(1);
    cluster.heartbeat(1);
    let leader = cluster.member(1);
    leader.node.read_index(1).expect("it leads");
    leader.work();
    assert_eq!(leader.reads.len(), 1, "the lease stands");
    cluster
}

/// Who was told to campaign may win at any time, whatever lease its voters gave. So the leader reads
/// by its lease no more, even when the transfer has come to nothing.
#[test]
fn a_leader_that_hands_over_has_no_lease() {
    let mut cluster = with_lease();
    cluster.isolate(1);
    let leader = cluster.member(1);
    leader.node.transfer_leader(NodeId(2)).unwrap();
    leader.node.transfer_leader(NodeId(1)).unwrap();
    leader.node.read_index(2).unwrap();
    leader.work();
    assert_eq!(leader.reads.len(), 1, "a read was served without a quorum");
}

/// The election that a leader asks for is not held up by those who hear the leader.
#[test]
fn a_transfer_need_not_wait_for_the_lease() {
    let mut cluster = with_lease();
    cluster.member(1).node.transfer_leader(NodeId(2)).unwrap();
    // The leader's own vote is not needed, only that of node 3.
    cluster.settle();
    assert_eq!(cluster.node(2).leader(), Some(NodeId(2)));
    assert_eq!(cluster.node(3).leader(), Some(NodeId(2)));
}

/// The target lacks an entry when the transfer begins; it is told to campaign only when it has it.
#[test]
fn nobody_is_told_to_campaign_who_lacks_entries() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    cluster.isolate(3);
    cluster.propose(1, "x");
    cluster.seen.clear();
    cluster.member(1).node.transfer_leader(NodeId(3)).unwrap();
    cluster.settle();
    let told = |body: &Body| matches!(body, Body::TimeoutNow);
    assert!(!cluster.seen.iter().any(|message| told(&message.body)));
    cluster.recover();
    cluster.heartbeat(1);
    assert_eq!(cluster.node(1).leader(), Some(NodeId(3)));
    assert_eq!(cluster.node(3).last(), cluster.node(1).last());
}
