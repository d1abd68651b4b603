//! Paper 5.4: who may lead, and what counts as committed.

use tinykv_raft::RoleKind::Leader;
use tinykv_raft::{EntryId, Index, Payload};

use crate::cluster::{Cluster, Member, granted, hard_state, stage_config, storage_of};
use crate::{accepted, append, member_with, request_vote};

/// 5.4.1: a voter refuses a candidate whose log is behind its own. The later last term is ahead;
/// with equal last terms the longer log is.
#[test]
fn a_log_that_is_behind_gets_no_vote() {
    for (ours, last, expected) in [
        (&[1][..], (1, 1), true),
        (&[1], (1, 2), true),
        (&[1, 1], (1, 1), false),
        (&[1], (2, 1), true),
        (&[1, 1, 1], (2, 1), true),
        (&[2], (1, 9), false),
        (&[1, 2], (2, 2), true),
        (&[], (0, 0), true),
        (&[1], (0, 0), false),
    ] {
        let mut member = member_with(ours);
        let sent = member.hear(2, 5, request_vote(last.0, last.1));
        assert_eq!(granted(&sent[0].body), Some(expected), "{last:?} asks {ours:?}");
    }
}

/// 5.4.1 in a group: the member without the committed entry cannot win.
#[test]
fn who_lacks_a_committed_entry_is_not_elected() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    cluster.isolate(3);
    cluster.propose(1, "x");
    cluster.recover();
    cluster.isolate(1);
    (0..5).for_each(|_| cluster.campaign(3));
    assert_ne!(cluster.role(3), Leader);
    cluster.campaign(2);
    assert_eq!(cluster.role(2), Leader);
    assert_eq!(cluster.member(3).applied, ["x"]);
}

/// 5.4.2: entries of earlier terms are not committed by counting. They are when an entry of the
/// leader's own term after them is.
#[test]
fn an_earlier_terms_entry_is_committed_only_through_a_later_one() {
    let mut leader = member_with(&[1, 2]);
    leader.lead();
    leader.hear(2, 3, accepted(2));
    leader.hear(3, 3, accepted(2));
    assert_eq!(leader.node.committed(), Index(0), "all have entry 2, of term 2");
    leader.hear(2, 3, accepted(3));
    assert_eq!(leader.node.committed(), Index(3));
}

/// Figure 8: an entry of term 2 that reaches a majority in term 4 may still be overwritten by an
/// entry of term 3, and so must not have been taken for committed; with an entry of term 4 after it
/// that cannot happen.
#[test]
fn figure_8() {
    let member = |id, terms: &[u64]| {
        let state = hard_state(3, None, 1);
        Member::new(stage_config(id), storage_of(&[1, 2, 3, 4, 5], terms, state))
    };
    let group = || {
        let logs: [&[u64]; 5] = [&[1, 2], &[1, 2], &[1], &[1], &[1, 3]];
        Cluster::from_members((1..).zip(logs).map(|(id, log)| member(id, log)))
    };
    // (c): 1 leads term 4 and brings entry 2 of term 2 to 3, but nobody gets its entry of term 4.
    let mut cluster = group();
    cluster.cut(1, 5);
    cluster.ignore(|body| match body {
        tinykv_raft::Body::Append { entries, .. } => entries.last_id().term.0 == 4,
        _ => false,
    });
    cluster.campaign(1);
    cluster.send(1, 2, 4, append((1, 1), &[2], 0));
    cluster.send(1, 3, 4, append((1, 1), &[2], 0));
    assert_eq!(cluster.node(3).last(), EntryId::new(2, 2));
    assert_eq!(cluster.committed(1), 1);
    // (d): 5 is elected by 3 and 4 and overwrites it everywhere.
    cluster.recover();
    cluster.isolate(1);
    cluster.campaign(5);
    cluster.campaign(5);
    assert_eq!(cluster.role(5), Leader);
    cluster.recover();
    cluster.heartbeat(5);
    for id in 1..=5 {
        assert_eq!(cluster.member(id).terms()[..2], [1, 3], "node {id}");
    }
    // (e): with its entry of term 4 on a majority, 1 has committed both, and 5 cannot win.
    let mut cluster = group();
    cluster.cut(1, 5);
    cluster.cut(1, 4);
    cluster.campaign(1);
    assert_eq!(cluster.committed(1), 3);
    cluster.recover();
    cluster.isolate(1);
    (0..3).for_each(|_| cluster.campaign(5));
    assert_ne!(cluster.role(5), Leader);
}

/// Paper 8: a leader begins its term with an entry without a command, so that it soon knows what is
/// committed.
#[test]
fn a_term_begins_with_an_empty_entry() {
    let mut cluster = Cluster::from_members((1..=3).map(|id| {
        Member::new(stage_config(id), storage_of(&[1, 2, 3], &[1, 1], hard_state(1, None, 0)))
    }));
    cluster.campaign(1);
    assert_eq!(cluster.member(1).log()[2].payload, Payload::NOOP);
    assert_eq!(cluster.committed(1), 3);
    assert_eq!(cluster.member(1).applied, ["1/1", "1/2"]);
}
