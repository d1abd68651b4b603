//! Thesis 6.2 and 6.4.1: a leader that hears no majority steps down; leases for reads.

use tinykv_raft::RoleKind::{Follower, Leader};
use tinykv_raft::{Body, Config, Index, NodeId, ReadMode};

use crate::cluster::{Cluster, Member};
use crate::{member_configured, request_vote};

fn careful(config: &mut Config) {
    config.check_quorum = true;
}

fn lease(config: &mut Config) {
    config.check_quorum = true;
    config.reads = ReadMode::Lease;
}

/// Thesis 6.2: "a leader steps down if an election timeout elapses without a successful round of
/// heartbeats to a majority", so that clients go elsewhere.
#[test]
fn a_leader_without_a_majority_steps_down() {
    let mut cluster = Cluster::configured(3, careful);
    cluster.campaign(1);
    cluster.ticks(1, 30);
    assert_eq!(cluster.role(1), Leader);
    cluster.isolate(1);
    cluster.ticks(1, 20);
    assert_eq!((cluster.role(1), cluster.node(1).leader()), (Follower, None));
}

/// One follower of two is a majority with the leader.
#[test]
fn a_leader_with_a_majority_stays() {
    let mut cluster = Cluster::configured(3, careful);
    cluster.campaign(1);
    cluster.isolate(3);
    cluster.ticks(1, 60);
    assert_eq!(cluster.role(1), Leader);
}

/// Thesis 4.2.3: within the minimum election timeout of hearing a leader, a member neither votes nor
/// takes the candidate's term; unless the leader itself asked for the election.
#[test]
fn who_hears_a_leader_does_not_vote() {
    let mut member = member_configured(&[1], careful);
    member.hear(2, 1, Body::Heartbeat { commit: Index(0), round: 1 });
    assert!(member.hear(3, 9, request_vote(9, 9)).is_empty());
    assert_eq!((member.node.term().0, member.node.leader()), (1, Some(NodeId(2))));
    let last = tinykv_raft::EntryId::new(1, 1);
    let sent = member.hear(3, 9, Body::RequestVote { last, transfer: true });
    assert_eq!(crate::cluster::granted(&sent[0].body), Some(true));
}

/// Thesis 6.4.1: after a round that a majority answered, the leader reads without asking until an
/// election timeout after the round began; not longer.
#[test]
fn a_lease_lasts_less_than_an_election_timeout() {
    let mut cluster = Cluster::configured(3, lease);
    cluster.campaign(1);
    cluster.heartbeat(1);
    cluster.isolate(1);
    let read = |cluster: &mut Cluster, token| {
        let member: &mut Member = cluster.member(1);
        member.node.read_index(token).unwrap();
        member.work();
        member.reads.iter().any(|read| read.token == token)
    };
    for token in 0..8 {
        assert!(read(&mut cluster, token), "tick {token}");
        cluster.ticks(1, 1);
    }
    cluster.ticks(1, 1);
    assert_eq!(cluster.role(1), Leader);
    assert!(!read(&mut cluster, 99), "9 of 10 ticks have passed");
    // The others elect nobody before.
    cluster.ticks(2, 9);
    cluster.ticks(3, 9);
    assert_eq!((cluster.role(2), cluster.role(3)), (Follower, Follower));
}
