//! Stage 2aa: leader election (sections 5.1, 5.2).
//!
//! Pre-vote, check-quorum and leases are off, as the stage wants it.
#![expect(clippy::unwrap_used, reason = "a test wants to fail at the place of the surprise")]

#[path = "support/cluster.rs"]
mod cluster;

use std::collections::BTreeSet;

use cluster::{Cluster, Member, hard_state, stage_config, storage_of};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tinykv_raft::RoleKind::{Candidate, Follower, Leader};
use tinykv_raft::{
    Body, Entries, EntryId, HardState, Index, Message, Node, NodeId, RoleKind, Term, Vote,
};

fn append(prev: (u64, u64), commit: u64) -> Body {
    let prev = EntryId::new(prev.0, prev.1);
    Body::Append { prev, commit: Index(commit), entries: Entries::default() }
}

fn vote(granted: bool) -> Body {
    Body::VoteResponse(Vote { granted, ..Vote::GRANTED })
}

fn member_as(role: RoleKind) -> Member {
    let mut member = Member::of(1, &[1, 2, 3]);
    match role {
        Leader => drop(member.lead()),
        Candidate => drop(member.campaign()),
        _ => drop(member.hear(2, 1, append((0, 0), 0))),
    }
    assert_eq!((member.node.role(), member.node.term()), (role, Term(1)));
    member
}

/// Whoever hears of a later term follows its leader (5.1).
fn adopts_later_term(role: RoleKind) {
    let mut member = member_as(role);
    member.hear(2, 2, append((0, 0), 0));
    assert_eq!((member.node.role(), member.node.term()), (Follower, Term(2)));
    assert_eq!(member.node.leader(), Some(NodeId(2)));
}

#[test]
fn follower_updates_term_from_message() {
    adopts_later_term(Follower);
}

#[test]
fn candidate_updates_term_from_message() {
    adopts_later_term(Candidate);
}

#[test]
fn leader_updates_term_from_message() {
    adopts_later_term(Leader);
}

#[test]
fn starts_as_follower() {
    let member = Member::of(1, &[1, 2, 3]);
    assert_eq!((member.node.role(), member.node.term()), (Follower, Term(0)));
    assert_eq!(member.node.leader(), None);
}

#[test]
fn leader_sends_heartbeats_every_interval() {
    let mut config = stage_config(1);
    config.heartbeat_ticks = 3;
    let mut member = Member::new(config, storage_of(&[1, 2, 3], &[], HardState::default()));
    member.lead();
    assert!(member.ticks(2).is_empty());
    let sent = member.ticks(1);
    let to: Vec<NodeId> = sent.iter().map(|message| message.to).collect();
    assert_eq!(to, [NodeId(2), NodeId(3)]);
    for message in sent {
        assert_eq!((message.from, message.term), (NodeId(1), Term(1)));
        assert!(matches!(message.body, Body::Heartbeat { .. }), "{message:?}");
    }
}

/// A member that hears nothing for an election timeout asks everybody else for votes, in a new term.
fn starts_election(mut member: Member) {
    let term = member.node.term().0 + 1;
    let sent = member.ticks(19);
    assert_eq!((member.node.role(), member.node.term()), (Candidate, Term(term)));
    assert_eq!(member.node.hard_state().vote, Some(NodeId(1)));
    let last = EntryId::new(0, 0);
    let ask = |to| Message {
        from: NodeId(1),
        to: NodeId(to),
        term: Term(term),
        body: Body::RequestVote { last, transfer: false },
    };
    assert_eq!(sent, [ask(2), ask(3)]);
}

#[test]
fn follower_starts_election() {
    starts_election(member_as(Follower));
}

#[test]
fn candidate_starts_new_election() {
    starts_election(member_as(Candidate));
}

