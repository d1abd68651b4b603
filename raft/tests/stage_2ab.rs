//! Stage 2ab: log replication and commitment (sections 5.3, 5.4).
//!
//! Pre-vote, check-quorum and leases are off, as the stage wants it.
#![expect(clippy::unwrap_used, reason = "a test wants to fail at the place of the surprise")]

#[path = "support/cluster.rs"]
mod cluster;

use bytes::Bytes;
use cluster::{Cluster, Member, commands, hard_state, log_of, stage_config, storage_of};
use tinykv_raft::RoleKind::{Candidate, Follower, Leader};
use tinykv_raft::{
    Body, Entries, Entry, EntryId, HardState, Index, Message, NodeId, Payload, Ready, Term, Vote,
};

const VOTERS: [u64; 3] = [1, 2, 3];

fn member_with(id: u64, voters: &[u64], terms: &[u64], state: HardState) -> Member {
    Member::new(stage_config(id), storage_of(voters, terms, state))
}

fn append(prev: (u64, u64), commit: u64, entries: &[(u64, u64)]) -> Body {
    let entries = entries.iter().map(|(term, index)| Entry {
        term: Term(*term),
        index: Index(*index),
        payload: Payload::Normal(Bytes::from(format!("{term}/{index}"))),
    });
    Body::Append {
        prev: EntryId::new(prev.0, prev.1),
        commit: Index(commit),
        entries: Entries::new(entries.collect()),
    }
}

fn accepted(sent: &[Message]) -> Vec<u64> {
    let indexes = sent.iter().filter_map(|message| match message.body {
        Body::AppendAccepted { index } => Some(index.0),
        _ => None,
    });
    indexes.collect()
}

fn is_rejected(sent: &[Message]) -> bool {
    sent.iter().any(|message| matches!(message.body, Body::AppendRejected { .. }))
}

/// A leader of three whose no-op is committed.
fn leader_of(size: u64) -> Member {
    let voters: Vec<u64> = (1..=size).collect();
    let mut member = Member::of(1, &voters);
    member.lead();
    for id in 2..=size {
        member.hear(id, 1, Body::AppendAccepted { index: Index(1) });
    }
    assert_eq!(member.node.committed(), Index(1));
    member
}

fn propose(member: &mut Member, data: &'static [u8]) -> Vec<Message> {
    member.node.propose(Bytes::from_static(data)).unwrap();
    member.work()
}

#[test]
fn leader_starts_replication() {
    let mut leader = leader_of(3);
    leader.node.propose(Bytes::from_static(b"some data")).unwrap();
    let ready = leader.node.ready();
    let entry = Entry {
        term: Term(1),
        index: Index(2),
        payload: Payload::Normal(Bytes::from_static(b"some data")),
    };
    assert_eq!(ready.entries().collect::<Vec<_>>(), [&entry]);
    assert_eq!(ready.committed().count(), 0);
    assert_eq!(leader.node.committed(), Index(1));
    let to: Vec<NodeId> = ready.messages.iter().map(|message| message.to).collect();
    assert_eq!(to, [NodeId(2), NodeId(3)]);
    for message in &ready.messages {
        let Body::Append { prev, commit, entries } = &message.body else { panic!("{message:?}") };
        assert_eq!((*prev, *commit), (EntryId::new(1, 1), Index(1)));
        assert_eq!(entries.as_slice(), std::slice::from_ref(&entry));
    }
}

#[test]
fn leader_commits_what_followers_acknowledge() {
    let mut leader = leader_of(3);
    propose(&mut leader, b"some data");
    let mut sent = Vec::new();
    for id in [2, 3] {
        sent.extend(leader.hear(id, 1, Body::AppendAccepted { index: Index(2) }));
    }
    assert_eq!(leader.node.committed(), Index(2));
    assert_eq!(leader.applied, [Bytes::from_static(b"some data")]);
    for message in sent {
        let told = match message.body {
            Body::Append { commit, .. } | Body::Commit { index: commit } => commit,
            other => panic!("{other:?}"),
        };
        assert_eq!(told, Index(2));
    }
}

