//! Linearizable reads, and the promises that a lease rests on.

use tinykv_raft::RoleKind::Follower;
use tinykv_raft::{Body, CampaignError, Config, EntryId, Index, ReadError, ReadMode, Term, Vote};

use crate::cluster::{Cluster, Member, granted, hard_state, stage_config, storage_of};

fn lease(config: &mut Config) {
    config.check_quorum = true;
    config.reads = ReadMode::Lease;
}

/// Node 2 of three, which has just answered a heartbeat of leader 1.
fn follower_that_owes_a_lease() -> Member {
    let mut config = stage_config(2);
    lease(&mut config);
    let mut member = Member::new(config, storage_of(&[1, 2, 3], &[1], hard_state(0, None, 0)));
    member.hear(1, 1, Body::Heartbeat { commit: Index(0), round: 1 });
    member
}

/// A read that can no longer be confirmed fails; it is not forgotten.
#[test]
fn a_read_fails_when_leadership_is_lost() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    assert_eq!(cluster.member(1).node.read_index(9), Ok(()));
    // A later leader is heard before the round of heartbeats is answered.
    let body = Body::Heartbeat { commit: Index(0), round: 1 };
    cluster.member(1).hear(2, 5, body);
    let reads: Vec<_> =
        cluster.member(1).reads.iter().map(|read| (read.token, read.result)).collect();
    assert_eq!(reads, [(9, Err(ReadError::LeaderChanged))]);
}

/// An answer to heartbeats that were sent before the read began says nothing of it, however late it
/// comes.
#[test]
fn a_late_answer_does_not_confirm_a_later_read() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    cluster.heartbeat(1);
    cluster.isolate(1);
    cluster.heartbeat(1);
    let leader = cluster.member(1);
    leader.node.read_index(7).unwrap();
    leader.hear(2, 1, Body::HeartbeatResponse { round: 2 });
    assert!(leader.reads.is_empty(), "{:?}", leader.reads);
    leader.hear(2, 1, Body::HeartbeatResponse { round: 3 });
    assert_eq!(leader.reads.len(), 1);
}

/// Node 2 promised leader 1 to elect nobody else for a while. It is asked to campaign: that would
/// break the promise by its own vote.
#[test]
fn a_campaign_by_hand_waits_for_the_lease() {
    let mut member = follower_that_owes_a_lease();
    member.ticks(3);
    assert_eq!(member.node.campaign(), Err(CampaignError::OwesLease { ticks: 7 }));
    assert_eq!((member.node.role(), member.node.term()), (Follower, Term(1)));
    member.ticks(7);
    assert_eq!(member.node.campaign(), Ok(()));
    // The leader's own wish is another thing.
    let mut member = follower_that_owes_a_lease();
    let sent = member.hear(1, 1, Body::TimeoutNow);
    assert!(sent.iter().all(|m| matches!(m.body, Body::RequestVote { transfer: true, .. })));
    assert_eq!((sent.len(), member.node.term()), (2, Term(2)));
}

/// A late refusal teaches node 2 the term of candidate 3. It has no leader in that term; but the
/// promise to leader 1 stands.
#[test]
fn a_later_term_does_not_end_the_promise() {
    let mut member = follower_that_owes_a_lease();
    let refused = Vote { granted: false, committed: EntryId::default() };
    member.hear(3, 2, Body::PreVoteResponse(refused));
    assert_eq!((member.node.leader(), member.node.term()), (None, Term(2)));
    let last = EntryId::new(1, 1);
    let ask = || Body::RequestVote { last, transfer: false };
    let sent = member.hear(3, 2, ask());
    assert_eq!(granted(&sent[0].body), Some(false));
    member.ticks(9);
    assert_eq!(granted(&member.hear(3, 2, ask())[0].body), Some(false));
    member.ticks(1);
    assert_eq!(granted(&member.hear(3, 2, ask())[0].body), Some(true));
}

/// A node that restarts may have promised and forgotten it.
#[test]
fn a_restart_does_not_end_the_promise() {
    let mut config = stage_config(2);
    lease(&mut config);
    let mut member = Member::new(config, storage_of(&[1, 2, 3], &[1], hard_state(1, None, 0)));
    let ask = || Body::RequestVote { last: EntryId::new(1, 1), transfer: false };
    assert!(member.hear(3, 2, ask()).is_empty());
    assert_eq!(member.node.campaign(), Err(CampaignError::OwesLease { ticks: 10 }));
    member.ticks(10);
    assert_eq!(granted(&member.hear(3, 2, ask())[0].body), Some(true));
}