#[test]
fn leader_is_elected_in_one_round() {
    type Case = (u64, &'static [(u64, bool)], RoleKind);
    let cases: [Case; 10] = [
        (1, &[], Leader),
        (3, &[(2, true), (3, true)], Leader),
        (3, &[(2, true)], Leader),
        (5, &[(2, true), (3, true), (4, true), (5, true)], Leader),
        (5, &[(2, true), (3, true), (4, true)], Leader),
        (5, &[(2, true), (3, true)], Leader),
        (3, &[], Candidate),
        (5, &[(2, true)], Candidate),
        (5, &[(2, false), (3, false)], Candidate),
        (5, &[], Candidate),
    ];
    for (size, votes, expected) in cases {
        let voters: Vec<u64> = (1..=size).collect();
        let mut member = Member::of(1, &voters);
        member.campaign();
        for (id, granted) in votes {
            member.hear(*id, 1, vote(*granted));
        }
        assert_eq!(member.node.role(), expected, "{size} nodes, votes {votes:?}");
        assert_eq!(member.node.term(), Term(1));
    }
}

#[test]
fn follower_votes_once_a_term_first_come_first_served() {
    let cases = [
        (None, 2, true),
        (None, 3, true),
        (Some(2), 2, true),
        (Some(3), 3, true),
        (Some(2), 3, false),
        (Some(3), 2, false),
    ];
    for (vote, candidate, granted) in cases {
        let storage = storage_of(&[1, 2, 3], &[], hard_state(1, vote, 0));
        let mut member = Member::new(stage_config(1), storage);
        let last = EntryId::new(0, 0);
        let sent = member.hear(candidate, 1, Body::RequestVote { last, transfer: false });
        let [answer] = &sent[..] else { panic!("{sent:?}") };
        let case = format!("vote {vote:?}, candidate {candidate}");
        assert_eq!(cluster::granted(&answer.body), Some(granted), "{case}");
        assert_eq!((answer.to, answer.term), (NodeId(candidate), Term(1)), "{case}");
    }
}

#[test]
fn candidate_falls_back_to_a_leader_of_its_term_or_later() {
    for term in [1, 2] {
        let mut member = member_as(Candidate);
        member.hear(2, term, append((0, 0), 0));
        assert_eq!((member.node.role(), member.node.term()), (Follower, Term(term)));
    }
}

/// Every timeout from `election_ticks` on and below twice that occurs, and no other.
fn timeouts_are_random(candidate: bool) {
    let mut seen = BTreeSet::new();
    for seed in 0..500 {
        let storage = storage_of(&[1, 2, 3], &[], HardState::default());
        let rng = SmallRng::seed_from_u64(seed);
        let mut node = Node::new(stage_config(1), storage, rng).unwrap();
        if candidate {
            node.campaign().unwrap();
        }
        let term = node.term();
        let ticks = (1..).find(|_| {
            node.tick();
            node.term() > term
        });
        seen.insert(ticks.unwrap());
    }
    assert_eq!(seen.into_iter().collect::<Vec<u32>>(), (10..20).collect::<Vec<_>>());
}

#[test]
fn follower_timeouts_are_random() {
    timeouts_are_random(false);
}

#[test]
fn candidate_timeouts_are_random() {
    timeouts_are_random(true);
}

/// Of five members that wait, two or more rarely time out at the same tick.
fn timeouts_rarely_collide(candidates: bool) {
    let mut collisions = 0;
    let rounds = 1000;
    for round in 0..rounds {
        let mut nodes: Vec<Node<_>> = (1..=5)
            .map(|id| {
                let storage = storage_of(&[1, 2, 3, 4, 5], &[], HardState::default());
                let rng = SmallRng::seed_from_u64(round * 5 + id);
                let mut node = Node::new(stage_config(id), storage, rng).unwrap();
                if candidates {
                    node.campaign().unwrap();
                }
                node
            })
            .collect();
        let terms: Vec<Term> = nodes.iter().map(Node::term).collect();
        let mut timed_out = 0;
        while timed_out == 0 {
            nodes.iter_mut().for_each(Node::tick);
            timed_out =
                nodes.iter().zip(&terms).filter(|(node, term)| node.term() > **term).count();
        }
        collisions += u64::from(timed_out > 1);
    }
    assert!(collisions <= rounds * 3 / 10, "{collisions} of {rounds}");
}

#[test]
fn follower_timeouts_rarely_collide() {
    timeouts_rarely_collide(false);
}

#[test]
fn candidate_timeouts_rarely_collide() {
    timeouts_rarely_collide(true);
}

#[test]
fn a_leader_is_elected_if_and_only_if_a_quorum_lives() {
    let cases: [(u64, &[u64], RoleKind); 5] = [
        (3, &[], Leader),
        (3, &[3], Leader),
        (3, &[2, 3], Candidate),
        (4, &[2, 3], Candidate),
        (5, &[2, 3], Leader),
    ];
    for (size, missing, expected) in cases {
        let mut cluster = Cluster::with_missing(size, missing);
        cluster.campaign(1);
        assert_eq!(cluster.role(1), expected, "{missing:?} of {size} are missing");
        assert_eq!(cluster.term(1), 1);
    }
}

#[test]
fn leadership_cycles() {
    let mut cluster = Cluster::of(3);
    for id in 1..=3 {
        cluster.campaign(id);
        for other in 1..=3 {
            let expected = if other == id { Leader } else { Follower };
            assert_eq!(cluster.role(other), expected, "campaign of {id}, node {other}");
        }
    }
}

#[test]
fn votes_from_any_state() {
    for role in [Follower, Candidate, Leader] {
        let mut member = member_as(role);
        let last = EntryId::new(2, 42);
        let sent = member.hear(2, 2, Body::RequestVote { last, transfer: false });
        let answers: Vec<&Message> =
            sent.iter().filter(|message| matches!(message.body, Body::VoteResponse(_))).collect();
        assert_eq!(answers.len(), 1, "{role:?}");
        assert_eq!(answers[0].body, Body::VoteResponse(Vote::GRANTED));
        assert_eq!(member.node.role(), Follower);
        assert_eq!(member.node.hard_state().vote, Some(NodeId(2)));
    }
}

#[test]
fn a_single_node_elects_itself() {
    let mut cluster = Cluster::of(1);
    cluster.campaign(1);
    assert_eq!(cluster.role(1), Leader);
}

/// A candidate that was cut off follows the leader whose message it hears after the network healed.
fn candidate_resets_term(heartbeat: bool) {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    cluster.isolate(3);
    cluster.campaign(2);
    cluster.campaign(1);
    assert_eq!(cluster.roles(), [Leader, Follower, Follower]);
    while cluster.role(3) != Candidate {
        cluster.ticks(3, 1);
    }
    cluster.recover();
    let term = cluster.term(1);
    let body = match heartbeat {
        true => Body::Heartbeat { commit: Index(0), round: 1 },
        false => append((0, 0), 0),
    };
    cluster.send(1, 3, term, body);
    assert_eq!(cluster.role(3), Follower);
    assert_eq!(cluster.term(3), cluster.term(1));
}

#[test]
fn candidate_resets_term_on_heartbeat() {
    candidate_resets_term(true);
}

#[test]
fn candidate_resets_term_on_append() {
    candidate_resets_term(false);
}

#[test]
fn a_disruptive_follower_deposes_the_leader() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    cluster.campaign(1);
    cluster.campaign(2);
    cluster.campaign(1);
    assert_eq!((cluster.role(1), cluster.term(1)), (Leader, 3));
    cluster.isolate(3);
    while cluster.role(3) != Candidate {
        cluster.ticks(3, 1);
    }
    assert_eq!(cluster.term(3), 4);
    // Only the answer to the leader's late heartbeat passes; 3 must not get votes.
    cluster.recover();
    cluster.ignore(|body| matches!(body, Body::RequestVote { .. }));
    cluster.send(3, 1, 4, Body::HeartbeatResponse { round: 0 });
    assert_eq!((cluster.role(1), cluster.term(1)), (Follower, 4));
}

