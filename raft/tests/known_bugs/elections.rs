//! Votes, terms and who may campaign.

use tinykv_raft::RoleKind::{Candidate, Follower, Leader, PreCandidate};
use tinykv_raft::confchange::{Change, Step};
use tinykv_raft::{
    Body, CampaignError, Entries, Entry, EntryId, Index, MemStorage, Membership, NodeId, Payload,
    Term, Vote,
};

use crate::cluster::{Cluster, Member, granted, hard_state, stage_config, storage_of};

/// A member that asks before it campaigns.
fn with_pre_vote(voters: &[u64], terms: &[u64]) -> Member {
    let mut config = stage_config(1);
    config.pre_vote = true;
    let term = terms.last().copied().unwrap_or(0);
    Member::new(config, storage_of(voters, terms, hard_state(term, None, 0)))
}

/// A refused pre-vote teaches the later term.
#[test]
fn a_refused_pre_vote_teaches_the_term() {
    let mut member = with_pre_vote(&[1, 2, 3], &[1]);
    member.campaign();
    let vote = Vote { granted: false, committed: EntryId::default() };
    member.hear(2, 7, Body::PreVoteResponse(vote));
    assert_eq!((member.node.role(), member.node.term()), (Follower, Term(7)));
}

/// A pre-vote that is granted late changes nothing: not in a candidate, not in a leader.
#[test]
fn a_late_pre_vote_starts_no_second_campaign() {
    let mut member = with_pre_vote(&[1, 2, 3, 4, 5], &[]);
    member.campaign();
    let granted = || Body::PreVoteResponse(Vote::GRANTED);
    member.hear(2, 1, granted());
    member.hear(3, 1, granted());
    assert_eq!((member.node.role(), member.node.term()), (Candidate, Term(1)));
    member.hear(4, 1, granted());
    assert_eq!((member.node.role(), member.node.term()), (Candidate, Term(1)));
    member.hear(2, 1, Body::VoteResponse(Vote::GRANTED));
    member.hear(3, 1, Body::VoteResponse(Vote::GRANTED));
    member.hear(5, 1, granted());
    assert_eq!((member.node.role(), member.node.term()), (Leader, Term(1)));
}

/// The log of a member of `voters` whose first entry is this change.
fn log_with(change: Change) -> Entries {
    let payload = Payload::Change(change.into());
    Entries::new(vec![Entry { term: Term(1), index: Index(1), payload }])
}

/// Who has a committed change to apply does not know the quorum that it would ask.
#[test]
fn no_campaign_with_a_committed_change_unapplied() {
    let mut storage = storage_of(&[1, 2, 3], &[], hard_state(1, None, 1));
    storage.append(&log_with(Change::simple(Step::Remove(NodeId(3)))));
    let mut member = Member::new(stage_config(1), storage);
    let refused = Err(CampaignError::UnappliedChange { applied: Index(0) });
    assert_eq!(member.node.campaign(), refused);
    (0..30).for_each(|_| member.node.tick());
    assert_eq!((member.node.role(), member.node.term()), (Follower, Term(1)));
    member.hear(2, 1, Body::TimeoutNow);
    assert_eq!((member.node.role(), member.node.term()), (Follower, Term(1)));
    // It is applied by now.
    member.campaign();
    assert_eq!(member.node.membership().ids(), [NodeId(1), NodeId(2)]);
}

/// Of two nodes one removed itself, committed that, and fell silent. The other has the change, but
/// does not know that it is committed; the answer of the removed one tells.
#[test]
fn an_answer_teaches_a_committed_change() {
    let mut storage = storage_of(&[1, 2], &[], hard_state(1, None, 0));
    storage.append(&log_with(Change::simple(Step::Remove(NodeId(1)))));
    let mut member = Member::new(stage_config(2), storage);
    member.campaign();
    let vote = Vote { granted: false, committed: EntryId::new(1, 1) };
    member.hear(1, 2, Body::VoteResponse(vote));
    assert_eq!(member.node.committed(), Index(1));
    assert_eq!(member.node.membership().ids(), [NodeId(2)]);
    member.campaign();
    assert_eq!(member.node.role(), Leader);
}

/// A learner votes too: the candidate may know of its promotion before it does itself.
#[test]
fn a_learner_votes() {
    let membership = Membership::of_voters([2, 3]).with_learners([1]);
    let mut member = Member::new(stage_config(1), MemStorage::with_membership(membership));
    let last = EntryId::new(1, 1);
    let sent = member.hear(2, 2, Body::RequestVote { last, transfer: false });
    assert_eq!(granted(&sent[0].body), Some(true));
}

/// A member that misses its leader does not believe in it any more: it would refuse the others that
/// miss it too.
#[test]
fn a_pre_candidate_believes_in_no_leader() {
    let mut config = stage_config(1);
    (config.pre_vote, config.check_quorum) = (true, true);
    let mut member = Member::new(config, storage_of(&[1, 2, 3], &[1], hard_state(1, None, 0)));
    member.hear(2, 1, Body::Heartbeat { commit: Index(0), round: 1 });
    member.ticks(member.node.election_timeout());
    assert_eq!((member.node.role(), member.node.leader()), (PreCandidate, None));
    let last = EntryId::new(1, 1);
    let sent = member.hear(3, 2, Body::RequestPreVote { last });
    assert_eq!(granted(&sent[0].body), Some(true));
}

/// A member that was cut off has gone on to later terms. It cannot follow the leader, and is not
/// heard itself; so it tells the leader of its term, and all meet in a new one.
#[test]
fn a_member_at_a_later_term_comes_back() {
    let mut cluster = Cluster::configured(3, |config| config.check_quorum = true);
    cluster.campaign(1);
    cluster.isolate(3);
    (0..3).for_each(|_| cluster.campaign(3));
    cluster.recover();
    cluster.heartbeat(1);
    assert_eq!((cluster.role(1), cluster.term(1)), (Follower, cluster.term(3)));
}

/// A voter that was cut off has campaigned in vain, and was made a learner meanwhile. It does not
/// campaign any more, so nobody would ever hear of its later term. (The simulator found this.)
#[test]
fn a_learner_at_a_later_term_comes_back() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    let change = Change::simple(Step::AddLearner(NodeId(3)));
    cluster.member(1).node.propose_change(change).unwrap();
    cluster.settle();
    cluster.isolate(3);
    let term = Term(5);
    cluster.member(3).hear(
        2,
        term.0,
        Body::RequestVote { last: EntryId::default(), transfer: false },
    );
    assert!(!cluster.node(3).membership().is_voter(NodeId(3)));
    // It answers a leader of an earlier term when it has missed its own for long enough.
    cluster.ticks(3, 20);
    cluster.recover();
    cluster.heartbeat(1);
    assert_eq!((cluster.role(1), cluster.node(1).term()), (Follower, term));
    cluster.campaign(1);
    cluster.heartbeat(1);
    assert_eq!(cluster.node(3).last(), cluster.node(1).last());
}
