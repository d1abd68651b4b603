//! Entries that the disk knows to be damaged.

use bytes::Bytes;
use tinykv_raft::{
    Body, CampaignError, Entries, Entry, EntryId, Index, Message, NodeId, Payload, StepError,
    Storage, Term,
};

use crate::cluster::{self, Member, hard_state, log_of, stage_config, storage_of};

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
    let sent =
        member.hear(3, 3, Body::Append { prev, commit: Index(0), entries: Entries::default() });
    assert!(matches!(sent[0].body, Body::AppendRejected { damaged: true, .. }), "{sent:?}");
    assert_eq!(member.node.storage().last_index(), Index(3));
}

/// What is applied is in the state machine. But to make a snapshot of that, the term of the last
/// applied entry must be known: a leader without it could help nobody. (The simulator found this.)
#[test]
fn the_last_applied_entry_is_fetched_again() {
    let mut storage = storage_of(&[1, 2, 3], &[1, 1, 1], hard_state(1, None, 2));
    storage.damage(Index(2));
    let mut config = stage_config(1);
    config.applied = Index(2);
    let mut member = Member::new(config, storage);
    assert_eq!(member.node.campaign(), Err(CampaignError::Faulty { index: Index(2) }));
    let append = |prev, entries| Body::Append { prev, commit: Index(2), entries };
    let sent = member.hear(2, 1, append(EntryId::new(1, 3), Entries::default()));
    let hint = EntryId::new(1, 1);
    assert_eq!(sent[0].body, Body::AppendRejected { rejected: Index(3), hint, damaged: true });
    let entries = Entries::new(log_of(&[1, 1, 1])[1..].to_vec());
    let sent = member.hear(2, 1, append(hint, entries));
    assert_eq!(sent[0].body, Body::AppendAccepted { index: Index(2) });
    assert_eq!(member.node.entry_term(Index(2)), Some(Term(1)));
    assert_eq!(member.node.campaign(), Ok(()));
    assert!(member.applied.is_empty(), "nothing is applied twice");
}

/// Nothing stands beside a damaged entry that tells its term, but it is committed, so the leader's is a
/// copy. A follower that does not take it asks again for ever, and with a window of messages each
/// answer makes more. (The simulator found this.)
#[test]
fn a_committed_entry_between_terms_is_fetched_again() {
    let mut storage = storage_of(&[1, 2, 3], &[1, 2, 3], hard_state(3, None, 3));
    storage.damage(Index(2));
    let mut member = Member::new(stage_config(1), storage);
    let append = |prev, entries| Body::Append { prev, commit: Index(3), entries };
    let sent = member.hear(2, 3, append(EntryId::new(3, 3), Entries::default()));
    let hint = EntryId::new(1, 1);
    assert_eq!(sent[0].body, Body::AppendRejected { rejected: Index(3), hint, damaged: true });
    // Of what is committed, nothing is acknowledged from the damaged entry on.
    let sent = member.hear(2, 3, append(hint, Entries::default()));
    assert_eq!(sent[0].body, Body::AppendAccepted { index: Index(1) });
    let entries = Entries::new(log_of(&[1, 2, 3])[1..2].to_vec());
    let sent = member.hear(2, 3, append(hint, entries));
    assert_eq!(sent[0].body, Body::AppendAccepted { index: Index(3) });
    assert_eq!(member.node.entry_term(Index(2)), Some(Term(2)));
    assert_eq!(member.applied.len(), 3, "what stood after it was never in doubt");
}

/// A disk may lose the end of a log without a trace: a damaged last write looks like an unfinished one.
/// A follower then lacks what it acknowledged, and no message of this leader mends that. But each
/// answer must not make another question at once. (The simulator of whole stores found this.)
#[test]
fn one_that_lost_what_it_acknowledged_is_not_asked_without_end() {
    let mut leader =
        Member::new(stage_config(1), storage_of(&[1, 2, 3], &[1], hard_state(1, None, 0)));
    leader.lead();
    let last = leader.node.last();
    leader.hear(2, last.term.0, Body::AppendAccepted { index: last.index });
    // It has forgotten all but the first entry, and is asked by a probe.
    leader.node.report_unreachable(NodeId(2));
    let hint = EntryId::new(1, 1);
    let rejected = || Body::AppendRejected { rejected: last.index, hint, damaged: false };
    let sent = leader.hear(2, last.term.0, rejected());
    assert!(sent.iter().all(|message| message.to != NodeId(2)), "{sent:?}");
    // What comes with time is not without end.
    let round = Body::HeartbeatResponse { round: 0 };
    let sent = leader.hear(2, last.term.0, round);
    assert_eq!(sent.iter().filter(|message| message.to == NodeId(2)).count(), 1, "{sent:?}");
}

/// Gives a follower a message of the leader of term 2, and returns what it says of it.
fn told(member: &mut Member, body: Body) -> Result<(), StepError> {
    let message = Message { from: NodeId(1), to: NodeId(2), term: Term(2), body };
    member.node.step(message)
}