#[test]
fn leader_commits_by_majority_only() {
    let cases: [(u64, &[u64], bool); 9] = [
        (1, &[], true),
        (3, &[], false),
        (3, &[2], true),
        (3, &[2, 3], true),
        (5, &[], false),
        (5, &[2], false),
        (5, &[2, 3], true),
        (5, &[2, 3, 4], true),
        (5, &[2, 3, 4, 5], true),
    ];
    for (size, acceptors, committed) in cases {
        let mut leader = leader_of(size);
        propose(&mut leader, b"x");
        for id in acceptors {
            leader.hear(*id, 1, Body::AppendAccepted { index: Index(2) });
        }
        let reached = leader.node.committed() >= Index(2);
        assert_eq!(reached, committed, "{size} nodes, accepted by {acceptors:?}");
    }
}

#[test]
fn leader_commits_preceding_entries() {
    let logs: [&[u64]; 4] = [&[], &[2], &[1, 2], &[1]];
    for terms in logs {
        let mut leader = member_with(1, &VOTERS, terms, hard_state(2, None, 0));
        leader.lead();
        propose(&mut leader, b"new");
        let last = leader.node.last().index;
        for id in [2, 3] {
            leader.hear(id, 3, Body::AppendAccepted { index: last });
        }
        assert_eq!(leader.node.committed(), last);
        let mut expected = commands(&log_of(terms));
        expected.push(Bytes::from_static(b"new"));
        assert_eq!(leader.applied, expected, "log {terms:?}");
        let mut all = terms.to_vec();
        all.extend([3, 3]);
        assert_eq!(leader.terms(), all);
    }
}

#[test]
fn follower_commits_what_the_leader_has() {
    let cases: [(&[(u64, u64)], u64); 4] =
        [(&[(1, 1)], 1), (&[(1, 1), (1, 2)], 2), (&[(1, 1), (1, 2)], 2), (&[(1, 1), (1, 2)], 1)];
    for (entries, commit) in cases {
        let mut follower = Member::of(1, &VOTERS);
        follower.hear(2, 1, append((0, 0), commit, entries));
        assert_eq!(follower.node.committed(), Index(commit));
        let expected: Vec<Bytes> =
            entries.iter().take(commit as usize).map(|(t, i)| format!("{t}/{i}").into()).collect();
        assert_eq!(follower.applied, expected);
    }
}

#[test]
fn follower_checks_that_prev_matches() {
    let cases = [((0, 0), false), ((1, 1), false), ((2, 2), false), ((1, 2), true), ((3, 3), true)];
    for (prev, rejected) in cases {
        let mut follower = member_with(1, &VOTERS, &[1, 2], hard_state(2, None, 1));
        let sent = follower.hear(2, 3, append(prev, 0, &[]));
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert_eq!(sent[0].term, Term(3));
        assert_eq!(is_rejected(&sent), rejected, "prev {prev:?}");
    }
}

