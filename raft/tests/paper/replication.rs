//! Paper 5.3: log replication.

use bytes::Bytes;
use tinykv_raft::{Body, EntryId, Index, Term};

use crate::cluster::{Cluster, Member, hard_state, log_of, stage_config, storage_of};
use crate::{accepted, append, appends_to, leader, member_with};

/// A leader appends a command to its log as a new entry with its term, and sends it to all others,
/// named after the entry before it.
#[test]
fn a_command_is_appended_and_sent_to_all() {
    let mut leader = leader();
    leader.hear(3, 1, accepted(1));
    leader.node.propose(Bytes::from_static(b"x")).unwrap();
    let sent = leader.work();
    assert_eq!(leader.node.last(), EntryId::new(1, 2));
    for id in [2, 3] {
        let expected = (EntryId::new(1, 1), vec![EntryId::new(1, 2)]);
        assert_eq!(appends_to(&sent, id), [expected]);
    }
}

/// A follower that is slow or whose messages are lost is sent the entries again, without end, also
/// after the leader has answered its client.
#[test]
fn a_silent_follower_is_sent_again() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    cluster.isolate(3);
    cluster.propose(1, "x");
    assert_eq!(cluster.member(1).applied, ["x"]);
    (0..50).for_each(|_| cluster.heartbeat(1));
    cluster.recover();
    cluster.heartbeat(1);
    assert_eq!(cluster.node(3).last(), cluster.node(1).last());
}

/// An entry is committed once a majority has it, and with it all entries before it, those of earlier
/// leaders included.
#[test]
fn a_majority_commits_an_entry_and_all_before_it() {
    let mut leader = member_with(&[1, 1, 2]);
    leader.lead();
    assert_eq!(leader.node.last(), EntryId::new(3, 4));
    leader.hear(2, 3, accepted(4));
    assert_eq!(leader.node.committed(), Index(4));
    assert_eq!(leader.applied, ["1/1", "1/2", "2/3"]);
}

/// The leader tells the highest index it knows to be committed; followers apply in the log's order
/// up to there.
#[test]
fn followers_learn_what_is_committed() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    for command in ["a", "b", "c"] {
        cluster.propose(1, command);
    }
    for id in 1..=3 {
        assert_eq!(cluster.member(id).applied, ["a", "b", "c"]);
    }
}

/// The consistency check: a follower that lacks the entry before the new ones refuses them.
#[test]
fn a_gap_is_refused() {
    for prev in [(1, 3), (2, 2), (3, 1)] {
        let mut member = member_with(&[1, 1]);
        let sent = member.hear(2, 3, append(prev, &[3], 9));
        assert!(matches!(sent[0].body, Body::AppendRejected { .. }), "{prev:?}: {sent:?}");
        assert_eq!((member.terms(), member.node.committed()), (vec![1, 1], Index(0)));
    }
}

/// An entry that conflicts with a new one is deleted with all that follow it; entries that are there
/// already stay.
#[test]
fn conflicts_are_deleted_and_nothing_else() {
    for (prev, sent, expected) in [
        ((1, 1), &[2, 2][..], &[1, 2, 2][..]),
        ((1, 2), &[2], &[1, 1, 2]),
        ((0, 0), &[1, 2], &[1, 2]),
        ((0, 0), &[2], &[2]),
        ((0, 0), &[1], &[1, 1, 1]),
        ((1, 1), &[], &[1, 1, 1]),
        ((1, 3), &[2], &[1, 1, 1, 2]),
    ] {
        let mut member = member_with(&[1, 1, 1]);
        member.hear(2, 2, append(prev, sent, 0));
        assert_eq!(member.terms(), expected, "{sent:?} after {prev:?}");
    }
}

/// Figure 2: a follower commits up to the smaller of the leader's commit index and the last of the
/// new entries.
#[test]
fn a_follower_commits_no_further_than_it_was_shown() {
    for (prev, terms, commit, expected) in [
        ((1, 1), &[][..], 3, 1),
        ((1, 1), &[1], 3, 2),
        ((1, 2), &[1], 2, 2),
        ((1, 3), &[1, 1], 9, 5),
        ((0, 0), &[1], 0, 0),
    ] {
        let mut member = member_with(&[1, 1, 1]);
        member.hear(2, 1, append(prev, terms, commit));
        assert_eq!(member.node.committed(), Index(expected), "{prev:?} {terms:?} {commit}");
    }
}

/// Figure 7: whatever a follower lacks or has too much, the leader finds where the logs agree and
/// makes the follower's log its own.
#[test]
fn every_follower_of_figure_7_is_mended() {
    let ours = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    for (name, theirs) in [
        ('a', &[1, 1, 1, 4, 4, 5, 5, 6, 6][..]),
        ('b', &[1, 1, 1, 4]),
        ('c', &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]),
        ('d', &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]),
        ('e', &[1, 1, 1, 4, 4, 4, 4]),
        ('f', &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]),
    ] {
        let member = |id, terms: &[u64]| {
            Member::new(stage_config(id), storage_of(&[1, 2, 3], terms, hard_state(7, None, 0)))
        };
        let mut cluster = Cluster::from_members([member(1, &ours), member(2, theirs)]);
        cluster.campaign(1);
        // Node 3 is not there, but it would vote for this log.
        cluster.send(3, 1, 8, crate::vote(true));
        cluster.heartbeat(1);
        let mut expected = log_of(&ours);
        expected.push(tinykv_raft::Entry {
            term: Term(8),
            index: Index(11),
            payload: tinykv_raft::Payload::NOOP,
        });
        assert_eq!(cluster.member(2).log(), expected, "follower {name}");
        assert_eq!(cluster.committed(2), 11, "follower {name}");
    }
}

/// Paper 5.5: messages may come twice; the second changes nothing.
#[test]
fn a_repeated_append_changes_nothing() {
    let mut member = member_with(&[]);
    let body = || append((0, 0), &[1, 1], 1);
    member.hear(2, 1, body());
    let before = (member.log(), member.node.status());
    member.hear(2, 1, body());
    assert_eq!((member.log(), member.node.status()), before);
}

/// A leader acknowledges its own entries like a follower: when they are on its disk.
#[test]
fn a_leader_counts_itself_when_its_disk_does() {
    let mut leader = Member::of(1, &[1]);
    leader.lead();
    leader.node.propose(Bytes::from_static(b"x")).unwrap();
    let ready = leader.node.ready();
    assert_eq!((ready.entries().count(), ready.committed().count()), (1, 0));
    assert_eq!(leader.node.committed(), Index(1));
    leader.write(&ready);
    leader.node.persisted(ready.number);
    assert_eq!(leader.node.committed(), Index(2));
}
