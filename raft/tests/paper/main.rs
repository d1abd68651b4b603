//! One test for each claim of the paper and of the thesis that this crate rests on, by section.
//!
//! The claims are told in our words; "paper" is Ongaro and Ousterhout (2014), "thesis" Ongaro (2014).

#[path = "../support/cluster.rs"]
mod cluster;

mod clients;
mod election;
mod leases;
mod membership;
mod pre_vote;
mod replication;
mod safety;
mod snapshots;
mod terms;
mod transfer;

use bytes::Bytes;
use cluster::{Member, hard_state, stage_config, storage_of};
use tinykv_raft::{Body, Config, Entries, Entry, EntryId, Index, Message, Payload, Term, Vote};

/// An append of entries with these terms after `prev`, a (term, index).
fn append(prev: (u64, u64), terms: &[u64], commit: u64) -> Body {
    let entries = (prev.1 + 1..).zip(terms).map(|(index, term)| Entry {
        term: Term(*term),
        index: Index(index),
        payload: Payload::Normal(Bytes::from(format!("{term}/{index}"))),
    });
    Body::Append {
        prev: EntryId::new(prev.0, prev.1),
        commit: Index(commit),
        entries: Entries::new(entries.collect()),
    }
}

fn accepted(index: u64) -> Body {
    Body::AppendAccepted { index: Index(index) }
}

fn heartbeat() -> Body {
    Body::Heartbeat { commit: Index(0), round: 1 }
}

fn request_vote(term: u64, index: u64) -> Body {
    Body::RequestVote { last: EntryId::new(term, index), transfer: false }
}

fn vote(granted: bool) -> Body {
    Body::VoteResponse(Vote { granted, ..Vote::GRANTED })
}

/// Member 1 of three whose log has entries of these terms, all of them seen as the last of them.
fn member_with(terms: &[u64]) -> Member {
    member_configured(terms, |_| {})
}

fn member_configured(terms: &[u64], configure: impl Fn(&mut Config)) -> Member {
    let mut config = stage_config(1);
    configure(&mut config);
    let state = hard_state(terms.last().copied().unwrap_or(0), None, 0);
    Member::new(config, storage_of(&[1, 2, 3], terms, state))
}

/// Member 1 of three as leader, its no-op committed.
fn leader() -> Member {
    let mut leader = member_with(&[]);
    leader.lead();
    leader.hear(2, 1, accepted(1));
    assert_eq!(leader.node.committed(), Index(1));
    leader
}

/// The messages to one member.
fn to(sent: &[Message], id: u64) -> Vec<&Message> {
    sent.iter().filter(|message| message.to.0 == id).collect()
}

/// The entries that were sent to a member, and what they follow.
fn appends_to(sent: &[Message], id: u64) -> Vec<(EntryId, Vec<EntryId>)> {
    let of = |message: &&Message| match &message.body {
        Body::Append { prev, entries, .. } => {
            Some((*prev, entries.iter().map(Entry::id).collect()))
        }
        _ => None,
    };
    to(sent, id).iter().filter_map(of).collect()
}
