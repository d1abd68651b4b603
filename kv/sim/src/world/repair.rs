//! Whether damage has taken what no store can give back.
//!
//! A store that finds an entry of its log damaged does not know whether it was committed. It fetches
//! the entry from a leader, votes meanwhile for nobody whose log is shorter, and does not lead. That
//! is right, and there is exactly one state from which it leads nowhere:
//!
//! > Nobody can be elected by the members that are left, because too many of them hold a damaged
//! > entry of which no sound copy is left on any store that runs.
//!
//! With a majority of the members there, that means: the entry may be committed (it was on the
//! members that hold it damaged, and perhaps on all that are gone, together a majority), and it is
//! gone. In every other state the group must come to rest again.

use std::collections::BTreeSet;

use super::World;
use crate::network::Place;
use crate::process::{Held, Log, Process};

impl<P: Process> World<'_, P> {
    /// Why a group cannot come to rest, if damage has made that impossible.
    pub(super) fn beyond_repair(&self) -> Option<String> {
        let stays = self.stores.iter().filter(|(_, it)| !it.lost);
        let logs: Option<Vec<(Place, Vec<Log>)>> =
            stays.map(|(store, it)| Some((*store, it.program.as_ref()?.logs()))).collect();
        // One that is down and should not be is no matter of damage.
        let logs = logs?;
        let of = |group: u64| {
            // Who has never heard of it votes for anybody.
            let new = Log { group, ..Log::default() };
            let its = |logs: &[Log]| logs.iter().find(|log| log.group == group).cloned();
            let its = |logs: &[Log]| its(logs).unwrap_or_else(|| new.clone());
            logs.iter().map(|(store, logs)| (*store, its(logs))).collect::<Vec<_>>()
        };
        let groups: BTreeSet<u64> =
            logs.iter().flat_map(|(_, logs)| logs.iter().map(|log| log.group)).collect();
        groups.into_iter().find_map(|group| unrecoverable(&of(group)))
    }
}

/// Why nobody can be elected in a group, if that is the work of damage: `logs` are those of all
/// stores that run.
fn unrecoverable(logs: &[(Place, Log)]) -> Option<String> {
    let (_, newest) = logs.iter().max_by_key(|(_, log)| (log.applied, log.voters.len()))?;
    let voters: Vec<&(Place, Log)> =
        logs.iter().filter(|(store, _)| newest.voters.contains(store)).collect();
    let quorum = newest.voters.len() / 2 + 1;
    let last = |log: &Log| log.entries.last().map_or((0, 0), |held| (held.term, held.index));
    // What a store must have sound to lead, and has nobody to get it from.
    let lacks = |log: &Log| {
        let needed =
            |held: &&Held| held.index > log.applied || (held.term, held.index) == last(log);
        log.entries.iter().filter(needed).find(|held| !held.sound && !has_copy(logs, held)).copied()
    };
    let votes_for =
        |candidate: &Log| voters.iter().filter(|(_, log)| last(log) <= last(candidate)).count();
    let can_lead = |log: &Log| lacks(log).is_none() && votes_for(log) >= quorum;
    if voters.len() < quorum || voters.iter().any(|(_, log)| can_lead(log)) {
        return None;
    }
    let damaged: Vec<String> = voters
        .iter()
        .filter_map(|(store, log)| Some((store, lacks(log)?)))
        .map(|(store, held)| {
            format!("store {store} its entry {} of term {}", held.index, held.term)
        })
        .collect();
    let (group, all) = (newest.group, newest.voters.len());
    let there = voters.len();
    // Without damage the one with the longest log could be elected.
    (!damaged.is_empty()).then(|| format!(
        "group {group}, {there} of {all} voters there: nobody has a sound copy of what lacks {}",
        damaged.join(", ")
    ))
}

/// Whether any store has a sound copy of an entry, or what it came to.
fn has_copy(logs: &[(Place, Log)], wanted: &Held) -> bool {
    logs.iter().any(|(_, log)| {
        log.applied >= wanted.index
            || log
                .entries
                .iter()
                .any(|held| held.sound && (held.index, held.term) == (wanted.index, wanted.term))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logs from text: terms of entries from 1 on, `!` behind a damaged one.
    fn logs(voters: u64, texts: &[&str]) -> Vec<(Place, Log)> {
        let log = |text: &str| {
            let entries = text.split_whitespace().zip(1..);
            let entries = entries.map(|(word, index)| Held {
                index,
                term: word.trim_end_matches('!').parse().unwrap(),
                sound: !word.ends_with('!'),
            });
            let voters = (1..=voters).collect();
            Log { group: 1, voters, applied: 0, entries: entries.collect() }
        };
        (1..).zip(texts.iter().map(|text| log(text))).collect()
    }

    fn is_lost(voters: u64, texts: &[&str]) -> bool {
        unrecoverable(&logs(voters, texts)).is_some()
    }

    #[test]
    fn a_copy_on_another_store_is_enough() {
        assert!(!is_lost(3, &["1 1", "1 1!"]));
        assert!(!is_lost(3, &["1 1", "1 1!", "1"]));
        // Each has what the other lacks.
        assert!(!is_lost(3, &["1! 1", "1 1!"]));
    }

    #[test]
    fn a_majority_without_the_entry_goes_on_without_it() {
        assert!(!is_lost(3, &["1", "1 1!", "1"]));
        assert!(!is_lost(5, &["1", "1", "1", "1 2!", "1 2!"]));
    }

    #[test]
    fn what_a_missing_store_may_have_helped_to_commit_is_lost() {
        assert!(is_lost(3, &["1", "1 1!"]));
        assert!(is_lost(5, &["1", "1", "1 2!"]));
        assert!(is_lost(1, &["1 1!"]));
    }

    #[test]
    fn what_a_majority_had_and_all_lost_is_lost() {
        assert!(is_lost(3, &["1", "1 1!", "1 1!"]));
    }

    #[test]
    fn another_entry_in_its_place_is_no_copy() {
        assert!(is_lost(3, &["1 1", "1 2!"]));
        // A later term outranks it.
        assert!(!is_lost(3, &["1 3", "1 2!"]));
    }

    #[test]
    fn without_a_majority_it_is_not_the_damage() {
        assert!(!is_lost(5, &["1 1!", "1 1!"]));
    }

    #[test]
    fn what_is_applied_is_not_lost() {
        let mut logs = logs(3, &["1 1!", "1"]);
        logs[1].1.applied = 2;
        assert_eq!(unrecoverable(&logs), None);
    }
}