/// A disk came back as it was once. A leader of the time in between counts on what was acknowledged,
/// and would send the same for ever; the follower learns from it that it has forgotten.
#[test]
fn a_follower_learns_that_it_has_forgotten() {
    let storage = storage_of(&[1, 2, 3], &[1, 1], hard_state(2, None, 2));
    let bodies: [fn(u64) -> Body; 2] = [
        |commit| Body::Heartbeat { commit: Index(commit), round: 1 },
        |index| Body::Commit { index: Index(index) },
    ];
    for body in bodies {
        let mut member = Member::new(stage_config(2), storage.clone());
        assert_eq!(told(&mut member, body(2)), Ok(()));
        let forgotten = StepError::Forgotten { acknowledged: Index(3), last: Index(2) };
        assert_eq!(told(&mut member, body(3)), Err(forgotten));
        assert_eq!(member.node.committed(), Index(2));
    }
}

/// Two members whose disks came back as they were once have elected each other, and do not have what
/// was committed. The third one, which has, does not acknowledge what contradicts it.
#[test]
fn an_append_that_contradicts_what_is_committed_is_noticed() {
    let storage = storage_of(&[1, 2, 3], &[1, 1, 1, 1], hard_state(1, None, 4));
    let append = |prev: u64, prev_term: u64, terms: &[u64]| {
        let entry = |(place, term): (usize, &u64)| Entry {
            term: Term(*term),
            index: Index(prev + 1 + place as u64),
            payload: Payload::Normal(Bytes::new()),
        };
        let entries = Entries::new(terms.iter().enumerate().map(entry).collect());
        let prev = EntryId::new(prev_term, prev);
        Body::Append { prev, commit: Index(0), entries }
    };
    let violation = |term, index| Err(StepError::Violation { theirs: EntryId::new(term, index) });
    let hear = |body| told(&mut Member::new(stage_config(2), storage.clone()), body);
    assert_eq!(hear(append(2, 1, &[2])), violation(2, 3));
    assert_eq!(hear(append(3, 2, &[])), violation(2, 3));
    assert_eq!(hear(append(2, 1, &[1, 1, 2])), Ok(()));
    assert_eq!(hear(append(1, 1, &[1, 1])), Ok(()));
}

/// What stands after a damaged entry was acknowledged, and may be committed by that. A leader that sends
/// one entry at a time does not tell at once whether its own at the damaged place is a copy, so it is
/// held until the next one tells. Were the log cut off there, it would lack what it had acknowledged.
/// (The simulator found this.)
#[test]
fn a_damaged_entry_does_not_cut_off_what_follows() {
    let mut storage = storage_of(&[1, 2, 3], &[1, 1, 2], hard_state(2, None, 1));
    storage.damage(Index(2));
    let mut member = Member::new(stage_config(1), storage);
    let log = log_of(&[1, 1, 2]);
    let append = |prev, place: usize| Body::Append {
        prev,
        commit: Index(1),
        entries: Entries::new(vec![log[place].clone()]),
    };
    let sent = member.hear(2, 2, append(EntryId::new(1, 1), 1));
    let hint = EntryId::new(1, 2);
    assert_eq!(sent[0].body, Body::AppendRejected { rejected: Index(1), hint, damaged: true });
    assert_eq!(member.node.last(), EntryId::new(2, 3));
    let sent = member.hear(2, 2, append(hint, 2));
    assert_eq!(sent[0].body, Body::AppendAccepted { index: Index(3) });
    assert_eq!(member.node.entry_term(Index(2)), Some(Term(1)));
}

/// The leader's next entry is another one than here: then what follows the damage goes.
#[test]
fn what_follows_damage_goes_if_the_leader_has_another_log() {
    let mut storage = storage_of(&[1, 2, 3], &[1, 2, 2, 2], hard_state(2, None, 1));
    storage.damage(Index(2));
    let mut member = Member::new(stage_config(1), storage);
    let log = log_of(&[1, 1, 1, 3]);
    let append = |prev, entries: &[Entry]| Body::Append {
        prev,
        commit: Index(1),
        entries: Entries::new(entries.to_vec()),
    };
    let sent = member.hear(2, 3, append(EntryId::new(1, 1), &log[1..2]));
    let hint = EntryId::new(1, 2);
    assert_eq!(sent[0].body, Body::AppendRejected { rejected: Index(1), hint, damaged: true });
    // Another leader begins anew: what is held came from the last one.
    let sent = member.hear(3, 4, append(hint, &log[2..3]));
    let intact = EntryId::new(1, 1);
    assert_eq!(
        sent[0].body,
        Body::AppendRejected { rejected: Index(2), hint: intact, damaged: true }
    );
    let sent = member.hear(3, 4, append(intact, &log[1..4]));
    assert_eq!(sent[0].body, Body::AppendAccepted { index: Index(4) });
    let terms: Vec<_> = (1..=4).map(|index| member.node.entry_term(Index(index))).collect();
    assert_eq!(terms, [1, 1, 1, 3].map(|term| Some(Term(term))));
}