#[test]
fn follower_replaces_conflicts_and_keeps_matches() {
    type Case = ((u64, u64), &'static [(u64, u64)], &'static [u64], &'static [u64]);
    let cases: [Case; 4] = [
        ((2, 2), &[(3, 3)], &[1, 2, 3], &[3]),
        ((1, 1), &[(3, 2), (4, 3)], &[1, 3, 4], &[3, 4]),
        ((0, 0), &[(1, 1)], &[1, 2], &[]),
        ((0, 0), &[(3, 1)], &[3], &[3]),
    ];
    for (prev, entries, log, written) in cases {
        let mut follower = member_with(1, &VOTERS, &[1, 2], hard_state(2, None, 0));
        let message = Message {
            from: NodeId(2),
            to: NodeId(1),
            term: Term(4),
            body: append(prev, 0, entries),
        };
        follower.node.step(message).unwrap();
        let ready: Ready = follower.node.ready();
        let new: Vec<u64> = ready.entries().map(|entry| entry.term.0).collect();
        assert_eq!(new, written, "prev {prev:?}");
        follower.finish(&ready);
        assert_eq!(follower.terms(), log, "prev {prev:?}");
    }
}

/// The followers of figure 7 of the paper get the leader's log.
#[test]
fn leader_brings_every_follower_to_its_log() {
    let leader = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    let followers: [&[u64]; 6] = [
        &[1, 1, 1, 4, 4, 5, 5, 6, 6],
        &[1, 1, 1, 4],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        &[1, 1, 1, 4, 4, 4, 4],
        &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ];
    for terms in followers {
        let last = *terms.last().unwrap();
        let mut cluster = Cluster::from_members([
            member_with(1, &VOTERS, &leader, hard_state(8, None, 10)),
            member_with(2, &VOTERS, terms, hard_state(last, None, 0)),
        ]);
        // The third node is only there to vote.
        cluster.member(1).node.campaign().unwrap();
        cluster.settle();
        cluster.send(3, 1, 9, Body::VoteResponse(Vote::GRANTED));
        cluster.propose(1, "x");
        assert_eq!(cluster.member(1).log(), cluster.member(2).log(), "follower {terms:?}");
        assert_eq!(cluster.committed(1), 12);
        assert_eq!(cluster.committed(2), 12);
    }
}

#[test]
fn a_vote_request_tells_the_last_entry() {
    for terms in [&[2][..], &[1, 2]] {
        let mut member = member_with(1, &VOTERS, terms, hard_state(2, None, 0));
        let sent = member.ticks(19);
        let last = EntryId::new(2, terms.len() as u64);
        let to: Vec<NodeId> = sent.iter().map(|message| message.to).collect();
        assert_eq!(to, [NodeId(2), NodeId(3)]);
        for message in sent {
            assert_eq!(message.body, Body::RequestVote { last, transfer: false });
            assert_eq!(message.term, Term(3));
        }
    }
}

#[test]
fn a_voter_refuses_a_log_that_is_behind_its_own() {
    type Case = (&'static [u64], (u64, u64), bool);
    let cases: [Case; 9] = [
        (&[1], (1, 1), true),
        (&[1], (1, 2), true),
        (&[1, 1], (1, 1), false),
        (&[1], (2, 1), true),
        (&[1], (2, 2), true),
        (&[1, 1], (2, 1), true),
        (&[2], (1, 1), false),
        (&[2], (1, 2), false),
        (&[1, 2], (1, 1), false),
    ];
    for (terms, (term, index), granted) in cases {
        let mut voter = member_with(1, &[1, 2], terms, hard_state(2, None, 0));
        let last = EntryId::new(term, index);
        let sent = voter.hear(2, 3, Body::RequestVote { last, transfer: false });
        let answers: Vec<Option<bool>> =
            sent.iter().map(|message| cluster::granted(&message.body)).collect();
        assert_eq!(answers, [Some(granted)], "log {terms:?}, candidate {last}");
    }
}

#[test]
fn leader_commits_only_entries_of_its_own_term_by_counting() {
    for (index, committed) in [(1, 0), (2, 0), (3, 3)] {
        let mut leader = member_with(1, &[1, 2], &[1, 2], hard_state(2, None, 0));
        leader.campaign();
        leader.hear(2, 3, Body::VoteResponse(Vote::GRANTED));
        propose(&mut leader, b"x");
        leader.hear(2, 3, Body::AppendAccepted { index: Index(index) });
        assert_eq!(leader.node.committed(), Index(committed), "acknowledged {index}");
    }
}

#[test]
fn the_leader_tracks_its_own_progress() {
    let mut leader = Member::of(1, &[1, 2]);
    leader.lead();
    for count in 0..5 {
        let own = leader.node.status().progress[0].clone();
        assert_eq!((own.matched, own.next), (Index(count + 1), Index(count + 2)));
        propose(&mut leader, b"x");
    }
}

/// A leader overwrites entries of a later term that were never committed (5.4.1, 5.3).
#[test]
fn an_election_overwrites_newer_uncommitted_entries() {
    let voters = [1, 2, 3, 4, 5];
    let mut cluster = Cluster::from_members([
        member_with(1, &voters, &[1], hard_state(1, None, 0)),
        member_with(2, &voters, &[1], hard_state(1, None, 0)),
        member_with(3, &voters, &[2], hard_state(2, None, 0)),
        member_with(4, &voters, &[], hard_state(2, Some(3), 0)),
        member_with(5, &voters, &[], hard_state(2, Some(3), 0)),
    ]);
    // 1 asks for votes in term 2, in which 4 and 5 have voted for 3.
    cluster.campaign(1);
    assert_eq!((cluster.role(1), cluster.term(1)), (Follower, 2));
    cluster.campaign(1);
    assert_eq!((cluster.role(1), cluster.term(1)), (Leader, 3));
    for id in voters {
        assert_eq!(cluster.member(id).terms(), [1, 3], "node {id}");
    }
}

#[test]
fn committed_commands_reach_every_node_in_order() {
    // One leader.
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    cluster.propose(1, "somedata");
    for id in VOTERS {
        assert_eq!(cluster.committed(id), 2);
        assert_eq!(cluster.member(id).applied, ["somedata"]);
    }
    // Another one in between.
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    cluster.propose(1, "somedata");
    cluster.campaign(2);
    cluster.propose(2, "somedata2");
    for id in VOTERS {
        assert_eq!(cluster.committed(id), 4);
        assert_eq!(cluster.member(id).applied, ["somedata", "somedata2"]);
    }
}

#[test]
fn a_single_node_commits() {
    let mut cluster = Cluster::of(1);
    cluster.campaign(1);
    cluster.propose(1, "a");
    cluster.propose(1, "b");
    assert_eq!(cluster.committed(1), 3);
}

#[test]
fn a_new_leaders_noop_commits_what_was_stuck() {
    let mut cluster = Cluster::of(5);
    cluster.campaign(1);
    for lost in 3..=5 {
        cluster.cut(1, lost);
    }
    cluster.propose(1, "a");
    cluster.propose(1, "b");
    assert_eq!(cluster.committed(1), 1);
    cluster.recover();
    // Only the no-op of the new leader may bring the entries over.
    cluster.campaign(2);
    assert_eq!(cluster.committed(2), 4);
}

#[test]
fn a_lagging_node_catches_up_after_a_heartbeat() {
    let mut cluster = Cluster::of(5);
    cluster.campaign(1);
    for lost in 3..=5 {
        cluster.cut(1, lost);
    }
    cluster.propose(1, "a");
    cluster.propose(1, "b");
    assert_eq!(cluster.committed(1), 1);
    cluster.recover();
    cluster.heartbeat(1);
    assert_eq!(cluster.committed(1), 3);
    assert_eq!(cluster.member(5).applied, ["a", "b"]);
}

#[test]
fn duelling_candidates() {
    let mut cluster = Cluster::of(3);
    cluster.cut(1, 3);
    cluster.member(1).node.campaign().unwrap();
    cluster.member(3).node.campaign().unwrap();
    cluster.settle();
    assert_eq!((cluster.role(1), cluster.role(3)), (Leader, Candidate));
    cluster.recover();
    // 3 deposes 1 by its later term, but its log is too short to win.
    cluster.campaign(3);
    assert_eq!(cluster.roles(), [Follower, Follower, Follower]);
    assert_eq!((1..=3).map(|id| cluster.term(id)).collect::<Vec<_>>(), [2, 2, 2]);
    assert_eq!(cluster.member(1).terms(), [1]);
    assert_eq!(cluster.member(2).terms(), [1]);
    assert_eq!(cluster.member(3).terms(), []);
}

#[test]
fn a_candidate_concedes() {
    let mut cluster = Cluster::of(3);
    cluster.isolate(1);
    cluster.campaign(1);
    cluster.campaign(3);
    assert_eq!((cluster.role(1), cluster.role(3)), (Candidate, Leader));
    cluster.recover();
    cluster.heartbeat(3);
    cluster.propose(3, "force follower");
    cluster.heartbeat(3);
    assert_eq!((cluster.role(1), cluster.term(1)), (Follower, 1));
    for id in VOTERS {
        assert_eq!(cluster.member(id).terms(), [1, 1]);
        assert_eq!(cluster.member(id).applied, ["force follower"]);
        assert_eq!(cluster.committed(id), 2);
    }
}

#[test]
fn messages_of_an_old_leader_are_ignored() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    cluster.campaign(2);
    cluster.campaign(1);
    assert_eq!((cluster.role(1), cluster.term(1)), (Leader, 3));
    cluster.send(2, 1, 2, append((2, 2), 0, &[(2, 3)]));
    cluster.propose(1, "somedata");
    for id in VOTERS {
        assert_eq!(cluster.member(id).terms(), [1, 2, 3, 3]);
        assert_eq!(cluster.committed(id), 4);
    }
}

#[test]
fn a_proposal_succeeds_if_and_only_if_a_quorum_lives() {
    let cases: [(u64, &[u64], bool); 5] = [
        (3, &[], true),
        (3, &[3], true),
        (3, &[2, 3], false),
        (4, &[2, 3], false),
        (5, &[2, 3], true),
    ];
    for (size, missing, success) in cases {
        let mut cluster = Cluster::with_missing(size, missing);
        cluster.campaign(1);
        cluster.propose(1, "somedata");
        for (id, member) in &cluster.members {
            let expected: &[&str] = if success { &["somedata"] } else { &[] };
            assert_eq!(member.commands(), expected, "node {id}, {missing:?} of {size} missing");
        }
        assert_eq!(cluster.term(1), 1);
    }
}

#[test]
fn follower_handles_appends() {
    type Case = ((u64, u64), &'static [(u64, u64)], u64, u64, u64, bool);
    // prev, entries, leader's commit; then last index, commit, rejected.
    let cases: [Case; 11] = [
        ((3, 2), &[], 3, 2, 0, true),
        ((3, 3), &[], 3, 2, 0, true),
        ((1, 1), &[], 1, 2, 1, false),
        ((0, 0), &[(2, 1)], 1, 1, 1, false),
        ((2, 2), &[(2, 3), (2, 4)], 3, 4, 3, false),
        ((2, 2), &[(2, 3)], 4, 3, 3, false),
        ((1, 1), &[(2, 2)], 4, 2, 2, false),
        ((1, 1), &[], 3, 2, 1, false),
        ((1, 1), &[(2, 2)], 3, 2, 2, false),
        ((2, 2), &[], 3, 2, 2, false),
        ((2, 2), &[], 4, 2, 2, false),
    ];
    for (prev, entries, commit, last, committed, rejected) in cases {
        let mut follower = member_with(1, &VOTERS, &[1, 2], hard_state(2, None, 0));
        let sent = follower.hear(2, 3, append(prev, commit, entries));
        let case = format!("prev {prev:?}, entries {entries:?}, commit {commit}");
        assert_eq!(follower.node.last().index, Index(last), "{case}");
        assert_eq!(follower.node.committed(), Index(committed), "{case}");
        assert_eq!(sent.len(), 1, "{case}");
        assert_eq!(is_rejected(&sent), rejected, "{case}");
        if !rejected {
            assert_eq!(accepted(&sent), [prev.1 + entries.len() as u64], "{case}");
        }
    }
}

#[test]
fn votes_depend_on_role_log_and_earlier_vote() {
    // The voter has entries of term 2 at 1 and 2, and is in term 3.
    let cases = [
        (Follower, (0, 0), None, false),
        (Follower, (1, 0), None, false),
        (Follower, (2, 0), None, false),
        (Follower, (3, 0), None, true),
        (Follower, (0, 1), None, false),
        (Follower, (1, 1), None, false),
        (Follower, (2, 1), None, false),
        (Follower, (3, 1), None, true),
        (Follower, (0, 2), None, false),
        (Follower, (1, 2), None, false),
        (Follower, (2, 2), None, true),
        (Follower, (3, 2), None, true),
        (Follower, (0, 3), None, false),
        (Follower, (1, 3), None, false),
        (Follower, (2, 3), None, true),
        (Follower, (3, 3), None, true),
        (Follower, (2, 3), Some(2), true),
        (Follower, (2, 3), Some(1), false),
        (Leader, (3, 3), Some(1), false),
        (Candidate, (3, 3), Some(1), false),
    ];
    for (role, (term, index), vote, granted) in cases {
        let mut state = hard_state(3, vote, 0);
        if role != Follower {
            state = hard_state(2, None, 0);
        }
        let mut member = member_with(1, &VOTERS, &[2, 2], state);
        match role {
            Leader => drop(member.lead()),
            Candidate => drop(member.campaign()),
            _ => {}
        }
        assert_eq!(member.node.term(), Term(3));
        let last = EntryId::new(term, index);
        let sent = member.hear(2, 3, Body::RequestVote { last, transfer: false });
        let answer = sent.iter().find(|message| matches!(message.body, Body::VoteResponse(_)));
        let case = format!("{role:?}, candidate {last}, vote {vote:?}");
        assert_eq!(cluster::granted(&answer.unwrap().body), Some(granted), "{case}");
    }
}

#[test]
fn everybody_steps_down_for_a_later_term() {
    for (role, entries) in [(Follower, 0), (Candidate, 0), (Leader, 1)] {
        for append_message in [false, true] {
            let mut member = Member::of(1, &VOTERS);
            match role {
                Leader => drop(member.lead()),
                Candidate => drop(member.campaign()),
                _ => drop(member.hear(2, 1, append((0, 0), 0, &[]))),
            }
            let last = EntryId::new(3, 3);
            let body = match append_message {
                true => append((3, 3), 0, &[]),
                false => Body::RequestVote { last, transfer: false },
            };
            member.hear(2, 3, body);
            assert_eq!((member.node.role(), member.node.term()), (Follower, Term(3)));
            assert_eq!(member.node.last().index, Index(entries));
            assert_eq!(member.node.leader(), append_message.then_some(NodeId(2)));
        }
    }
}

/// A heartbeat must not commit what its sender's follower has in another version.
#[test]
fn a_heartbeat_does_not_commit_conflicting_entries() {
    for (failures, successes) in [(1, 1), (5, 3), (5, 10)] {
        let mut cluster = Cluster::of(5);
        cluster.campaign(1);
        cluster.isolate(1);
        for _ in 0..failures {
            cluster.propose(1, "lost");
        }
        cluster.campaign(2);
        for _ in 0..successes {
            cluster.propose(2, "kept");
        }
        // Only heartbeats get through.
        cluster.recover();
        cluster.ignore(|body| matches!(body, Body::Append { .. } | Body::Commit { .. }));
        cluster.heartbeat(2);
        assert_eq!(cluster.committed(1), 1, "{failures} failures, {successes} successes");
        cluster.recover();
        cluster.heartbeat(2);
        assert_eq!(cluster.committed(1), cluster.committed(2));
        assert!(cluster.member(1).applied.iter().all(|command| command == "kept"));
    }
}

#[test]
fn next_grows_with_what_was_sent() {
    let mut leader = leader_of(3);
    let before = leader.node.status().progress[1].next;
    propose(&mut leader, b"somedata");
    assert_eq!(leader.node.status().progress[1].next, before.next());
}
