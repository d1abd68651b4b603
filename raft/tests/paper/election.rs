//! Paper 5.2: leader election.

use std::collections::BTreeSet;

use tinykv_raft::RoleKind::{Candidate, Follower, Leader};
use tinykv_raft::{Body, EntryId, NodeId, Term};

use crate::cluster::{Cluster, Member, granted};
use crate::{append, heartbeat, member_with, request_vote, to, vote};

/// Members begin as followers.
#[test]
fn everybody_begins_as_a_follower() {
    let cluster = Cluster::of(3);
    assert_eq!(cluster.roles(), [Follower; 3]);
}

/// A follower stays one as long as it hears a leader.
#[test]
fn a_heard_leader_keeps_followers() {
    let mut member = member_with(&[]);
    for body in [heartbeat(), append((0, 0), &[], 0)].iter().cycle().take(20) {
        member.hear(2, 1, body.clone());
        member.ticks(9);
        assert_eq!((member.node.role(), member.node.term()), (Follower, Term(1)));
    }
}

/// A follower that hears nothing for an election timeout increments its term, votes for itself, and
/// asks all others for their votes.
#[test]
fn silence_begins_an_election() {
    let mut member = member_with(&[]);
    let sent = member.ticks(member.node.election_timeout());
    assert_eq!((member.node.role(), member.node.term()), (Candidate, Term(1)));
    assert_eq!(member.node.hard_state().vote, Some(NodeId(1)));
    for id in [2, 3] {
        let asked = to(&sent, id);
        assert_eq!((asked.len(), asked[0].term), (1, Term(1)));
        let last = EntryId::default();
        assert_eq!(asked[0].body, Body::RequestVote { last, transfer: false });
    }
}

/// Votes of a majority elect; refusals of a majority end the candidacy; less decides nothing.
#[test]
fn a_majority_decides() {
    for (answers, role) in [
        (&[][..], Candidate),
        (&[(2, true)], Candidate),
        (&[(2, true), (3, true)], Leader),
        (&[(2, true), (3, false), (4, true)], Leader),
        (&[(2, false), (3, false)], Candidate),
        (&[(2, false), (3, false), (4, false)], Follower),
        (&[(2, true), (2, true), (2, true)], Candidate),
    ] {
        let mut member = Member::of(1, &[1, 2, 3, 4, 5]);
        member.campaign();
        for (id, answer) in answers {
            member.hear(*id, 1, vote(*answer));
        }
        assert_eq!(member.node.role(), role, "{answers:?}");
    }
}

/// A member votes for at most one candidate in a term, the first that asks; asked again by the same
/// candidate, it answers the same.
#[test]
fn one_vote_a_term_first_come_first_served() {
    let mut member = member_with(&[]);
    for (from, expected) in [(2, true), (3, false), (2, true), (3, false)] {
        let sent = member.hear(from, 1, request_vote(0, 0));
        assert_eq!(granted(&sent[0].body), Some(expected), "asked by {from}");
    }
    // A new term is a new vote.
    assert_eq!(granted(&member.hear(3, 2, request_vote(0, 0))[0].body), Some(true));
}

/// A candidate that hears a leader of its term or a later one follows it; one of an earlier term it
/// does not mind.
#[test]
fn a_candidate_gives_up_to_a_leader() {
    for (term, role, expected) in [(1, Candidate, 2), (2, Follower, 2), (3, Follower, 3)] {
        let mut member = member_with(&[]);
        member.campaign();
        member.campaign();
        assert_eq!((member.node.role(), member.node.term()), (Candidate, Term(2)));
        member.hear(2, term, append((0, 0), &[], 0));
        assert_eq!((member.node.role(), member.node.term()), (role, Term(expected)));
        assert_eq!(member.node.leader(), (role == Follower).then_some(NodeId(2)));
    }
}

/// When nobody wins, each candidate times out and begins a new election in a further term.
#[test]
fn a_split_vote_is_tried_again() {
    let mut cluster = Cluster::of(4);
    let not_each_other = [(1, 2), (1, 4), (3, 4), (3, 2), (1, 3)];
    not_each_other.iter().for_each(|(a, b)| cluster.cut(*a, *b));
    cluster.campaign(1);
    cluster.campaign(3);
    assert_eq!((cluster.role(1), cluster.role(3)), (Candidate, Candidate));
    cluster.recover();
    let leads = |cluster: &Cluster| cluster.roles().contains(&Leader);
    let rounds = (0..200).take_while(|_| {
        cluster.all_ticks(1);
        !leads(&cluster)
    });
    assert!(rounds.count() < 200, "nobody is elected");
    let term = (1..=4).map(|id| cluster.term(id)).max();
    assert!(term >= Some(2));
}

/// Election timeouts are drawn anew from a fixed interval for each election, so that split votes are
/// rare.
#[test]
fn timeouts_are_random() {
    let mut drawn = BTreeSet::new();
    let mut member = member_with(&[]);
    for _ in 0..200 {
        drawn.insert(member.node.election_timeout());
        member.campaign();
    }
    assert!(drawn.iter().all(|ticks| (10..20).contains(ticks)), "{drawn:?}");
    assert!(drawn.len() >= 9, "{drawn:?}");
}

/// A new leader tells everybody at once, which prevents further elections.
#[test]
fn a_new_leader_is_heard_at_once() {
    let mut member = member_with(&[]);
    let sent = member.lead();
    for id in [2, 3] {
        assert!(to(&sent, id).iter().any(|message| message.body.is_from_leader()));
    }
}

/// A leader sends heartbeats to all others, again and again, without being asked.
#[test]
fn a_leader_sends_heartbeats() {
    let mut member = member_with(&[]);
    member.lead();
    for _ in 0..5 {
        let sent = member.ticks(1);
        let heard: Vec<NodeId> = sent.iter().map(|message| message.to).collect();
        assert_eq!(heard, [NodeId(2), NodeId(3)]);
        assert!(sent.iter().all(|message| matches!(message.body, Body::Heartbeat { .. })));
    }
}
