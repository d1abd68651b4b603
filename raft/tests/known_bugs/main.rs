//! Bugs that other libraries have shipped, each as the smallest scenario that shows it.

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Cluster, Member, hard_state, stage_config, storage_of};
use tinykv_raft::{Body, CampaignError, EntryId, Index, ReadError, RoleKind, Storage, Vote};

/// An acknowledgement of an earlier term says nothing of this term's entries.
#[test]
fn an_old_acknowledgement_does_not_count() {
    let mut leader =
        Member::new(stage_config(1), storage_of(&[1, 2, 3], &[1, 1], hard_state(1, None, 0)));
    leader.lead();
    leader.hear(2, 1, Body::AppendAccepted { index: Index(3) });
    assert_eq!(leader.node.committed(), Index(0));
}

/// What is applied no longer counts against the quota.
#[test]
fn the_quota_is_given_back() {
    let mut cluster = Cluster::configured(3, |config| config.uncommitted_bytes_max = 4);
    cluster.campaign(1);
    for _ in 0..5 {
        cluster.propose(1, "full");
    }
    assert_eq!(cluster.member(2).applied.len(), 5);
}

/// A long conflicting tail is skipped term by term, not entry by entry.
#[test]
fn a_divergent_tail_is_found_in_few_probes() {
    let tail = [vec![1], vec![2; 500]].concat();
    let ours = [vec![1], vec![3; 500]].concat();
    let mut cluster = Cluster::from_members([
        Member::new(stage_config(1), storage_of(&[1, 2, 3], &ours, hard_state(3, None, 1))),
        Member::new(stage_config(2), storage_of(&[1, 2, 3], &tail, hard_state(3, None, 1))),
    ]);
    cluster.campaign(1);
    cluster.send(3, 1, 4, Body::VoteResponse(Vote::GRANTED));
    cluster.seen.clear();
    cluster.heartbeat(1);
    let probes =
        cluster.seen.iter().filter(|message| matches!(message.body, Body::AppendRejected { .. }));
    assert!(probes.count() <= 3);
    assert_eq!(cluster.node(2).last(), cluster.node(1).last());
}

/// A refused pre-vote teaches the later term.
#[test]
fn a_refused_pre_vote_teaches_the_term() {
    let mut config = stage_config(1);
    config.pre_vote = true;
    let mut member = Member::new(config, storage_of(&[1, 2, 3], &[1], hard_state(1, None, 0)));
    member.campaign();
    let vote = Vote { granted: false, committed: EntryId::default() };
    member.hear(2, 7, Body::PreVoteResponse(vote));
    assert_eq!((member.node.role(), member.node.term().0), (RoleKind::Follower, 7));
}

/// A node with a damaged entry keeps the length of its log when it votes, and does not campaign.
#[test]
fn a_damaged_entry_is_neither_forgotten_nor_led_with() {
    let mut storage = storage_of(&[1, 2, 3], &[1, 1, 1], hard_state(1, None, 0));
    storage.damage(Index(2));
    let mut member = Member::new(stage_config(1), storage);
    assert_eq!(member.node.campaign(), Err(CampaignError::Faulty { index: Index(2) }));
    let last = EntryId::new(1, 1);
    let sent = member.hear(2, 2, Body::RequestVote { last, transfer: false });
    assert_eq!(cluster::granted(&sent[0].body), Some(false));
    // Nothing from the damaged entry on is acknowledged.
    let prev = EntryId::new(1, 3);
    let entries = tinykv_raft::Entries::default();
    let sent = member.hear(3, 3, Body::Append { prev, commit: Index(0), entries });
    assert!(matches!(sent[0].body, Body::AppendRejected { damaged: true, .. }), "{sent:?}");
    assert_eq!(member.node.storage().last_index(), Index(3));
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