#[test]
fn only_a_leader_sends_heartbeats() {
    for (role, count) in [(Leader, 2), (Candidate, 0), (Follower, 0)] {
        let mut member = member_as(role);
        let sent = member.ticks(1);
        let beats =
            sent.iter().filter(|message| matches!(message.body, Body::Heartbeat { .. })).count();
        assert_eq!(beats, count, "{role:?}");
    }
}

#[test]
fn a_leader_does_not_campaign() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    assert_eq!((cluster.role(1), cluster.term(1)), (Leader, 1));
    cluster.campaign(1);
    assert_eq!((cluster.role(1), cluster.term(1)), (Leader, 1));
}

#[test]
fn a_split_vote_is_resolved_in_a_later_term() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    cluster.isolate(1);
    // Both vote for themselves before they hear of each other.
    cluster.member(2).node.campaign().unwrap();
    cluster.member(3).node.campaign().unwrap();
    cluster.settle();
    assert_eq!((cluster.role(2), cluster.role(3)), (Candidate, Candidate));
    assert_eq!((cluster.term(2), cluster.term(3)), (2, 2));
    cluster.campaign(2);
    assert_eq!((cluster.role(2), cluster.role(3)), (Leader, Follower));
    assert_eq!((cluster.term(2), cluster.term(3)), (3, 3));
}
