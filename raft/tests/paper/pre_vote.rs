//! Thesis 9.6: a member asks before it disturbs.

use tinykv_raft::RoleKind::{Candidate, Follower, Leader, PreCandidate};
use tinykv_raft::{Body, Config, EntryId, Index, Message, Term, Vote};

use crate::cluster::{Cluster, granted};
use crate::member_configured;

fn asks_first(config: &mut Config) {
    config.pre_vote = true;
    config.check_quorum = true;
}

fn ask(term: u64, index: u64) -> Body {
    Body::RequestPreVote { last: EntryId::new(term, index) }
}

fn answers(sent: &[Message]) -> Vec<Option<bool>> {
    sent.iter().map(|message| granted(&message.body)).collect()
}

/// A member that misses its leader asks whether it would win, and keeps its term.
#[test]
fn asking_leaves_the_term_alone() {
    let mut member = member_configured(&[4], asks_first);
    let sent = member.campaign();
    assert_eq!((member.node.role(), member.node.term()), (PreCandidate, Term(4)));
    assert_eq!(member.node.hard_state().vote, None);
    for message in &sent {
        assert_eq!((message.term, &message.body), (Term(5), &ask(4, 1)));
    }
    // Only a majority's yes begins the election.
    member.hear(2, 5, Body::PreVoteResponse(Vote::GRANTED));
    assert_eq!((member.node.role(), member.node.term()), (Candidate, Term(5)));
}

/// The answer changes nothing at the voter: neither its term nor its vote nor its patience.
#[test]
fn answering_changes_nothing() {
    let mut member = member_configured(&[4], asks_first);
    member.ticks(3);
    let before = member.node.status();
    for from in [2, 3, 2] {
        assert_eq!(answers(&member.hear(from, 5, ask(4, 1))), [Some(true)]);
    }
    assert_eq!(member.node.status(), before);
    let rest = member.node.election_timeout() - 3;
    member.ticks(rest);
    assert_eq!(member.node.role(), PreCandidate);
}

/// The yes needs an up-to-date log, and that no leader was heard within an election timeout.
#[test]
fn a_yes_needs_a_log_and_silence() {
    let mut member = member_configured(&[4], asks_first);
    assert_eq!(answers(&member.hear(2, 5, ask(3, 9))), [Some(false)]);
    member.hear(3, 4, Body::Heartbeat { commit: Index(0), round: 1 });
    assert_eq!(answers(&member.hear(2, 5, ask(4, 1))), []);
    member.ticks(9);
    assert_eq!(answers(&member.hear(2, 5, ask(4, 1))), []);
    member.ticks(1);
    assert_eq!(answers(&member.hear(2, 5, ask(4, 1))), [Some(true)]);
}

/// A member that was cut off comes back without having raised its term, and deposes nobody.
#[test]
fn a_member_that_was_cut_off_does_not_disturb() {
    let mut cluster = Cluster::configured(3, asks_first);
    cluster.campaign(1);
    cluster.isolate(3);
    cluster.ticks(3, 200);
    assert_eq!((cluster.role(3), cluster.term(3)), (PreCandidate, 1));
    cluster.recover();
    cluster.heartbeat(1);
    assert_eq!((cluster.role(1), cluster.role(3), cluster.term(1)), (Leader, Follower, 1));
}

/// Without pre-vote the same member comes back with a later term, and the leader must step down: what
/// pre-vote is for.
#[test]
fn without_pre_vote_it_disturbs() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    cluster.isolate(3);
    cluster.ticks(3, 200);
    assert!(cluster.term(3) > 1);
    cluster.recover();
    cluster.ticks(3, 20);
    assert!(cluster.term(1) > 1);
}

/// When the leader is gone, pre-vote does not keep the others from electing one.
#[test]
fn a_dead_leader_is_replaced() {
    let mut cluster = Cluster::configured(3, asks_first);
    cluster.campaign(1);
    cluster.isolate(1);
    let waited = (0..200).take_while(|_| {
        cluster.ticks(2, 1);
        cluster.ticks(3, 1);
        cluster.role(2) != Leader && cluster.role(3) != Leader
    });
    assert!(waited.count() < 60);
}
