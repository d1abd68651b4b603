//! Paper 5.1: terms are a logical clock.

use tinykv_raft::RoleKind::{Candidate, Follower, Leader};
use tinykv_raft::{Index, Term};

use crate::cluster::{Member, granted, hard_state, stage_config, storage_of};
use crate::{accepted, append, heartbeat, leader, member_with, request_vote, vote};

/// "If one server's current term is smaller than the other's, it updates to the larger value", and a
/// candidate or leader reverts to follower. Any message will do, an answer too.
#[test]
fn a_later_term_makes_a_follower_of_everybody() {
    let make: [fn() -> Member; 3] = [|| member_with(&[]), candidate, leader];
    for make in make {
        for body in
            [heartbeat(), append((0, 0), &[], 0), request_vote(0, 0), vote(false), accepted(0)]
        {
            let mut member = make();
            member.hear(2, 9, body);
            assert_eq!((member.node.role(), member.node.term()), (Follower, Term(9)));
        }
    }
}

fn candidate() -> Member {
    let mut member = member_with(&[]);
    member.campaign();
    assert_eq!(member.node.role(), Candidate);
    member
}

/// A request with an old term is rejected: it changes nothing.
#[test]
fn an_old_term_changes_nothing() {
    for body in [heartbeat(), append((0, 0), &[1, 1], 2), request_vote(8, 8)] {
        let mut member = member_with(&[5]);
        let before = member.node.status();
        let sent = member.hear(2, 4, body);
        assert_eq!(member.node.status(), before);
        assert_eq!(member.terms(), [5]);
        assert!(sent.iter().all(|message| granted(&message.body) != Some(true)));
    }
}

/// An answer of an old term changes nothing either: neither votes nor acknowledgements carry over.
#[test]
fn an_old_answer_changes_nothing() {
    let mut member = candidate();
    member.campaign();
    assert_eq!(member.node.term(), Term(2));
    member.hear(2, 1, vote(true));
    member.hear(3, 1, vote(true));
    assert_eq!(member.node.role(), Candidate);
    member.hear(2, 2, vote(true));
    assert_eq!(member.node.role(), Leader);
    member.hear(2, 1, accepted(1));
    assert_eq!(member.node.committed(), Index(0));
}

/// Figure 2, persistent state: term and vote are on disk before anybody is answered, so a restarted
/// member stands by them.
#[test]
fn term_and_vote_survive_a_restart() {
    let mut member = member_with(&[]);
    member
        .node
        .step(tinykv_raft::Message {
            from: tinykv_raft::NodeId(2),
            to: member.node.id(),
            term: Term(3),
            body: request_vote(0, 0),
        })
        .unwrap();
    let ready = member.node.ready();
    assert_eq!(ready.hard_state, Some(hard_state(3, Some(2), 0)));
    assert!(ready.must_sync && ready.messages.is_empty(), "the vote waits for the disk");
    member.finish(&ready);
    let storage = member.node.storage().clone();
    let mut member = Member::new(stage_config(1), storage);
    assert_eq!(granted(&member.hear(3, 3, request_vote(9, 9))[0].body), Some(false));
    assert_eq!(granted(&member.hear(2, 3, request_vote(0, 0))[0].body), Some(true));
}

/// The last term cannot be followed by another: were it to wrap, a term would have two elections.
#[test]
fn terms_do_not_wrap() {
    let state = hard_state(u64::MAX, None, 0);
    let mut member = Member::new(stage_config(1), storage_of(&[1, 2, 3], &[], state));
    assert!(member.node.campaign().is_err());
    member.ticks(60);
    assert_eq!((member.node.role(), member.node.term()), (Follower, Term(u64::MAX)));
}
