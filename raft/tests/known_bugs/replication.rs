//! Entries, acknowledgements and the commit index.

use bytes::Bytes;
use tinykv_raft::{Body, Entries, Entry, EntryId, Index, Message, NodeId, Payload, Term};

use crate::cluster::{Cluster, Member, hard_state, log_of, stage_config, storage_of};

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
    assert_eq!(cluster.node(2).last(), cluster.node(1).last());
    let is_refusal = |body: &Body| matches!(body, Body::AppendRejected { .. });
    let refusals = cluster.seen.iter().filter(|message| is_refusal(&message.body)).count();
    assert!((1..=3).contains(&refusals), "{refusals} refusals");
}

/// Entry 1 of term 1 is being written when a new leader replaces it. The report that it is durable
/// says nothing of the replacement.
#[test]
fn the_report_of_an_overtaken_write_says_nothing() {
    let mut member = Member::of(2, &[1, 2, 3]);
    let append = |term, commit| {
        let payload = Payload::Normal(Bytes::from(format!("of term {term}")));
        let entries = Entries::new(vec![Entry { term: Term(term), index: Index(1), payload }]);
        Body::Append { prev: EntryId::default(), commit: Index(commit), entries }
    };
    let message =
        |from, term, body| Message { from: NodeId(from), to: NodeId(2), term: Term(term), body };
    member.node.step(message(1, 1, append(1, 0))).unwrap();
    let first = member.node.ready();
    member.write(&first);
    member.node.step(message(3, 2, append(2, 1))).unwrap();
    let second = member.node.ready();
    assert_eq!(second.committed().count(), 0, "the replacement is not durable");
    member.node.persisted(first.number);
    assert_eq!(member.node.ready().committed().count(), 0, "still not");
    member.write(&second);
    member.node.persisted(second.number);
    let applied = member.node.ready().committed().map(Entry::id).collect::<Vec<_>>();
    assert_eq!(applied, [EntryId::new(2, 1)]);
}

/// The message with which a follower would learn that its last entry is committed is lost. It has
/// all entries, so nothing but a heartbeat will tell it.
#[test]
fn a_lost_commit_index_is_told_again() {
    let mut cluster = Cluster::of(3);
    cluster.campaign(1);
    cluster.ignore(|body| matches!(body, Body::Commit { .. }));
    cluster.propose(1, "x");
    assert_eq!((cluster.committed(1), cluster.committed(2)), (2, 1));
    cluster.recover();
    cluster.heartbeat(1);
    assert_eq!((cluster.committed(2), cluster.committed(3)), (2, 2));
}

/// A late append whose entries are all there cuts nothing off.
#[test]
fn a_late_append_deletes_nothing() {
    let mut member =
        Member::new(stage_config(2), storage_of(&[1, 2, 3], &[1, 1, 1], hard_state(1, None, 0)));
    let entries = Entries::new(log_of(&[1]));
    let prev = EntryId::default();
    let sent = member.hear(1, 1, Body::Append { prev, commit: Index(0), entries });
    assert_eq!(sent[0].body, Body::AppendAccepted { index: Index(1) });
    assert_eq!(member.terms(), [1, 1, 1]);
}

/// Bytes on their way are forgotten with the messages, or the window would close for good.
#[test]
fn a_byte_window_opens_again_after_losses() {
    let mut cluster = Cluster::configured(3, |config| {
        config.message_bytes_max = 64;
        config.inflight_bytes_max = 64;
    });
    cluster.campaign(1);
    for _ in 0..4 {
        cluster.isolate(2);
        for _ in 0..4 {
            cluster.propose(1, "a command of forty bytes or a little more");
        }
        cluster.member(1).node.report_unreachable(NodeId(2));
        cluster.recover();
        (0..4).for_each(|_| cluster.heartbeat(1));
        assert_eq!(cluster.node(2).last(), cluster.node(1).last());
    }
}

/// A message that comes late carries an older commit index.
#[test]
fn the_commit_index_never_falls() {
    let mut member =
        Member::new(stage_config(2), storage_of(&[1, 2, 3], &[1; 4], hard_state(1, None, 0)));
    let message = |body| Message { from: NodeId(1), to: NodeId(2), term: Term(1), body };
    // Nothing of it is applied yet.
    member.node.step(message(Body::Heartbeat { commit: Index(3), round: 2 })).unwrap();
    for body in [
        Body::Heartbeat { commit: Index(1), round: 1 },
        Body::Commit { index: Index(2) },
        Body::Append { prev: EntryId::new(1, 4), commit: Index(1), entries: Entries::default() },
    ] {
        member.node.step(message(body)).unwrap();
        assert_eq!(member.node.committed(), Index(3));
    }
}

/// A refusal from before the follower caught up comes late, to a leader that probes again.
#[test]
fn what_matches_is_not_sent_again() {
    let mut leader = Member::of(1, &[1, 2]);
    leader.lead();
    leader.hear(2, 1, Body::AppendAccepted { index: Index(1) });
    leader.node.report_unreachable(NodeId(2));
    let (rejected, hint) = (Index(1), EntryId::default());
    leader.hear(2, 1, Body::AppendRejected { rejected, hint, damaged: false });
    let progress = &leader.node.status().progress[1];
    assert_eq!((progress.matched, progress.next), (Index(1), Index(2)));
}

/// Were the entries of a term on disk before the term, a crash between would leave a member that has
/// them and does not know that it must not vote in an earlier term.
#[test]
fn a_term_is_written_with_its_entries() {
    let mut member = Member::of(2, &[1, 2, 3]);
    let body = Body::Append {
        prev: EntryId::default(),
        commit: Index(0),
        entries: Entries::new(log_of(&[1, 5])),
    };
    let message = Message { from: NodeId(1), to: NodeId(2), term: Term(5), body };
    member.node.step(message).unwrap();
    let ready = member.node.ready();
    assert_eq!(ready.entries().count(), 2);
    assert_eq!(ready.hard_state.map(|state| state.term), Some(Term(5)));
    assert!(ready.must_sync);
}

/// The same inputs give the same messages in the same order, in every process.
#[test]
fn messages_leave_in_the_order_of_ids() {
    let mut leader = Member::of(1, &[1, 2, 3, 4, 5]);
    leader.lead();
    (2..=5).for_each(|id| drop(leader.hear(id, 1, Body::AppendAccepted { index: Index(1) })));
    for _ in 0..20 {
        leader.node.propose(Bytes::from_static(b"x")).unwrap();
        let to: Vec<u64> = leader.work().iter().map(|message| message.to.0).collect();
        assert_eq!(to, [2, 3, 4, 5]);
    }
}
